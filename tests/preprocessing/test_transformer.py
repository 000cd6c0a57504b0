import dataclasses

import keras
import numpy as np
import pytest

from mrlm_core.config import preset
from mrlm_core.errors import ConfigError, DatasetError
from mrlm_core.preprocessing import tokens as tokenised
from mrlm_core.preprocessing.features import encode
from mrlm_core.preprocessing.transformer import TextEncoder, train
from mrlm_core.training.fit import seed_everything

CONFIG = dataclasses.replace(preset("tiny").preprocessing, encoders={"text": "transformer"})
BRIEF = dataclasses.replace(CONFIG, transformer_tokens=1000)
TOPICS = (("lamp", "light", "glow", "shine", "bright", "bulb"), ("music", "speaker", "sound", "loud", "song", "tune"))
FILLERS = ("box", "guide", "home", "price", "room", "week")


@pytest.fixture(scope="module")
def planted():
    """120 texts, by turns on two topics; each has three of six words of its topic, and three that say nothing."""
    rng = np.random.default_rng(0)
    said = [{*rng.choice(TOPICS[item % 2], 3, replace=False)} for item in range(120)]
    texts = {item: " ".join(rng.permutation([*sorted(words), *rng.choice(FILLERS, 3), "the", "."]))
             for item, words in enumerate(said)}
    return said, texts


def test_texts_on_one_topic_are_near_though_they_share_no_word_of_it(small, planted):
    said, texts = planted
    features = encode(small("text", 120, texts), "text", CONFIG, seed=0)
    similarity = features.values @ features.values.T
    topic = np.arange(120) % 2
    disjoint = np.array([[not (a & b) for b in said] for a in said])
    same = similarity[disjoint & (topic[:, None] == topic)]
    other = similarity[topic[:, None] != topic]
    assert len(same) > 100
    assert same.mean() > 0.2 > 0 > other.mean()
    nearest = np.argmax(similarity - 9 * np.eye(120), axis=1)
    assert (topic[nearest] == topic).mean() > 0.95
    np.testing.assert_allclose(np.linalg.norm(features.values, axis=1), 1, rtol=1e-5)


def test_same_seed_same_bytes(small, planted):
    first, second = (encode(small("text", 40, dict(list(planted[1].items())[:40])), "text", BRIEF, 1) for _ in range(2))
    assert first.values.tobytes() == second.values.tobytes()
    assert first.encoder == second.encoder
    assert "weights" in first.encoder


def test_texts_that_say_nothing_are_masked_and_noted(small):
    texts = {0: "warm lamp", 1: "the of and", 2: "", 3: "?! _ ...", 5: "loud speaker"}
    features = encode(small("text", 6, texts), "text", BRIEF, seed=0)
    np.testing.assert_array_equal(np.flatnonzero(features.mask), [0, 5])
    assert not features.values[~features.mask].any()
    assert any("3 texts without a word" in note and "p1, p2, p3" in note for note in features.notes)


def test_one_text_has_a_vector_and_only_stop_words_are_an_error(small):
    assert np.linalg.norm(encode(small("text", 1, {0: "lamp"}), "text", BRIEF, seed=0).values) == pytest.approx(1)
    with pytest.raises(DatasetError, match="2 texts without a word"):
        encode(small("text", 2, {0: "the of", 1: "and it"}), "text", BRIEF, seed=0)


def test_heads_must_divide_the_dimension(small):
    with pytest.raises(ConfigError, match=r"multiple of preprocessing\.transformer_heads"):
        encode(small("text", 1, {0: "lamp"}), "text", dataclasses.replace(CONFIG, transformer_heads=3), seed=0)


@pytest.fixture(scope="module")
def trained(planted):
    """The encoder, and its losses at the same hidden tokens before and after training."""
    seed_everything(0)
    tokens = tokenised.tokenise(list(planted[1].values()), 500)
    model = TextEncoder(tokens, CONFIG, seed=0)
    rows, _ = tokenised.windows(tokens.texts, 128)
    batch, _ = next(tokenised.batches(rows, 4096))
    hidden = tokenised.mask(batch, len(tokens.weights), np.random.default_rng(5))
    losses = [np.asarray(model((hidden.tokens, hidden.places, hidden.targets)))]
    train(model, tokens, CONFIG, seed=0)
    losses.append(np.asarray(model((hidden.tokens, hidden.places, hidden.targets))))
    return model, tokens, losses


def test_training_predicts_hidden_tokens_better_by_place_and_by_the_texts_vector(trained):
    before, after = trained[2]
    assert (after < before - 0.5).all()


def test_padding_changes_nothing(trained):
    model, tokens, _ = trained
    text = tokens.texts[0][None]
    padded = np.pad(text, ((0, 0), (0, 9)), constant_values=tokenised.PAD)
    np.testing.assert_allclose(model.states(padded)[:, : text.shape[1]], model.states(text), atol=1e-5)
    for one, other in zip(model.pool(model.states(padded), padded), model.pool(model.states(text), text), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_a_token_is_seen_in_its_context(trained):
    model, tokens, _ = trained
    text = tokens.texts[0][None]
    changed = text.copy()
    changed[0, -1] = tokens.texts[1][0]
    states, others = (keras.ops.convert_to_numpy(model.states(tokens)) for tokens in (text, changed))
    assert np.abs(states[0, 0] - others[0, 0]).max() > 1e-3

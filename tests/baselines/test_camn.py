"""CAMN: cross attention and memory hops against plain versions, what is missing, which words are read."""

import numpy as np
import pytest
from keras import ops

from mrlm_core.baselines.camn import first_words
from mrlm_core.baselines.network import NOBODY
from mrlm_core.baselines.registry import row
from mrlm_core.baselines.sentences import PADDING, sentences_of
from mrlm_core.datasets import load_dataset
from mrlm_core.datasets.iot_shop import make_iot_shop
from mrlm_core.study.inputs import missing

USERS, ITEMS = 61, 48  # of the fixture ``planted``
BARE = ITEMS - 1  # has neither text nor picture


def softmax(logits):
    weights = np.exp(logits - np.max(logits))
    return weights / weights.sum()


def guided(layer, states, guide):
    """softmax(v' tanh(W state + b + V guide)) over the states, one by one."""
    kernel, bias, of_guide, weight = (ops.convert_to_numpy(part) for part in (
        layer.of_state.kernel, layer.of_state.bias, layer.of_guide.kernel, layer.weight.kernel))
    logits = [np.tanh(state @ kernel + bias + guide @ of_guide) @ weight[:, 0] for state in states]
    return sum(weight * state for weight, state in zip(softmax(logits), states, strict=True))


def test_words_and_picture_attend_to_each_other(trained):
    reader = trained("CAMN").model.reader
    items = np.array([3, 20, 11], np.int32)
    read = reader.text(items, reader.words.shape[1]), reader.image(items)
    (words, written), (regions, seen) = (tuple(map(ops.convert_to_numpy, part)) for part in read)
    found = ops.convert_to_numpy(reader(items))
    for place in range(len(items)):
        text, picture = words[place][written[place]], regions[place][seen[place]]
        assert len(picture) == reader.regions > 1
        expected = [guided(reader.over_words, text, picture.mean(axis=0)),
                    guided(reader.over_regions, picture, text.mean(axis=0))]
        np.testing.assert_allclose(found[place], np.concatenate(expected), rtol=1e-3, atol=1e-4)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_states_of_words_have_not_read_the_padding(trained):
    reader = trained("CAMN").model.reader
    kept, items, count = reader.words, np.array([3], np.int32), 4
    assert (kept[3, :count] != PADDING).all()
    before = ops.convert_to_numpy(reader.text(items, kept.shape[1])[0])[0, :count]
    reader.words = kept.copy()
    reader.words[3, count:] = PADDING
    after = ops.convert_to_numpy(reader.text(items, kept.shape[1])[0])[0, :count]
    reader.words = kept
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


def test_an_item_without_text_and_picture_gives_zeros(trained):
    found = ops.convert_to_numpy(trained("CAMN").model.reader(np.array([BARE, 3], np.int32)))
    np.testing.assert_array_equal(found[0], 0)
    assert np.abs(found[1]).max() > 0


def test_each_hop_adds_what_the_memory_answers(trained):
    network = trained("CAMN").model
    past, users = (ops.convert_to_numpy(part) for part in (network.past, network.users))
    keys, values = (ops.convert_to_numpy(layer.kernel) for layer in (network.keys, network.values))
    target = past[3, 1]
    vectors = ops.convert_to_numpy(network.item_vectors(np.arange(ITEMS, dtype=np.int32)))
    memory = vectors[[item for item in past[3] if item not in (NOBODY, target)]]
    state = users[3].astype(np.float64)
    assert network.hops == 2
    for _ in range(2):
        weights = softmax(np.array([state @ (item @ keys) for item in memory]))
        state = state + sum(weight * (item @ values) for weight, item in zip(weights, memory, strict=True))
    found = ops.convert_to_numpy(network.user_states(np.array([3]), np.array([target])))[0]
    np.testing.assert_allclose(found, state, rtol=1e-3, atol=1e-4)
    assert np.abs(found - users[3]).max() > 1e-3


def test_the_first_words_come_from_as_many_sentences_as_it_takes():
    sentences = sentences_of({0: "a b. c d e. f", 2: "a. b"}, 3)
    words = first_words(sentences, 4)
    flat = [[word for word in item.ravel() if word != PADDING] for item in sentences.words]
    assert words.shape == (3, 4)
    assert words[0].tolist() == flat[0][:4]
    assert words[2].tolist() == [*flat[2], *[PADDING] * (4 - len(flat[2]))]
    assert not words[1].any()
    assert first_words(sentences, 50).shape == (3, len(flat[0]))


@pytest.mark.parametrize("name", ["CAMN", "CAMN+"])
def test_without_pictures_it_is_not_run(tmp_path, name):
    make_iot_shop(tmp_path / "shop", size="tiny", progress=False)
    dataset = load_dataset(tmp_path / "shop")
    assert not missing(row(name), dataset)
    for role in ("image", "text"):
        lacking = next(key for key, entry in dataset.modalities.items() if entry.role == role)
        entry = dataset.modalities.pop(lacking)
        assert role in missing(row(name), dataset)
        dataset.modalities[lacking] = entry

"""The text models' own equations against plain NumPy, what they may not read, and items without a text."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import ops

from mrlm_core.baselines.distinct import distinct, once
from mrlm_core.baselines.network import NOBODY, TripletNetwork, histories, in_parts
from mrlm_core.baselines.registry import build
from mrlm_core.baselines.sentences import PADDING
from mrlm_core.baselines.text_layers import Attention, SentenceReader, WordConvolution, pooled
from mrlm_core.errors import ConfigError

USERS, ITEMS = 61, 48  # of the fixture ``planted``
LONELY, BARE = USERS - 1, ITEMS - 1
NETWORKS = ["NARRE", "HAUP"]
SMALL = {
    "ConvMF": {"dim": 4, "word_dim": 3, "filters": 2, "hidden": 5},
    "NARRE": {"dim": 4, "word_dim": 3, "filters": 2, "attention": 3},
    "HAUP": {"dim": 4, "word_dim": 3, "gru": 2, "attention": 3},
}


@pytest.fixture(scope="module")
def untrained(planted, described):
    """``untrained(name, sentences, content)``: a small network of random weights, the same at each call."""

    def network(name, sentences=described["sentences"], content=None):
        keras.utils.set_random_seed(11)
        made = build(name, SMALL[name]).network(planted, 0, sentences=sentences, content=content)
        spread = np.random.default_rng(12)
        made.set_weights([spread.normal(0, 0.5, w.shape).astype(np.float32) for w in made.get_weights()])
        return made

    return network


def array(tensor):
    return ops.convert_to_numpy(tensor)


def plain_attention(pool, states, mask, besides=None):
    """One weighted mean, element by element."""
    (kernel, bias), (towards,) = (layer.get_weights() for layer in (pool.hidden, pool.weight))
    squash = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh}[pool.hidden.activation.__name__]
    read = states if besides is None else np.concatenate([states, besides], axis=1)
    logits = {j: (squash(read[j] @ kernel + bias) @ towards)[0] for j in range(len(states)) if mask[j]}
    total = sum(np.exp(logit) for logit in logits.values())
    return sum((np.exp(logits[j]) / total * states[j] for j in logits), np.zeros(states.shape[1]))


def plain_convolution(convolution, sentence):
    """One filter, one window at a time, over one sentence of word numbers."""
    table, count, found = array(convolution.words.table), int(np.sum(sentence != PADDING)), []
    for width, kernel, bias in zip(convolution.widths, convolution.kernels, convolution.biases, strict=True):
        kernel, bias = array(kernel), array(bias)
        for unit in range(kernel.shape[2]):
            best = 0.0
            for start in range(count):
                inside = range(start, min(start + width, count))
                best = max(best, bias[unit] + sum(table[sentence[t]] @ kernel[t - start, :, unit] for t in inside))
            found.append(best)
    return np.array(found)


def test_convolution_and_the_largest_response_equal_the_plain_version():
    rng = np.random.default_rng(0)
    words = np.where(np.arange(7) < rng.integers(0, 8, 20)[:, None], rng.integers(1, 9, (20, 7)), PADDING)
    words[0], words[1] = PADDING, rng.integers(1, 9, 7)
    layer = WordConvolution(9, 4, 3, (2, 3))
    layer(words)
    layer.set_weights([rng.normal(0, 0.5, w.shape) for w in layer.get_weights()])
    found = array(layer(words))
    np.testing.assert_allclose(found, [plain_convolution(layer, sentence) for sentence in words], rtol=1e-4, atol=1e-5)
    assert (found[0] == 0).all()
    assert (found[1] > 0).any()


@pytest.mark.parametrize(("activation", "with_besides"), [("tanh", False), ("relu", True)])
def test_attention_equals_the_plain_version(activation, with_besides):
    rng = np.random.default_rng(1)
    states, besides = (rng.normal(size=(6, 5, k)).astype(np.float32) for k in (4, 2))
    mask = rng.random((6, 5)) < 0.6
    mask[0] = False
    besides = besides if with_besides else None
    pool = Attention(3, activation)
    found = array(pooled(states, pool(states, besides), mask))
    expected = [plain_attention(pool, states[n], mask[n], None if besides is None else besides[n]) for n in range(6)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert (found[0] == 0).all()


def test_reader_gives_each_item_its_own_sentences_and_reads_each_once(described):
    sentences, seen = described["sentences"], []

    def encode(words):
        seen.append(array(words))
        return ops.cast(words, "float32")

    items = np.array([5, BARE, 5, 0], np.int32)
    states, mask = SentenceReader(sentences)(items, encode)
    longest = sentences.words[items][:, :3, :4]  # of the fixture's texts: three sentences of four words
    assert sentences.words.sum() == sentences.words[:, :3, :4].sum()
    np.testing.assert_array_equal(array(states), longest)
    np.testing.assert_array_equal(array(mask), (longest != PADDING).any(axis=2))
    assert not array(mask)[1].any()
    assert len(seen[0]) == 3 + 3 + 1  # two texts of three sentences, and the empty one


def test_once_computes_each_distinct_index_once():
    indices = np.array([[4, 2], [2, 2], [7, 4]], np.int32)
    found, places = distinct(indices.ravel())
    np.testing.assert_array_equal(array(found)[array(places)], indices.ravel())
    assert len(array(found)) == 3
    np.testing.assert_array_equal(array(once(indices, lambda found: found[:, None] * 10)), indices[:, :, None] * 10)


def test_narre_user_state_equals_the_plain_version(untrained, planted, described):
    """Eqs. 5-10 for users with and without a target to leave out."""
    network, words = untrained("NARRE"), described["sentences"].words
    liked = histories(planted, 20)
    users, targets = np.array([0, 1, 2, LONELY], np.int32), np.array([liked[0, 1], NOBODY, liked[2, 0], 3], np.int32)
    found = array(network.user_states(users, targets))
    kernel, bias = network.to_user.get_weights()
    ids = np.maximum(array(network.read_items), 0)
    for row, (user, target) in enumerate(zip(users, targets, strict=True)):
        items = [item for item in liked[user] if item >= 0 and item != target and item != BARE]
        plots = np.array([np.max([plain_convolution(network.of_plots, s) for s in words[item]], axis=0)
                          for item in items]).reshape(-1, 2)
        pooled = plain_attention(network.over_plots, plots, np.ones(len(items), bool), ids[items])
        own = array(network.match_weight) * (array(network.users)[user] + pooled @ kernel + bias)
        expected = [*own, array(network.user_bias)[user, 0] + array(network.mean), 1]
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-4)


def test_narre_item_state_equals_the_plain_version(untrained, described):
    network, words = untrained("NARRE"), described["sentences"].words
    kernel, bias = network.to_item.get_weights()
    items = np.array([0, 17, BARE], np.int32)
    found = array(network.item_states(items))
    for row, item in enumerate(items):
        states = np.array([plain_convolution(network.of_sentences, sentence) for sentence in words[item]])
        written = (words[item] != PADDING).any(axis=1)  # all ten, where the model reads only as many as there are
        pooled = plain_attention(network.over_sentences, states, written)
        own = array(network.items)[item] + pooled @ kernel + bias
        np.testing.assert_allclose(found[row], [*own, 1, array(network.item_bias)[item, 0]], rtol=1e-4, atol=1e-4)


def plain_gru(weights, states):
    """Keras' GRU (reset after the product), one step at a time: the state after each of ``states``."""
    kernel, recurrent, (bias, recurrent_bias) = weights
    units, found = recurrent.shape[0], [np.zeros(recurrent.shape[0])]
    for state in states:
        x, h = state @ kernel + bias, found[-1] @ recurrent + recurrent_bias
        z, r = (1 / (1 + np.exp(-(x[cut] + h[cut]))) for cut in (slice(units), slice(units, 2 * units)))
        candidate = np.tanh(x[2 * units:] + r * h[2 * units:])
        found.append(z * found[-1] + (1 - z) * candidate)
    return np.array(found[1:])


def plain_level(along, pool, states):
    """Two GRUs, of the layers ``along``, over ``states`` that are all real, then attention."""
    forward, backward = (layer.get_weights() for layer in along)
    there, back = plain_gru(forward, states), plain_gru(backward, states[::-1])[::-1]
    both = np.concatenate([there, back], axis=1)
    return plain_attention(pool, both, np.ones(len(both), bool))


def test_haup_text_equals_two_plain_levels(untrained, described):
    """Padding changes nothing: the plain version never sees any."""
    text, words = untrained("HAUP").text, described["sentences"].words
    items = np.array([3, 30, BARE], np.int32)
    found, table = array(text(items)), array(text.words.table)
    for row, item in enumerate(items[:2]):
        sentences = [sentence[sentence != PADDING] for sentence in words[item] if (sentence != PADDING).any()]
        along = [layer.cell for layer in text.along_words]
        states = np.array([plain_level(along, text.over_words, table[sentence]) for sentence in sentences])
        layers = text.along_sentences.forward_layer, text.along_sentences.backward_layer
        expected = plain_level(layers, text.over_sentences, states)
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-5)
    assert (found[2] == 0).all()


def test_haup_user_state_equals_the_plain_version(untrained, planted):
    """The third level: attention over the texts of his likes, each as the test above has it, without the target's."""
    network, liked = untrained("HAUP"), histories(planted, 20)
    users, targets = np.array([0, 1, LONELY], np.int32), np.array([liked[0, 1], NOBODY, 3], np.int32)
    found, texts = array(network.user_states(users, targets)), array(network.text(np.arange(ITEMS, dtype=np.int32)))
    kernel, bias = network.to_user.get_weights()
    for row, (user, target) in enumerate(zip(users, targets, strict=True)):
        items = np.array([item for item in liked[user] if item >= 0 and item not in (target, BARE)], int)
        read = plain_attention(network.over_texts, texts[items], np.ones(len(items), bool))
        own = array(network.users)[user] + read @ kernel + bias
        expected = [*own, array(network.user_bias)[user, 0] + array(network.mean), 1]
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-5)


def test_haup_item_state_and_score_equal_the_plain_version(untrained, planted):
    """(q_u + X_u) . (p_i + Y_i) + b_u + b_i + mu, Y_i one layer over the item's text, which may be missing."""
    network, liked = untrained("HAUP"), histories(planted, 20)
    triplets = np.array([[0, liked[0, 1], BARE], [LONELY, 3, 17]], np.int32)
    of_users, out = array(network.user_states(triplets[:, 0], triplets[:, 1])), network(triplets)
    kernel, bias = network.to_item.get_weights()
    for key, column in (("positive", 1), ("negative", 2)):
        items = triplets[:, column]
        found, texts = array(network.item_states(items)), array(network.text(items))
        for row, item in enumerate(items):
            own, of_item = array(network.items)[item] + texts[row] @ kernel + bias, array(network.item_bias)[item, 0]
            np.testing.assert_allclose(found[row], [*own, 1, of_item], rtol=1e-4, atol=1e-5)
            *state, of_user, _ = of_users[row]
            np.testing.assert_allclose(array(out[key])[row], state @ own + of_user + of_item, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_target_in_or_out_of_the_history_gives_the_same_training_scores(untrained, planted, name):
    network = untrained(name)
    user = 4
    kept = histories(planted, 20)[user]
    target = kept[2]
    triplet = np.array([[user, target, 0]], np.int32)
    with_target = {key: array(value) for key, value in network(triplet).items()}
    everyone = histories(planted, 20)
    everyone[user, 2] = NOBODY
    network.liked = ops.convert_to_tensor(everyone)
    without_target = network(triplet)
    for key in ("positive", "negative"):
        np.testing.assert_allclose(with_target[key], array(without_target[key]), rtol=1e-5, atol=1e-6)
    # And the text does count when it is not the target.
    network.liked = ops.convert_to_tensor(histories(planted, 20))
    as_other = array(network(np.array([[user, kept[3], 0]], np.int32))["negative"])
    assert not np.allclose(with_target["negative"], as_other, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_scores_as_the_states_of_both_sides(untrained, planted, name):
    """HAUP reads the texts of both sides together."""
    network, liked = untrained(name), histories(planted, 20)
    triplets = np.array([[0, liked[0, 0], 4], [LONELY, 3, BARE], [0, liked[0, 2], 7]], np.int32)
    users = network.user_states(triplets[:, 0], triplets[:, 1])
    found = network(triplets)
    for key, column in (("positive", 1), ("negative", 2)):
        expected = network.match(users, network.item_states(triplets[:, column]))
        np.testing.assert_allclose(array(found[key]), array(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_text_of_the_target_changes_no_training_state_of_the_user(untrained, planted, described, name):
    target = histories(planted, 20)[4, 1]
    words = described["sentences"].words.copy()
    words[target] = words[target, ::-1, ::-1] * 0 + 2
    changed = replace(described["sentences"], words=words)
    networks = [untrained(name, sentences) for sentences in (described["sentences"], changed)]
    user, left_out, nobody = (np.array([number], np.int32) for number in (4, target, NOBODY))
    np.testing.assert_allclose(*[array(made.user_states(user, left_out)) for made in networks], rtol=1e-5, atol=1e-6)
    assert not np.allclose(*[array(made.user_states(user, nobody)) for made in networks], atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_item_without_a_text_gets_no_other_items(untrained, planted, described, name):
    """Whatever the others' texts say, its state and its reader's state stay as they are."""
    words = described["sentences"].words.copy()
    words[:BARE] = np.roll(words[:BARE], 1, axis=0)
    shifted = replace(described["sentences"], words=words)
    items = np.array([BARE, 0], np.int32)
    before, after = (array(untrained(name, sentences).item_states(items))
                     for sentences in (described["sentences"], shifted))
    np.testing.assert_array_equal(before[0], after[0])
    assert not np.allclose(before[1], after[1], atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_content_reaches_the_item_alone(untrained, planted, name):
    content = np.random.default_rng(2).normal(size=(ITEMS, 6)).astype(np.float32)
    other = content[::-1].copy()
    networks = [untrained(name, content=made) for made in (content, other)]
    items, users = np.arange(4, dtype=np.int32), np.full(4, NOBODY, np.int32)
    assert not np.allclose(*[array(network.item_states(items)) for network in networks], atol=1e-4)
    np.testing.assert_array_equal(*[array(network.user_states(items, users)) for network in networks])


def test_rating_objective_is_the_squared_error():
    class Fixed(TripletNetwork):
        user_states = item_states = None

    network = Fixed(0.5, "rating")
    scores = {"positive": np.float32([1.0, 0.5]), "negative": np.float32([0.25, -0.5]), "size": np.float32(3)}
    loss = network.compute_loss(y_pred={key: ops.convert_to_tensor(value) for key, value in scores.items()})
    np.testing.assert_allclose(array(loss), (0 + 0.25) / 2 + (0.0625 + 0.25) / 2 + 0.25 * 3, rtol=1e-6)


@pytest.mark.parametrize("name", ["ConvMF", *NETWORKS])
def test_rating_objective_trains_on_what_was_rated(planted, described, name):
    model = build(name, {**SMALL[name], "objective": "rating", "batch_size": 64, "max_epochs": 8})
    model.fit(planted, seed=0, sentences=described["sentences"])
    scores = model.score(np.arange(USERS))
    assert np.isfinite(scores).all()
    liked, disliked = planted.train.toarray() > 0, planted.train_negatives.toarray() > 0
    assert scores[liked].mean() > scores[disliked].mean()


def test_narre_penalises_no_padding_and_no_target(untrained, planted):
    """A user with one liked item, which is the target, reads nothing: of the vectors he could read none counts."""
    made = untrained("NARRE")
    short = int(np.argmin(np.where(np.diff(planted.train.indptr) > 0, np.diff(planted.train.indptr), ITEMS)))
    liked, user = planted.train[[short]].indices, np.array([short], np.int32)

    def counted():
        made._squares = []
        made.user_states(user, np.array([liked[0]], np.int32))
        return float(made.penalty())

    before, table = counted(), array(made.read_items).copy()
    unread = np.setdiff1d(np.arange(ITEMS), liked[1:])
    table[unread] = 7
    made.read_items.assign(table)
    assert counted() == pytest.approx(before, rel=1e-6)
    table[liked[1:]] = 7
    made.read_items.assign(table)
    assert len(liked) == 1 or counted() > before + 1


@pytest.mark.parametrize("name", ["ConvMF", *NETWORKS])
def test_an_unknown_objective_is_refused(planted, described, name):
    with pytest.raises(ConfigError, match="objective"):
        build(name, {"objective": "hinge"}).fit(planted, seed=0, sentences=described["sentences"])


def test_parts_join_to_the_whole():
    np.testing.assert_array_equal(in_parts(lambda part: part[:, None] * 2, 2500)[:, 0], np.arange(2500) * 2)

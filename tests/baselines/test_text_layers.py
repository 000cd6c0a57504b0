"""Layers that read words: against Keras' own where it has them, and texts of all lengths read in groups."""

import keras
import numpy as np
import pytest
from keras import ops

from mrlm_core.baselines.lengths import Lengths
from mrlm_core.baselines.sentences import PADDING
from mrlm_core.baselines.text_layers import GRU, LSTM, WordRecurrence, WordTable
from mrlm_core.training.optimizer import on_tensorflow

VOCABULARY, DIM, UNITS, LONGEST = 12, 5, 3, 9


def sentences(count=30):
    rng = np.random.default_rng(5)
    lengths = rng.integers(1, LONGEST + 1, count)
    words = rng.integers(1, VOCABULARY, (count, LONGEST))
    return np.where(np.arange(LONGEST) < lengths[:, None], words, PADDING).astype(np.int32)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("cell", "layer"), [(GRU, keras.layers.GRU), (LSTM, keras.layers.LSTM)])
def test_states_along_words_are_those_of_keras(cell, layer, backwards):
    table, words = WordTable(VOCABULARY, DIM), sentences()
    along = WordRecurrence(cell(UNITS), table, backwards)
    theirs = layer(UNITS, return_sequences=True, go_backwards=backwards)
    theirs.build((None, LONGEST, DIM))
    spread = np.random.default_rng(6)
    theirs.set_weights([spread.normal(0, 0.5, weight.shape) for weight in theirs.get_weights()])
    along.cell.set_weights(theirs.get_weights())
    found = ops.convert_to_numpy(along(words))
    vectors, known = table(words)
    expected = ops.convert_to_numpy(theirs(vectors, mask=known))
    expected = expected[:, ::-1] if backwards else expected
    there = words != PADDING
    np.testing.assert_allclose(found[there], expected[there], rtol=1e-4, atol=1e-5)
    assert np.abs(found[there]).max() > 0.1


def test_the_gradient_reaches_words_and_gates():
    import tensorflow as tf

    table, words = WordTable(VOCABULARY, DIM), sentences(4)
    along = WordRecurrence(LSTM(UNITS), table)
    with tf.GradientTape() as tape:
        total = ops.sum(ops.square(along(words)))
    for slope in tape.gradient(total, [weight.value for weight in along.trainable_weights]):
        assert np.abs(tf.convert_to_tensor(slope).numpy()).max() > 0


def test_texts_of_all_lengths_come_back_in_their_places():
    lengths = np.array([3, 0, 8, 1, 5, 2, 8, 4, 6, 7, 0, 3])
    reader, read = Lengths(lengths), []

    def states_of(texts, most):
        read.append((ops.convert_to_numpy(texts), most))
        return ops.stack([ops.cast(texts, "float32"), ops.cast(texts, "float32") * 2], axis=1)

    wanted = np.array([2, 1, 11, 2, 10, 7], np.int32)  # one twice; none of the length of some group
    found = ops.convert_to_numpy(reader.read(ops.convert_to_tensor(wanted), states_of))
    np.testing.assert_array_equal(found, np.stack([wanted, wanted * 2], axis=1))
    assert sorted(text for texts, _ in read for text in texts) == sorted(wanted)
    for texts, most in read:
        assert (lengths[texts] <= most).all()
    if on_tensorflow():
        assert [most for _, most in read] == [2, 4, 7, 8]
        assert any(len(texts) == 0 for texts, _ in read)


def test_texts_of_one_length_are_read_together():
    read = []
    Lengths(np.full(7, 4)).read(ops.arange(3), lambda texts, most: read.append(most) or texts)
    assert read == [4]

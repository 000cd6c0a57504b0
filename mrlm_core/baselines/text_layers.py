"""What the text models share: every sentence read once a batch, convolution over words, pooling by attention.

Shapes: n items, m distinct sentences of W words, S sentences an item, L elements of a sequence, k length of a state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from mrlm_core.baselines.distinct import distinct, once
from mrlm_core.baselines.lengths import Lengths
from mrlm_core.baselines.network import Tensor, masked_softmax
from mrlm_core.baselines.sentences import PADDING, Sentences

Encoder = Callable[[Tensor], Tensor]
EMPTY = 0  # the sentence without a word


class SentenceReader:
    """Gives items the states of their sentences; no sentence is encoded twice, and none that is empty more than once.

    Most items have far fewer sentences than the longest text, and these cost nothing. S is that of the longest; W is
    about as long as the sentences that are encoded together.
    """

    def __init__(self, sentences: Sentences) -> None:
        known = sentences.words != PADDING
        written = known.any(axis=2)[:, : max(1, known.any(axis=(0, 2)).sum())]
        of_item = np.full(written.shape, EMPTY, np.int32)
        of_item[written] = np.arange(1, written.sum() + 1)
        empty = np.full((1, known.shape[2]), PADDING, np.int32)
        words = np.concatenate([empty, sentences.words[:, : written.shape[1]][written]])
        self.lengths = Lengths((words != PADDING).sum(axis=1))
        self.words, self.of_item = ops.convert_to_tensor(words), ops.convert_to_tensor(of_item)
        self.described = ops.convert_to_tensor(sentences.described)
        self.vocabulary = sentences.size

    def __call__(self, items: Tensor, encode: Encoder) -> tuple[Tensor, Tensor]:
        """``items`` ``[n]`` -> states ``[n, S, k]`` by ``encode`` (words ``[m, W]`` -> ``[m, k]``), mask ``[n, S]``."""
        wanted = ops.take(self.of_item, items, axis=0)
        found, places = distinct(ops.reshape(wanted, (-1,)))
        states = self.lengths.read(found, lambda part, most: encode(ops.take(self.words[:, :most], part, axis=0)))
        return ops.take(states, ops.reshape(places, ops.shape(wanted)), axis=0), wanted != EMPTY


class WordTable(keras.layers.Layer):
    """Words, any shape -> their vectors, zeros for PADDING, and which are words."""

    def __init__(self, vocabulary: int, dim: int) -> None:
        super().__init__()
        self.dim, start = dim, keras.initializers.RandomNormal(stddev=0.1)
        self.table = self.add_weight(shape=(vocabulary, dim), initializer=start, name="words")

    def call(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors ``[..., dim]`` and mask ``[...]`` of ``words`` ``[...]``."""
        known = words != PADDING
        return ops.take(self.table, words, axis=0) * ops.cast(known, "float32")[..., None], known


class WordConvolution(keras.layers.Layer):
    """Sentences ``[m, W]`` -> ``[m, filters * widths]``: filters over neighbouring words, ReLU, the largest (Kim 2014).

    A window begins at each word and reads zeros past the end of its sentence. All zeros for the sentence without words.
    What a word adds to a window depends on its place in the window alone: it is computed once a word, not once wherever
    the word stands, and a window only sums.
    """

    def __init__(self, vocabulary: int, dim: int, filters: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.words, self.widths = WordTable(vocabulary, dim), tuple(widths)
        shapes = [(width, dim, filters) for width in self.widths]
        self.kernels = [self.add_weight(shape=shape, initializer="glorot_uniform", name="kernel") for shape in shapes]
        self.biases = [self.add_weight(shape=shape[2:], initializer="zeros", name="bias") for shape in shapes]

    def call(self, words: Tensor) -> Tensor:
        """The largest response of each filter."""
        begins = ops.cast(words != PADDING, "float32")[..., None]  # after the ReLU, 0 is as good as no window
        length, padded = words.shape[1], ops.pad(words, [[0, 0], [0, max(self.widths) - 1]], constant_values=PADDING)
        found, places = distinct(ops.reshape(padded, (-1,)))
        places, (vectors, _) = ops.reshape(places, ops.shape(padded)), self.words(found)
        pooled = []
        for width, kernel, bias in zip(self.widths, self.kernels, self.biases, strict=True):
            added = [ops.take(vectors @ kernel[j], places[:, j : j + length], axis=0) for j in range(width)]
            pooled.append(ops.max(ops.relu(sum(added, bias)) * begins, axis=1, initial=0.0))
        return ops.concatenate(pooled, axis=1)


class WordRecurrence(keras.layers.Layer):
    """Sentences ``[m, W]`` -> ``[m, W, units]``, the states of a ``GRU`` or an ``LSTM`` along their words.

    What a word adds to the gates is computed once a word, not once wherever the word stands. Padding comes last, so
    that forwards no word's state has read it, and no state at the padding is to be read.
    """

    def __init__(self, cell: GRU | LSTM, words: WordTable, backwards: bool = False) -> None:
        super().__init__()
        cell.build((None, words.dim))
        self.cell, self.words, self.backwards = cell, words, backwards
        self.along = keras.layers.RNN(cell, return_sequences=True, go_backwards=backwards)

    def call(self, words: Tensor) -> Tensor:
        """States at each word, read from the first or, ``backwards``, from the last one on."""
        added = once(words, lambda found: self.cell.added(self.words(found)[0]))
        if not self.backwards:
            return self.along(added)
        return ops.flip(self.along(added, mask=words != PADDING), axis=1)


class GRU(keras.layers.GRUCell):
    """Keras' GRU (Cho et al. 2014, reset after the product) that is given what the input ``added`` to its gates."""

    def added(self, inputs: Tensor) -> Tensor:
        """Of ``inputs`` ``[n, d]`` what they add ``[n, 3 units]``."""
        return inputs @ self.kernel + self.bias[0]

    def call(self, inputs: Tensor, states: list[Tensor], training: bool = False) -> tuple[Tensor, list[Tensor]]:
        """The state after one more input, of which ``inputs`` is what it ``added``."""
        (state,) = states
        of_input = ops.split(inputs, 3, axis=1)
        of_state = ops.split(state @ self.recurrent_kernel + self.bias[1], 3, axis=1)
        keep, reset = (ops.sigmoid(of_input[gate] + of_state[gate]) for gate in (0, 1))
        state = keep * state + (1 - keep) * ops.tanh(of_input[2] + reset * of_state[2])
        return state, [state]


class LSTM(keras.layers.LSTMCell):
    """Keras' LSTM (Hochreiter & Schmidhuber 1997) that is given what the input ``added`` to its gates."""

    def added(self, inputs: Tensor) -> Tensor:
        """Of ``inputs`` ``[n, d]`` what they add ``[n, 4 units]``."""
        return inputs @ self.kernel + self.bias

    def call(self, inputs: Tensor, states: list[Tensor], training: bool = False) -> tuple[Tensor, list[Tensor]]:
        """State and carry after one more input, of which ``inputs`` is what it ``added``."""
        state, carry = states
        write, keep, new, show = ops.split(inputs + state @ self.recurrent_kernel, 4, axis=1)
        carry = ops.sigmoid(keep) * carry + ops.sigmoid(write) * ops.tanh(new)
        state = ops.sigmoid(show) * ops.tanh(carry)
        return state, [state, carry]


class Attention(keras.layers.Layer):
    """The logits v' activation(W [state ; besides] + b) of a softmax over states; each depends on its own state alone.

    With tanh the attention of Yang et al. (2016), Eqs. 5-7; with ReLU and an id's vector besides that of NARRE, Eq. 5.
    """

    def __init__(self, units: int, activation: str) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(units, activation=activation)
        self.weight = keras.layers.Dense(1, use_bias=False)  # the softmax would take a bias out again
        self.supports_masking = True

    def call(self, states: Tensor, besides: Tensor | None = None) -> Tensor:
        """``states`` ``[..., k]``, ``besides`` ``[..., j]`` -> ``[...]``."""
        read = states if besides is None else ops.concatenate([states, besides], axis=-1)
        return self.weight(self.hidden(read))[..., 0]

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor | None) -> None:
        """``pooled`` is told what is to be masked."""


class AttentionPool(Attention):
    """States of a sequence -> the one that ``Attention`` makes of them."""

    def call(self, states: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        """``states`` ``[n, L, k]``, ``mask`` ``[n, L]`` -> ``[n, k]``; zeros where all are masked."""
        return pooled(states, super().call(states), mask)


def pooled(states: Tensor, logits: Tensor, mask: Tensor) -> Tensor:
    """The mean of ``states`` ``[n, L, k]`` weighted by softmax of ``logits`` ``[n, L]``; zeros where all are masked."""
    return ops.sum(states * masked_softmax(logits, mask)[:, :, None], axis=1)

"""What the text models share: every sentence read once a batch, convolution over words, pooling by attention.

Shapes: n items, m distinct sentences of W words, S sentences an item, L elements of a sequence, k length of a state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from mrlm_core.baselines.distinct import distinct
from mrlm_core.baselines.network import Tensor, masked_softmax
from mrlm_core.baselines.sentences import PADDING, Sentences

Encoder = Callable[[Tensor], Tensor]
EMPTY = 0  # the sentence without a word


class SentenceReader:
    """Gives items the states of their sentences; no sentence is encoded twice, and none that is empty more than once.

    Most items have far fewer sentences than the longest text, and these cost nothing. S and W are those of the longest.
    """

    def __init__(self, sentences: Sentences) -> None:
        # No longer than the longest there is: a step along a GRU costs the same whether it reads a word or none.
        known = sentences.words != PADDING
        longest = max(1, known.any(axis=(0, 1)).sum())
        written = known.any(axis=2)[:, : max(1, known.any(axis=(0, 2)).sum())]
        of_item = np.full(written.shape, EMPTY, np.int32)
        of_item[written] = np.arange(1, written.sum() + 1)
        empty = np.full((1, longest), PADDING, np.int32)
        words = np.concatenate([empty, sentences.words[:, : written.shape[1], :longest][written]])
        self.words, self.of_item = ops.convert_to_tensor(words), ops.convert_to_tensor(of_item)
        self.described = ops.convert_to_tensor(sentences.described)
        self.vocabulary = sentences.size

    def __call__(self, items: Tensor, encode: Encoder) -> tuple[Tensor, Tensor]:
        """``items`` ``[n]`` -> states ``[n, S, k]`` by ``encode`` (words ``[m, W]`` -> ``[m, k]``), mask ``[n, S]``."""
        wanted = ops.take(self.of_item, items, axis=0)
        found, places = distinct(ops.reshape(wanted, (-1,)))
        states = encode(ops.take(self.words, found, axis=0))
        return ops.take(states, ops.reshape(places, ops.shape(wanted)), axis=0), wanted != EMPTY


class WordTable(keras.layers.Layer):
    """Words, any shape -> their vectors, zeros for PADDING, and which are words."""

    def __init__(self, vocabulary: int, dim: int) -> None:
        super().__init__()
        start = keras.initializers.RandomNormal(stddev=0.1)
        self.table = self.add_weight(shape=(vocabulary, dim), initializer=start, name="words")

    def call(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors ``[..., dim]`` and mask ``[...]`` of ``words`` ``[...]``."""
        known = words != PADDING
        return ops.take(self.table, words, axis=0) * ops.cast(known, "float32")[..., None], known


class WordConvolution(keras.layers.Layer):
    """Sentences ``[m, W]`` -> ``[m, filters * widths]``: filters over neighbouring words, ReLU, the largest (Kim 2014).

    A window begins at each word and reads zeros past the end of its sentence. All zeros for the sentence without words.
    """

    def __init__(self, vocabulary: int, dim: int, filters: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.words, self.widths = WordTable(vocabulary, dim), tuple(widths)
        self.convolutions = [keras.layers.Conv1D(filters, width, activation="relu") for width in self.widths]

    def call(self, words: Tensor) -> Tensor:
        """The largest response of each filter."""
        vectors, known = self.words(words)
        begins = ops.cast(known, "float32")[..., None]  # after the ReLU, 0 is as good as no window
        pooled = [
            ops.max(convolve(ops.pad(vectors, [[0, 0], [0, width - 1], [0, 0]])) * begins, axis=1)
            for width, convolve in zip(self.widths, self.convolutions, strict=True)
        ]
        return ops.concatenate(pooled, axis=1)


class AttentionPool(keras.layers.Layer):
    """The mean of states weighted by softmax of v' activation(W [state ; besides] + b); zeros where all are masked.

    With tanh the attention of Yang et al. (2016), Eqs. 5-7; with ReLU and an id's vector besides that of NARRE, Eq. 5.
    """

    def __init__(self, units: int, activation: str) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(units, activation=activation)
        self.weight = keras.layers.Dense(1, use_bias=False)  # the softmax would take a bias out again
        self.supports_masking = True

    def call(self, states: Tensor, mask: Tensor, besides: Tensor | None = None) -> Tensor:
        """``states`` ``[n, L, k]``, ``mask`` ``[n, L]``, ``besides`` ``[n, L, j]`` -> ``[n, k]``."""
        read = states if besides is None else ops.concatenate([states, besides], axis=2)
        weights = masked_softmax(self.weight(self.hidden(read))[:, :, 0], mask)
        return ops.sum(states * weights[:, :, None], axis=1)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor | None) -> None:
        """Nothing is left to be masked."""

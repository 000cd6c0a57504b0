"""CAMN: words and picture of an item attend to each other, the user to the items he liked (Ma et al. 2018).

Shapes: n items of W words and R regions, B rows of a batch, L items of a memory, d the length of a state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from mrlm_core.baselines.distinct import once, once_for_both
from mrlm_core.baselines.history import HistoryNetwork, HistoryRecommender
from mrlm_core.baselines.lengths import Lengths
from mrlm_core.baselines.network import Tensor, histories, masked_mean, masked_softmax
from mrlm_core.baselines.readings import Readings, readings
from mrlm_core.baselines.sentences import PADDING, Sentences
from mrlm_core.baselines.text_layers import LSTM, WordRecurrence, WordTable
from mrlm_core.datasets.splits import Interactions
from mrlm_core.preprocessing.vectors import Features, unit_rows


class GuidedAttention(keras.layers.Layer):
    """Weights softmax_l(v' tanh(W [state_l ; guide])) over the states of one modality, guided by the other."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.of_state, self.of_guide = keras.layers.Dense(dim), keras.layers.Dense(dim, use_bias=False)
        self.weight = keras.layers.Dense(1, use_bias=False)

    def call(self, states: Tensor, mask: Tensor, guide: Tensor) -> Tensor:
        """``states`` ``[n, L, d]``, ``mask`` ``[n, L]``, ``guide`` ``[n, d]`` -> ``[n, d]``; zeros where all masked."""
        hidden = ops.tanh(self.of_state(states) + self.of_guide(guide)[:, None])
        weights = masked_softmax(self.weight(hidden)[:, :, 0], mask)
        return ops.sum(states * weights[:, :, None], axis=1)


class CrossAttention(keras.layers.Layer):
    """Items ``[n]`` -> text and picture ``[n, 2 d]``, each attended under the guidance of the other's mean.

    Words are states of an LSTM. A picture has one frozen vector and no map of regions: its ``regions`` are as many
    learned projections of it.
    """

    def __init__(self, words: np.ndarray, vocabulary: int, pictures: Mapping[str, Features], settings: CAMN) -> None:
        super().__init__()
        self.words, self.regions, self.dim = words, settings.regions, settings.dim
        self.lengths = Lengths((words != PADDING).sum(axis=1))
        self.pictures = [(unit_rows(made.values).astype(np.float32), made.mask) for made in pictures.values()]
        self.sequence = WordRecurrence(LSTM(self.dim), WordTable(vocabulary, settings.word_dim))
        self.projections = [keras.layers.Dense(self.regions * self.dim, "tanh") for _ in self.pictures]
        self.over_words, self.over_regions = GuidedAttention(self.dim), GuidedAttention(self.dim)
        self.dropout = keras.layers.Dropout(settings.dropout)

    def call(self, items: Tensor, training: bool = False) -> Tensor:
        """What is missing is zeros."""
        return self.dropout(self.lengths.read(items, self.attended), training=training)

    def attended(self, items: Tensor, most: int) -> Tensor:
        """As ``call``, nothing dropped, of items of at most so many words."""
        words, written = self.text(items, most)
        regions, seen = self.image(items)
        of_text, of_image = masked_mean(words, written), masked_mean(regions, seen)
        both = [self.over_words(words, written, of_image), self.over_regions(regions, seen, of_text)]
        return ops.concatenate(both, axis=1)

    def text(self, items: Tensor, most: int) -> tuple[Tensor, Tensor]:
        """States of the first ``most`` words ``[n, most, d]`` and mask ``[n, most]``."""
        words = ops.take(ops.convert_to_tensor(self.words[:, :most]), items, axis=0)
        return self.sequence(words), words != PADDING

    def image(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """States of the regions ``[n, R, d]`` and mask ``[n, R]``, the modalities of this role one after another."""
        states, seen = [], []
        for (values, mask), project in zip(self.pictures, self.projections, strict=True):
            projected = project(ops.take(ops.convert_to_tensor(values), items, axis=0))
            states.append(ops.reshape(projected, (-1, self.regions, self.dim)))
            there = ops.take(ops.convert_to_tensor(mask), items)
            seen.append(ops.repeat(there[:, None], self.regions, axis=1))
        return ops.concatenate(states, axis=1), ops.concatenate(seen, axis=1)


class CAMNNetwork(HistoryNetwork):
    """Score q_H . e_i: q_0 the user's vector, each hop q + sum_j softmax_j(q . A e_j) C e_j over his liked items.

    e_i = id_i + W [text ; picture] or, in a "+", id_i + W [text ; picture ; z_i].
    """

    def __init__(self, history: np.ndarray, reader: CrossAttention, settings: CAMN, content: np.ndarray | None) -> None:
        super().__init__(history, len(reader.words), settings.dim, settings.l2, content, settings.content_units)
        self.hops, self.reader = settings.hops, reader
        self.users = self.table(self.n_users, settings.dim, "users")
        self.to_item = keras.layers.Dense(settings.dim)
        self.keys, self.values = (keras.layers.Dense(settings.dim, use_bias=False) for _ in range(2))
        self.keys.build((None, settings.dim))
        self.built_by_a_call()

    def item_vectors(self, items: Tensor, training: bool = False) -> Tensor:
        """e_i."""
        read = self.reader(items, training=training)
        if self.content is not None:
            read = ops.concatenate([read, self.content(items, training=training)], axis=1)
        return self.rows(self.items, items) + self.to_item(read)

    def call(self, triplets: Tensor, training: bool = False) -> dict[str, Tensor]:
        """As for any network, but an item that both sides read is read once: that is nearly all that a step costs."""
        users, positives, negatives = triplets[:, 0], triplets[:, 1], triplets[:, 2]
        reading, items = readings(self.past, users, positives), ops.concatenate([positives, negatives])
        liked, of_items = once_for_both(self.memory(reading), items, lambda found: self.item_vectors(found, training))
        self._squares = []
        self.rows(self.items, items)  # an item is penalised as a candidate, as often as it is one
        return self.scores(self.states(users, reading, liked), *ops.split(of_items, 2))

    def item_states(self, items: Tensor, training: bool = False) -> Tensor:
        """e_i."""
        return self.item_vectors(items, training)

    def user_states(self, users: Tensor, targets: Tensor, training: bool = False) -> Tensor:
        """q_H; the target is not in the memory."""
        reading, counted = readings(self.past, users, targets), len(self._squares)
        liked = once(self.memory(reading), lambda found: self.item_vectors(found, training))
        self._squares = self._squares[:counted]
        return self.states(users, reading, liked)

    def memory(self, reading: Readings) -> Tensor:
        """The items of the histories that are read ``[n, L]``, any item in the places that are to be masked."""
        return ops.maximum(ops.take(self.past, reading.users, axis=0), 0)

    def states(self, users: Tensor, reading: Readings, liked: Tensor) -> Tensor:
        """q_H ``[B, d]`` of ``users`` ``[B]`` with ``liked`` ``[n, L, d]``, the vectors of what is read.

        A and C act on the asking state and on what is answered, not on each of the L items: q . A e = A'q . e.
        """
        self.rows(self.users, users)  # a user is penalised as often as he is asked for
        state = ops.take(self.users, reading.users, axis=0)
        for _ in range(self.hops):
            asked = ops.matmul(state, ops.transpose(self.keys.kernel))
            weights = masked_softmax(ops.sum(liked * asked[:, None], axis=2), reading.readable)
            state = state + self.values(ops.sum(liked * weights[:, :, None], axis=1))
        return reading.by_row(state)


@dataclass(kw_only=True)
class CAMN(HistoryRecommender):
    """CAMN with an item in place of the tweet and the user's liked items in place of his posts."""

    dim: int
    word_dim: int
    words: int  # of a text, the first ones
    regions: int
    memory: int
    hops: int
    dropout: float
    content_units: int

    def network(  # type: ignore[override]
        self, interactions: Interactions, seed: int, sentences: Sentences, features: Mapping[str, Features],
        content: np.ndarray | None = None,
    ) -> CAMNNetwork:
        """``sentences`` of the items, ``features`` of their pictures, ``content`` float32 ``[V, d]``."""
        reader = CrossAttention(first_words(sentences, self.words), sentences.size, features, self)
        return CAMNNetwork(histories(interactions, self.memory), reader, self, content)


def first_words(sentences: Sentences, count: int) -> np.ndarray:
    """The first ``count`` words of each item whatever their sentence, int32 ``[V, W]``, PADDING at the end.

    W is ``count``, or the length of the longest text where that is less: the LSTM takes a step for each.
    """
    flat = sentences.words.reshape(len(sentences.words), -1)
    longest = int((flat != PADDING).sum(axis=1).max(initial=1))
    order = np.argsort(flat == PADDING, axis=1, kind="stable")[:, : min(count, longest)]
    return np.take_along_axis(flat, order, axis=1)

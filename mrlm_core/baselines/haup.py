"""HAUP-like: attention over words, sentences and a user's texts, beside latent factors (after Xing et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from mrlm_core.baselines.content import ContentBlock
from mrlm_core.baselines.distinct import once, once_for_both
from mrlm_core.baselines.network import NetworkRecommender, Tensor, TripletNetwork, histories
from mrlm_core.baselines.readings import Readings, readings
from mrlm_core.baselines.sentences import PADDING, Sentences
from mrlm_core.baselines.text_layers import (
    GRU,
    Attention,
    AttentionPool,
    SentenceReader,
    WordRecurrence,
    WordTable,
    pooled,
)
from mrlm_core.datasets.splits import Interactions


class HierarchicalText(keras.layers.Layer):
    """Items ``[n]`` -> their texts ``[n, 2 units]``: GRUs in both directions, then attention, over words and over
    sentences (Yang et al. 2016, Eqs. 1-10); zeros for an item without a text."""

    def __init__(self, sentences: Sentences, word_dim: int, units: int, attention: int) -> None:
        super().__init__()
        self.reader, self.words = SentenceReader(sentences), WordTable(sentences.size, word_dim)
        self.along_words = [WordRecurrence(GRU(units), self.words, backwards) for backwards in (False, True)]
        self.along_sentences = keras.layers.Bidirectional(keras.layers.GRU(units, return_sequences=True))
        self.size = 2 * units
        self.over_words, self.over_sentences = AttentionPool(attention, "tanh"), AttentionPool(attention, "tanh")

    def call(self, items: Tensor) -> Tensor:
        """The states of whole texts."""
        sentences, written = self.reader(items, self.sentences)
        return self.over_sentences(self.along_sentences(sentences, mask=never_empty(written)), written)

    def sentences(self, words: Tensor) -> Tensor:
        """Sentences ``[m, W]`` -> ``[m, 2 units]``."""
        states = ops.concatenate([along(words) for along in self.along_words], axis=2)
        return self.over_words(states, words != PADDING)


class HAUPNetwork(TripletNetwork):
    """Score (q_u + X_u) . (p_i + Y_i) + b_u + b_i + mu; Y_i of the item's text, X_u of the texts of a user's likes."""

    def __init__(
        self, history: np.ndarray, sentences: Sentences, settings: HAUP, content: np.ndarray | None = None
    ) -> None:
        super().__init__(settings.l2, settings.objective)
        self.n_users, self.n_items = len(history), len(sentences.words)
        dim = settings.dim
        self.liked = ops.convert_to_tensor(history)
        self.users, self.items = self.table(self.n_users, dim, "users"), self.table(self.n_items, dim, "items")
        self.user_bias = self.table(self.n_users, 1, "user bias", deviation=1e-4)
        self.item_bias = self.table(self.n_items, 1, "item bias", deviation=1e-4)
        self.mean = self.add_weight(shape=(), initializer="zeros", name="mu")
        self.text = HierarchicalText(sentences, settings.word_dim, settings.gru, settings.attention)
        self.over_texts = Attention(settings.attention, "tanh")
        self.to_user, self.to_item = keras.layers.Dense(dim), keras.layers.Dense(dim)
        self.dropout = keras.layers.Dropout(settings.dropout)
        self.content = None if content is None else ContentBlock(content, settings.content_units)
        self.built_by_a_call()

    def call(self, triplets: Tensor, training: bool = False) -> dict[str, Tensor]:
        """As for any network, but a text that both sides read is read once: that is nearly all that a step costs."""
        self._squares = []
        users, positives, negatives = triplets[:, 0], triplets[:, 1], triplets[:, 2]
        reading, items = readings(self.liked, users, positives), ops.concatenate([positives, negatives])
        of_liked, of_items = once_for_both(self.likes(reading), items, self.read)
        states = self.states(users, reading, of_liked, training)
        of_positives, of_negatives = ops.split(self.item_states(items, training, of_items), 2)
        return self.scores(states, of_positives, of_negatives)

    def user_states(self, users: Tensor, targets: Tensor, training: bool = False) -> Tensor:
        """q_u + X_u, b_u + mu, and 1; the target's text is not among what X_u is made of."""
        reading = readings(self.liked, users, targets)
        return self.states(users, reading, once(self.likes(reading), self.read), training)

    def states(self, users: Tensor, reading: Readings, texts: Tensor, training: bool) -> Tensor:
        """As ``user_states``; ``texts`` ``[n, L, k + 1]`` are those of ``likes`` as ``read``."""
        readable = reading.readable & ops.take(self.text.reader.described, self.likes(reading), axis=0)
        liked = reading.by_row(pooled(texts[:, :, :-1], texts[:, :, -1], readable))
        own = self.rows(self.users, users) + self.to_user(self.dropout(liked, training=training))
        bias = self.rows(self.user_bias, users) + self.mean
        return ops.concatenate([own, bias, ops.ones_like(bias)], axis=1)

    def read(self, items: Tensor) -> Tensor:
        """Texts ``[n, k + 1]``, in the last place what a user's attention gives the text, whoever the user is."""
        texts = self.text(items)
        return ops.concatenate([texts, self.over_texts(texts)[:, None]], axis=1)

    def likes(self, reading: Readings) -> Tensor:
        """The items of the histories that are read ``[n, L]``, any item in the places that are to be masked."""
        return ops.maximum(ops.take(self.liked, reading.users, axis=0), 0)

    def item_states(self, items: Tensor, training: bool = False, texts: Tensor | None = None) -> Tensor:
        """p_i + Y_i, 1, and b_i; ``texts`` ``[B, k + 1]`` of the items as ``read``, where they have been already."""
        texts = once(items, self.read) if texts is None else texts
        product = self.dropout(texts[:, :-1], training=training)
        if self.content is not None:
            product = ops.concatenate([product, self.content(items, training=training)], axis=1)
        bias = self.rows(self.item_bias, items)
        own = self.rows(self.items, items) + self.to_item(product)
        return ops.concatenate([own, ops.ones_like(bias), bias], axis=1)


@dataclass(kw_only=True)
class HAUP(NetworkRecommender):
    """A hierarchical attention network on the items' own texts, where the original reads reviews."""

    dim: int
    word_dim: int
    gru: int
    attention: int
    texts: int  # at most so many of a user's
    dropout: float
    content_units: int
    objective: str

    def network(  # type: ignore[override]
        self, interactions: Interactions, seed: int, sentences: Sentences, content: np.ndarray | None = None
    ) -> HAUPNetwork:
        """``sentences`` of the items; ``content`` float32 ``[V, d]`` joins the product's vector."""
        return HAUPNetwork(histories(interactions, self.texts), sentences, self, content)


def never_empty(mask: Tensor) -> Tensor:
    """``mask`` ``[n, L]`` with the first element on: on a GPU a GRU takes no empty sequence. Attention drops it."""
    return mask | (ops.arange(ops.shape(mask)[1]) == 0)[None, :]

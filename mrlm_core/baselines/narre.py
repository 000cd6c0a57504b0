"""NARRE: attention over reviews, each read by a convolution, beside latent factors (Chen et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from mrlm_core.baselines.content import ContentBlock
from mrlm_core.baselines.distinct import once
from mrlm_core.baselines.network import NetworkRecommender, Tensor, TripletNetwork, histories
from mrlm_core.baselines.readings import readings
from mrlm_core.baselines.sentences import Sentences
from mrlm_core.baselines.text_layers import Attention, AttentionPool, SentenceReader, WordConvolution, pooled
from mrlm_core.datasets.splits import Interactions

WIDTHS = (3,)  # Chen et al., section 4.1.3


class NARRENetwork(TripletNetwork):
    """Score w' ((q_u + X_u) o (p_i + Y_i)) + b_u + b_i + mu (Eqs. 8-10); linear, as printed, so a product of states.

    X_u is what attention takes from the texts of the user's positives, Y_i from the sentences of the item's own text.
    """

    def __init__(
        self, history: np.ndarray, sentences: Sentences, settings: NARRE, content: np.ndarray | None = None
    ) -> None:
        super().__init__(settings.l2, settings.objective)
        self.n_users, self.n_items = len(history), len(sentences.words)
        dim, attention = settings.dim, settings.attention
        self.liked, self.reader = ops.convert_to_tensor(history), SentenceReader(sentences)
        self.users, self.items = self.table(self.n_users, dim, "users"), self.table(self.n_items, dim, "items")
        self.read_items = self.table(self.n_items, dim, "items in histories")
        self.user_bias = self.table(self.n_users, 1, "user bias", deviation=1e-4)
        self.item_bias = self.table(self.n_items, 1, "item bias", deviation=1e-4)
        sizes = (sentences.size, settings.word_dim, settings.filters, WIDTHS)
        self.of_plots, self.of_sentences = WordConvolution(*sizes), WordConvolution(*sizes)
        self.over_plots, self.over_sentences = Attention(attention, "relu"), AttentionPool(attention, "relu")
        self.to_user, self.to_item = keras.layers.Dense(dim), keras.layers.Dense(dim)
        self.dropout = keras.layers.Dropout(settings.dropout)
        self.content = None if content is None else ContentBlock(content, settings.content_units)
        self.match_weight = self.add_weight(shape=(dim,), initializer="ones", name="w")
        self.mean = self.add_weight(shape=(), initializer="zeros", name="mu")
        self.built_by_a_call()

    def user_states(self, users: Tensor, targets: Tensor, training: bool = False) -> Tensor:
        """w o (q_u + X_u), b_u + mu, and 1; the target's text is not among what X_u is made of."""
        reading = readings(self.liked, users, targets)
        items = ops.maximum(ops.take(self.liked, reading.users, axis=0), 0)
        readable = reading.readable & ops.take(self.reader.described, items, axis=0)
        read = once(items, self.as_review)
        plots, logits, squares = read[:, :, :-2], read[:, :, -2], read[:, :, -1]
        # Of what is read, not of what fills a short history.
        squares = reading.by_row(ops.sum(ops.where(readable, squares, 0.0), axis=1))
        self._squares.append(ops.sum(squares) / ops.cast(ops.shape(users)[0], "float32"))
        texts = reading.by_row(pooled(plots, logits, readable))
        own = self.rows(self.users, users) + self.to_user(self.dropout(texts, training=training))
        matched = self.dropout(self.match_weight * own, training=training)
        bias = self.rows(self.user_bias, users) + self.mean
        return ops.concatenate([matched, bias, ops.ones_like(bias)], axis=1)

    def item_states(self, items: Tensor, training: bool = False) -> Tensor:
        """p_i + Y_i, 1, and b_i."""
        found = self.dropout(once(items, self.as_sentences), training=training)
        if self.content is not None:
            found = ops.concatenate([found, self.content(items, training=training)], axis=1)
        bias = self.rows(self.item_bias, items)
        return ops.concatenate([self.rows(self.items, items) + self.to_item(found), ops.ones_like(bias), bias], axis=1)

    def as_sentences(self, items: Tensor) -> Tensor:
        """Y_i, ``[n, filters]``: what an item's own attention makes of its sentences."""
        return self.over_sentences(*self.reader(items, self.of_sentences))

    def as_review(self, items: Tensor) -> Tensor:
        """Whole texts as reviews, ``[n, filters + 2]``: the largest responses over all sentences, then what a user's
        attention gives the text and the squared length of its item's vector there, neither of which is the user's."""
        plots = ops.max(self.reader(items, self.of_plots)[0], axis=1)
        ids = ops.take(self.read_items, items, axis=0)
        logits, squares = self.over_plots(plots, besides=ops.relu(ids)), ops.sum(ops.square(ids), axis=1)
        return ops.concatenate([plots, logits[:, None], squares[:, None]], axis=1)


@dataclass(kw_only=True)
class NARRE(NetworkRecommender):
    """NARRE with the items' own texts in place of reviews."""

    dim: int
    word_dim: int
    filters: int
    attention: int
    texts: int  # at most so many of a user's
    dropout: float
    content_units: int
    objective: str

    def network(  # type: ignore[override]
        self, interactions: Interactions, seed: int, sentences: Sentences, content: np.ndarray | None = None
    ) -> NARRENetwork:
        """``sentences`` of the items; ``content`` float32 ``[V, d]`` joins the item's text before W of Eq. 8."""
        return NARRENetwork(histories(interactions, self.texts), sentences, self, content)

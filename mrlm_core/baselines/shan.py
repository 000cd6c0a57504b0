"""SHAN: one attention over the items liked long ago, another over what it gives and the newest (Ying et al. 2018).

Shapes: B rows of a batch, L long-term and S short-term items, d the length of a vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from mrlm_core.baselines.history import HistoryNetwork, HistoryRecommender
from mrlm_core.baselines.network import Tensor, histories, masked_softmax
from mrlm_core.datasets.splits import Interactions


class Attention(keras.layers.Layer):
    """Weights softmax_j(u . relu(W x_j + b)) over some items; gives their weighted sum (Eqs. 1-3, 4-5)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(dim, "relu")

    def call(self, items: Tensor, mask: Tensor, users: Tensor) -> Tensor:
        """``items`` ``[B, L, d]``, ``mask`` ``[B, L]``, ``users`` ``[B, d]`` -> ``[B, d]``; zeros without any item."""
        logits = ops.sum(self.hidden(items) * users[:, None], axis=2)
        return ops.sum(items * masked_softmax(logits, mask)[:, :, None], axis=1)


class SHANNetwork(HistoryNetwork):
    """Score u_hybrid . x_i; of each history the ``short`` newest items are the short-term set, the rest the long-term.

    x_i = id_i or, in a "+", W [id_i ; z_i].
    """

    def __init__(self, history: np.ndarray, n_items: int, settings: SHAN, content: np.ndarray | None) -> None:
        super().__init__(history, n_items, settings.dim, settings.l2, content, settings.content_units)
        self.short, self.l2_attention = settings.short, settings.l2_attention
        self.users = self.table(self.n_users, settings.dim, "users")
        self.project = None if content is None else keras.layers.Dense(settings.dim, use_bias=False)
        self.long_term, self.both = Attention(settings.dim), Attention(settings.dim)
        self.terms["attention"] = keras.metrics.Mean(name="attention")
        self.built_by_a_call()

    def item_vectors(self, items: Tensor, training: bool = False) -> Tensor:
        """x_i."""
        own = self.id_and_content(items, training)
        return own if self.project is None else self.project(own)

    def item_states(self, items: Tensor, training: bool = False) -> Tensor:
        """x_i."""
        return self.item_vectors(items, training)

    def user_states(self, users: Tensor, targets: Tensor, training: bool = False) -> Tensor:
        """u_hybrid, the target in neither set; zeros where nothing is left in them."""
        liked, readable = self.liked(users, targets, training)
        own = self.rows(self.users, users)
        of_long = self.long_term(liked[:, self.short :], readable[:, self.short :], own)
        some = ops.any(readable[:, self.short :], axis=1)
        return self.both(
            ops.concatenate([of_long[:, None], liked[:, : self.short]], axis=1),
            ops.concatenate([some[:, None], readable[:, : self.short]], axis=1), own,
        )

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """BPR as ``TripletNetwork``, plus l2_attention / 2 of both attentions' W (Eq. 8)."""
        squares = [ops.sum(ops.square(layer.hidden.kernel)) for layer in (self.long_term, self.both)]
        attention = self.l2_attention / 2 * sum(squares)
        self.terms["attention"].update_state(attention)
        return super().compute_loss(x, y, y_pred) + attention


@dataclass(kw_only=True)
class SHAN(HistoryRecommender):
    """SHAN with a fixed number of newest items where the original has the last session."""

    dim: int
    long: int  # at most so many long-term items
    short: int
    l2_attention: float
    content_units: int

    def network(  # type: ignore[override]
        self, interactions: Interactions, seed: int, content: np.ndarray | None = None
    ) -> SHANNetwork:
        """``content`` float32 ``[V, d]``."""
        return SHANNetwork(histories(interactions, self.short + self.long), interactions.n_items, self, content)

    def facts(self) -> dict[str, Any]:
        """What the short-term set was: the newest by time, or as many by a seeded random order."""
        return {**super().facts(), "short_term": f"{self.short} items by {self.newest_by}"}

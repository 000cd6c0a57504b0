"""VBPR: BPR-MF with a second inner product, of the user's taste for content and the item's content (He 2016)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from keras import ops

from mrlm_core.baselines.network import NetworkRecommender, Tensor, TripletNetwork
from mrlm_core.datasets.splits import Interactions


class VBPRNetwork(TripletNetwork):
    """Score p_u . q_i + theta_u . (E f_i) + beta . f_i + b_i with f_i the frozen content (He & McAuley 2016, Eq. 4)."""

    def __init__(self, n_users: int, content: np.ndarray, dim: int, content_dim: int, l2: float) -> None:
        super().__init__(l2)
        self.n_users, self.n_items = n_users, len(content)
        self.content = content
        self.users, self.items = self.table(n_users, dim, "users"), self.table(self.n_items, dim, "items")
        self.tastes = self.table(n_users, content_dim, "tastes")
        self.bias = self.table(self.n_items, 1, "item bias", deviation=1e-4)
        self.projection = self.add_weight(shape=(content.shape[1], content_dim), name="E")
        self.content_bias = self.add_weight(shape=(content.shape[1], 1), initializer="zeros", name="beta")
        self.built_by_a_call()

    def user_states(self, users: Tensor, targets: Tensor, training: bool = False) -> Tensor:
        """p_u, theta_u and 1."""
        ones = ops.ones((ops.shape(users)[0], 1))
        return ops.concatenate([self.rows(self.users, users), self.rows(self.tastes, users), ones], axis=1)

    def item_states(self, items: Tensor, training: bool = False) -> Tensor:
        """q_i, E f_i, and both biases."""
        frozen = ops.take(ops.convert_to_tensor(self.content), items, axis=0)
        bias = self.rows(self.bias, items) + frozen @ self.content_bias
        return ops.concatenate([self.rows(self.items, items), frozen @ self.projection, bias], axis=1)


@dataclass(kw_only=True)
class VBPR(NetworkRecommender):
    """VBPR on the content of all modalities, where the original has one picture's features."""

    dim: int
    content_dim: int

    def network(self, interactions: Interactions, seed: int, content: np.ndarray) -> VBPRNetwork:  # type: ignore[override]
        """``content`` float32 ``[V, d]``."""
        return VBPRNetwork(interactions.n_users, content, self.dim, self.content_dim, self.l2)

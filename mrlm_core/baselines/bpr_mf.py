"""BPR-MF: matrix factorisation by Bayesian personalised ranking (Rendle et al. 2009), and with the items' clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from mrlm_core.baselines.network import NetworkRecommender, Tensor, TripletNetwork
from mrlm_core.datasets.splits import Interactions


class FactorNetwork(TripletNetwork):
    """A vector a user and a vector an item; to an item's come those of its clusters, where there are any."""

    def __init__(
        self, n_users: int, n_items: int, dim: int, l2: float, clusters: Mapping[str, np.ndarray] | None = None
    ) -> None:
        super().__init__(l2)
        self.n_users, self.n_items = n_users, n_items
        self.users, self.items = self.table(n_users, dim, "users"), self.table(n_items, dim, "items")
        # One row more than clusters: that of "not described", so that it is learned and not taken for cluster 0.
        self.ids = {name: ids + 1 for name, ids in (clusters or {}).items()}
        self.of_cluster = {name: self.table(int(ids.max()) + 1, dim, f"{name} clusters")
                           for name, ids in self.ids.items()}
        self.built_by_a_call()

    def user_states(self, users: Tensor, targets: Tensor, training: bool = False) -> Tensor:
        """p_u, which is made of no history."""
        return self.rows(self.users, users)

    def item_states(self, items: Tensor, training: bool = False) -> Tensor:
        """q_i, plus the vector of each of its clusters."""
        own = self.rows(self.items, items)
        clusters = [self.rows(self.of_cluster[name], ops.take(ids, items)) for name, ids in self.ids.items()]
        return sum(clusters, own)


@dataclass(kw_only=True)
class BPRMF(NetworkRecommender):
    """Minimises -log sigma(score of a positive - score of a uniform negative) + l2/2 of the vectors used."""

    dim: int

    def network(self, interactions: Interactions, seed: int, **inputs: Any) -> FactorNetwork:
        """Vectors of ids; with the input ``clusters`` those of cluster ids too."""
        return FactorNetwork(interactions.n_users, interactions.n_items, self.dim, self.l2, inputs.get("clusters"))

"""LightGCN: vectors averaged over the graph of users and items, with nothing else to learn (He et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops
from scipy.sparse import csr_matrix, diags

from mrlm_core.baselines.network import NetworkRecommender, Tensor, TripletNetwork
from mrlm_core.datasets.splits import Interactions
from mrlm_core.evaluation.kernels import compiled, over_rows

Step = Callable[[Tensor], Tensor]


class LightGCNNetwork(TripletNetwork):
    """States are the mean of the vectors and of what ``n_layers`` steps over the graph make of them (Eq. 3, 4, 11).

    A step gives a user the sum of the vectors of his items, each over the root of both degrees, and an item that of its
    users. As published the graph holds the positives of the batch too, and only the vectors that enter the first step
    are penalised. Someone without positives keeps a part of his random start. Needs TensorFlow, for its gradient.
    """

    def __init__(self, train: csr_matrix, dim: int, n_layers: int, l2: float) -> None:
        super().__init__(l2)
        (self.n_users, self.n_items), self.n_layers = train.shape, n_layers
        self.users, self.items = self.table(self.n_users, dim, "users"), self.table(self.n_items, dim, "items")
        self.to_users, self.to_items = _steps(symmetric(train))
        self.built_by_a_call()

    def propagated(self) -> tuple[Tensor, Tensor]:
        """States of all users ``[U, k]`` and items ``[V, k]``."""
        users, items = ops.convert_to_tensor(self.users), ops.convert_to_tensor(self.items)
        all_users, all_items = users, items
        for _ in range(self.n_layers):
            users, items = self.to_users(items), self.to_items(users)
            all_users, all_items = all_users + users, all_items + items
        return all_users / (self.n_layers + 1), all_items / (self.n_layers + 1)

    def call(self, triplets: Tensor, training: bool = False) -> dict[str, Tensor]:
        """As TripletNetwork, the graph gone over once; the penalty reads the vectors that enter it (Eq. 15)."""
        self._states = self.propagated()
        made = super().call(triplets, training=training)
        self.rows(self.users, triplets[:, :1])
        self.rows(self.items, triplets[:, 1:])
        return {**made, "size": self.penalty()}

    def user_states(self, users: Tensor, targets: Tensor, training: bool = False) -> Tensor:
        """Rows of what ``call`` propagated."""
        return ops.take(self._states[0], users, axis=0)

    def item_states(self, items: Tensor, training: bool = False) -> Tensor:
        """As ``user_states``, of items."""
        return ops.take(self._states[1], items, axis=0)

    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """States of all users and items."""
        users, items = self.propagated()
        return ops.convert_to_numpy(users), ops.convert_to_numpy(items)


@dataclass(kw_only=True)
class LightGCN(NetworkRecommender):
    """BPR on propagated vectors."""

    dim: int
    layers: int

    def network(self, interactions: Interactions, seed: int, **inputs: Any) -> LightGCNNetwork:
        """The graph is that of the training positives."""
        return LightGCNNetwork(interactions.train, self.dim, self.layers, self.l2)


def symmetric(train: csr_matrix) -> csr_matrix:
    """D_u^-1/2 R D_i^-1/2 of the 0/1 matrix ``[U, V]``, zero where a degree is (Eq. 3)."""
    users = np.maximum(np.diff(train.indptr), 1) ** -0.5
    items = np.maximum(np.bincount(train.indices, minlength=train.shape[1]), 1) ** -0.5
    return csr_matrix(diags(users) @ train @ diags(items), dtype=np.float32)


def _steps(weights: csr_matrix) -> tuple[Step, Step]:
    """Products of ``weights`` ``[U, V]`` with states of items and of its transpose with those of users.

    Each is the other's gradient, so that both go by rows. TensorFlow's own sparse product takes ten times as long.
    """
    import tensorflow as tf

    there, back = weights, weights.T.tocsr()

    def step(matrix: csr_matrix, transposed: csr_matrix) -> Step:
        @tf.custom_gradient
        def multiplied(states: Tensor) -> tuple[Tensor, Step]:
            return _product(matrix, states), lambda upstream: _product(transposed, upstream)

        return lambda states: multiplied(tf.convert_to_tensor(states))  # the value of a variable, not the variable

    return step(there, back), step(back, there)


def _product(matrix: csr_matrix, states: Tensor) -> Tensor:
    import tensorflow as tf

    def product(values: np.ndarray) -> np.ndarray:
        out = np.empty((matrix.shape[0], values.shape[1]), np.float32)
        over_rows(_weighted_sums, len(out), matrix.indptr, matrix.indices, matrix.data, values, out)
        return out

    made = tf.numpy_function(product, [states], tf.float32, stateful=False)
    made.set_shape((matrix.shape[0], states.shape[1]))
    return made


@compiled
def _weighted_sums(first, last, indptr, indices, weights, values, out):  # type: ignore[no-untyped-def]
    """Rows ``first`` to ``last`` of a sparse matrix times ``values`` ``[n, k]``, into ``out``."""
    for row in range(first, last):
        out[row] = 0.0
        for place in range(indptr[row], indptr[row + 1]):
            weight, other = weights[place], indices[place]
            for k in range(values.shape[1]):
                out[row, k] += weight * values[other, k]
    return -1

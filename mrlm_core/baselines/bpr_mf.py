"""BPR-MF: matrix factorisation by Bayesian personalised ranking (Rendle et al. 2009), and with the items' clusters.

Trained as published, by gradient steps of single triplets, which a library for batches does slowly: an epoch is one
compiled pass. Shapes: U users, V items, k = dim, M modalities, C clusters of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp, log1p
from typing import Any

import keras
import numpy as np
from keras import ops
from numba import njit

from mrlm_core.baselines.network import GradientRecommender, Sampler
from mrlm_core.datasets.splits import Interactions
from mrlm_core.training.triplets import TripletSampler

START = 0.1  # standard deviation of the first values


class FactorNetwork(keras.Model):
    """A vector a user ``[U, k]``, a vector ``[V, k]`` and a bias ``[V]`` an item, a vector a cluster ``[C, k]``.

    An item is its own vector plus those of its clusters; without ``clusters`` (ids ``[V]`` by modality, -1 where an
    item lacks one) its own alone.
    """

    def __init__(self, n_users: int, n_items: int, dim: int, clusters: Mapping[str, np.ndarray] | None = None) -> None:
        super().__init__()
        self.members = _members(n_items, clusters or {})
        start = keras.initializers.RandomNormal(stddev=START)
        sizes = {"users": n_users, "items": n_items, "clusters": int(self.members.max(initial=-1)) + 1}
        tables = {name: self.add_weight(shape=(size, dim), initializer=start.clone(), name=name)
                  for name, size in sizes.items()}
        self.users, self.items, self.of_clusters = tables.values()
        self.bias = self.add_weight(shape=(n_items,), initializer="zeros", name="bias")
        self.built = True

    def arrays(self) -> list[np.ndarray]:
        """Users, items, clusters, bias: copies as NumPy arrays."""
        return [np.array(ops.convert_to_numpy(w)) for w in (self.users, self.items, self.of_clusters, self.bias)]

    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Users ``[U, k + 1]`` and items ``[V, k + 1]``, whose products are the scores; the bias is the last column."""
        users, items, clusters, bias = self.arrays()
        for members in self.members.T:
            items = items + clusters[members]
        return np.hstack([users, np.ones((len(users), 1), np.float32)]), np.hstack([items, bias[:, None]])


@dataclass(kw_only=True)
class BPRMF(GradientRecommender):
    """Minimises -log sigma(score of a positive - score of a uniform negative) + l2/2 of the parameters of both."""

    dim: int
    l2: float
    negatives: int  # uniform ones a positive and epoch
    batch_size: int = field(default=1, init=False)  # triplets a step, as published

    def network(self, interactions: Interactions, seed: int, **inputs: Any) -> FactorNetwork:
        """Vectors of ids; with the input ``clusters`` those of cluster ids too."""
        return FactorNetwork(interactions.n_users, interactions.n_items, self.dim, inputs.get("clusters"))

    def optimizer(self) -> keras.optimizers.Optimizer:
        """Plain gradient steps, which ``train_epoch`` makes."""
        return keras.optimizers.SGD(self.learning_rate)

    def sampler(self, interactions: Interactions) -> Sampler:
        """Training positives with uniform negatives."""
        return TripletSampler(interactions, "uniform", self.negatives)

    def train_epoch(self, rows: np.ndarray, batch_size: int) -> tuple[dict[str, float], int]:
        """One step for each triplet of ``rows`` ``[n, 3]``, in their order."""
        model = self.model
        arrays = model.arrays()
        rate, l2 = np.float32(model.optimizer.learning_rate), np.float32(self.l2)
        loss, steps = _descend(rows, model.members, *arrays, rate, l2)
        for weight, value in zip((model.users, model.items, model.of_clusters, model.bias), arrays, strict=True):
            weight.assign(value)
        return {"loss": loss}, steps


def _members(n_items: int, clusters: Mapping[str, np.ndarray]) -> np.ndarray:
    """Rows of the one table of clusters that an item reads, int64 ``[V, M]``.

    Each modality has a row more than clusters: that of "not described", so that it is learned and not taken for
    cluster 0.
    """
    columns, first = [], 0
    for ids in clusters.values():
        columns.append(ids.astype(np.int64) + 1 + first)
        first += int(ids.max()) + 2
    return np.stack(columns, axis=1) if columns else np.zeros((n_items, 0), np.int64)


@njit(cache=True, fastmath={"reassoc", "contract"})  # sums of products in any order; NaN stays NaN
def _descend(
    rows: np.ndarray, members: np.ndarray, users: np.ndarray, items: np.ndarray, clusters: np.ndarray,
    bias: np.ndarray, rate: np.float32, l2: np.float32,
) -> tuple[float, int]:
    """Steps through ``rows`` and changes the tables in place; the mean of -log sigma, and the steps made.

    Stops after the first step whose margin is not a number; the mean is then NaN.
    """
    total, dim, modalities = 0.0, users.shape[1], members.shape[1]
    difference = np.empty(dim, np.float32)
    for place in range(len(rows)):
        user, positive, negative = rows[place, 0], rows[place, 1], rows[place, 2]
        margin = bias[positive] - bias[negative]
        for k in range(dim):
            difference[k] = items[positive, k] - items[negative, k]
        for m in range(modalities):
            one, other = members[positive, m], members[negative, m]
            for k in range(dim):
                difference[k] += clusters[one, k] - clusters[other, k]
        for k in range(dim):
            margin += users[user, k] * difference[k]
        if not np.isfinite(margin):
            return np.nan, place + 1
        total += log1p(exp(-abs(margin))) + max(-margin, 0.0)
        slope = np.float32(1.0 / (1.0 + exp(min(max(margin, -60.0), 60.0))))  # minus the loss' derivative
        bias[positive] += rate * (slope - l2 * bias[positive])
        bias[negative] -= rate * (slope + l2 * bias[negative])
        for m in range(modalities):
            one, other = members[positive, m], members[negative, m]
            for k in range(dim):
                push, here, there = slope * users[user, k], clusters[one, k], clusters[other, k]  # may be one row
                clusters[one, k] += rate * (push - l2 * here)
                clusters[other, k] -= rate * (push + l2 * there)
        for k in range(dim):
            p, push = users[user, k], slope * users[user, k]
            users[user, k] += rate * (slope * difference[k] - l2 * p)
            items[positive, k] += rate * (push - l2 * items[positive, k])
            items[negative, k] -= rate * (push + l2 * items[negative, k])
    return total / len(rows), len(rows)

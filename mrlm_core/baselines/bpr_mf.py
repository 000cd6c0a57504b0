"""BPR-MF: matrix factorisation by Bayesian personalised ranking (Rendle et al. 2009), and with the items' clusters.

Trained as published, by gradient steps of single triplets, which a library for batches does slowly: an epoch is one
compiled pass, in ``descent.py``. Shapes: U users, V items, k = dim, M modalities, C clusters of all of them, D the
length of an item's content.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import ops

from mrlm_core.baselines.descent import descend
from mrlm_core.baselines.marks import MarkedTriplets
from mrlm_core.baselines.network import GradientRecommender, Sampler
from mrlm_core.datasets.splits import Interactions

START = 0.1  # standard deviation of the first values
START_OF_CONTENT = 0.01  # of tastes and E, so that content counts for little until something is learned of it


class FactorNetwork(keras.Model):
    """A vector a user ``[U, k]``, a vector ``[V, k]`` and a bias ``[V]`` an item, a vector a cluster ``[C, k]``.

    An item is its own vector plus those of its clusters (ids ``[V]`` by modality, -1 where an item lacks one). With
    ``content`` f ``[V, D]`` a user also has a taste ``[U, content_dim]`` for f E, and an item the bias f . beta.
    """

    def __init__(
        self, n_users: int, n_items: int, dim: int, clusters: Mapping[str, np.ndarray] | None = None,
        content: np.ndarray | None = None, content_dim: int = 0,
    ) -> None:
        super().__init__()
        self.members = _members(n_items, clusters or {})
        self.content = np.zeros((n_items, 0), np.float32) if content is None else np.ascontiguousarray(content)
        described = self.content.shape[1]
        self.shapes = {"users": (n_users, dim), "items": (n_items, dim),
                       "clusters": (int(self.members.max(initial=-1)) + 1, dim),
                       "tastes": (n_users, content_dim), "E": (described, content_dim),
                       "bias": (n_items,), "beta": (described,)}
        start = {name: keras.initializers.RandomNormal(stddev=START_OF_CONTENT if name in ("tastes", "E") else START)
                 for name, shape in self.shapes.items() if len(shape) > 1}
        self.tables = {  # an empty one costs an epoch as long to read and to write as a short one
            name: self.add_weight(shape=shape, initializer=start.get(name, "zeros"), name=name)
            for name, shape in self.shapes.items() if 0 not in shape
        }
        self.built = True

    def arrays(self) -> dict[str, np.ndarray]:
        """Users, items, clusters, tastes, E, bias, beta: NumPy arrays that may be written to."""
        return {
            name: np.require(ops.convert_to_numpy(self.tables[name]), requirements=["C", "W"])
            if name in self.tables else np.zeros(shape, np.float32)
            for name, shape in self.shapes.items()
        }

    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Users ``[U, k + content_dim + 1]`` and items, whose products are the scores; the bias is the last column."""
        users, items, clusters, tastes, projection, bias, beta = self.arrays().values()
        for members in self.members.T:
            items = items + clusters[members]
        bias = bias + self.content @ beta
        return (np.hstack([users, tastes, np.ones((len(users), 1), np.float32)]),
                np.hstack([items, self.content @ projection, bias[:, None]]))


@dataclass(kw_only=True)
class BPRMF(GradientRecommender):
    """Minimises -log sigma(score of a positive - score of a uniform negative) + l2/2 of the parameters of both."""

    dim: int
    l2: float
    negatives: int  # uniform ones a positive and epoch
    batch_size: int = field(default=1, init=False)  # triplets a step, as published
    shared_rate, shared_l2 = 1.0, 0.0  # of what all items share, E and beta: share of the learning rate, penalty

    def network(self, interactions: Interactions, seed: int, **inputs: Any) -> FactorNetwork:
        """Vectors of ids; with the input ``clusters`` those of cluster ids too."""
        return FactorNetwork(interactions.n_users, interactions.n_items, self.dim, inputs.get("clusters"))

    def optimizer(self) -> keras.optimizers.Optimizer:
        """Plain gradient steps, which ``train_epoch`` makes."""
        return keras.optimizers.SGD(self.learning_rate)

    def sampler(self, interactions: Interactions) -> Sampler:
        """Training positives with uniform negatives."""
        return MarkedTriplets(interactions, self.negatives)

    def train_epoch(self, rows: np.ndarray, batch_size: int) -> tuple[dict[str, float], int]:
        """One step for each triplet of ``rows`` ``[n, 3]``, in their order."""
        model, arrays = self.model, self.model.arrays()
        rate = float(model.optimizer.learning_rate)
        strengths = map(np.float32, (rate, self.l2, rate * self.shared_rate, self.shared_l2))
        loss, steps = descend(rows, model.members, model.content, *arrays.values(), *strengths)
        for name, weight in model.tables.items():
            weight.assign(arrays[name])
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

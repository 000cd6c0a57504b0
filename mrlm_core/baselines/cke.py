"""CKE: an item's vector plus those of its knowledge entity and of its autoencoded modalities (Zhang et al. 2016).

Shapes: B rows of a batch, V items, k the length of a vector, R relations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import ops

from mrlm_core.baselines.network import NetworkRecommender, Sampler, Tensor, TripletNetwork
from mrlm_core.datasets.splits import Interactions
from mrlm_core.preprocessing.triples import Corruption, Triples
from mrlm_core.preprocessing.vectors import Features, unit_rows

Graph = tuple[Triples, Mapping[int, str]]  # and the entity of each item that has one
NOISE = 0.2  # of the numbers that an autoencoder reads, the share that training hides
NEAR_IDENTITY = 0.01  # deviation of the start of M_r; Lin et al. (2015) start TransR at the identity


class Autoencoder(keras.layers.Layer):
    """A denoising autoencoder of frozen vectors; its bottleneck is what describes an item (CKE §4)."""

    def __init__(self, vectors: np.ndarray, mask: np.ndarray, units: int, dim: int) -> None:
        super().__init__()
        self.vectors, self.mask = vectors, mask.astype(np.float32)
        self.noise = keras.layers.Dropout(NOISE)
        self.encoder = keras.layers.Dense(units, "tanh"), keras.layers.Dense(dim)
        self.decoder = keras.layers.Dense(units, "tanh"), keras.layers.Dense(vectors.shape[1])

    def call(self, items: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """Items ``[B]`` -> codes ``[B, k]`` and squared errors ``[B]``; both 0 where the modality is missing."""
        there = ops.take(ops.convert_to_tensor(self.mask), items)
        clean = ops.take(ops.convert_to_tensor(self.vectors), items, axis=0)
        code = self.encoder[1](self.encoder[0](self.noise(clean, training=training)))
        error = ops.sum(ops.square(self.decoder[1](self.decoder[0](code)) - clean), axis=1)
        return code * there[:, None], error * there


class CKENetwork(TripletNetwork):
    """Score u . e_j with e_j = eta_j + v_j + ``code_scale`` times one code a modality (CKE §5; the original adds the
    codes as they are); v_j is zero without an entity.

    Learns from rows (user, positive, negative, head, relation, tail, false head, false tail); without ``graph`` from
    the first three alone.
    """

    def __init__(
        self, interactions: Interactions, graph: Graph | None, modalities: list[Autoencoder], model: CKE
    ) -> None:
        super().__init__(model.l2)
        self.n_users, self.n_items = interactions.n_users, interactions.n_items
        self.weights_of = {"reconstruction": model.reconstruction_weight}
        self.users = self.table(self.n_users, model.dim, "users")
        self.items = self.table(self.n_items, model.dim, "items")
        self.modalities, self.graph, self.code_scale = modalities, graph, model.code_scale
        if graph is not None:
            self.columns = 8
            self.weights_of = {"triples": model.triples_weight, **self.weights_of}
            triples, entity_of = graph
            # One row more than entities: that of an item without one, never read.
            self.entities = self.table(len(triples.entities) + 1, model.dim, "entities")
            self.relations = self.table(len(triples.relations), model.dim, "relations")
            self.projections = self.add_weight(
                shape=(len(triples.relations), model.dim, model.dim), initializer=_identities, name="projections"
            )
            self.entity_of = entity_numbers(triples, entity_of, self.n_items)
        self.terms.update({name: keras.metrics.Mean(name=name) for name in self.weights_of})
        self.built_by_a_call()

    def user_states(self, users: Tensor, targets: Tensor, training: bool = False) -> Tensor:
        """u_i, which is made of no history."""
        return self.rows(self.users, users)

    def item_states(self, items: Tensor, training: bool = False) -> Tensor:
        """e_j."""
        return self._described(items, training)[0]

    def call(self, rows: Tensor, training: bool = False) -> dict[str, Tensor]:
        """Scores and penalty as ``TripletNetwork``, and the mean losses of ``triples`` and ``reconstruction``."""
        self._squares = []
        states = self.user_states(rows[:, 0], rows[:, 1])
        items, error = self._described(ops.concatenate([rows[:, 1], rows[:, 2]]), training)
        of_positives, of_negatives = ops.split(items, 2)
        found = {"reconstruction": ops.mean(error)}
        if self.graph is not None:
            found["triples"] = ops.mean(self.triple_losses(rows[:, 3:]))
        return {**found, "positive": self.match(states, of_positives), "negative": self.match(states, of_negatives),
                "size": self.penalty()}

    def triple_losses(self, rows: Tensor) -> Tensor:
        """-log sigma(f_r(false) - f_r(true)) ``[B]`` of rows (head, relation, tail, false head, false tail).

        f_r(h, t) = |v_h M_r + r - v_t M_r|^2 is TransR's distance (Lin et al. 2015).
        """
        ends = self.rows(self.entities, ops.take(rows, np.array([0, 2, 3, 4]), axis=1))
        relation = self.rows(self.relations, rows[:, 1])
        # M_r is in no penalty: read by every triple of its relation, it would be drawn to zero.
        moved = ops.matmul(ends, ops.take(self.projections, rows[:, 1], axis=0))
        true = ops.sum(ops.square(moved[:, 0] + relation - moved[:, 1]), axis=1)
        false = ops.sum(ops.square(moved[:, 2] + relation - moved[:, 3]), axis=1)
        return ops.softplus(true - false)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """BPR-Opt and penalty, plus the weighted losses of the triples and the reconstructions."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        for name, weight in self.weights_of.items():
            term = weight * y_pred[name]
            self.terms[name].update_state(term)
            loss = loss + term
        return loss

    def _described(self, items: Tensor, training: bool) -> tuple[Tensor, Tensor]:
        """e_j ``[B, k]`` and the squared error of all its reconstructions ``[B]``."""
        state, error = self.rows(self.items, items), ops.zeros_like(items, "float32")
        if self.graph is not None:
            entity = ops.take(ops.convert_to_tensor(self.entity_of), items)
            has_one = ops.cast(entity < self.entities.shape[0] - 1, "float32")
            state = state + self.rows(self.entities, entity) * has_one[:, None]
        for modality in self.modalities:
            code, missed = modality(items, training=training)
            state, error = state + self.code_scale * code, error + missed
        return state, error


class TriplesToo:
    """Rows of a sampler of triplets, each followed by a true triple and by head and tail of a false one."""

    def __init__(self, triplets: Sampler, triples: Triples) -> None:
        self.triplets, self.size, self.rows = triplets, triplets.size, triples.rows
        self.corrupt = Corruption(triples.rows, len(triples.entities), len(triples.relations))

    def epoch(self, rng: np.random.Generator, batch_size: int) -> np.ndarray:
        """Rows ``[n, 8]`` int32; all triples equally often, as far as n goes."""
        rated = self.triplets.epoch(rng, batch_size)
        true = self.rows[np.resize(rng.permutation(len(self.rows)), len(rated))]
        false = self.corrupt(true, rng)
        return np.concatenate([rated, true, false[:, [0, 2]]], axis=1, dtype=np.int32, casting="unsafe")


@dataclass(kw_only=True)
class CKE(NetworkRecommender):
    """CKE on frozen vectors of text and image; the knowledge graph is left out where there is none."""

    dim: int
    units: int  # of an autoencoder's hidden layers
    code_scale: float  # every triplet moves the autoencoders: at full size they run ahead of the items' own vectors
    triples_weight: float
    reconstruction_weight: float

    def network(  # type: ignore[override]
        self, interactions: Interactions, seed: int, features: Mapping[str, Features], triples: Graph | None,
        content: np.ndarray | None = None,
    ) -> CKENetwork:
        """``triples`` None, or the graph and each item's entity; ``content`` ``[V, d]`` has a code like a modality."""
        self._graph = triples
        codes = [Autoencoder(unit_rows(made.values), made.mask, self.units, self.dim) for made in features.values()]
        if content is not None:
            codes.append(Autoencoder(content, np.ones(len(content)), self.units, self.dim))
        return CKENetwork(interactions, triples, codes, self)

    def sampler(self, interactions: Interactions) -> Sampler:
        """Triplets, with triples of the graph beside them."""
        triplets = super().sampler(interactions)
        return triplets if self._graph is None else TriplesToo(triplets, self._graph[0])

    def facts(self) -> dict[str, Any]:
        """What became of the knowledge graph."""
        if self._graph is None:
            return {"knowledge": "left out: this dataset has no triples"}
        return {"knowledge": f"{len(self._graph[0].rows)} triples"}


def entity_numbers(triples: Triples, entity_of: Mapping[int, str], n_items: int) -> np.ndarray:
    """Number of each item's entity int32 ``[V]``; for an item without one, the number after the last."""
    numbers = np.full(n_items, len(triples.entities), np.int32)
    found = triples.entities.get_indexer(pd.Index(list(entity_of.values())))
    numbers[list(entity_of)] = np.where(found >= 0, found, len(triples.entities))
    return numbers


def _identities(shape: tuple[int, ...], dtype: Any = None) -> Tensor:
    noise = keras.random.normal(shape, stddev=NEAR_IDENTITY, dtype=dtype, seed=keras.random.SeedGenerator())
    return ops.eye(shape[-1], dtype=dtype) + noise

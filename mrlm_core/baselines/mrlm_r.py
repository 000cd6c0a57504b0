"""MRLM-R: the idea of MRLM (one trunk, triplets, several modalities), trained on the score that it ranks by.

Each hyperparameter undoes one thing that may cost the printed method quality; chapter 11 measures them one after the
other. The printed parts, the triplet network and the Siamese network on top of it, are those of ``mrlm_core.model``.
Shapes: B rows of a batch, L latest items, d_0 initial vector, d_1 global vector g, d_4 multimodal vector m.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy.sparse import csr_matrix

from mrlm_core.baselines.content import side_by_side
from mrlm_core.baselines.ials import IALS, solved
from mrlm_core.baselines.network import NetworkRecommender, Tensor, TripletNetwork, masked_mean, one_of, without
from mrlm_core.config import ModelConfig, preset
from mrlm_core.datasets.splits import Interactions
from mrlm_core.model.dense_trunk import trunk
from mrlm_core.model.losses import modality_loss
from mrlm_core.model.mfrl import ModalityClassifiers, SiameseNetwork
from mrlm_core.preprocessing.vectors import Features

Start = tuple[np.ndarray, np.ndarray]  # initial vectors of users [U, d_0] and of items [V, d_0]

STARTS = ("given", "factors")
OBJECTIVES = ("bpr", "softmax")
WARMTH = {"given": 1.0, "factors": 10.0}  # scores are multiplied by it at first: factors score a positive about 1
RIDGE = 10.0  # of the regression of factors on descriptions
ADDED = 0.03  # g and m are multiplied by it at first beside a skip: the ranking starts as that of the initial vectors


class RepairedNetwork(TripletNetwork):
    """Scores [x_u, g_u, p_u] . [x_v, g_v, m_v] with x initial vectors, g what the trunk makes of them, m an item's
    multimodal vector and p the m of the mean of the user's latest items, the target left out."""

    def __init__(
        self, settings: MRLMR, start: Start, latest: np.ndarray, clusters: Mapping[str, np.ndarray],
        content: np.ndarray | None,
    ) -> None:
        super().__init__(settings.l2, "bpr")
        self.skip, self.profile, self.objective = settings.skip, settings.profile, settings.objective
        self.cluster_weight = settings.cluster_weight
        self.n_users, self.n_items = len(start[0]), len(start[1])
        self.start, self.content = start, content
        self.past = ops.convert_to_tensor(latest)  # ``history`` is Keras' own
        config = settings.sizes(start[1].shape[1])
        self.moved = [self.add_weight(shape=x.shape, initializer="zeros", trainable=settings.learn_start, name=name)
                      for x, name in zip(start, ("users", "items"), strict=True)]
        self.trunk, self.siamese = trunk(config, name="triplet_network"), SiameseNetwork(config)
        self.of_content = None if content is None else keras.layers.Dense(config.multimodal_dim, use_bias=False)
        self.multimodal_dim = config.multimodal_dim
        self.clusters = {name: ids.astype(np.int32) for name, ids in clusters.items()} if self.cluster_weight else {}
        self.classifiers = ModalityClassifiers({name: int(ids.max()) + 1 for name, ids in self.clusters.items()})
        constant = keras.initializers.Constant
        self.warmth = self.add_weight(shape=(), initializer=constant(WARMTH[settings.start]), name="warmth")
        self.added = self.add_weight(shape=(2,), initializer=constant(ADDED if self.skip else 1.0), name="added")
        self.terms["modalities"] = keras.metrics.Mean(name="modalities")
        self.built_by_a_call()

    def user_states(self, users: Tensor, targets: Tensor, training: bool = False) -> Tensor:
        """``[B, (d_0 +) d_1 (+ d_4)]``, times the warmth."""
        x = self._initial(0, users)
        parts = [self.added[0] * self.trunk(x, training=training)[0]]
        if self.profile:
            parts.append(self.added[1] * self._profile(users, targets, training))
        return self.warmth * ops.concatenate([x, *parts] if self.skip else parts, axis=1)

    def item_states(self, items: Tensor, training: bool = False) -> Tensor:
        """``[B, (d_0 +) d_1 (+ d_4)]``."""
        return self._item(items, training)[0]

    def call(self, triplets: Tensor, training: bool = False) -> dict[str, Any]:
        """Triplets ``[B, 3]`` -> scores, those of all the batch's negatives ``[B, B]``, and each modality's logits."""
        self._squares = []
        users, items = triplets[:, 0], ops.concatenate([triplets[:, 1], triplets[:, 2]])
        of_users = self.user_states(users, triplets[:, 1], training=training)
        of_items, m = self._item(items, training)
        positives, negatives = ops.split(of_items, 2)
        found: dict[str, Any] = dict(self.scores(of_users, positives, negatives))
        found["against_all"] = ops.matmul(of_users, ops.transpose(negatives))
        found["modalities"] = {
            name: (*ops.split(logits, 2), *ops.split(ops.take(ops.convert_to_tensor(self.clusters[name]), items), 2))
            for name, logits in self.classifiers(m).items()
        }
        return found

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """BPR of the triplets, or the softmax of each positive against all negatives of its batch; the loss of the
        modalities' clusters (Eq. 15), their mean; the penalty of how far initial vectors have moved."""
        losses = [modality_loss(positive, negative, ids, others, ids >= 0, others >= 0)
                  for positive, negative, ids, others in y_pred["modalities"].values()]
        of_modalities = self.cluster_weight * sum(losses, ops.zeros(())) / max(len(losses), 1)
        self.terms["modalities"].update_state(of_modalities)
        if self.objective == "bpr":
            return super().compute_loss(y_pred=y_pred, training=training) + of_modalities
        positive = y_pred["positive"][:, None]
        loss = ops.mean(ops.logsumexp(ops.concatenate([positive, y_pred["against_all"]], axis=1) - positive, axis=1))
        return self.with_penalty(loss, y_pred["size"]) + of_modalities

    def _initial(self, side: int, indices: Tensor, penalised: bool = True) -> Tensor:
        """Initial vectors ``[..., d_0]``: as given, plus what training has moved them by, which is penalised."""
        given = ops.take(ops.convert_to_tensor(self.start[side]), indices, axis=0)
        moved = self.moved[side]
        return given + (self.rows(moved, indices) if penalised else ops.take(moved, indices, axis=0))

    def _item(self, items: Tensor, training: bool) -> tuple[Tensor, Tensor]:
        """States ``[B, k]`` and m ``[B, d_4]``."""
        x = self._initial(1, items)
        read = None if self.content is None else ops.take(ops.convert_to_tensor(self.content), items, axis=0)
        g, m = self._multimodal(x, read, training)
        parts = [self.added[0] * g, self.added[1] * m] if self.profile else [self.added[0] * g]
        return ops.concatenate([x, *parts] if self.skip else parts, axis=1), m

    def _multimodal(self, x: Tensor, content: Tensor | None, training: bool) -> tuple[Tensor, Tensor]:
        """g and m: the Siamese network over g and, with ``features``, the content through one layer."""
        g = self.trunk(x, training=training)[0]
        m = self.siamese(g, training=training)
        return g, m if self.of_content is None else m + self.of_content(content)

    def _profile(self, users: Tensor, targets: Tensor, training: bool) -> Tensor:
        """m ``[B, d_4]`` of an item that is the mean of the user's latest ones; read as an item, for one more row."""
        past = ops.take(self.past, users, axis=0)
        read, items = without(past, targets), ops.maximum(past, 0)
        content = None
        if self.content is not None:
            content = masked_mean(ops.take(ops.convert_to_tensor(self.content), items, axis=0), read)
        return self._multimodal(masked_mean(self._initial(1, items, penalised=False), read), content, training)[1]


@dataclass(kw_only=True)
class MRLMR(NetworkRecommender):
    """MRLM-R; "given", "bpr" and nothing else switched on leave the printed networks, trained on what they rank by."""

    start: str  # initial vectors: "given", as MRLM is fed them, or "factors", those of iALS
    dim: int  # of the factors, as iALS has it
    factor_l2: float
    unobserved_weight: float
    frequency_exponent: float
    factor_epochs: int
    drawn: float  # how strongly the items' are drawn to what their descriptions say, as a multiple of iALS' penalty
    learn_start: bool  # whether training moves the initial vectors
    skip: bool  # whether they enter the score beside what the trunk makes of them
    activation: str  # of the outputs g and m
    profile: bool  # whether the user's latest items' m enter the score, and with them the items' m
    latest: int  # L
    features: bool  # whether m reads the modalities' vectors, not their clusters alone
    cluster_weight: float  # of the loss of the modalities' clusters
    objective: str
    dropout: float
    preset: str  # sizes of the networks

    def sizes(self, initial_dim: int) -> ModelConfig:
        """The networks' config for initial vectors of this length."""
        return replace(preset(self.preset).model, embedding_dim=initial_dim, output_activation=self.activation,
                       dropout=self.dropout)

    def network(  # type: ignore[override]
        self, interactions: Interactions, seed: int, initial_vectors: Start, clusters: Mapping[str, np.ndarray],
        features: Mapping[str, Features],
    ) -> RepairedNetwork:
        """``clusters`` ids ``[V]``, -1 where an item lacks the modality, and ``features``, both by modality."""
        one_of("start", self.start, STARTS)
        one_of("objective", self.objective, OBJECTIVES)
        content = side_by_side(features) if features else None
        start = self._made(interactions, seed, content) if self.start == "factors" else initial_vectors
        latest = interactions.latest(self.latest).astype(np.int32)
        return RepairedNetwork(self, start, latest, clusters, content if self.features else None)

    def _made(self, interactions: Interactions, seed: int, content: np.ndarray | None) -> Start:
        """Factors of iALS; with ``drawn``, the items' once more, drawn to what a regression on ``content`` gives."""
        model = IALS(dim=self.dim, l2=self.factor_l2, unobserved_weight=self.unobserved_weight,
                     frequency_exponent=self.frequency_exponent, epochs=self.factor_epochs)
        model.fit(interactions, seed)
        users, items = model.factors()
        if content is None or not self.drawn:
            return users, items
        train, liked = interactions.train, interactions.train.T.tocsr()
        told = regressed(items, content, np.diff(liked.indptr))
        items = self._solved(liked, users, self.drawn, told)
        return self._solved(train, items), items

    def _solved(
        self, positives: csr_matrix, fixed: np.ndarray, times: float = 1.0, prior: np.ndarray | None = None
    ) -> np.ndarray:
        """One side of iALS given the other, its penalty ``times`` as strong and towards ``prior``."""
        sizes = np.diff(positives.indptr) + self.unobserved_weight * len(fixed)
        strength = times * self.factor_l2 * sizes**self.frequency_exponent
        return solved(positives, fixed, self.unobserved_weight, strength, prior)


def regressed(items: np.ndarray, content: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What a ridge regression of the vectors ``items`` ``[V, k]`` on their ``content`` ``[V, D]`` says of each.

    Items count by ``weights`` ``[V]``; the penalty is RIDGE times the mean weight.
    """
    wide = content.astype(np.float64)
    weighted = wide * weights[:, None]
    gram = weighted.T @ wide
    gram[np.diag_indices_from(gram)] += RIDGE * weights.mean()
    return (wide @ np.linalg.solve(gram, weighted.T @ items)).astype(np.float32)

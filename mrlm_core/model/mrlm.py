"""MRLM = GFRL + MFRL under the joint objective (§3, Fig. 1), as one Keras model over triplets of indices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from mrlm_core.config import ModelConfig
from mrlm_core.errors import ConfigError, problem
from mrlm_core.model import losses
from mrlm_core.model.compiled import accurate
from mrlm_core.model.dense_trunk import trunk
from mrlm_core.model.gfrl import DifferenceCalculation, Tensor, identity_head
from mrlm_core.model.mfrl import ModalityClassifiers, SiameseNetwork


class Representations(NamedTuple):
    """What training leaves for ranking: g of users ``[U, d_1]``, g and m of items ``[V, d_1]``, ``[V, d_4]``."""

    users: np.ndarray
    items: np.ndarray
    items_multimodal: np.ndarray


class MRLM(keras.Model):
    """The whole model; called on triplets of indices ``[B, 3]`` (user, positive item, negative item).

    ``user_features`` ``[U, d_0]`` and ``item_features`` ``[V, d_0]`` are the frozen initial vectors; ``item_clusters``
    holds cluster ids ``[V]`` by modality, -1 where the item lacks it. Without clusters there is nothing for MFRL to
    learn and the model is the paper's U-GFRL. Raises ConfigError when the shapes do not fit ``config``.
    """

    def __init__(
        self,
        config: ModelConfig,
        user_features: np.ndarray,
        item_features: np.ndarray,
        item_clusters: Mapping[str, np.ndarray] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for side, features in (("user_features", user_features), ("item_features", item_features)):
            if np.ndim(features) != 2 or np.shape(features)[1] != config.embedding_dim:
                raise ConfigError(
                    problem(side, f"an array [n, embedding_dim={config.embedding_dim}]", f"{np.shape(features)}",
                            "Make the initial vectors with the same preset.")
                )
        self.config, self.theta_1 = config, config.theta_1
        self.n_users, self.n_items = len(user_features), len(item_features)
        self.user_features = self._constant(np.asarray(user_features, np.float32), "user_features")
        self.item_features = self._constant(np.asarray(item_features, np.float32), "item_features")
        # Weights, statistics and losses stay in float32 whatever the products and convolutions are computed in.
        policy = "mixed_bfloat16" if config.precision == "bfloat16" else "float32"
        self.trunk = trunk(config, name="triplet_network", dtype=policy)
        activation = "relu" if config.verification == "repaired" else None
        self.difference = DifferenceCalculation(config.verification_units, activation, name="dcp")
        low_level = (1, *self.trunk.low_level_shape)
        self.difference.build(low_level, low_level)
        self.verifier = keras.layers.Dense(1, name="verification", dtype=policy)
        self.user_identity = identity_head(self.n_users, config, "user_identity")
        self.item_identity = identity_head(self.n_items, config, "item_identity")
        heads = {"users": self.user_identity, "items": self.item_identity}
        self.sampled_heads = tuple(name for name, head in heads.items() if head.sampled)
        self.modalities = tuple(item_clusters or ())
        if self.modalities:
            self._build_mfrl(config, item_clusters or {}, policy)
        names = ["loss_g1", "loss_g2", "loss_g3", *(f"loss_m_{name}" for name in self.modalities)]
        self.loss_means = {name: keras.metrics.Mean(name=name) for name in names}
        self(np.zeros((1, 3), np.int32))  # builds every weight now, in one fixed order

    def _build_mfrl(self, config: ModelConfig, item_clusters: Mapping[str, np.ndarray], policy: str) -> None:
        self.modality_weights = modality_weights(config, self.modalities)
        self.clusters = self._constant(np.stack([item_clusters[name] for name in self.modalities], 1), "clusters")
        self.siamese = SiameseNetwork(config, name="siamese_network", dtype=policy)
        counts = {name: int(np.max(item_clusters[name])) + 1 for name in self.modalities}
        self.classifiers = ModalityClassifiers(counts, name="modality_classifiers", dtype=policy)

    def _constant(self, array: np.ndarray, name: str) -> Any:
        dtype = "int32" if np.issubdtype(array.dtype, np.integer) else "float32"
        return self.add_weight(
            shape=array.shape, dtype=dtype, trainable=False, name=name,
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(array, dtype=dtype),
        )

    def call(self, triplets: Tensor, training: bool = False) -> dict[str, Any]:
        """Everything the losses need, for triplets ``[B, 3]``: vectors, logits, cluster ids.

        The three branches share their weights and run once, stacked to ``[3B, d_0]``.
        """
        user, positive, negative = (triplets[:, column] for column in range(3))
        items = ops.concatenate([positive, negative])
        initial = ops.concatenate([ops.take(self.user_features, user, 0), ops.take(self.item_features, items, 0)])
        g, low_level = self.trunk(initial, training=training and self.trunk.trainable)  # frozen: as in ranking
        (g_user, g_items), branches = _user_and_items(g)
        (h_user, h_items), _ = _user_and_items(low_level)
        out = {"g": [accurate(part) for part in branches], "user_identity": self.user_identity(g_user, user)}
        out["verification"] = ops.split(accurate(self.verifier(self.difference(h_user, h_items))[:, 0]), 2)
        out["item_identity"] = self.item_identity(g_items, items)  # positives, then negatives: [2B, V]
        if self.modalities:
            m_logits = self.classifiers(self.siamese(g_items, training=training))
            out["modalities"] = {name: ops.split(m_logits[name], 2) for name in self.modalities}
            out["clusters"] = ops.split(ops.take(self.clusters, items, axis=0), 2)
        return out

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """L_MRLM of Eq. 17 for the outputs ``y_pred`` of ``call``; keeps the mean of each term."""
        terms = self.loss_terms(y_pred)
        for name, value in terms.items():
            self.loss_means[name].update_state(value)
        return self.joint_loss(terms)

    def loss_terms(self, out: Mapping[str, Any]) -> dict[str, Tensor]:
        """L_g1, L_g2, L_g3 and one L_mi a modality, each a scalar. Gap G13."""
        (user_logits, user_ids), (item_logits, item_ids) = out["user_identity"], out["item_identity"]
        g_user, g_positive, g_negative = out["g"]
        config = self.config
        terms = {
            "loss_g1": losses.triplet_metric_loss(
                g_user, g_positive, g_negative, config.metric_loss, config.metric_margin, config.metric_scale
            ),
            "loss_g2": losses.stacked_identity_loss(user_logits, item_logits, user_ids, item_ids),
            "loss_g3": losses.verification_loss(*out["verification"]),
        }
        for column, name in enumerate(self.modalities):
            positive_ids, negative_ids = (part[:, column] for part in out["clusters"])
            positive_logits, negative_logits = out["modalities"][name]
            terms[f"loss_m_{name}"] = losses.modality_loss(
                positive_logits, negative_logits, positive_ids, negative_ids, positive_ids >= 0, negative_ids >= 0
            )
        return terms

    def joint_loss(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Eq. 11, 16 and 17 over the terms; without modalities L_GFRL alone."""
        gfrl = losses.gfrl_loss(
            terms["loss_g1"], terms["loss_g2"], terms["loss_g3"], self.config.lambda_1, self.config.lambda_2
        )
        if not self.modalities:
            return gfrl
        by_modality = {name: terms[f"loss_m_{name}"] for name in self.modalities}
        return losses.mrlm_loss(gfrl, losses.mfrl_loss(by_modality, self.modality_weights), self.theta_1)

    def learn(self, module: str) -> None:
        """From the next ``compile`` on learn "global" (GFRL alone) or "multimodal" (MFRL on the frozen rest).

        As made, both are learned together (§3, Eq. 17).
        """
        for layer in (self.trunk, self.difference, self.verifier, self.user_identity, self.item_identity):
            layer.trainable = module == "global"
        self.theta_1 = {"global": 1.0, "multimodal": 0.0}[module]

    def represent(self, batch_size: int = 4096) -> Representations:
        """Global vectors of all users and items and multimodal vectors of all items, as NumPy arrays.

        U-GFRL has no multimodal vectors: ``items_multimodal`` is then ``[V, 0]``.
        """
        users = self._in_batches(lambda x: self.trunk(x)[0], self.user_features, batch_size)
        items = self._in_batches(lambda x: self.trunk(x)[0], self.item_features, batch_size)
        if not self.modalities:
            return Representations(users, items, np.zeros((self.n_items, 0), np.float32))
        return Representations(users, items, self._in_batches(self.siamese, items, batch_size))

    @staticmethod
    def _in_batches(function: Any, rows: Any, batch_size: int) -> np.ndarray:
        starts = range(0, int(rows.shape[0]), batch_size)
        parts = [accurate(function(rows[start : start + batch_size])) for start in starts]
        return np.concatenate([ops.convert_to_numpy(part) for part in parts])


def _user_and_items(stacked: Tensor) -> tuple[tuple[Tensor, Tensor], list[Tensor]]:
    """Rows of the three branches ``[3B, ...]`` as (users ``[B, ...]``, both items ``[2B, ...]``), and one by one."""
    branches = ops.split(stacked, 3)  # whose gradient is one copy; that of slices would be three and a sum
    return (branches[0], ops.concatenate(branches[1:])), branches


def modality_weights(config: ModelConfig, modalities: tuple[str, ...]) -> dict[str, float]:
    """nu of Eq. 16 for these modalities: the config's weights scaled to sum 1, as the paper demands.

    Raises ConfigError for a modality that the config gives no weight. Gap G44.
    """
    missing = [name for name in modalities if name not in config.modality_weights]
    if missing:
        raise ConfigError(
            problem("model.modality_weights", f"a weight for each of {list(modalities)}", f"none for {missing}",
                    "Add it with the setting model.modality_weights.")
        )
    total = sum(config.modality_weights[name] for name in modalities)
    return {name: config.modality_weights[name] / total for name in modalities}

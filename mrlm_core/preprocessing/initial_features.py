"""Initial vectors of users and items (§3.1(1)(a)) by xDeepFM, read out side by side.

Shapes: B batch, U users, V items, F (or m) fields, K values a field, D field_dim, H_k maps of the k-th CIN layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import ops

from mrlm_core.config import PreprocessingConfig
from mrlm_core.datasets.contract import Dataset
from mrlm_core.datasets.splits import Interactions
from mrlm_core.evaluation.metrics import recall_at
from mrlm_core.evaluation.ranking import top_n
from mrlm_core.model.losses import cosine_similarity, verification_loss
from mrlm_core.training.fit import STEPS_PER_CALL, fit, seed_everything
from mrlm_core.training.triplets import TripletSampler

Tensor = Any


@dataclass(frozen=True)
class FieldTable:
    """One side's attributes as embedding rows: ``indices`` and ``weights`` ``[n, F, K]``, ``size`` rows in all.

    A categorical field has one value of weight 1, a multi-valued one its values at equal weights, a numeric one its
    own row weighted by the standardised value; a missing value has weight 0.
    """

    names: tuple[str, ...]
    indices: np.ndarray
    weights: np.ndarray
    size: int


def field_table(ids: np.ndarray, attributes: pd.DataFrame, kinds: dict[str, str]) -> FieldTable:
    """The side's id and declared attribute columns as a FieldTable; the id is the first field."""
    columns = [(np.arange(len(ids))[:, None], np.ones((len(ids), 1), np.float32))]
    for name, kind in kinds.items():
        columns.append(_numeric(attributes[name]) if kind == "numeric" else _categorical(attributes[name], kind))
    sizes = [int(indices.max()) + 1 for indices, _ in columns]
    offsets = np.cumsum([0, *sizes])
    widest = max(indices.shape[1] for indices, _ in columns)
    indices = np.zeros((len(ids), len(columns), widest), np.int32)
    weights = np.zeros((len(ids), len(columns), widest), np.float32)
    for position, (column_indices, column_weights) in enumerate(columns):
        indices[:, position, : column_indices.shape[1]] = column_indices + offsets[position]
        weights[:, position, : column_weights.shape[1]] = column_weights
    return FieldTable(("id", *kinds), indices, weights, int(offsets[-1]))


def _numeric(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    values = column.astype(float).to_numpy()
    if np.isnan(values).all():
        return np.zeros((len(values), 1), np.int64), np.zeros((len(values), 1), np.float32)
    spread = np.nanstd(values)
    standard = (values - np.nanmean(values)) / (spread if spread > 0 else 1.0)
    return np.zeros((len(values), 1), np.int64), np.nan_to_num(standard)[:, None].astype(np.float32)


def _categorical(column: pd.Series, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Codes and weights ``[n, K]``; K = 1 unless the values are lists divided by "|"."""
    text = column.reset_index(drop=True).astype("string")
    long = text.str.split("|").explode() if kind == "multi" else text
    long = long[long.fillna("") != ""]
    codes, _ = pd.factorize(long, sort=True)
    place = long.groupby(level=0).cumcount().to_numpy()
    rows = long.index.to_numpy()
    shape = (len(column), int(place.max()) + 1 if len(place) else 1)
    indices, weights = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
    indices[rows, place], weights[rows, place] = codes, 1.0
    return indices, weights / np.maximum(weights.sum(1, keepdims=True), 1)


class XDeepFM(keras.Model):
    """xDeepFM's three parts over each side's fields, ending in a vector a side; a pair scores by their scaled cosine.

    The original puts the fields of user and item into one network, which leaves no vector of a user alone. Here the
    linear part, the compressed interaction network (CIN) and the deep part see one side at a time (read-out "D" of the
    two-tower kind), so that the vectors exist, and rank by the cosine that MRLM itself uses.
    """

    def __init__(self, users: FieldTable, items: FieldTable, embedding_dim: int, config: PreprocessingConfig) -> None:
        super().__init__()
        self.sides = (users, items)
        # A side with fewer members than a batch has rows is computed whole, once a step, and looked up.
        batch = config.initial_batch_size
        self.whole = (len(users.indices) <= batch, len(items.indices) <= 2 * batch)
        self.l2 = config.initial_l2
        self.embedding = self.add_weight(
            shape=(users.size + items.size, config.field_dim),
            initializer=keras.initializers.RandomNormal(stddev=0.1), name="fields",
        )
        dense = keras.layers.Dense
        self.cin = [[dense(size, use_bias=False) for size in config.cin_layers] for _ in self.sides]
        self.deep = [[dense(size, activation="relu") for size in config.dnn_layers] for _ in self.sides]
        self.read_out = [dense(embedding_dim, use_bias=False) for _ in self.sides]
        self.scale = self.add_weight(shape=(), initializer=keras.initializers.Constant(5.0), name="scale")
        self.bias = self.add_weight(shape=(), initializer="zeros", name="bias")
        self(np.zeros((1, 3), np.int32))

    def call(self, triplets: Tensor, training: bool = False) -> dict[str, Tensor]:
        """Triplets ``[B, 3]`` -> logits ``[B]`` of (user, positive) and (user, negative), mean square of the fields."""
        users, user_size = self._look_up(0, triplets[:, 0])
        items, item_size = self._look_up(1, ops.concatenate([triplets[:, 1], triplets[:, 2]]))
        positives, negatives = ops.split(items, 2)
        return {
            "positive": self.scale * cosine_similarity(users, positives) + self.bias,
            "negative": self.scale * cosine_similarity(users, negatives) + self.bias,
            "size": user_size + item_size,
        }

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """Log loss of positives (1) and sampled negatives (0), plus L2 on the fields of the batch."""
        return verification_loss(y_pred["positive"], y_pred["negative"]) + self.l2 * y_pred["size"]

    def vectors(self, batch_size: int = 8192) -> tuple[np.ndarray, np.ndarray]:
        """The initial vectors: users ``[U, d_0]`` and items ``[V, d_0]``."""
        both = []
        for side, table in enumerate(self.sides):
            starts = range(0, len(table.indices), batch_size)
            rows = (np.arange(start, min(start + batch_size, len(table.indices))) for start in starts)
            both.append([ops.convert_to_numpy(self._vectors(side, self._fields(side, part))) for part in rows])
        return np.concatenate(both[0]), np.concatenate(both[1])

    def _look_up(self, side: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors ``[B, d_0]`` of the rows, and the mean squared length of the fields that made them (for L2)."""
        fields = self._fields(side, np.arange(len(self.sides[side].indices)) if self.whole[side] else rows)
        vectors = self._vectors(side, fields)
        size = ops.mean(ops.sum(ops.square(fields), axis=(1, 2)))
        return (ops.take(vectors, rows, axis=0) if self.whole[side] else vectors), size

    def _fields(self, side: int, rows: Tensor) -> Tensor:
        """Field embeddings ``[B, F, D]`` of one side's rows."""
        table = self.sides[side]
        offset = 0 if side == 0 else self.sides[0].size
        indices = ops.take(ops.convert_to_tensor(table.indices + offset), rows, axis=0)
        weights = ops.take(ops.convert_to_tensor(table.weights), rows, axis=0)
        return ops.sum(ops.take(self.embedding, indices, axis=0) * weights[..., None], axis=2)

    def _vectors(self, side: int, fields: Tensor) -> Tensor:
        """The side's vector ``[B, d_0]`` from its linear part, its CIN and its deep part."""
        linear = hidden = ops.reshape(fields, (-1, fields.shape[1] * fields.shape[2]))
        for layer in self.deep[side]:
            hidden = layer(hidden)
        interactions = compressed_interactions(fields, self.cin[side])
        return self.read_out[side](ops.concatenate([linear, interactions, hidden], axis=1))


def compressed_interactions(fields: Tensor, layers: list[Any]) -> Tensor:
    """CIN: X^k_h = sum_ij W^k_hij (X^{k-1}_i * X^0_j), each layer summed over D; ``[B, m, D]`` -> ``[B, sum H_k]``.

    ``layers`` are bias-free dense layers that hold W^k over the flattened (i, j). Lian et al. 2018, Eq. 6-8.
    """
    base = ops.transpose(fields, (0, 2, 1))  # [B, D, m]
    state, pooled = base, []
    for layer in layers:
        outer = state[:, :, :, None] * base[:, :, None, :]
        state = layer(ops.reshape(outer, (-1, base.shape[1], state.shape[2] * base.shape[2])))
        pooled.append(ops.sum(state, axis=1))
    return ops.concatenate(pooled, axis=1)


def train_xdeepfm(
    dataset: Dataset, interactions: Interactions, embedding_dim: int, config: PreprocessingConfig, seed: int
) -> dict[str, np.ndarray]:
    """xDeepFM trained on the training positives against uniform negatives; stops on the vectors' validation Recall@20.

    Returns ``users`` ``[U, d_0]``, ``items`` ``[V, d_0]`` and ``history`` (validation Recall@20 by cosine, an epoch).
    """
    seed_everything(seed)
    user_table = field_table(dataset.user_ids, dataset.users, dict(dataset.user_fields))
    item_table = field_table(dataset.item_ids, dataset.items, dict(dataset.item_fields))
    model = XDeepFM(user_table, item_table, embedding_dim, config)
    optimizer = keras.optimizers.Adam(config.initial_learning_rate)
    model.compile(optimizer=optimizer, steps_per_execution=STEPS_PER_CALL)
    sampler = TripletSampler(interactions, "uniform", config.initial_negatives)
    batch = min(config.initial_batch_size, len(sampler.users))
    history = fit(
        model,
        lambda rng: sampler.epoch(rng, batch),
        lambda: cosine_recall(*model.vectors(), interactions),
        batch_size=batch,
        max_epochs=config.initial_epochs,
        patience=config.initial_patience,
        seed=seed,
        name="xDeepFM",
    )
    users, items = model.vectors()
    return {"users": users, "items": items, "history": np.array([row["validation"] for row in history.rows])}


def cosine_recall(users: np.ndarray, items: np.ndarray, interactions: Interactions, part: str = "validation") -> float:
    """Mean Recall@20 of ranking by the cosine of the vectors alone; the yardstick that MRLM starts from."""
    lengths = np.linalg.norm(items, axis=1, keepdims=True)
    return dot_recall(users, items / np.maximum(lengths, 1e-12), interactions, part)


def dot_recall(users: np.ndarray, items: np.ndarray, interactions: Interactions, part: str = "validation") -> float:
    """As ``cosine_recall``, by the inner product."""
    seen = interactions.train_rated
    if part == "test":
        seen = seen + interactions.validation_rated
    ranked, _ = top_n(users, items, 20, exclude=seen)
    return float(np.nanmean(recall_at(ranked, getattr(interactions, part), 20)))

"""xDeepFM (Lian et al. 2018) and the two ways to read a vector of a user alone, or of an item alone, out of it.

Shapes: B batch, U users, V items, F (or m) fields, D field_dim, H_k maps of the k-th CIN layer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import ops

from mrlm_core.datasets.contract import Dataset
from mrlm_core.datasets.splits import Interactions
from mrlm_core.model.losses import cosine_similarity, verification_loss
from mrlm_core.preprocessing.field_layers import compressed_interactions, embedded, mean_square
from mrlm_core.preprocessing.fields import FieldTable, field_table
from mrlm_core.preprocessing.initial_features import BY_COSINE, cosine_recall
from mrlm_core.preprocessing.initial_training import train
from mrlm_core.preprocessing_config import PreprocessingConfig
from mrlm_core.training.fit import seed_everything
from mrlm_core.training.triplets import TripletSampler

Tensor = Any


class XDeepFM(keras.Model, ABC):
    """What both read-outs share: the embedded fields of users and items, and the log loss of pairs.

    A read-out turns the fields of one side into that side's vector (``side_vectors``) and scores pairs (``call``).
    """

    measure: str  # what ``validation`` gives

    def __init__(self, users: FieldTable, items: FieldTable, config: PreprocessingConfig) -> None:
        super().__init__()
        self.sides = (users, items)
        self.l2 = config.initial_l2
        self.embedding = self.add_weight(
            shape=(users.size + items.size, config.field_dim),
            initializer=keras.initializers.RandomNormal(stddev=0.1), name="fields",
        )

    @abstractmethod
    def side_vectors(self, side: int, fields: Tensor) -> Tensor:
        """Initial vectors ``[B, d_0]`` from the fields ``[B, F, D]`` of users (side 0) or items (side 1)."""

    @abstractmethod
    def validation(self, interactions: Interactions) -> float:
        """How well the model does on the validation part; training keeps the best epoch by it."""

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
            both.append([ops.convert_to_numpy(self.side_vectors(side, self.fields(side, part))) for part in rows])
        return np.concatenate(both[0]), np.concatenate(both[1])

    def fields(self, side: int, rows: Tensor) -> Tensor:
        """Field embeddings ``[B, F, D]`` of one side's rows."""
        return self.embed(self.embedding, side, rows)

    def embed(self, values: Tensor, side: int, rows: Tensor) -> Tensor:
        """Each field ``[B, F, K]`` of one side's rows as the weighted sum of its values' rows of ``values``."""
        return embedded(values, self.sides[side], rows, 0 if side == 0 else self.sides[0].size)


class PairXDeepFM(XDeepFM):
    """Read-out "A": xDeepFM as published, scoring a pair by linear part + CIN + deep part over the fields of both.

    One dense layer a side, on the side's field embeddings, feeds the deep part; its outputs are the initial vectors.
    Nothing asks of them that users and items be near each other: only the deep part compares them. So their cosine
    need not rank, and training is judged by how the model itself orders pairs.
    """

    measure = "share of (positive, negative) pairs in order"

    def __init__(self, users: FieldTable, items: FieldTable, embedding_dim: int, config: PreprocessingConfig) -> None:
        super().__init__(users, items, config)
        dense = keras.layers.Dense
        self.linear = self.add_weight(shape=(users.size + items.size, 1), initializer="zeros", name="linear")
        self.cin = [dense(size, use_bias=False) for size in config.cin_layers]
        self.read_out = [dense(embedding_dim, use_bias=False) for _ in self.sides]
        self.deep = [dense(size, activation="relu") for size in config.dnn_layers]
        self.output_layer = dense(1)
        self(np.zeros((1, 3), np.int32))

    def call(self, triplets: Tensor, training: bool = False) -> dict[str, Tensor]:
        """Triplets ``[B, 3]`` -> logits ``[B]`` of (user, positive) and (user, negative), mean square of the fields."""
        rows = triplets[:, 0], ops.concatenate([triplets[:, 1], triplets[:, 2]])
        users, items = (self.fields(side, of_side) for side, of_side in enumerate(rows))
        sides = [self.side_vectors(0, users), self.side_vectors(1, items)]
        linear = [ops.sum(self.embed(self.linear, side, of_side), axis=(1, 2)) for side, of_side in enumerate(rows)]
        logits = ops.concatenate([linear[0], linear[0]]) + linear[1] + self._logits(
            ops.concatenate([ops.concatenate([users, users]), items], axis=1),
            ops.concatenate([ops.concatenate([sides[0], sides[0]]), sides[1]], axis=1),
        )
        positive, negative = ops.split(logits, 2)
        return {"positive": positive, "negative": negative, "size": mean_square(users) + mean_square(items)}

    def side_vectors(self, side: int, fields: Tensor) -> Tensor:
        """The side's dense layer on its field embeddings, ``[B, d_0]``."""
        return self.read_out[side](ops.reshape(fields, (-1, fields.shape[1] * fields.shape[2])))

    def validation(self, interactions: Interactions, most: int = 16_384) -> float:
        """Share of validation positives that score above an unrated item, at most ``most`` pairs; NaN without any.

        The pairs are the same at each call. Ranking every item for every user, as the other read-out does, would cost
        U x V passes through the network.
        """
        if not interactions.validation.nnz:
            return float("nan")
        sampler = TripletSampler(replace(interactions, train=interactions.validation), "uniform", 4)
        triplets = sampler.epoch(np.random.default_rng(0), 1)[:most]
        made = [self(part) for part in np.array_split(triplets, -(-len(triplets) // 8192))]
        margins = [ops.convert_to_numpy(logits["positive"] - logits["negative"]) for logits in made]
        return float(np.mean(np.concatenate(margins) > 0))

    def _logits(self, fields: Tensor, both: Tensor) -> Tensor:
        """CIN over all fields ``[B, m, D]``, deep part over both sides' vectors ``[B, 2 d_0]``, Eq. 15 -> ``[B]``."""
        interactions = compressed_interactions(fields, self.cin)
        for layer in self.deep:
            both = layer(both)
        return self.output_layer(ops.concatenate([interactions, both], axis=1))[:, 0]


class TwoTowerXDeepFM(XDeepFM):
    """Read-out "D": xDeepFM's three parts over each side's fields, ending in a vector a side; pairs score by cosine.

    The original puts the fields of user and item into one network, which leaves no vector of a user alone. Here the
    linear part, the compressed interaction network (CIN) and the deep part see one side at a time, so that the
    vectors exist, and rank by the (scaled) cosine that MRLM itself uses.
    """

    measure = BY_COSINE

    def __init__(self, users: FieldTable, items: FieldTable, embedding_dim: int, config: PreprocessingConfig) -> None:
        super().__init__(users, items, config)
        # A side with fewer members than a batch has rows is computed whole, once a step, and looked up.
        batch = config.initial_batch_size
        self.whole = (len(users.indices) <= batch, len(items.indices) <= 2 * batch)
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

    def side_vectors(self, side: int, fields: Tensor) -> Tensor:
        """The side's vector ``[B, d_0]`` from its linear part, its CIN and its deep part."""
        linear = hidden = ops.reshape(fields, (-1, fields.shape[1] * fields.shape[2]))
        for layer in self.deep[side]:
            hidden = layer(hidden)
        interactions = compressed_interactions(fields, self.cin[side])
        return self.read_out[side](ops.concatenate([linear, interactions, hidden], axis=1))

    def validation(self, interactions: Interactions) -> float:
        """Recall@20 of the vectors by cosine."""
        return cosine_recall(*self.vectors(), interactions)

    def _look_up(self, side: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors ``[B, d_0]`` of the rows, and the mean squared length of the fields that made them (for L2)."""
        fields = self.fields(side, np.arange(len(self.sides[side].indices)) if self.whole[side] else rows)
        vectors = self.side_vectors(side, fields)
        return (ops.take(vectors, rows, axis=0) if self.whole[side] else vectors), mean_square(fields)


READ_OUTS: dict[str, type[PairXDeepFM] | type[TwoTowerXDeepFM]] = {"A": PairXDeepFM, "D": TwoTowerXDeepFM}


def train_xdeepfm(
    dataset: Dataset, interactions: Interactions, embedding_dim: int, config: PreprocessingConfig, seed: int
) -> dict[str, np.ndarray]:
    """xDeepFM trained on the training positives against uniform negatives, the best epoch by its ``validation``.

    Returns what ``initial_features.made`` says.
    """
    seed_everything(seed)
    users = field_table(dataset.user_ids, dataset.users, dict(dataset.user_fields))
    items = field_table(dataset.item_ids, dataset.items, dict(dataset.item_fields))
    model = READ_OUTS[config.read_out](users, items, embedding_dim, config)
    optimizer = keras.optimizers.Adam(config.initial_learning_rate)
    name = f"xDeepFM, read-out {config.read_out}"
    return train(model, optimizer, lambda: model.validation(interactions), model.measure, interactions, config, seed,
                 name)

"""Initial vectors by BPR-MF (Rendle et al. 2009): the ids alone, no attributes.

The baseline of the same name stops by the inner product, its score; this one by the cosine, which MRLM compares with.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from mrlm_core.datasets.contract import Dataset
from mrlm_core.datasets.splits import Interactions
from mrlm_core.preprocessing.initial_features import BY_COSINE, cosine_recall
from mrlm_core.preprocessing.initial_training import train
from mrlm_core.preprocessing_config import PreprocessingConfig
from mrlm_core.training.fit import seed_everything
from mrlm_core.training.optimizer import Adam, on_tensorflow

Tensor = Any


class BPR(keras.Model):
    """A vector a user and a vector an item; a pair scores by their inner product."""

    def __init__(self, n_users: int, n_items: int, embedding_dim: int, l2: float) -> None:
        super().__init__()
        start = keras.initializers.RandomNormal(stddev=0.1)
        self.users, self.items = (
            self.add_weight(shape=(n, embedding_dim), initializer=start.clone(), name=name)
            for n, name in ((n_users, "users"), (n_items, "items"))
        )
        self.l2 = l2
        self(np.zeros((1, 3), np.int32))

    def call(self, triplets: Tensor, training: bool = False) -> dict[str, Tensor]:
        """Triplets ``[B, 3]`` -> score of the positive less that of the negative ``[B]``, mean square of the rows."""
        users = ops.take(self.users, triplets[:, 0], axis=0)
        items = ops.take(self.items, ops.concatenate([triplets[:, 1], triplets[:, 2]]), axis=0)
        positives, negatives = ops.split(items, 2)
        size = ops.mean(ops.sum(ops.square(users) + ops.square(positives) + ops.square(negatives), axis=1))
        return {"margin": ops.sum(users * (positives - negatives), axis=1), "size": size}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """BPR-Opt: mean of -log sigmoid of the margin, plus l2 / 2 of the vectors that the batch uses."""
        return ops.mean(ops.softplus(-y_pred["margin"])) + self.l2 / 2 * y_pred["size"]

    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Users ``[U, d_0]`` and items ``[V, d_0]``."""
        return ops.convert_to_numpy(self.users), ops.convert_to_numpy(self.items)


def train_bpr(
    dataset: Dataset, interactions: Interactions, embedding_dim: int, config: PreprocessingConfig, seed: int
) -> dict[str, np.ndarray]:
    """BPR-MF trained on the training positives against uniform negatives, the best epoch by Recall@20 by cosine.

    Returns what ``initial_features.made`` says.
    """
    seed_everything(seed)
    model = BPR(interactions.n_users, interactions.n_items, embedding_dim, config.initial_l2)
    optimizer = Adam(config.initial_learning_rate, rows=on_tensorflow())
    return train(model, optimizer, lambda: cosine_recall(*model.vectors(), interactions), BY_COSINE, interactions,
                 config, seed, "BPR-MF")

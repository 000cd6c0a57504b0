"""What a "+" model reads besides: the features of all modalities side by side, and the layer that takes them in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from mrlm_core.preprocessing.vectors import Features, unit_rows

Tensor = Any
DROPOUT = 0.2


def side_by_side(features: Mapping[str, Features]) -> np.ndarray:
    """The modalities' vectors concatenated, as §1 of the paper has it, float32 ``[V, sum of d + M]``.

    Each is scaled to length 1, or the longest would speak for all. An item that lacks a modality has zeros there and
    a 1 in that modality's column among the last M.
    """
    vectors = [unit_rows(made.values) for made in features.values()]
    missing = np.stack([~made.mask for made in features.values()], axis=1)
    return np.concatenate([*vectors, missing], axis=1, dtype=np.float32)


class ContentBlock(keras.layers.Layer):
    """Items ``[B]`` -> z ``[B, units]``: their frozen content through one trained layer."""

    def __init__(self, content: np.ndarray, units: int) -> None:
        super().__init__()
        self.content = content
        self.dense = keras.layers.Dense(units, activation="relu")
        self.dropout = keras.layers.Dropout(DROPOUT)

    def call(self, items: Tensor, training: bool = False) -> Tensor:
        """z of each of ``items``."""
        frozen = ops.take(ops.convert_to_tensor(self.content), items, axis=0)
        return self.dropout(self.dense(frozen), training=training)

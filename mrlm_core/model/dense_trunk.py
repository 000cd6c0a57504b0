"""A control for the triplet network of §3.2: the same number of dense layers in place of its convolutions."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from mrlm_core.config import ModelConfig
from mrlm_core.model.compiled import Tensor
from mrlm_core.model.dropout import Dropout
from mrlm_core.model.gfrl import WINDOW, TripletNetwork


class DenseTrunk(keras.layers.Layer):
    """Dense layers, each with batch normalisation and ReLU; then dropout and a dense layer to the global vector g.

    Of ``dense_units`` each, so that the model has about as many parameters as with convolutions. What the first layer
    gives stands for the low-level matrix, as a single row. Gap G06.
    """

    def __init__(self, config: ModelConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        policy, units = self.dtype_policy, dense_units(config)
        depth = range(1, len(config.trunk_channels) + 1)
        self.blocks = [DenseBlock(units, config, policy, name=f"dense{number}") for number in depth]
        self.dropout = Dropout(config.dropout, dtype=policy)
        self.fc = keras.layers.Dense(config.global_dim, config.output_activation, name="fc", dtype=policy)
        self.low_level_shape = 1, units

    def call(self, initial: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """Initial vectors ``[B, d_0]`` -> (global vectors ``[B, d_1]``, first layers ``[B, 1, units]``)."""
        low_level = features = self.blocks[0](initial, training=training)
        for block in self.blocks[1:]:
            features = block(features, training=training)
        return self.fc(self.dropout(features, training=training)), low_level[:, None, :]


class DenseBlock(keras.layers.Layer):
    """Dense layer (no bias), batch normalisation, ReLU; ``policy`` is the type of the product, statistics float32."""

    def __init__(self, units: int, config: ModelConfig, policy: Any = None, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.dense = keras.layers.Dense(units, use_bias=False, dtype=policy)
        self.normalisation = keras.layers.BatchNormalization(momentum=config.batch_norm_momentum)

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        """``[B, n]`` -> ``[B, units]``."""
        features = self.dense(features)
        return ops.cast(ops.relu(self.normalisation(features, training=training)), features.dtype)


def trunk(config: ModelConfig, **kwargs: Any) -> keras.layers.Layer:
    """The TripletNetwork or DenseTrunk that ``config.trunk`` asks for."""
    return DenseTrunk(config, **kwargs) if config.trunk == "mlp" else TripletNetwork(config, **kwargs)


def dense_units(config: ModelConfig) -> int:
    """How wide the dense layers are: trunk and difference calculation as large as with convolutions, to a rounding."""
    channels, positions = config.trunk_channels, -(-config.embedding_dim // config.first_stride)
    of_difference = WINDOW**2 * config.verification_units  # a number of the low-level matrix
    convolutions = sum(
        (config.kernel_size * before + 2) * after for before, after in zip((1, *channels), channels, strict=False)
    )
    wanted = convolutions + positions * (channels[-1] * config.global_dim + channels[0] * of_difference)
    # units^2 * square + units * linear = wanted
    square = len(channels) - 1
    linear = config.embedding_dim + 2 * len(channels) + config.global_dim + of_difference
    return max(1, round(2 * wanted / (linear + math.sqrt(linear**2 + 4 * square * wanted))))

"""MFRL (§3.3): the Siamese network over items' global vectors and one cluster classifier a modality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from mrlm_core.config import ModelConfig
from mrlm_core.model.compiled import Tensor
from mrlm_core.model.convolution import convolution_stack
from mrlm_core.model.dropout import Dropout


class SiameseNetwork(keras.layers.Layer):
    """The shared trunk of Eq. 12-13: two convolutions, dropout, and a dense layer to the multimodal vector m."""

    def __init__(self, config: ModelConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.blocks = convolution_stack(config.siamese_channels, config, 1, "conv", policy)
        self.flatten = keras.layers.Flatten(dtype=policy)
        self.dropout = Dropout(config.dropout, dtype=policy)
        self.fc = keras.layers.Dense(config.multimodal_dim, config.output_activation, name="fc", dtype=policy)

    def call(self, g: Tensor, training: bool = False) -> Tensor:
        """Global vectors of items ``[B, d_1]`` -> multimodal vectors ``[B, d_4]``."""
        features = ops.expand_dims(g, -1)
        for block in self.blocks:
            features = block(features, training=training)
        return self.fc(self.dropout(self.flatten(features), training=training))


class ModalityClassifiers(keras.layers.Layer):
    """One softmax layer a modality over its tau clusters (Eq. 14); gives logits, the loss is Eq. 15's. Gap G28."""

    def __init__(self, cluster_counts: Mapping[str, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.heads = {
            name: keras.layers.Dense(count, name=name, dtype=policy) for name, count in cluster_counts.items()
        }

    def call(self, m: Tensor) -> dict[str, Tensor]:
        """Multimodal vectors ``[B, d_4]`` -> logits ``[B, tau_i]`` by modality."""
        return {name: head(m) for name, head in self.heads.items()}

"""The model as one would first write it in Keras from the paper's figure: the yardstick of the training step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from mrlm_core.model import losses
from mrlm_core.model.compiled import Tensor
from mrlm_core.model.gfrl import difference_tensor
from mrlm_core.model.mrlm import MRLM


class LiteralMRLM(MRLM):
    """MRLM with the same weights and losses from Keras' own layers and functions: each branch by itself, the
    difference tensor built and flattened, identity logits and losses one operation after the other.

    Inference gives the same numbers. In training batch normalisation sees the branches one by one instead of together;
    ``stacked`` puts them together, and then, without dropout, training gives the same numbers too. Full heads only.
    """

    def __init__(self, *arguments: Any, stacked: bool = False, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.stacked = stacked

    def call(self, triplets: Tensor, training: bool = False) -> dict[str, Any]:
        """As ``MRLM.call``: everything the losses need, for triplets ``[B, 3]``."""
        if not hasattr(self, "stacked"):  # the call by which MRLM builds its weights
            return super().call(triplets, training)
        user, positive, negative = (triplets[:, column] for column in range(3))
        initial = [ops.take(self.user_features, user, 0), ops.take(self.item_features, positive, 0),
                   ops.take(self.item_features, negative, 0)]
        g, h = self._branches(initial, self._trunk, training)
        heads = [(self.user_identity, g[0], user), (self.item_identity, g[1], positive),
                 (self.item_identity, g[2], negative)]
        out: dict[str, Any] = {
            "g": g,
            "verification": [self._pair(h[0], h[1]), self._pair(h[0], h[2])],
            "identities": [(ops.matmul(x, ops.transpose(head.kernel)) + head.bias, ids) for head, x, ids in heads],
        }
        if self.modalities:
            (m,) = self._branches(g[1:], self._siamese, training)
            logits = [self.classifiers(part) for part in m]
            out["modalities"] = {name: [part[name] for part in logits] for name in self.modalities}
            out["clusters"] = [ops.take(self.clusters, items, axis=0) for items in (positive, negative)]
        return out

    def loss_terms(self, out: Mapping[str, Any]) -> dict[str, Tensor]:
        """As ``MRLM.loss_terms``, by Keras' cross entropy."""
        terms = {
            "loss_g1": losses.triplet_metric_loss(*out["g"]),
            "loss_g2": sum(ops.mean(_cross_entropy(logits, ids)) for logits, ids in out["identities"]),
            "loss_g3": losses.verification_loss(*out["verification"]),
        }
        for column, name in enumerate(self.modalities):
            ids = [part[:, column] for part in out["clusters"]]
            values = [ops.where(i >= 0, _cross_entropy(logits, ops.maximum(i, 0)), 0.0)
                      for logits, i in zip(out["modalities"][name], ids, strict=True)]
            terms[f"loss_m_{name}"] = ops.mean(values[0] + values[1])
        return terms

    def _branches(self, inputs: list[Tensor], network: Any, training: bool) -> list[list[Tensor]]:
        """What ``network`` gives for each of ``inputs``, as one list an output."""
        if not self.stacked:
            return [list(parts) for parts in zip(*(network(x, training) for x in inputs), strict=True)]
        return [ops.split(part, len(inputs)) for part in network(ops.concatenate(inputs), training)]

    def _trunk(self, initial: Tensor, training: bool) -> tuple[Tensor, Tensor]:
        low_level = _block(self.trunk.blocks[0], ops.expand_dims(initial, -1), training)
        return self._output(self.trunk, low_level, 1, training), ops.transpose(low_level, (0, 2, 1))

    def _siamese(self, g: Tensor, training: bool) -> tuple[Tensor]:
        return (self._output(self.siamese, ops.expand_dims(g, -1), 0, training),)

    def _output(self, network: Any, features: Tensor, first: int, training: bool) -> Tensor:
        for block in network.blocks[first:]:
            features = _block(block, features, training)
        flat = network.flatten(features)
        if training and self.config.dropout > 0:
            flat = keras.random.dropout(flat, self.config.dropout, seed=network.dropout.seeds)
        return network.fc(flat)

    def _pair(self, h_user: Tensor, h_item: Tensor) -> Tensor:
        """Eq. 6-9 in the order of the text: difference tensor, flatten, dense layer, dense layer -> logits ``[B]``."""
        kernel = self.difference.kernel
        flat = ops.reshape(difference_tensor(h_user, h_item), (-1, 9 * kernel.shape[0] * kernel.shape[1]))
        dense = ops.matmul(flat, ops.reshape(kernel, (-1, kernel.shape[-1]))) + self.difference.bias
        return self.verifier(self.difference.activation(dense))[:, 0]


def _block(block: Any, features: Tensor, training: bool) -> Tensor:
    return ops.relu(block.normalisation(block.convolution(features), training=training))


def _cross_entropy(logits: Tensor, ids: Tensor) -> Tensor:
    return ops.sparse_categorical_crossentropy(ids, logits, from_logits=True)

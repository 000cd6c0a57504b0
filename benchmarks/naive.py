"""The model as one would first write it in Keras from the paper's figure: the yardstick of the training step."""

from __future__ import annotations

from typing import Any

from keras import ops

from mrlm_core.model.gfrl import Tensor, difference_tensor
from mrlm_core.model.mrlm import MRLM


class LiteralMRLM(MRLM):
    """MRLM with the same weights and losses, but each branch by itself and the difference tensor built and flattened.

    Inference gives the same numbers. In training, batch normalisation sees the branches one by one instead of together.
    """

    def call(self, triplets: Tensor, training: bool = False) -> dict[str, Any]:
        """As ``MRLM.call``: everything the losses need, for triplets ``[B, 3]``."""
        user, positive, negative = (triplets[:, column] for column in range(3))
        g_user, h_user = self.trunk(ops.take(self.user_features, user, axis=0), training=training)
        g_positive, h_positive = self.trunk(ops.take(self.item_features, positive, axis=0), training=training)
        g_negative, h_negative = self.trunk(ops.take(self.item_features, negative, axis=0), training=training)
        out = {
            "g": [g_user, g_positive, g_negative],
            "verification": [self._pair(h_user, h_positive), self._pair(h_user, h_negative)],
            "user_identity": self.user_identity(g_user, user),
            "item_identity": [self.item_identity(g_positive, positive), self.item_identity(g_negative, negative)],
        }
        if self.modalities:
            logits = [self.classifiers(self.siamese(g, training=training)) for g in (g_positive, g_negative)]
            out["modalities"] = {name: [part[name] for part in logits] for name in self.modalities}
            out["clusters"] = [ops.take(self.clusters, items, axis=0) for items in (positive, negative)]
        return out

    def _pair(self, h_user: Tensor, h_item: Tensor) -> Tensor:
        """Eq. 6-9 in the order of the text: difference tensor, flatten, dense layer, dense layer -> logits ``[B]``."""
        kernel = self.difference.kernel
        flat = ops.reshape(difference_tensor(h_user, h_item), (-1, 9 * kernel.shape[0] * kernel.shape[1]))
        dense = ops.matmul(flat, ops.reshape(kernel, (-1, kernel.shape[-1]))) + self.difference.bias
        return self.verifier(self.difference.activation(dense))[:, 0]

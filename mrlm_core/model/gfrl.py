"""GFRL (§3.2): the triplet network, the difference calculation and the identity heads.

Shapes: B = batch, d_0 = initial vector, d_1 = global vector, d_2 x d_3 = low-level matrix (channels x positions).
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from mrlm_core.config import ModelConfig
from mrlm_core.model.compiled import Tensor, accurate, compiled, with_gradient
from mrlm_core.model.convolution import convolution_stack
from mrlm_core.model.dropout import Dropout

WINDOW = 3  # Eq. 6-7 compare each element with its 3 x 3 neighbourhood
_OFFSETS = [(p, q) for p in range(WINDOW) for q in range(WINDOW)]


class TripletNetwork(keras.layers.Layer):
    """The shared trunk of Eq. 1-2: conv1..conv4, dropout, and a dense layer to the global vector g. Gap G08."""

    def __init__(self, config: ModelConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.blocks = convolution_stack(config.trunk_channels, config, config.first_stride, "conv", policy)
        self.flatten = keras.layers.Flatten(dtype=policy)
        self.dropout = Dropout(config.dropout, dtype=policy)
        self.fc = keras.layers.Dense(config.global_dim, config.output_activation, name="fc", dtype=policy)

        self.low_level_shape = config.trunk_channels[0], -(-config.embedding_dim // config.first_stride)

    def call(self, initial: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """Initial vectors ``[B, d_0]`` -> (global vectors ``[B, d_1]``, low-level matrices ``[B, d_2, d_3]``)."""
        low_level = self.blocks[0](ops.expand_dims(initial, -1), training=training)
        features = low_level
        for block in self.blocks[1:]:
            features = block(features, training=training)
        g = self.fc(self.dropout(self.flatten(features), training=training))
        return g, ops.transpose(low_level, (0, 2, 1))


def difference_tensor(h_user: Tensor, h_item: Tensor) -> Tensor:
    """Eq. 6-7 taken literally: ``[B, d_2, d_3]`` twice -> ``[B, d_2, d_3, 3, 3]``.

    Each user element, spread over a 3 x 3 block, minus the item's 3 x 3 window around the same place; the item is
    padded with zeros at its border (the paper does not say). For teaching and testing: nine times the input. Gap G03.
    """
    h_user, h_item = ops.convert_to_tensor(h_user), ops.convert_to_tensor(h_item)
    rows, columns = h_user.shape[1:]
    padded = ops.pad(h_item, [[0, 0], [1, 1], [1, 1]])
    windows = [
        [padded[:, p : p + rows, q : q + columns] for q in range(WINDOW)] for p in range(WINDOW)
    ]
    stacked = ops.stack([ops.stack(row, axis=-1) for row in windows], axis=-2)
    return h_user[..., None, None] - stacked


class DifferenceCalculation(keras.layers.Layer):
    """The dense layer over the flattened difference tensor (Eq. 8-9), without building that tensor.

    The layer is affine, so its ``kernel`` ``[d_2, d_3, 3, 3, units]`` folds: summed over the 3 x 3 offsets it acts on
    the user's matrix, scattered back over them on the item's. Two products of d_2 d_3 numbers replace one of 9 d_2 d_3;
    the outputs are equal (tested against ``difference_tensor``). Gap G02.
    """

    def __init__(self, units: int, activation: Any = None, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # computes in the type of its inputs, but folds in its own
        self.units = units
        self.activation = keras.activations.get(activation)

    def build(self, h_user_shape: tuple[int, ...], h_item_shape: tuple[int, ...]) -> None:
        rows, columns = h_user_shape[1:]
        self.kernel = self.add_weight(
            shape=(rows, columns, WINDOW, WINDOW, self.units),
            initializer="he_uniform",  # its fan-in is the flattened tensor's length, as for a dense layer
            name="kernel",
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, h_user: Tensor, h_item: Tensor) -> Tensor:
        """Low-level matrices of users ``[B, d_2, d_3]`` and of one or more items each -> C_p ``[k B, units]``.

        ``h_item`` ``[k B, d_2, d_3]`` holds the items of the k pairs one after the other (k = 2 in a triplet); what
        the user adds to C_p is computed once for all of them.
        """
        h_user, h_item = ops.convert_to_tensor(h_user), ops.convert_to_tensor(h_item)
        user_kernel, item_kernel = fold(self.kernel)
        of_user, of_item = self._product(h_user, user_kernel), self._product(h_item, item_kernel)
        pairs = ops.reshape(of_item, (-1, ops.shape(of_user)[0], self.units))
        return self.activation(ops.reshape(of_user - pairs + ops.cast(self.bias, of_user.dtype), (-1, self.units)))

    def _product(self, h: Tensor, folded: Tensor) -> Tensor:
        flat = ops.reshape(h, (-1, h.shape[1] * h.shape[2]))
        return ops.matmul(flat, ops.cast(ops.reshape(folded, (-1, self.units)), h.dtype))


@with_gradient
def fold(kernel: Tensor) -> tuple[Any, Any]:
    """The kernel ``[d_2, d_3, 3, 3, units]`` over differences as one over users and one over items (to be subtracted).

    ``[d_2, d_3, units]`` each: the sum over the 3 x 3 offsets, and the offsets scattered back over their places.
    """
    return _fold(kernel), _unfold


@compiled
def _fold(kernel: Tensor) -> tuple[Tensor, Tensor]:
    rows, columns = kernel.shape[:2]
    padded = ops.pad(kernel, [[1, 1], [1, 1], [0, 0], [0, 0], [0, 0]])
    scattered = sum(padded[2 - p : 2 - p + rows, 2 - q : 2 - q + columns, p, q] for p, q in _OFFSETS)
    return ops.sum(kernel, axis=(2, 3)), scattered


@compiled
def _unfold(of_user: Tensor, of_item: Tensor) -> Tensor:
    """The gradient of ``fold``: each offset of the kernel collects from the places that it went to."""
    rows, columns, units = of_user.shape
    padded = ops.pad(of_item, [[1, 1], [1, 1], [0, 0]])
    collected = [of_user + padded[p : p + rows, q : q + columns] for p, q in _OFFSETS]
    return ops.reshape(ops.stack(collected, axis=2), (rows, columns, WINDOW, WINDOW, units))


class IdentityHead(keras.layers.Layer):
    """Softmax head that recognises one of ``n_classes`` identities from a global vector (Eq. 4).

    ``full`` gives all logits. ``sampled`` scores the true class against ``n_candidates`` uniformly drawn ones, each
    logit corrected by -log of its expected count (Bengio & Senecal 2008), accidental hits masked; it is used in
    training only, where the full matrix would dominate the step. Gap G23.
    """

    def __init__(self, n_classes: int, sampled: bool, n_candidates: int, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # computes in the type of g; casts of a large table what it takes
        self.n_classes, self.sampled, self.n_candidates = n_classes, sampled, n_candidates
        self.seeds = keras.random.SeedGenerator()

    def build(self, shape: tuple[int, ...]) -> None:
        self.kernel = self.add_weight(shape=(self.n_classes, shape[-1]), initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.n_classes,), initializer="zeros", name="bias")

    def call(self, g: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors ``[B, d_1]`` and true ids ``[B]`` -> (logits ``[B, C]``, ids ``[B]`` within these C)."""
        if not self.sampled:
            return class_logits(g, ops.cast(self.kernel, g.dtype), self.bias), ids
        drawn = keras.random.randint((self.n_candidates,), 0, self.n_classes, seed=self.seeds)
        # Rows taken from the variable itself: taken from its value, TensorFlow copies the whole table first.
        kernel, bias = self.kernel.value, self.bias.value
        candidates = accurate(ops.matmul(g, ops.transpose(ops.cast(ops.take(kernel, drawn, axis=0), g.dtype))))
        candidates = candidates + ops.take(bias, drawn) - float(np.log(self.n_candidates / self.n_classes))
        hits = ops.equal(drawn[None, :], ops.cast(ids, drawn.dtype)[:, None])
        candidates = ops.where(hits, -1e9, candidates)
        true = ops.sum(accurate(g) * ops.take(kernel, ids, axis=0), axis=-1) + ops.take(bias, ids)
        logits = ops.concatenate([true[:, None], candidates], axis=1)
        return logits, ops.zeros_like(ids)


@with_gradient
def class_logits(g: Tensor, kernel: Tensor, bias: Tensor) -> tuple[Any, Any]:
    """``g`` ``[B, d_1]`` times each row of ``kernel`` ``[C, d_1]``, plus ``bias`` ``[C]``: logits ``[B, C]``."""

    def gradient(upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # Written out so that the kernel's gradient comes in the kernel's own layout, not to be transposed after.
        of_kernel = ops.matmul(ops.transpose(upstream), g)
        return ops.matmul(upstream, kernel), of_kernel, _sum_of_rows(upstream, bias)

    return _biased(ops.matmul(g, ops.transpose(kernel)), bias), gradient


@compiled
def _biased(logits: Tensor, bias: Tensor) -> Tensor:
    wide = accurate(logits)
    return ops.cast(wide + ops.cast(bias, wide.dtype), logits.dtype)


@compiled
def _sum_of_rows(rows: Tensor, like: Tensor) -> Tensor:
    return ops.cast(ops.sum(accurate(rows), axis=0), like.dtype)


def identity_head(n_classes: int, config: ModelConfig, name: str) -> IdentityHead:
    """The head that ``config.identity_head`` asks for; "auto" samples above ``identity_full_limit`` classes."""
    large = n_classes > config.identity_full_limit
    sampled = config.identity_head == "sampled" or (config.identity_head == "auto" and large)
    return IdentityHead(n_classes, sampled, min(config.sampled_candidates, n_classes), name=name)

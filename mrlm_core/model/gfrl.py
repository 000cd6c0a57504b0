"""GFRL (§3.2): the triplet network, the difference calculation and the identity heads.

Shapes: B = batch, d_0 = initial vector, d_1 = global vector, d_2 x d_3 = low-level matrix (channels x positions).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mrlm_core.config import ModelConfig

Tensor = Any
WINDOW = 3  # Eq. 6-7 compare each element with its 3 x 3 neighbourhood


def convolution_stack(channels: tuple[int, ...], config: ModelConfig, first_stride: int, name: str) -> list[Any]:
    """One block a channel count: 1-D convolution, batch normalisation, ReLU (Eq. 1 and 12)."""
    return [
        keras.Sequential(
            [
                keras.layers.Conv1D(
                    count,
                    config.kernel_size,
                    strides=first_stride if index == 0 else 1,
                    padding="same",
                    use_bias=False,  # batch normalisation brings its own
                ),
                keras.layers.BatchNormalization(momentum=config.batch_norm_momentum),
                keras.layers.ReLU(),
            ],
            name=f"{name}{index + 1}",
        )
        for index, count in enumerate(channels)
    ]


class TripletNetwork(keras.layers.Layer):
    """The shared trunk of Eq. 1-2: conv1..conv4, dropout, and a dense layer to the global vector g."""

    def __init__(self, config: ModelConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.blocks = convolution_stack(config.trunk_channels, config, config.first_stride, "conv")
        self.flatten = keras.layers.Flatten()
        self.dropout = keras.layers.Dropout(config.dropout)
        self.fc = keras.layers.Dense(config.global_dim, activation=config.output_activation, name="fc")

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
    padded with zeros at its border (the paper does not say). For teaching and testing: nine times the input.
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
    the outputs are equal (tested against ``difference_tensor``).
    """

    def __init__(self, units: int, activation: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
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
        """Low-level matrices ``[B, d_2, d_3]`` of users and items -> C_p ``[B, units]``."""
        return self.combine(self.user_part(h_user), self.item_part(h_item))

    def user_part(self, h_user: Tensor) -> Tensor:
        """What the user's matrix adds to C_p, ``[B, units]``; computed once for both pairs of a triplet."""
        return self._product(h_user, ops.sum(self.kernel, axis=(2, 3)))

    def item_part(self, h_item: Tensor) -> Tensor:
        """What the item's matrix takes from C_p, ``[B, units]``."""
        offsets_first = ops.transpose(self.kernel, (2, 3, 0, 1, 4))
        scattered = sum(
            _shift(_shift(offsets_first[p, q], p - 1, axis=0), q - 1, axis=1)
            for p in range(WINDOW)
            for q in range(WINDOW)
        )
        return self._product(h_item, scattered)

    def combine(self, user_part: Tensor, item_part: Tensor) -> Tensor:
        """C_p = activation(user part - item part + bias)."""
        return self.activation(user_part - item_part + self.bias)

    def _product(self, h: Tensor, folded: Tensor) -> Tensor:
        h = ops.convert_to_tensor(h)
        return ops.matmul(ops.reshape(h, (-1, h.shape[1] * h.shape[2])), ops.reshape(folded, (-1, self.units)))


def _shift(array: Tensor, by: int, axis: int) -> Tensor:
    """``array`` moved ``by`` places along ``axis``, zeros coming in and the far end falling off."""
    if by == 0:
        return array
    length = array.shape[axis]
    kept = slice(0, length - by) if by > 0 else slice(-by, length)
    padding = [[0, 0]] * len(array.shape)
    padding[axis] = [max(by, 0), max(-by, 0)]
    return ops.pad(array[(slice(None),) * axis + (kept,)], padding)


class IdentityHead(keras.layers.Layer):
    """Softmax head that recognises one of ``n_classes`` identities from a global vector (Eq. 4).

    ``full`` gives all logits. ``sampled`` scores the true class against ``n_candidates`` uniformly drawn ones, each
    logit corrected by -log of its expected count (Bengio & Senecal 2008), accidental hits masked; it is used in
    training only, where the full matrix would dominate the step.
    """

    def __init__(self, n_classes: int, sampled: bool, n_candidates: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n_classes, self.sampled, self.n_candidates = n_classes, sampled, n_candidates
        self.seeds = keras.random.SeedGenerator()

    def build(self, shape: tuple[int, ...]) -> None:
        self.kernel = self.add_weight(shape=(self.n_classes, shape[-1]), initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.n_classes,), initializer="zeros", name="bias")

    def call(self, g: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors ``[B, d_1]`` and true ids ``[B]`` -> (logits ``[B, C]``, ids ``[B]`` within these C)."""
        if not self.sampled:
            return ops.matmul(g, ops.transpose(self.kernel)) + self.bias, ids
        drawn = keras.random.randint((self.n_candidates,), 0, self.n_classes, seed=self.seeds)
        candidates = ops.matmul(g, ops.transpose(ops.take(self.kernel, drawn, axis=0)))
        candidates = candidates + ops.take(self.bias, drawn) - ops.log(self.n_candidates / self.n_classes)
        hits = ops.equal(drawn[None, :], ops.cast(ids, drawn.dtype)[:, None])
        candidates = ops.where(hits, -1e9, candidates)
        true = ops.sum(g * ops.take(self.kernel, ids, axis=0), axis=-1) + ops.take(self.bias, ids)
        logits = ops.concatenate([true[:, None], candidates], axis=1)
        return logits, ops.zeros_like(ids)


def identity_head(n_classes: int, config: ModelConfig, name: str) -> IdentityHead:
    """The head that ``config.identity_head`` asks for; "auto" samples above ``identity_full_limit`` classes."""
    large = n_classes > config.identity_full_limit
    sampled = config.identity_head == "sampled" or (config.identity_head == "auto" and large)
    return IdentityHead(n_classes, sampled, min(config.sampled_candidates, n_classes), name=name)

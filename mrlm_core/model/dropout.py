"""Dropout that draws few random numbers: on a CPU drawing them takes longer than what they decide."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mrlm_core.model.compiled import Tensor, accurate, compiled, with_gradient

BITS = 15  # of randomness an element at the most: the rate is exact to 2^-15


class Dropout(keras.layers.Layer):
    """Inverted dropout (Srivastava et al. 2014) over ``[B, n]``; a random number decides as many elements as it can.

    A rate of 1/2 takes one bit an element, 1/4 two, one that is no fraction of a power of two ``BITS``.
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.bits = next((bits for bits in range(1, BITS) if rate * 2**bits % 1 == 0), BITS)
        self.seeds = keras.random.SeedGenerator()

    def call(self, values: Tensor, training: bool = False) -> Tensor:
        """In training, each value zero with probability ``rate``, else divided by 1 - rate."""
        if not training or self.rate == 0:
            return values
        shape = (ops.shape(values)[0], -(-values.shape[1] // (2 * BITS // self.bits)))
        drawn = keras.random.randint(shape, 0, 2 ** (2 * BITS), seed=self.seeds)
        return _kept(values, drawn, self.rate, self.bits)


def _kept(values: Tensor, drawn: Tensor, rate: float, bits: int) -> Tensor:
    def forward(values: Tensor) -> tuple[Any, Any]:
        return _keep(values, drawn, rate, bits), lambda upstream: _keep(upstream, drawn, rate, bits)

    return with_gradient(forward)(values)


@compiled
def _keep(values: Tensor, drawn: Tensor, rate: float, bits: int) -> Tensor:
    places = ops.arange(0, 2 * BITS // bits * bits, bits, dtype="int32")
    parts = ops.bitwise_and(ops.right_shift(drawn[:, :, None], places), 2**bits - 1)
    kept = ops.reshape(parts, (-1, parts.shape[1] * parts.shape[2]))[:, : values.shape[1]] >= round(rate * 2**bits)
    return ops.cast(ops.where(kept, accurate(values) / (1.0 - rate), 0.0), values.dtype)

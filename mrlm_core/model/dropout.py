"""Dropout whose random numbers cost half: on a CPU drawing them takes longer than what they decide."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mrlm_core.model.compiled import Tensor, accurate, compiled, with_gradient

BITS = 15  # of randomness an element: the rate is exact to 2^-15


class Dropout(keras.layers.Layer):
    """Inverted dropout (Srivastava et al. 2014) over ``[B, n]``; each random number decides two elements."""

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seeds = keras.random.SeedGenerator()

    def call(self, values: Tensor, training: bool = False) -> Tensor:
        """In training, each value zero with probability ``rate``, else divided by 1 - rate."""
        if not training or self.rate == 0:
            return values
        half = -(-values.shape[1] // 2)
        drawn = keras.random.randint((ops.shape(values)[0], half), 0, 2 ** (2 * BITS), seed=self.seeds)
        return _kept(values, drawn, self.rate)


def _kept(values: Tensor, drawn: Tensor, rate: float) -> Tensor:
    def forward(values: Tensor) -> tuple[Any, Any]:
        return _keep(values, drawn, rate), lambda upstream: _keep(upstream, drawn, rate)

    return with_gradient(forward)(values)


@compiled
def _keep(values: Tensor, drawn: Tensor, rate: float) -> Tensor:
    limit = round(rate * 2**BITS)
    kept = ops.concatenate([drawn % 2**BITS >= limit, drawn // 2**BITS >= limit], axis=1)[:, : values.shape[1]]
    return ops.cast(ops.where(kept, accurate(values) / (1.0 - rate), 0.0), values.dtype)

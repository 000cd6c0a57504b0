"""The block both networks are made of (Eq. 1 and 12): 1-D convolution, batch normalisation, ReLU.

Shapes: B = batch, L = positions, C = channels.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mrlm_core.config import ModelConfig
from mrlm_core.model.compiled import Tensor, accurate, compiled, with_gradient


class ConvolutionBlock(keras.layers.Layer):
    """Convolution ("same" padding, no bias), batch normalisation, ReLU; in training the latter two in one pass."""

    def __init__(self, channels: int, stride: int, config: ModelConfig, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # the statistics stay in float32
        self.convolution = keras.layers.Conv1D(
            channels, config.kernel_size, strides=stride, padding="same",
            use_bias=False,  # batch normalisation brings its own
            dtype=self.dtype_policy,
        )
        self.normalisation = keras.layers.BatchNormalization(
            momentum=config.batch_norm_momentum, dtype=self.dtype_policy
        )

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.convolution.build(shape)
        self.normalisation.build(self.convolution.compute_output_shape(shape))

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        """``[B, L, C_in]`` -> ``[B, L / stride, C]``; in training, by the statistics of this batch."""
        features, norm = self.convolution(features), self.normalisation
        if not training:
            return ops.relu(norm(features))
        outputs, mean, variance = normalised_relu(features, norm.gamma, norm.beta, norm.epsilon)
        for moving, value in ((norm.moving_mean, mean), (norm.moving_variance, variance)):
            moving.assign(moving * norm.momentum + value * (1.0 - norm.momentum))
        return outputs


def convolution_stack(
    channels: tuple[int, ...], config: ModelConfig, first_stride: int, name: str, dtype: Any
) -> list[ConvolutionBlock]:
    """One block a channel count; ``first_stride`` is the first one's, the others have 1."""
    return [
        ConvolutionBlock(count, first_stride if index == 0 else 1, config, name=f"{name}{index + 1}", dtype=dtype)
        for index, count in enumerate(channels)
    ]


def normalised_relu(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """ReLU of the batch-normalised ``x`` ``[B, L, C]``, and the mean and biased variance of each channel ``[C]``.

    Ioffe & Szegedy 2015, training form, with the gradient in closed form; nothing flows back through the statistics
    that are returned.
    """

    def forward(x: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Any, Any]:
        outputs, mean, variance = _forward(x, gamma, beta, epsilon)
        return (outputs, mean, variance), lambda upstream, *_: _backward(
            upstream, x, mean, variance, gamma, beta, epsilon
        )

    return with_gradient(forward)(x, gamma, beta)


@compiled
def _forward(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    rows, n = _rows(x)
    mean = _by_channel(rows, x) / n
    variance = _by_channel(ops.square(rows - _along(mean, x)), x) / n
    scale = gamma * ops.rsqrt(variance + epsilon)
    outputs = ops.relu(rows * _along(scale, x) + _along(beta - mean * scale, x))
    return ops.reshape(ops.cast(outputs, x.dtype), ops.shape(x)), mean, variance


@compiled
def _backward(
    upstream: Tensor, x: Tensor, mean: Tensor, variance: Tensor, gamma: Tensor, beta: Tensor, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    rows, n = _rows(x)
    inverse = ops.rsqrt(variance + epsilon)
    scale = gamma * inverse
    active = rows * _along(scale, x) + _along(beta - mean * scale, x) > 0
    gradient = ops.where(active, _rows(upstream)[0], ops.zeros_like(rows))
    of_beta = _by_channel(gradient, x)
    of_gamma = (_by_channel(gradient * rows, x) - mean * of_beta) * inverse
    slope = -scale * inverse * of_gamma / n
    shift = -scale * of_beta / n - mean * slope
    of_x = gradient * _along(scale, x) + rows * _along(slope, x) + _along(shift, x)
    return ops.reshape(ops.cast(of_x, x.dtype), ops.shape(x)), of_gamma, of_beta


# Positions and channels side by side make rows of thousands of numbers, which vectorise; 15 or 30 channels do not.
def _rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """``x`` as ``[B, L C]``, and B L."""
    rows = accurate(ops.reshape(x, (-1, x.shape[1] * x.shape[2])))
    return rows, ops.cast(ops.shape(x)[0] * x.shape[1], rows.dtype)


def _along(values: Tensor, x: Tensor) -> Tensor:
    """One value a channel ``[C]`` repeated over the positions, ``[L C]``."""
    return ops.tile(values, (x.shape[1],))


def _by_channel(rows: Tensor, x: Tensor) -> Tensor:
    """Sums of ``rows`` ``[B, L C]`` over batch and positions, ``[C]``."""
    return ops.sum(ops.reshape(ops.sum(rows, axis=0), (x.shape[1], x.shape[2])), axis=0)

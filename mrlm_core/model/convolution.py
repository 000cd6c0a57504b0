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
    """Convolution ("same" padding, no bias), batch normalisation, ReLU; ``policy`` is the type of the convolution.

    Statistics, scale and shift stay in float32. Gap G07.
    """

    def __init__(self, channels: int, stride: int, config: ModelConfig, policy: Any = None, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.convolution = keras.layers.Conv1D(
            channels, config.kernel_size, strides=stride, padding="same",
            use_bias=False,  # batch normalisation brings its own
            dtype=policy,
        )
        self.normalisation = keras.layers.BatchNormalization(momentum=config.batch_norm_momentum)

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.convolution.build(shape)
        self.normalisation.build(self.convolution.compute_output_shape(shape))

    def compute_output_shape(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Of inputs of ``shape``, as Keras asks its layers."""
        return self.convolution.compute_output_shape(shape)

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        """``[B, L, C_in]`` -> ``[B, L / stride, C]``; in training, by the statistics of this batch."""
        features, norm = self.convolution(features), self.normalisation
        if not training:
            return ops.cast(ops.relu(norm(features)), features.dtype)
        outputs, mean, variance = normalised_relu(features, norm.gamma, norm.beta, norm.epsilon)
        for moving, value in ((norm.moving_mean, mean), (norm.moving_variance, variance)):
            moving.assign(moving * norm.momentum + value * (1.0 - norm.momentum))
        return outputs


def convolution_stack(
    channels: tuple[int, ...], config: ModelConfig, first_stride: int, name: str, policy: Any
) -> list[ConvolutionBlock]:
    """One block a channel count; ``first_stride`` is the first one's, the others have 1. Gap G05."""
    return [
        ConvolutionBlock(count, first_stride if index == 0 else 1, config, policy, name=f"{name}{index + 1}")
        for index, count in enumerate(channels)
    ]


def normalised_relu(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """ReLU of the batch-normalised ``x`` ``[B, L, C]``, and the mean and biased variance of each channel ``[C]``.

    Ioffe & Szegedy 2015, training form, with the gradient in closed form; nothing flows back through the statistics
    that are returned.
    """

    def forward(x: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Any, Any]:
        count = ops.cast(ops.shape(x)[0] * x.shape[1], gamma.dtype)
        mean = _by_channel(x) / count
        variance = _by_channel(_centred_squares(x, mean)) / count
        inverse = ops.rsqrt(variance + epsilon)

        def gradient(upstream: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
            active, projected = _masked(upstream, x, mean, gamma * inverse, beta)
            of_beta, of_gamma = _by_channel(active), _by_channel(projected) * inverse
            slope, shift = -gamma * inverse**2 * of_gamma / count, -gamma * inverse * of_beta / count
            return _combined(active, x, mean, gamma * inverse, slope, shift), of_gamma, of_beta

        return (_scaled_relu(x, mean, gamma * inverse, beta), mean, variance), gradient

    return with_gradient(forward)(x, gamma, beta)


def _by_channel(x: Tensor) -> Tensor:
    """Sums over batch and positions ``[C]``; over the batch by a product with ones, the fastest reduction there is."""
    rows = ops.reshape(x, (-1, x.shape[1] * x.shape[2]))
    over_batch = ops.matmul(ops.ones((1, ops.shape(rows)[0]), rows.dtype), rows)
    return ops.sum(accurate(ops.reshape(over_batch, (x.shape[1], x.shape[2]))), axis=0)


# Each of these is one pass over memory. Positions and channels side by side make rows of thousands of numbers, which
# vectorise; 15 or 30 channels do not.
@compiled
def _centred_squares(x: Tensor, mean: Tensor) -> Tensor:
    return _like(x, ops.square(_rows(x) - _along(mean, x)))


@compiled
def _scaled_relu(x: Tensor, mean: Tensor, scale: Tensor, beta: Tensor) -> Tensor:
    return _like(x, ops.relu(_rows(x) * _along(scale, x) + _along(beta - mean * scale, x)))


@compiled
def _masked(upstream: Tensor, x: Tensor, mean: Tensor, scale: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    """The upstream gradient where the ReLU let through, and its product with the centred ``x``."""
    rows = _rows(x)
    passed = rows * _along(scale, x) + _along(beta - mean * scale, x) > 0
    active = ops.where(passed, _rows(upstream), ops.zeros_like(rows))
    return _like(x, active), _like(x, active * (rows - _along(mean, x)))


@compiled
def _combined(active: Tensor, x: Tensor, mean: Tensor, scale: Tensor, slope: Tensor, shift: Tensor) -> Tensor:
    return _like(x, _rows(active) * _along(scale, x) + _rows(x) * _along(slope, x) + _along(shift - mean * slope, x))


def _rows(x: Tensor) -> Tensor:
    """``x`` as ``[B, L C]``, in the precision to compute in."""
    return accurate(ops.reshape(x, (-1, x.shape[1] * x.shape[2])))


def _like(x: Tensor, rows: Tensor) -> Tensor:
    """``rows`` ``[B, L C]`` in the shape and type of ``x``."""
    return ops.reshape(ops.cast(rows, x.dtype), ops.shape(x))


def _along(values: Tensor, x: Tensor) -> Tensor:
    """One value a channel ``[C]`` repeated over the positions, ``[L C]``."""
    return ops.tile(values, (x.shape[1],))

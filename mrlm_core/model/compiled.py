"""Chains of elementwise operations as single passes over memory, with gradients in closed form.

On a CPU the step is bound by memory as soon as the products are fast: each elementwise operation on its own reads and
writes megabytes. Products and convolutions stay with the backend, which does them best.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import keras
from keras import ops

Tensor = Any


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` of tensors, compiled by XLA where it runs inside a TensorFlow graph; the same numbers elsewhere.

    In eager mode (a notebook, a test) compiling would cost more than it saves; JAX compiles the whole step anyway.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    within_graph = tf.function(function, jit_compile=True, autograph=False)

    @wraps(function)
    def call(*arguments: Any) -> Any:
        return function(*arguments) if tf.executing_eagerly() else within_graph(*arguments)

    return call


def with_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` of tensors that returns (outputs, gradient), differentiated by that ``gradient``.

    ``gradient`` takes the upstream gradient of each output and gives one for each argument, on any backend.
    """

    @ops.custom_gradient
    def call(*arguments: Tensor) -> tuple[Any, Callable[..., Any]]:
        outputs, gradient = function(*arguments)

        def of_upstream(*given: Any, upstream: Any = None) -> Any:
            return gradient(*keras.tree.flatten(given if upstream is None else upstream))

        return outputs, of_upstream

    return lambda *arguments: call(*map(_value, arguments))


def _value(argument: Any) -> Tensor:
    """A tensor; TensorFlow's custom gradients refuse variables."""
    value = argument.value if isinstance(argument, keras.Variable) else ops.convert_to_tensor(argument)
    return value.read_value() if hasattr(value, "read_value") else value


def accurate(values: Tensor) -> Tensor:
    """``values`` in the precision to sum in: float32, or float64 where they have it."""
    return ops.cast(values, "float64" if keras.backend.standardize_dtype(values.dtype) == "float64" else "float32")

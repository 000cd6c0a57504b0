"""Gradients on whichever backend Keras runs, and by central differences in NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops


def backend_gradients(function, *arrays):
    """d function / d array for each array, by the backend's own differentiation; ``function`` gives a scalar."""
    tensors = [ops.convert_to_tensor(array) for array in arrays]
    if keras.backend.backend() == "jax":
        import jax

        found = jax.jit(jax.grad(function, argnums=tuple(range(len(tensors)))))(*tensors)
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(*tensors)
        found = tape.gradient(value, tensors, unconnected_gradients="zero")
    return [ops.convert_to_numpy(gradient) for gradient in found]


def central_differences(function, *arrays, step=1e-6):
    """The same from values alone: float64, two evaluations an element."""
    gradients = []
    for position, array in enumerate(arrays):
        gradient = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            moved = [a.copy() for a in arrays]
            moved[position][place] += step
            above = function(*moved)
            moved[position][place] -= 2 * step
            gradient[place] = (above - function(*moved)) / (2 * step)
        gradients.append(gradient)
    return gradients


@pytest.fixture
def gradients():
    return backend_gradients


@pytest.fixture
def check_gradients():
    """Assert that ``ours`` (Keras ops) has the value and the gradients of ``reference`` (NumPy, float64)."""

    # On JAX the mean of Keras computes in float32, whatever it is given.
    exact = keras.backend.backend() != "jax"

    def check(ours, reference, *arrays):
        value = ops.convert_to_numpy(ours(*[ops.convert_to_tensor(a) for a in arrays]))
        assert value.dtype == np.float64
        assert value.shape == ()
        np.testing.assert_allclose(value, reference(*arrays), rtol=1e-12 if exact else 1e-6)
        expected = central_differences(reference, *arrays)
        for found, wanted in zip(backend_gradients(ours, *arrays), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-7 if exact else 1e-6, atol=1e-8)

    return check

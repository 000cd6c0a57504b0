"""Each item that a batch names several times is read once: what makes models of texts and histories affordable."""

from __future__ import annotations

from collections.abc import Callable

from keras import ops

from mrlm_core.baselines.network import Tensor
from mrlm_core.training.optimizer import on_tensorflow


def distinct(indices: Tensor) -> tuple[Tensor, Tensor]:
    """The values among ``indices`` ``[n]``, each once, and where each index found its own, ``[n]``.

    Only TensorFlow can let the number of values depend on the data; elsewhere all are kept, which costs time alone.
    """
    if not on_tensorflow():
        return indices, ops.arange(ops.shape(indices)[0])
    import tensorflow as tf

    return tuple(tf.unique(indices))


def once(indices: Tensor, states_of: Callable[[Tensor], Tensor]) -> Tensor:
    """``states_of`` indices ``[...]`` -> ``[..., k]``, computed once for each distinct one."""
    found, places = distinct(ops.reshape(indices, (-1,)))
    return ops.take(states_of(found), ops.reshape(places, ops.shape(indices)), axis=0)

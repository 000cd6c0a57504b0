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


def once_for_both(history: Tensor, items: Tensor, states_of: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """As ``once`` for ``history`` ``[B, L]`` and ``items`` ``[n]`` together: ``[B, L, k]`` and ``[n, k]``."""
    read = ops.reshape(history, (-1,))
    states, count = once(ops.concatenate([read, items]), states_of), ops.shape(read)[0]
    return ops.reshape(states[:count], (*ops.shape(history), states.shape[-1])), states[count:]

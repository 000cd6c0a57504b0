"""Exact top-N lists over the whole catalogue, a block of users at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

# 64 MB of float32 scores at a time: large enough for a fast matrix product, small enough for a laptop.
BLOCK_SCORES = 2**24

Score = Callable[[np.ndarray], Any]


@dataclass(frozen=True)
class RankedBlock:
    """Some users, their scores before exclusion ``[u, V]`` and their lists: ``items``, ``top`` ``[u, n]``."""

    users: np.ndarray
    scores: np.ndarray
    items: np.ndarray
    top: np.ndarray


def top_n(
    user_vectors: np.ndarray, item_vectors: np.ndarray, n: int, exclude: csr_matrix | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The ``n`` items of largest inner product for each user, exactly; ties go to the lower item index.

    ``user_vectors`` ``[U, d]``, ``item_vectors`` ``[V, d]``, ``exclude`` CSR ``[U, V]`` of items never to return.
    Returns items int32 ``[U, n]``, best first, and scores float32 ``[U, n]``; where a user has fewer than ``n``
    candidates the rest is item -1 with score -inf. Raises ValueError for NaN scores or shapes that do not fit.
    """
    users, items = np.asarray(user_vectors, np.float32), np.asarray(item_vectors, np.float32)
    if users.ndim != 2 or items.ndim != 2 or users.shape[1] != items.shape[1]:
        raise ValueError(f"user and item vectors: expected [U, d] and [V, d], found {users.shape} and {items.shape}")
    return top_n_of(inner_product(users, items), len(users), len(items), n, exclude)


def top_n_of(
    score: Score, n_users: int, n_items: int, n: int, exclude: csr_matrix | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """As ``top_n`` for a model without vectors; ``score(users)`` gives ``[len(users), n_items]``."""
    items, scores = np.empty((n_users, n), np.int32), np.empty((n_users, n), np.float32)
    for block in ranked_blocks(score, np.arange(n_users), n_items, n, exclude):
        items[block.users], scores[block.users] = block.items, block.top
    return items, scores


def ranked_blocks(
    score: Score, users: np.ndarray, n_items: int, n: int, exclude: csr_matrix | None = None
) -> Iterator[RankedBlock]:
    """Score and rank ``users`` a block at a time; ``exclude`` has a row for every user index that occurs."""
    if n < 1 or n_items < 1:
        raise ValueError(f"top-N: expected n and the catalogue to be at least 1, found n={n} and {n_items} items")
    if exclude is not None and exclude.shape[1] != n_items:
        raise ValueError(f"exclude: expected {n_items} columns, one an item, found {exclude.shape[1]}")
    size = max(1, BLOCK_SCORES // n_items)
    for start in range(0, len(users), size):
        block = users[start : start + size]
        scores = score(block)
        if tuple(scores.shape) != (len(block), n_items):
            raise ValueError(f"scores: expected shape {(len(block), n_items)}, found {tuple(scores.shape)}")
        items, top = _select(scores, n, block, None if exclude is None else exclude[block])
        yield RankedBlock(block, np.asarray(scores), items, top)


def inner_product(user_vectors: np.ndarray, item_vectors: np.ndarray) -> Score:
    """The score function of a model that is a product of vectors ``[U, d]`` and ``[V, d]``."""
    import tensorflow as tf

    items = tf.constant(item_vectors, tf.float32)

    def score(users: np.ndarray) -> Any:
        with _full_float32():
            return tf.matmul(tf.constant(user_vectors[users], tf.float32), items, transpose_b=True)

    return score


def _select(scores: Any, n: int, users: np.ndarray, exclude: csr_matrix | None) -> tuple[np.ndarray, np.ndarray]:
    """Top ``n`` of each row of ``scores`` ``[u, V]`` without its excluded items, padded with -1 and -inf."""
    import tensorflow as tf

    scores = tf.cast(scores, tf.float32)
    wrong = tf.reduce_any(tf.math.is_nan(scores), axis=1).numpy()
    if wrong.any():
        raise ValueError(f"scores: expected numbers for every item, found NaN for user {users[np.argmax(wrong)]}")
    if exclude is not None and exclude.nnz:
        rows = np.repeat(np.arange(exclude.shape[0], dtype=np.int32), np.diff(exclude.indptr))
        seen = np.stack([rows, exclude.indices.astype(np.int32)], axis=1)[exclude.data != 0]
        scores = tf.tensor_scatter_nd_update(scores, seen, tf.fill([len(seen)], -np.inf))
    # top_k documents that the lower index wins a tie, which argpartition does not.
    top, items = (found.numpy() for found in tf.math.top_k(scores, min(n, scores.shape[1])))
    items[np.isneginf(top)] = -1
    missing = ((0, 0), (0, n - top.shape[1]))
    return np.pad(items, missing, constant_values=-1), np.pad(top, missing, constant_values=-np.inf)


@contextmanager
def _full_float32() -> Iterator[None]:
    """Keep GPUs from rounding the factors to TF32, which would make the ranking inexact."""
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)

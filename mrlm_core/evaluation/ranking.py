"""Exact top-N lists over the whole catalogue, a block of users at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from mrlm_core.errors import problem
from mrlm_core.evaluation.kernels import Entries, best_of_rows, entries, over_rows, read_only

# Scores at a time: 64 MB of float32 at most. 16 MB are still in the cache when they are ranked; but each block reads
# all item vectors, and where those are too many for the cache, few large blocks make the faster product.
BLOCK_SCORES = 2**24
CACHED_SCORES = 2**22
CACHED_VECTORS = 2**23

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
    return top_n_of(inner_product(users, items), len(users), len(items), n, exclude, users.shape[1])


def top_n_of(
    score: Score, n_users: int, n_items: int, n: int, exclude: csr_matrix | None = None, width: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """As ``top_n`` for any scores; ``score(users)`` gives ``[len(users), n_items]``, ``width`` as in ``block_size``."""
    items, scores = np.empty((n_users, n), np.int32), np.empty((n_users, n), np.float32)
    for block in ranked_blocks(score, np.arange(n_users), n_items, n, exclude, width):
        items[block.users], scores[block.users] = block.items, block.top
        del block
    return items, scores


def ranked_blocks(
    score: Score, users: np.ndarray, n_items: int, n: int, exclude: csr_matrix | None = None, width: int = 0
) -> Iterator[RankedBlock]:
    """Score and rank ``users`` a block at a time; ``exclude`` has a row for every user index that occurs.

    Let go of a block before asking for the next: its scores' memory, warm in the cache, then serves again.
    """
    if n < 1 or n_items < 1:
        raise ValueError(f"top-N: expected n and the catalogue to be at least 1, found n={n} and {n_items} items")
    if exclude is None:
        exclude = csr_matrix((int(np.max(users, initial=-1)) + 1, n_items), dtype=np.float32)
    if exclude.shape[1] != n_items:
        raise ValueError(f"exclude: expected {n_items} columns, one an item, found {exclude.shape[1]}")
    if exclude.shape[0] <= np.max(users, initial=-1):
        raise ValueError(f"exclude: expected a row for user {np.max(users)}, found {exclude.shape[0]} rows")
    seen, size = entries(exclude), block_size(n_items, width)
    for start in range(0, len(users), size):
        yield _ranked(score, users[start : start + size], n_items, n, seen)


def _ranked(score: Score, users: np.ndarray, n_items: int, n: int, seen: Entries) -> RankedBlock:
    scores = np.asarray(score(users))
    if scores.shape != (len(users), n_items):
        raise ValueError(f"scores: expected shape {(len(users), n_items)}, found {scores.shape}")
    items, top = np.full((len(users), n), -1, np.int32), np.full((len(users), n), -np.inf, np.float32)
    single = read_only(np.ascontiguousarray(scores, np.float32))
    wrong = over_rows(best_of_rows, len(users), single, users, seen, items, top)
    if wrong >= 0:
        raise ValueError(f"scores: expected numbers for every item, found NaN for user {users[wrong]}")
    return RankedBlock(users, scores, items, top)


def block_size(n_items: int, width: int = 0) -> int:
    """How many users are scored at a time; ``width`` is the length of the vectors whose products the scores are."""
    scores = BLOCK_SCORES if n_items * width > CACHED_VECTORS else min(CACHED_SCORES, BLOCK_SCORES)
    return max(1, scores // n_items)


def inner_product(user_vectors: np.ndarray, item_vectors: np.ndarray) -> Score:
    """The score function of a model that is a product of vectors ``[U, d]`` and ``[V, d]``."""
    from keras import ops

    items = ops.convert_to_tensor(np.ascontiguousarray(item_vectors.T), "float32")  # [d, V]: small blocks go faster

    def score(users: np.ndarray) -> Any:
        with _full_float32():
            return ops.matmul(ops.convert_to_tensor(user_vectors[users], "float32"), items)

    return score


def known_users(users: np.ndarray, n_users: int) -> np.ndarray:
    """``users``; raises IndexError for one that is not in 0 .. n_users - 1, as NumPy takes -1 for the last one."""
    users = np.asarray(users)
    if users.size and not (users.min() >= 0 and users.max() < n_users):
        raise IndexError(problem("users to score", f"indices from 0 to {n_users - 1}",
                                 f"{users.min()} to {users.max()}", "Score only users that the model was fitted to."))
    return users


@contextmanager
def _full_float32() -> Iterator[None]:
    """Keep GPUs from rounding the factors to TF32, which would make the ranking inexact."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        with jax.default_matmul_precision("highest"):
            yield
        return
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)

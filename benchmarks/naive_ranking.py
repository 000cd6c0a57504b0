"""Top-N lists the plain ways: a sort a user, and TensorFlow's own operations as they stood here before the kernels."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

Lists = tuple[np.ndarray, np.ndarray]


def lists_by_sort(users: np.ndarray, items: np.ndarray, n: int, exclude: csr_matrix) -> Lists:
    """As ``ranking.top_n``: one user after the other, a stable sort of all his scores."""
    ranked, top = np.full((len(users), n), -1, np.int32), np.full((len(users), n), -np.inf, np.float32)
    for user, vector in enumerate(users):
        scores = items @ vector
        scores[exclude[user].indices] = -np.inf
        order = np.argsort(-scores, kind="stable")[:n]
        order = order[scores[order] > -np.inf]
        ranked[user, : len(order)], top[user, : len(order)] = order, scores[order]
    return ranked, top


def lists_by_top_k(users: np.ndarray, items: np.ndarray, n: int, exclude: csr_matrix, size: int) -> Lists:
    """As ``ranking.top_n``: ``size`` users at a time; product, NaN check, scatter of -inf, ``tf.math.top_k``."""
    import tensorflow as tf

    ranked, top = np.empty((len(users), n), np.int32), np.empty((len(users), n), np.float32)
    for start in range(0, len(users), size):
        rows = slice(start, start + size)
        scores = tf.matmul(tf.constant(users[rows]), tf.constant(items), transpose_b=True)
        if tf.reduce_any(tf.math.is_nan(scores)):
            raise ValueError("a score is NaN")
        own = exclude[rows]
        seen = np.stack([np.repeat(np.arange(own.shape[0]), np.diff(own.indptr)), own.indices], axis=1)
        scores = tf.tensor_scatter_nd_update(scores, seen, tf.fill([len(seen)], -np.inf))
        top[rows], ranked[rows] = (found.numpy() for found in tf.math.top_k(scores, n))
    ranked[np.isneginf(top)] = -1
    return ranked, top

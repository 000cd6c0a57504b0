"""Users a second of exact top-N lists over the whole catalogue against the bare matrix product of their scores."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.compare import Comparison, in_turn
from mrlm_core.evaluation import ranking

CASES = [(6_040, 3_706, 192), (20_000, 27_278, 192)]  # users, items, width of the vectors


def run(n_users: int, n_items: int, width: int, n: int = 100, seen: int = 144, repeats: int = 5) -> Comparison:
    """``top_n`` without each user's ``seen`` items against the product alone, in the same blocks of users."""
    rng = np.random.default_rng(0)
    users, items = (rng.normal(size=(count, width)).astype(np.float32) for count in (n_users, n_items))
    rows, columns = np.repeat(np.arange(n_users), seen), rng.integers(0, n_items, n_users * seen)
    exclude = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(n_users, n_items))
    name = f"{n_users:,} users, {n_items:,} items, {width} wide"

    def lists() -> None:
        ranking.top_n(users, items, n, exclude=exclude)

    def product() -> None:
        score = ranking.inner_product(users, items)
        size = max(1, ranking.BLOCK_SCORES // n_items)
        for start in range(0, n_users, size):
            score(np.arange(start, min(start + size, n_users)))

    return in_turn(name, "users", n_users, lists, product, repeats)


def matrix_rate(size: int = 4_096, repeats: int = 5) -> float:
    """GFLOP/s of a square float32 matrix product, the best of ``repeats``: the machine's limit as reached here."""
    import tensorflow as tf

    matrix = tf.random.normal((size, size))

    def product() -> None:
        tf.matmul(matrix, matrix).numpy()

    seconds = in_turn("", "", 1, product, lambda: None, repeats).ours
    return 2 * size**3 / float(seconds.min()) / 1e9

"""Users a second of exact top-N lists over the whole catalogue against the bare matrix product of their scores."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.compare import Comparison, in_turn
from benchmarks.section import Section
from mrlm_core.evaluation import ranking

HEADER = ["| size | ours, users/s | bare product, users/s | share of the limit | range |", "|---|--:|--:|--:|--:|"]
CASES = [(6_040, 3_706, 192), (20_000, 27_278, 192)]  # users, items, width of the vectors


def run(cases: list[tuple[int, int, int]] = CASES) -> Section:
    """The full ranking's section."""
    lines = [
        "Ours: exact top 100 of all items but the user's own, ties by index. Bare: the matrix product of the scores"
        " alone. 1 would be the limit.", "",
        *HEADER, *(compare(*case).row() for case in cases),
    ]
    return Section("Full ranking", lines, [])


def compare(n_users: int, n_items: int, width: int, n: int = 100, seen: int = 144, repeats: int = 5) -> Comparison:
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

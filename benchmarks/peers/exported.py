"""The exported split as every library's process reads it, and the lists that each of them writes.

Needs NumPy and SciPy alone, since it runs in each peer's own environment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

CUTOFF = 20
# Part that a list is for -> what it must leave out: all that was rated before, liked or not.
HIDDEN = {"validation": "rated", "test": "rated_or_validation"}
USERS_AT_ONCE = 256

Score = Callable[[np.ndarray], np.ndarray]  # users [u] -> scores [u, V]


def arrays(folder: str | Path, name: str = "interactions") -> dict[str, np.ndarray]:
    """The arrays of one exported file."""
    with np.load(Path(folder) / f"{name}.npz") as stored:
        return {key: stored[key] for key in stored.files}


def matrix(found: dict[str, np.ndarray], name: str) -> csr_matrix:
    """The exported pairs ``name`` as ones, float32 ``[U, V]``."""
    users, items = found[f"{name}_users"], found[f"{name}_items"]
    return csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=tuple(map(int, found["shape"])))


def write_lists(folder: str | Path, kept: str | Path, score: Score) -> None:
    """Every user's best CUTOFF items that HIDDEN leaves, by ``score``, to the file ``kept``: int32 ``[2, U, CUTOFF]``.

    First the lists for validation, then those for test; ties go to the lower item, -1 where no item is left. Raises
    ValueError for a score that is not a number.
    """
    found = arrays(folder)
    hidden = [matrix(found, name) for name in HIDDEN.values()]
    n_users, n_items = hidden[0].shape
    lists = np.full((len(hidden), n_users, CUTOFF), -1, np.int32)
    for start in range(0, n_users, USERS_AT_ONCE):
        users = np.arange(start, min(start + USERS_AT_ONCE, n_users))
        scores = np.array(score(users), np.float32)
        if scores.shape != (len(users), n_items) or np.isnan(scores).any():
            raise ValueError(f"scores: expected numbers {(len(users), n_items)}, found {scores.shape} or NaN")
        for part, seen in enumerate(hidden):
            lists[part, users] = best(scores, seen[users])
    temporary = Path(kept).with_suffix(".part.npy")
    np.save(temporary, lists)
    os.replace(temporary, kept)


def best(scores: np.ndarray, seen: csr_matrix) -> np.ndarray:
    """The CUTOFF best items of each row of ``scores`` ``[u, V]`` but the ``seen`` ones, -1 padded."""
    left = np.where(seen.toarray() > 0, -np.inf, scores)
    items = np.full((len(scores), CUTOFF), -1, np.int64)
    order = np.argsort(-left, axis=1, kind="stable")[:, :CUTOFF]
    items[:, : order.shape[1]] = np.where(np.isneginf(np.take_along_axis(left, order, 1)), -1, order)
    return items


@contextmanager
def timed(facts: dict[str, Any]) -> Iterator[None]:
    """Add the block's ``fit_seconds`` and, of all this process's threads, ``fit_cpu_seconds`` to ``facts``."""
    started, computed = time.perf_counter(), time.process_time()
    yield
    facts |= {"fit_seconds": time.perf_counter() - started, "fit_cpu_seconds": time.process_time() - computed}

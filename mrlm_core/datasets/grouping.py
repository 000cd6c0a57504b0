"""Compiled passes over all ratings: counting sorts and runs of one user, without a Python loop or a sort of the whole.

Every function has a test of equality with NumPy's, SciPy's or pandas' way to say the same.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# mypy: disable-error-code="no-untyped-def"


def inside(keys: np.ndarray, n_groups: int) -> None:
    """Raises IndexError when a key is not in 0 .. n_groups - 1, for compiled code would write anywhere."""
    if len(keys) and not (keys.min() >= 0 and keys.max() < n_groups):
        raise IndexError(f"keys from {keys.min()} to {keys.max()} for {n_groups:,} groups")


def row_numbers(n_rows: int) -> np.ndarray:
    """0 .. n_rows - 1, int32 where that holds them."""
    return np.arange(n_rows, dtype=np.int32 if n_rows < 2**31 else np.int64)


def in_order(major: np.ndarray, minor: np.ndarray, n_major: int, n_minor: int) -> np.ndarray:
    """Row numbers by ``major``, then ``minor``, then row; as ``np.lexsort((minor, major))``."""
    inside(major, n_major)
    inside(minor, n_minor)
    rows = row_numbers(len(major))
    if _ascending(major, minor):
        return rows
    return _sorted_by(major, _sorted_by(minor, rows, n_minor), n_major)


def has_repeats(major: np.ndarray, minor: np.ndarray, n_major: int, n_minor: int) -> bool:
    """Whether two rows agree in both keys."""
    inside(major, n_major)
    inside(minor, n_minor)
    if not (major[1:] >= major[:-1]).all():
        rows = _sorted_by(major, row_numbers(len(major)), n_major)
        major, minor = major[rows], minor[rows]
    return bool(_has_repeats(major, minor, n_minor))


def chosen(
    users: np.ndarray, items: np.ndarray, kinds: np.ndarray, wanted: np.ndarray, n_users: int
) -> tuple[np.ndarray, np.ndarray]:
    """(starts ``[n_users + 1]``, items) of the rows of a kind that is ``wanted`` (bool, by kind), rows by user."""
    inside(users, n_users)
    inside(kinds, len(wanted))
    starts = np.zeros(n_users + 1, np.int32 if len(users) < 2**31 else np.int64)
    return starts, _chosen(users, items, kinds, wanted, starts)


def newest_first(starts: np.ndarray, items: np.ndarray, age: np.ndarray) -> np.ndarray:
    """``items`` of each group ``starts[g]:starts[g + 1]`` by ascending ``age``; of equal age in the order given."""
    return _newest_first(starts, items, age)


@njit(cache=True)
def _ascending(major, minor):
    for row in range(1, len(major)):
        if major[row] < major[row - 1] or (major[row] == major[row - 1] and minor[row] < minor[row - 1]):
            return False
    return True


@njit(cache=True)
def _sorted_by(keys, rows, n_groups):
    """``rows`` by their key, those of one key in the order given: a counting sort."""
    place = np.zeros(n_groups + 1, np.int64)
    for key in keys:
        place[key + 1] += 1
    for group in range(n_groups):
        place[group + 1] += place[group]
    found = np.empty_like(rows)
    for row in rows:
        key = keys[row]
        found[place[key]] = row
        place[key] += 1
    return found


@njit(cache=True)
def _has_repeats(major, minor, n_minor):
    """Rows of one major key stand together: each minor key remembers the last major key that it was seen with."""
    seen = np.full(n_minor, -1, np.int64)
    for row in range(len(major)):
        if seen[minor[row]] == major[row]:
            return True
        seen[minor[row]] = major[row]
    return False


@njit(cache=True)
def _chosen(users, items, kinds, wanted, starts):
    """Adds instead of branching, for whether a row is wanted is a matter of chance."""
    for row in range(len(users)):
        starts[users[row] + 1] += wanted[kinds[row]]
    for user in range(len(starts) - 1):
        starts[user + 1] += starts[user]
    found = np.empty(starts[-1] + 1, np.int32)  # one more, for what follows the last wanted row
    place = 0
    for row in range(len(users)):
        found[place] = items[row]
        place += wanted[kinds[row]]
    return found[:-1]


@njit(cache=True)
def _newest_first(starts, items, age):
    found = np.empty(len(items), np.int32)
    for group in range(len(starts) - 1):
        first, end = starts[group], starts[group + 1]
        order = np.argsort(age[first:end], kind="mergesort")
        for place in range(end - first):
            found[first + place] = items[first + order[place]]
    return found

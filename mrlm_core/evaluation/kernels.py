"""The loops over users, compiled: best items of a row of scores, hits along a list, pairs in the right order.

Each kernel does the rows ``first`` to ``last`` of its arrays and lets go of the interpreter, so that ``over_rows`` can
share them among threads. No row's result depends on another's, hence none on how many threads there are. Sparse
matrices come as ``entries`` gives them, and ``users`` says which of their rows belongs to each row here. Nothing checks
an index in compiled code: the callers do.
"""

# mypy: allow-untyped-defs
from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numba import config, njit
from scipy.sparse import csr_matrix

GROUPS_PER_PLACE = 8  # more groups give a closer bound but cost a longer search for it
LONGEST_GROUP = 32
COUNTED_UP_TO = 256  # a short list is ordered faster by counting what is above each than by a sort
PARTS_PER_THREAD, LEAST_ROWS = 4, 64  # users differ in work, but handing out a part has its cost too

LOWEST = np.int32(-(2**31))  # the order key of minus infinity, and of what is left out; NaN lies above infinity
SHIFT = np.int32(0x00800000)
INFINITY = np.int32(0x7F000000)
ITEM = np.int64(2**32 - 1)

Entries: TypeAlias = tuple[np.ndarray, np.ndarray]

# Threads of our own rather than numba's: its pool must not be entered from two threads nor after a fork.
compiled = njit(nogil=True, cache=True)


def over_rows(kernel: Callable[..., int], n_rows: int, *arguments: Any) -> int:
    """``kernel(first, last, *arguments)`` over all rows by all threads; the first row it complains of, else -1."""
    threads = config.NUMBA_NUM_THREADS
    parts = threads * max(1, min(PARTS_PER_THREAD, n_rows // (threads * LEAST_ROWS)))
    bounds = np.linspace(0, n_rows, parts + 1).astype(np.int64)
    share = _threads(os.getpid()).map(lambda first, last: kernel(first, last, *arguments), bounds[:-1], bounds[1:])
    return min((row for row in share if row >= 0), default=-1)


def entries(matrix: csr_matrix) -> Entries:
    """``indptr`` and ``indices`` of a sparse matrix by rows, stored zeros left out."""
    matrix = csr_matrix(matrix)
    if (matrix.data == 0).any():
        matrix = matrix.copy()
        matrix.eliminate_zeros()
    return matrix.indptr, matrix.indices


def read_only(array: np.ndarray) -> np.ndarray:
    """A view, so that a kernel is compiled once for TensorFlow's read-only results and NumPy's own."""
    view = array.view()
    view.flags.writeable = False
    return view


@cache
def _threads(process: int) -> ThreadPoolExecutor:
    """The threads of this process; a fork inherits the pool but not its threads."""
    return ThreadPoolExecutor(config.NUMBA_NUM_THREADS, thread_name_prefix="rows")


@compiled
def best_of_rows(first, last, scores, users, seen, items, top):
    """Fill ``items`` int32 and ``top`` float32 ``[u, n]`` (given as -1 and -inf) from ``scores`` float32 ``[u, V]``.

    Items in the user's row of ``seen`` are left out, equal scores go by item. Returns the first row with a NaN, or -1.
    """
    n_items, n = scores.shape[1], min(items.shape[1], scores.shape[1])
    length = max(1, min(LONGEST_GROUP, n_items // (GROUPS_PER_PLACE * n)))
    maxima = np.empty(-(-n_items // length), np.int32)
    groups, found = np.empty(len(maxima), np.uint64), np.empty(n_items, np.int64)
    out = np.zeros(n_items, np.bool_)
    for row in range(first, last):
        own, wrong = _row(seen, users[row]), False
        for item in own:
            out[item] = True
        _group_maxima(scores[row].view(np.int32), out, maxima)
        for item in own:
            wrong |= scores[row, item] != scores[row, item]
        if wrong or maxima.max() > INFINITY:
            return row
        bound = max(_bound(maxima, n, n + n // 8), np.int32(LOWEST + 1))
        numbers = found[: _candidates(scores[row], out, maxima, bound, groups, found)]
        if len(numbers) > 2 * n:
            numbers = numbers[numbers >= _bound(numbers, n, n)]
        numbers = _falling(numbers)
        for place in range(min(n, len(numbers))):
            item = -numbers[place] & ITEM
            items[row, place], top[row, place] = item, scores[row, item]
        for item in own:
            out[item] = False
    return -1


@compiled
def _row(sparse, user):
    """The columns of a user's row."""
    indptr, indices = sparse
    return indices[indptr[user] : indptr[user + 1]]


@compiled
def _key(bits):
    """An int32 in the order of the float32 with these bits, the same for both zeros."""
    return np.int32((bits if bits >= 0 else np.int32(LOWEST - bits)) - SHIFT)


@compiled
def _group_maxima(bits, out, maxima):
    """The largest key of each group of items ``len(maxima)`` apart.

    So neighbours in the catalogue, often alike, fall into different groups, and no step waits for the one before.
    """
    maxima[:] = LOWEST
    for start in range(0, len(bits), len(maxima)):
        part, part_out = bits[start : start + len(maxima)], out[start : start + len(maxima)]
        for group in range(len(part)):
            key = LOWEST if part_out[group] else _key(part[group])
            maxima[group] = max(maxima[group], key)


@compiled
def _bound(keys, least, most):
    """A number that ``least`` to ``most`` of ``keys`` reach, more only in a tie, fewer only if there are no more."""
    low, high, one = keys.min(), keys.max(), keys.dtype.type(1)
    while low < high:
        middle = keys.dtype.type((low | high) - ((low ^ high) >> one))  # the mean rounded up, without overflow
        count = np.int32(0)
        for place in range(len(keys)):
            count = np.int32(count + np.int32(keys[place] >= middle))  # the sum of two int32 would be an int64
        if least <= count <= most:
            return middle
        if count > most:
            low = middle
        else:
            high = keys.dtype.type(middle - one)
    return low


@compiled
def _candidates(row, out, maxima, bound, groups, found):
    """The items whose key reaches ``bound``; returns how many. ``groups`` is room for those to look into.

    Each as one number that orders by score, then by item: the key in the upper half, less the item.
    """
    n_groups = 0
    for group in range(len(maxima)):
        groups[n_groups] = group
        n_groups += maxima[group] >= bound
    count, bits = 0, row.view(np.int32)
    for start in range(0, len(row), len(maxima)):
        part = bits[start : start + len(maxima)]
        reach = n_groups if len(part) == len(maxima) else np.searchsorted(groups[:n_groups], len(part))
        for place in range(reach):
            key = _key(part[groups[place]])  # an unsigned index: a signed one would be tested for being negative
            if key >= bound:
                item = start + np.int64(groups[place])
                if not out[item]:
                    found[count] = (np.int64(key) << 32) - item
                    count += 1
    return count


@compiled
def _falling(numbers):
    """The distinct ``numbers``, largest first."""
    if len(numbers) > COUNTED_UP_TO:
        return np.sort(numbers)[::-1].copy()
    ordered = np.empty_like(numbers)
    for place in range(len(numbers)):
        above = 0
        for other in range(len(numbers)):
            above += numbers[other] > numbers[place]
        ordered[above] = numbers[place]
    return ordered


@compiled
def hits_along(first, last, ranked, users, relevant, n_items, cutoffs, hits, listed, ordered):
    """Fill int64 ``[u, cutoffs]`` for the first ``cutoffs`` (rising) places of ``ranked`` ``[u, n]``, -1 padded.

    ``hits``: listed items in the user's row of ``relevant`` ``[U, n_items]``; ``listed``: items at all; ``ordered``:
    pairs of a hit and a later miss. Returns -1: nothing can be wrong.
    """
    wanted = np.zeros(n_items, np.bool_)
    for row in range(first, last):
        own = _row(relevant, users[row])
        for item in own:
            wanted[item] = True
        n_hits = n_listed = n_ordered = start = 0
        for column in range(len(cutoffs)):
            for item in ranked[row, start : cutoffs[column]]:
                hit = 0 <= item < n_items and wanted[item]
                n_listed += item >= 0
                n_hits += hit
                n_ordered += n_hits if item >= 0 and not hit else 0
            start = cutoffs[column]
            hits[row, column], listed[row, column], ordered[row, column] = n_hits, n_listed, n_ordered
        for item in own:
            wanted[item] = False
    return -1


@compiled
def pairs_in_order(first, last, scores, users, seen, relevant, twice, positives, negatives):
    """Fill int64 ``[u]``: relevant candidates, others, and ``twice`` their pairs in the right order, a tie being half.

    ``scores`` float ``[u, V]``; candidates are the items not in the user's row of ``seen``. Returns the first row with
    a NaN for a candidate, or -1.
    """
    candidate, values = np.ones(scores.shape[1], np.bool_), np.empty_like(scores[0])
    for row in range(first, last):
        own = _row(seen, users[row])
        for item in own:
            candidate[item] = False
        if _candidate_values(scores[row], candidate, values):
            return row
        positives[row], negatives[row], twice[row] = 0, candidate.sum(), 0
        for item in _row(relevant, users[row]):
            if candidate[item]:
                positives[row] += 1
                negatives[row] -= 1
                values[item] = np.nan  # neither below another's score nor equal to it, like what is no candidate
        for item in _row(relevant, users[row]):
            if candidate[item]:
                twice[row] += _below(values, scores[row, item])
        for item in own:
            candidate[item] = True
    return -1


@compiled
def _candidate_values(row, candidate, values):
    """Copy the candidates' scores, NaN for the rest; returns whether a candidate's score is NaN."""
    wrong = np.int32(0)
    for item in range(len(row)):
        values[item] = row[item] if candidate[item] else np.nan
        wrong |= np.int32(candidate[item] & (row[item] != row[item]))
    return wrong != 0


@compiled
def _below(values, score):
    """How many values are less than ``score`` plus how many are at most it: two for each below, one for a tie."""
    count = np.int32(0)
    for place in range(len(values)):
        count = np.int32(count + np.int32(values[place] < score) + np.int32(values[place] <= score))
    return np.int64(count)

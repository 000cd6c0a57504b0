"""The compiled passes give what NumPy, SciPy and pandas give, and refuse keys that would be written out of bounds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from mrlm_core.datasets import grouping

CASES = [(n, n_users, n_items, ordered) for n in (0, 1, 500) for n_users, n_items in ((1, 1), (7, 90), (90, 7))
         for ordered in (False, True)]  # fmt: skip


def keys(n: int, n_users: int, n_items: int, ordered: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n + n_users)
    users, items = rng.integers(0, n_users, n, np.int32), rng.integers(0, n_items, n, np.int32)
    order = np.lexsort((items, users)) if ordered else slice(None)
    return users[order], items[order]


@pytest.mark.parametrize(("n", "n_users", "n_items", "ordered"), CASES)
def test_order_repeats_and_groups(n: int, n_users: int, n_items: int, ordered: bool) -> None:
    users, items = keys(n, n_users, n_items, ordered)
    order = grouping.in_order(users, items, n_users, n_items)
    assert order.dtype == np.int32
    np.testing.assert_array_equal(order, np.lexsort((items, users)))  # equal pairs in the order of their rows
    repeated = pd.DataFrame({"user": users, "item": items}).duplicated()
    assert grouping.has_repeats(users, items, n_users, n_items) == repeated.any()
    once = ~repeated.to_numpy()
    assert not grouping.has_repeats(users[once], items[once], n_users, n_items)
    users, items = users[order], items[order]
    kinds = np.random.default_rng(0).integers(0, 4, n, np.int8)
    starts, found = grouping.chosen(users, items, kinds, np.array([False, True, False, True]), n_users)
    inside = kinds % 2 == 1
    matrix = csr_matrix((np.ones(inside.sum()), (users[inside], items[inside])), shape=(n_users, n_items))
    np.testing.assert_array_equal(np.diff(starts), np.bincount(users[inside], minlength=n_users))
    assert matrix.sum() == len(found)
    np.testing.assert_array_equal(found, items[inside])
    assert (starts.dtype, found.dtype) == (np.int32, np.int32)


def test_the_newest_come_first_and_of_equal_age_the_first() -> None:
    rng = np.random.default_rng(0)
    starts = np.array([0, 0, 40, 41, 300, 300])
    users, items, age = np.repeat(np.arange(5), np.diff(starts)), rng.permutation(300), rng.integers(0, 9, 300)
    expected = items[np.lexsort((np.arange(300), age, users))]
    for kind in (np.int64, np.float64):
        found = grouping.newest_first(starts, items.astype(np.int32), age.astype(kind))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("wrong", [-1, 3])
def test_keys_out_of_range_are_refused(wrong: int) -> None:
    good, bad = np.zeros(2, np.int32), np.array([0, wrong], np.int32)
    for call in (grouping.in_order, grouping.has_repeats):
        for pair in ((good, bad), (bad, good)):
            with pytest.raises(IndexError, match=f"{wrong}"):
                call(*pair, 3, 3)
    for users, kinds in ((bad, good), (good, bad)):
        with pytest.raises(IndexError, match=f"{wrong}"):
            grouping.chosen(users, good, kinds, np.ones(3, bool), 3)

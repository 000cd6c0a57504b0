"""Values of users by split: seeds of a split are averaged, users are matched by name, nothing of one side alone."""

import numpy as np
import pandas as pd
import pytest

from mrlm_core.study import panel


def _users(**values: float) -> pd.Series:
    return pd.Series(values)


def test_seeds_of_a_split_are_averaged_and_count_as_one() -> None:
    table = panel.by_split([(0, _users(a=0.0, b=1.0)), (1, _users(a=4.0, b=4.0)), (0, _users(a=1.0, b=1.0))])
    assert table.loc[0].to_dict() == {"a": 0.5, "b": 1.0}
    assert list(table.index) == [0, 1]
    repeated = panel.mean(panel.by_split([(split, _users(a=split, b=split)) for split in (0, 1)] * 5))
    once = panel.mean(panel.by_split([(split, _users(a=split, b=split)) for split in (0, 1)]))
    assert repeated == once


def test_users_are_matched_by_name_whatever_their_order() -> None:
    table = panel.by_split([(0, _users(a=1.0, b=2.0)), (1, _users(b=3.0, a=4.0, c=5.0))])
    assert table["a"].tolist() == [1.0, 4.0]
    assert np.isnan(table.loc[0, "c"])


def test_gaps_are_of_splits_and_users_that_both_have() -> None:
    one = panel.by_split([(0, _users(a=1.0, b=2.0)), (1, _users(a=1.0, b=1.0))])
    other = panel.by_split([(0, _users(a=0.5, c=9.0)), (2, _users(a=0.0))])
    gaps = panel.gaps(one, other)
    assert gaps.to_dict() == {"a": {0: 0.5}}
    assert panel.mean(gaps).mean == 0.5


def test_no_values_have_no_interval() -> None:
    assert np.isnan(panel.mean(panel.gaps(panel.by_split([]), panel.by_split([(0, _users(a=1.0))]))).low)


def test_a_split_without_a_value_does_not_count() -> None:
    table = panel.by_split([(0, _users(a=1.0, b=3.0)), (1, _users(a=np.nan, b=np.nan))])
    assert panel.mean(table).mean == pytest.approx(2.0)


def test_users_numbered_like_splits_are_not_taken_for_them() -> None:
    table = panel.by_split([(split, pd.Series([0.0, 0.5 + split], index=[0, 1])) for split in (0, 1)])
    assert table.to_numpy().tolist() == [[0.0, 0.5], [0.0, 1.5]]


def test_pairing_removes_what_users_share() -> None:
    """The same users in another order, far apart in how hard they are and equally far apart between the two sides."""
    hard = pd.Series(np.random.default_rng(2).normal(0, 1, 300), index=np.arange(300).astype(str))
    one = panel.by_split([(0, hard + 0.1), (1, hard - 0.3)])
    other = panel.by_split([(0, hard[::-1]), (1, hard[::-1] - 0.4)])
    gap, wide = panel.mean(panel.gaps(one, other)), panel.mean(one)
    assert (gap.mean, gap.low, gap.high) == pytest.approx((0.1, 0.1, 0.1))
    assert wide.high - wide.low > 0.1


def test_drawn_together_each_table_has_the_interval_that_it_has_alone() -> None:
    values = np.random.default_rng(3).random((3, 2, 40))
    values[1, :, :9] = np.nan  # users without this metric
    tables = [pd.DataFrame(table) for table in values]
    for table, found in zip(tables, panel.means(tables), strict=True):
        alone = panel.mean(table)
        assert (found.mean, found.low, found.high) == pytest.approx((alone.mean, alone.low, alone.high), rel=1e-12)
    tables[2] = tables[2].iloc[:1]  # another number of splits
    assert panel.means(tables) == [panel.mean(table) for table in tables]

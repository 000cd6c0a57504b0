"""The values of users by split: what every interval and every test of the study is made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from mrlm_core.evaluation.significance import Interval, interval
from mrlm_core.study.record import RunRecord


def split_of(record: RunRecord) -> int:
    """The seed that drew the split of a run."""
    return int(record.data["spec"]["split_seed"])


def by_split(runs: Iterable[tuple[int, pd.Series]]) -> pd.DataFrame:
    """Runs as (split, values of users) -> one table ``[splits, users]``, a split's seeds averaged; NaN where no value.

    Seeds of one split are no further splits: counted as such, they would make its luck look like agreement.
    """
    listed = list(runs)
    if not listed:
        return pd.DataFrame()
    table = pd.DataFrame([values for _, values in listed])
    return table.groupby(np.array([split for split, _ in listed])).mean()  # a list would name columns


def values(records: Sequence[RunRecord], metric: str) -> pd.DataFrame:
    """``by_split`` of a metric of the records; those without a result are left out."""
    return by_split((split_of(record), record.per_user[metric]) for record in records if record.per_user is not None)


def mean(table: pd.DataFrame) -> Interval:
    """Mean over splits of the mean over users ``[splits, users]``, and its interval; NaN where there is no value."""
    there = table.dropna(how="all")
    return interval(there.to_numpy()) if len(there) else Interval(np.nan, np.nan, np.nan)


def gaps(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """One minus other, both ``[splits, users]``, on the splits and users that have a value in both."""
    if one.empty or other.empty:
        return pd.DataFrame()
    both = (one - other).dropna(how="all")
    return both.dropna(axis="columns", how="all")


def difference(one: Sequence[RunRecord], other: Sequence[RunRecord], metric: str) -> Interval:
    """Mean of ``one`` minus ``other`` on the same users of the same splits, and its interval. Gap G32."""
    return mean(gaps(values(one, metric), values(other, metric)))

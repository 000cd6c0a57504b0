"""The values of users by split: what every interval and every test of the study is made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from mrlm_core.evaluation.significance import Interval, intervals
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
    table = pd.concat([values for _, values in listed], axis=1).T.astype(float)  # a frame made of rows is slow
    return table.groupby(np.array([split for split, _ in listed])).mean()  # a list would name columns


def values(records: Sequence[RunRecord], metric: str) -> pd.DataFrame:
    """``by_split`` of a metric of the records; those without a result are left out."""
    return by_split((split_of(record), record.per_user[metric]) for record in records if record.per_user is not None)


def mean(table: pd.DataFrame) -> Interval:
    """Mean over splits of the mean over users ``[splits, users]``, and its interval; NaN where there is no value."""
    return means([table])[0]


def means(tables: Sequence[pd.DataFrame]) -> list[Interval]:
    """``mean`` of each of ``tables``; as a rule they have the same splits and users, and are drawn together."""
    there = [table.dropna(how="all") for table in tables]
    if len({table.shape for table in there}) > 1:
        return [mean(table) for table in there]
    nothing = Interval(np.nan, np.nan, np.nan)
    return intervals(np.stack([table.to_numpy() for table in there])) if len(there[0]) else [nothing] * len(there)


def gaps(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """One minus other, both ``[splits, users]``, on the splits and users that have a value in both."""
    if one.empty or other.empty:
        return pd.DataFrame()
    both = (one - other).dropna(how="all")
    return both.dropna(axis="columns", how="all")


def difference(one: Sequence[RunRecord], other: Sequence[RunRecord], metric: str) -> Interval:
    """Mean of ``one`` minus ``other`` on the same users of the same splits, and its interval. Gap G32."""
    return mean(gaps(values(one, metric), values(other, metric)))

"""MRLM's hyperparameters on a grid, judged on validation alone: one at a time, or every combination (Table 2)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from mrlm_core.config import settings_of
from mrlm_core.errors import ConfigError, problem
from mrlm_core.study.record import RunRecord
from mrlm_core.study.spec import RunSpec

Grid = Mapping[str, Sequence[Any]]


def with_usual(grid: Grid, usual: Mapping[str, Any]) -> Grid:
    """Each setting's values with the usual one among them, in order.

    Raises ConfigError for a setting that there is not, and for values that one axis cannot hold: lists, mappings,
    numbers beside names.
    """
    for name, tried in grid.items():
        if name not in usual:
            raise ConfigError(problem(f"grid: {name}", "a dotted setting of MRLM", "none of that name",
                                      "`mrlm settings` lists them."))
        odd = [value for value in (*tried, usual[name]) if not isinstance(value, str | int | float)]
        if odd:
            raise ConfigError(problem(f"grid: {name}", "a setting that is a number or a name, and such values",
                                      str(odd[0]), "Give it by `settings`, and run the chapter once a value."))
        if len({isinstance(value, str) for value in (*tried, usual[name])}) > 1:
            raise ConfigError(problem(f"grid: {name}", f"values like the usual one, {usual[name]}",
                                      ", ".join(map(str, tried)), "Give numbers or names, not both."))
    return {name: sorted({*tried, usual[name]}) for name, tried in grid.items()}


def as_text(value: str | float) -> str:
    """A value of the grid as text: numbers without needless zeros, names as they are."""
    return value if isinstance(value, str) else f"{value:g}"


def one_at_a_time(spec: RunSpec, grid: Grid, seeds: int) -> list[RunSpec]:
    """``spec`` as it is, and with each value of each setting of ``grid`` in place of its own; ``seeds`` splits each."""
    usual = settings_of(spec.config)
    changes: list[dict[str, Any]] = [{}]
    changes += [{name: value} for name, values in grid.items() for value in values if value != usual[name]]
    return _with(spec, changes, seeds)


def every_combination(spec: RunSpec, grid: Grid, seeds: int) -> list[RunSpec]:
    """``spec`` with every combination of the values of ``grid``, as a grid search has it."""
    return _with(spec, [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())], seeds)


def table(records: Sequence[RunRecord], grid: Grid, metric: str = "recall@20") -> pd.DataFrame:
    """One row a run: the settings of ``grid`` that it had, its seed, and ``validation`` by ``metric`` (NaN: failed)."""
    rows = []
    for record in records:
        settings = record.data["spec"]["settings"]
        rows.append({**{name: settings[name] for name in grid}, "seed": record.data["spec"]["seed"],
                     "validation": record.validation.get(metric, float("nan"))})
    return pd.DataFrame(rows)


def along(runs: pd.DataFrame, grid: Grid, usual: Mapping[str, Any]) -> pd.DataFrame:
    """The rows of ``table`` that differ from ``usual`` in one setting at most, once for each axis they lie on.

    Columns ``setting``, ``value``, ``seed``, ``validation``; the usual run lies on every axis.
    """
    parts = []
    for name in grid:
        rows = matching(runs, {other: usual[other] for other in grid if other != name})
        parts.append(pd.DataFrame({"setting": name, "value": rows[name], "seed": rows["seed"],
                                   "validation": rows["validation"]}))
    return pd.concat(parts, ignore_index=True)


def ranked(runs: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """The combinations by mean validation, best first, with lowest and highest seed; failed runs count as missing."""
    groups = runs.groupby(list(grid), sort=False)["validation"]
    return groups.agg(["mean", "min", "max", "count"]).reset_index().sort_values("mean", ascending=False)


def spans(effects: pd.DataFrame) -> pd.Series:
    """By setting, how far the mean validation of its best value is above that of its worst; largest first."""
    means = effects.groupby(["setting", "value"])["validation"].mean().groupby("setting")
    return (means.max() - means.min()).sort_values(ascending=False)


def matching(runs: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """The rows whose columns have the values of ``settings``."""
    return runs[[all(row[name] == value for name, value in settings.items()) for _, row in runs.iterrows()]]


def _with(spec: RunSpec, changes: Sequence[Mapping[str, Any]], seeds: int) -> list[RunSpec]:
    return [replace(spec, settings={**spec.settings, **change}, split_seed=seed, seed=seed)
            for change in changes for seed in range(seeds)]

"""What the options of the gaps are worth: one at a time against the default, user by user; and AUC by definition."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from mrlm_core.config import settings_of
from mrlm_core.datasets import Dataset
from mrlm_core.errors import ConfigError, problem
from mrlm_core.study import panel
from mrlm_core.study.findings import listed, named
from mrlm_core.study.gaps import Gap, Option
from mrlm_core.study.record import RunRecord
from mrlm_core.study.spec import RunSpec
from mrlm_core.study.tables import by_label, intervals
from mrlm_core.study.variants import Variant

USUAL = "MRLM as it is"
RESEEDED = "another seed"  # the same splits, only the training starts elsewhere: what an option must exceed
_OTHER_SEED = 1000  # far from the usual ones
_REFERENCE = re.compile(r"=(\w+\.\w+)(?:\[(\d+)\])?")  # "=model.global_dim", "=model.trunk_channels[3]"


def trials(spec: RunSpec, dataset: Dataset, rows: Sequence[Gap]) -> list[Variant]:
    """``spec`` as it is, with another training seed, and with each option of ``rows`` alone.

    Their names are the gap's id and the option. Left out are options that the dataset does not allow (``lacking``) and
    those that are in force already.
    """
    found = [Variant(USUAL, "", spec), Variant(RESEEDED, "", replace(spec, seed=spec.seed + _OTHER_SEED))]
    for row in rows:
        for option in row.options:
            changed = of_option(spec, option)
            if not lacking(option, dataset) and changed.resolved() != spec.resolved():
                found.append(Variant(label(row, option), row.id, changed))
    return found


def of_option(spec: RunSpec, option: Option) -> RunSpec:
    """``spec`` with what the option changes; raises ConfigError for a reference to a setting that does not exist."""
    return replace(
        spec, model=option.model or spec.model, clusters=option.clusters or spec.clusters,
        settings={**spec.settings, **with_references(option.settings, settings_of(spec.config))},
    )


def with_references(value: Any, settings: Mapping[str, Any]) -> Any:
    """``value`` with each "=name" in it replaced by that setting, "=name[i]" by its i-th number (from 0)."""
    if isinstance(value, Mapping):
        return {key: with_references(part, settings) for key, part in value.items()}
    if isinstance(value, list):
        return [with_references(part, settings) for part in value]
    match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    name, place = match.groups()
    if name not in settings:
        raise ConfigError(problem(f"reference {value!r}", "a setting of the config", "an unknown name", "Correct it."))
    return settings[name] if place is None else settings[name][int(place)]


def lacking(option: Option, dataset: Dataset) -> str:
    """What the option needs and the dataset does not have, in words; empty where nothing is missing."""
    for need in option.needs:
        if need == "low ratings":
            there = bool((dataset.ratings["rating"] < dataset.positive_threshold).any())
        elif need == "unrated items":
            there = dataset.ratings["item"].nunique() < dataset.n_items
        else:
            there = need in dataset.modalities and dataset.modalities[need].kind == need
        if not there:
            return f"{dataset.name} has no {need}"
    return ""


def label(row: Gap, option: Option) -> str:
    """The option as tables and figures call it."""
    return f"{row.id} {option.name}"


def of_gap(records: Sequence[RunRecord], gap: str) -> list[RunRecord]:
    """The runs as it is, then those of the options of ``gap``; empty where none of these was run."""
    own = [record for record in records if record.label.startswith(f"{gap} ")]
    return [record for record in records if record.label == USUAL] + own if own else []


def effects(records: Sequence[RunRecord], metric: str) -> pd.DataFrame:
    """How far each label moves ``metric`` on test from ``USUAL``, on the same users of the same splits; largest first.

    Columns ``difference``, ``low``, ``high`` (95%, bootstrap over splits and users), ``splits``; NaN where all failed.
    """
    grouped = by_label(records)
    rows = {}
    for name, group in grouped.items():
        if name != USUAL:
            gaps = panel.gaps(panel.values(group, metric), panel.values(grouped[USUAL], metric))
            moved = panel.mean(gaps)
            rows[name] = (moved.mean, moved.low, moved.high, len(gaps))
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["difference", "low", "high", "splits"])
    return table.loc[table["difference"].abs().sort_values(ascending=False, kind="stable").index]


def reach_of_seed(table: pd.DataFrame) -> float:
    """How far another seed alone may go, either way: the far end of its interval in ``effects``."""
    return float(table.loc[[RESEEDED], ["low", "high"]].abs().to_numpy().max())


def clear(table: pd.DataFrame) -> pd.Series:
    """Which rows of ``effects`` have an interval without 0 and lie beyond ``reach_of_seed``."""
    return ((table["low"] > 0) | (table["high"] < 0)) & (table["difference"].abs() > reach_of_seed(table))


def sentences(table: pd.DataFrame, metric: str, usual: float) -> list[str]:
    """What ``effects`` came to; ``usual`` is the mean of ``metric`` as it is."""
    options = table.drop(index=RESEEDED).dropna(subset="difference")
    if options.empty:
        return ["No option was run."]
    same = (options[["difference", "low", "high"]] == 0).all(axis="columns")
    moved = options.loc[clear(table).loc[options.index], "difference"]
    first, most = options.index[0], options["difference"].iloc[0]
    text = [f"{named(metric)} is {usual:.4f} as it is; another training seed alone moves it by "
            f"{table['difference'][RESEEDED]:+.4f}.",
            f"Of {len(options)} options, {same.sum()} make no difference to anyone here. {len(moved)} move it clear of "
            "0 and further than the interval of one other seed reaches: "
            f"{(moved > 0).sum()} up, {(moved < 0).sum()} down.",
            f"Furthest goes **{first}**: {most:+.4f}, {most / usual:+.0%} of the whole."]
    failed = table.index[table["difference"].isna()]
    return text + ([f"Failed: {listed(list(failed))}."] if len(failed) else [])


def places(records: Sequence[RunRecord], metrics: Sequence[str]) -> pd.DataFrame:
    """The place of each label by the mean of each metric, 1 is best; labels that did not run are left out.

    So are metrics that tell none apart, as Recall@100 of a catalogue of 60 items, and those that an older record lacks.
    """
    tables = [record.per_user for record in records if record.per_user is not None]
    metrics = [metric for metric in metrics if all(metric in table for table in tables)]
    means = intervals(records, metrics).pivot(index="model", columns="metric", values="mean")
    order = [name for name in by_label(records) if means.loc[name].notna().all()]
    telling = [metric for metric in metrics if means.loc[order, metric].nunique() > 1]
    return means.loc[order, telling].rank(ascending=False, method="min").astype(int).rename_axis(columns=None)


def agreement(records: Sequence[RunRecord], metrics: Sequence[str]) -> pd.DataFrame:
    """Kendall's tau-b between the orders that the metrics put the labels in: 1 the same order, -1 the reverse.

    Whether Recall and an AUC can disagree on the order of models is a matter of how AUC is read. Gap G39.
    """
    return places(records, metrics).corr(method="kendall")


def most_moved(table: pd.DataFrame) -> str:
    """The label whose place depends most on the metric (``table`` as ``places`` gives it), in a sentence."""
    spread = table.max(axis=1) - table.min(axis=1)
    if not spread.any():
        return f"All of them give the {len(table)} rankings the same order."
    name = str(spread.idxmax())
    own = table.loc[name]
    return (f"{name} moves most: number {own.min()} of {len(table)} by {named(str(own.idxmin()))}, number {own.max()} "
            f"by {named(str(own.idxmax()))}. {int((spread > 0).sum())} change places at all.")

"""Differences and ratios of the means of models, with their joint draws, from the records of a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import stats

from mrlm_core.evaluation.significance import TEST_REPETITIONS, Draws, combined, joint_means, repetitions_for
from mrlm_core.study.claims import BEST_OF_SIMPLE, Claim, Pair, Source, claim_tests
from mrlm_core.study.findings import listed, named
from mrlm_core.study.panel import split_of, values
from mrlm_core.study.record import RunRecord


@dataclass(frozen=True)
class Effect:
    """A pair on one metric, or on the mean of several: difference and ratio of the means, drawn together."""

    pair: Pair
    gain: Draws
    ratio: Draws
    full: bool = False  # both means are 1, the most there is: more than the catalogue is listed

    @property
    def magnitude_inside(self) -> bool:
        """Whether the paper's ratio, if it states one, is inside our interval."""
        interval = self.ratio.interval()
        return self.pair.magnitude is None or interval.low <= self.pair.magnitude <= interval.high

    def __str__(self) -> str:
        paper = "" if self.pair.magnitude is None else f" (the paper: {self.pair.magnitude:.3f})"
        return f"{self.pair.over} / {self.pair.under} at {cells(self.pair.metrics)} {ratio_text(self.ratio)}{paper}"


def at_hand(wanted: Sequence[Pair], claim: Claim, source: Source) -> tuple[list[Pair], list[str]]:
    """The pairs with finished runs that keep their metrics, and what the others lack."""
    there, lacks = [], []
    for pair in wanted:
        simple = pair.under == BEST_OF_SIMPLE
        names = [pair.over, *(_simple(source) if simple else [pair.under])]
        why = [reason for name in names if (reason := source.why_not(name))]
        why = why or _not_kept(names, pair.metrics, source) or ["a simple model"] * (len(names) < 2)
        if claim.test.get("needs_timestamps") and not why and not _timed(source.done(pair.over)):
            why = ["a dataset with timestamps"]
        there += [] if why else [pair]
        lacks += why + (_absent_simple(source) if simple else [])
    return there, list(dict.fromkeys(lacks))


def effects_of(there: Sequence[Pair], source: Source) -> tuple[list[Effect], int, str]:
    """Difference and ratio of each pair on the splits that all its models have, and which simple model was best."""
    chosen = ""
    if any(pair.under == BEST_OF_SIMPLE for pair in there):
        best = best_on_validation(source, _simple(source))
        there = [Pair(pair.over, best, pair.metrics) for pair in there]
        chosen = f"; {best} is the best simple model on validation"
    names = list(dict.fromkeys(name for pair in there for name in (pair.over, pair.under)))
    metrics = tuple(dict.fromkeys(metric for pair in there for metric in pair.metrics))
    drawn, n_splits = panel(source, names, metrics, repetitions_for(len(there)))
    effects = []
    for pair in there if drawn else ():
        both = {metric: (drawn[pair.over, metric], drawn[pair.under, metric]) for metric in pair.metrics}
        average = len(both) > 1
        if average:  # a list as long as the catalogue would draw it to 1
            both = {metric: means for metric, means in both.items() if not _full(means)} or both
            pair = replace(pair, metrics=tuple(both))
        ratios = [over.over(under) for over, under in both.values()]
        if not average:
            (means,) = both.values()
            effects.append(Effect(pair, means[0] - means[1], ratios[0], _full(means)))
        else:
            ratio = combined(lambda numbers: numbers.mean(axis=0), ratios)
            effects.append(Effect(pair, Draws(ratio.value - 1, ratio.draws - 1), ratio))
    return effects, n_splits, chosen


def _full(means: tuple[Draws, Draws]) -> bool:
    return all(mean.value == 1 for mean in means)


def panel(
    source: Source, names: Sequence[str], metrics: Sequence[str], repetitions: int = TEST_REPETITIONS
) -> tuple[dict[tuple[str, str], Draws], int]:
    """Joint draws of the mean of each (name, metric) over the splits that all ``names`` have, and how many these are.

    Empty where there is no such split, or where the records do not keep a metric.
    """
    runs = {name: [record for record in source.done(name) if record.per_user is not None] for name in names}
    splits = sorted(set.intersection(*({split_of(record) for record in some} for some in runs.values())))
    runs = {name: [record for record in some if split_of(record) in splits] for name, some in runs.items()}
    kept = all(set(metrics) <= set(record.per_user) for some in runs.values() for record in some)  # type: ignore[arg-type]
    if not splits or not kept:
        return {}, 0
    tables = {(name, metric): values(runs[name], metric) for name in names for metric in metrics}
    users = pd.Index(np.unique(np.concatenate([table.columns for table in tables.values()])))
    stacked = np.stack([table.reindex(index=splits, columns=users).to_numpy() for table in tables.values()])
    return dict(zip(tables, joint_means(stacked, repetitions), strict=True)), len(splits)


def best_on_validation(source: Source, names: Sequence[str]) -> str:
    """That of ``names`` with the best validation mean of the metric that selects."""
    means = {name: np.mean([record.validation[record.data["selected_on"].split()[-1]] for record in source.done(name)])
             for name in names}
    return max(means, key=lambda name: means[name])


def _simple(source: Source) -> list[str]:
    return [name for name in claim_tests()["simple"] if source.done(name)]


def _absent_simple(source: Source) -> list[str]:
    """The simple models that could run on the dataset and did not."""
    lacks = {name: [record.lack for record in source.records.get(name, ())] for name in claim_tests()["simple"]}
    return [source.why_not(name) for name in lacks if not source.done(name) and not any(lacks[name])]


def _not_kept(names: Sequence[str], metrics: Sequence[str], source: Source) -> list[str]:
    tables = [record.per_user for name in names for record in source.done(name) if record.per_user is not None]
    return [f"records that keep {metric}" for metric in metrics
            if not all(metric in table for table in tables)]


def order_fails(claim: Claim, there: Sequence[Pair], source: Source) -> dict[str, float]:
    """By metric the share of repetitions in which not all of a claimed order holds; empty where none is claimed.

    It is the p of "this is not the order", and as every p never below 1 / (B + 1).
    """
    if not claim.test.get("order"):
        return {}
    names = list(dict.fromkeys(name for pair in there for name in (pair.over, pair.under)))
    drawn, _ = panel(source, names, claim.metrics)
    p_values = {}
    for metric in claim.metrics if drawn else ():
        if all(drawn[name, metric].value == 1 for name in names):  # the list is as long as the catalogue
            continue
        holds = np.all([drawn[pair.over, metric].draws > drawn[pair.under, metric].draws
                        for pair in there if pair.metrics == (metric,)], axis=0)
        p_values[metric] = (1 + int(np.sum(~holds))) / (len(holds) + 1)
    return p_values


def trend(claim: Claim, there: Sequence[Pair], source: Source) -> str:
    """For a claimed order of three models or more, Page's test of it over splits, on each metric (Page 1963)."""
    chain = [pair for pair in there if pair.metrics == claim.metrics[:1]]
    if not claim.test.get("order") or any(one.under != two.over for one, two in pairwise(chain)) or len(chain) < 2:
        return ""
    names, p_values = [chain[0].over, *(pair.under for pair in chain)], []
    for metric in claim.metrics:
        by_split = pd.concat([values(source.done(name), metric).mean(axis=1) for name in names], axis=1).dropna()
        if len(by_split) < 2:
            return ""
        if (by_split == 1).all(axis=None):
            continue
        found = stats.page_trend_test(by_split.to_numpy(), predicted_ranks=range(len(names), 0, -1))
        p_values.append(f"{found.pvalue:.2g} at {named(metric)}")
    return f"; trend over splits, Page's p = {listed(p_values)}" if p_values else ""


def _timed(records: Sequence[RunRecord]) -> bool:
    return all(record.data["report"].get("latest_by") == "timestamp" for record in records)


def ratio_text(ratio: Draws) -> str:
    interval = ratio.interval()
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def half_width(ratio: Draws) -> float:
    interval = ratio.interval()
    return (interval.high - interval.low) / 2


def cells(metrics: Sequence[str]) -> str:
    """One metric by its name, several by their number."""
    return named(metrics[0]) if len(metrics) == 1 else f"{len(metrics)} metrics on average"

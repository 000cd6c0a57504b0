"""What an ablation came to, in sentences that are computed from its records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from mrlm_core.datasets import Dataset
from mrlm_core.evaluation.significance import LEVEL, Interval
from mrlm_core.study.ablation import FULL, GLOBAL, GROUPS, agreement, contributions
from mrlm_core.study.findings import difference, listed, named, sign, stopped_soon, words
from mrlm_core.study.record import RunRecord
from mrlm_core.study.tables import by_label, differences, intervals
from mrlm_core.study.variants import Variant

MODALITY_GROUPS = {"alone": "single", "left out": "leave-one-out"}  # column of ``contributions`` -> group


def sentences(
    records: Sequence[RunRecord], variants: Sequence[Variant], dataset: Dataset, metric: str
) -> list[str]:
    """Sentences on ``metric`` (as "recall@20") on test: MRLM and U-GFRL, the modalities, then every other group.

    A difference counts where the 95% interval of the paired difference over splits and users leaves out 0.
    """
    failed = sorted({record.label for record in records if record.failed})
    text = [f"Failed runs among: {listed(failed)}."] if failed else []
    if not {FULL, GLOBAL} <= {record.label for record in records if not record.failed}:
        return [*text, f"{FULL} or {GLOBAL} has no run, so there is nothing to compare with."]
    groups = {variant.group for variant in variants}
    table = contributions(records, dataset, metric)
    return [*text, _whole(records, metric), *_modalities(table, groups), *_planted(table),
            *_others(records, variants, metric), _by_chance(records, metric), *stopped_soon(records)]


def _whole(records: Sequence[RunRecord], metric: str) -> str:
    own = [record for record in records if record.label == FULL]
    full = Interval(*intervals(own, [metric])[["mean", "low", "high"]].to_numpy()[0])
    gap = difference(records, metric, FULL, GLOBAL)
    runs = sum(not record.failed for record in own)
    return (f"{FULL} reaches {named(metric)} {full} over {runs} split{'s' * (runs > 1)}. It is {words(gap)} {GLOBAL}, "
            f"which reads no modality: {gap}.")


def _modalities(table: pd.DataFrame, groups: set[str]) -> Iterator[str]:
    said = {"alone": (f"lift {FULL} above {GLOBAL}", "put it below", "best"),
            "left out": (f"cost {FULL} something", "are better left out", "missed most")}
    for column, group in MODALITY_GROUPS.items():
        rows = table[[column]].droplevel(0, axis=1).dropna()
        if group not in groups or rows.empty:
            continue
        signs = {str(name): sign(Interval(*row)) for name, row in zip(rows.index, rows.to_numpy(), strict=True)}
        helpful, harmful = ([name for name, value in signs.items() if value == wanted] for wanted in (1, -1))
        good, bad, effect = said[column]
        best = rows["mean"].idxmax()
        yield (f"{column.capitalize()}, of {len(signs)} modalities {len(helpful)} {good}{_bracketed(helpful)} and "
               f"{len(harmful)} {bad}{_bracketed(harmful)}; {effect}: {best}, {rows['mean'].max():+.4f}.")


def _planted(table: pd.DataFrame) -> Iterator[str]:
    for column in MODALITY_GROUPS:
        found = agreement(table["planted", "share"], table[column, "mean"])
        if not np.isnan(found.rank_correlation):
            yield (f"With the planted shares of {found.n} modalities the effects {column} have a rank correlation of "
                   f"{found.rank_correlation:+.2f}; {found.chance:.0%} of all orders agree with them as well or "
                   "better.")


def _others(records: Sequence[RunRecord], variants: Sequence[Variant], metric: str) -> Iterator[str]:
    there = {label for label, rows in by_label(records).items() if not all(row.failed for row in rows)}
    for group, question in GROUPS.items():
        names = [v.name for v in variants if v.group == group and v.name in there]
        if group == MODALITY_GROUPS["left out"] or not names:  # said already, the other way round
            continue
        gaps = {name: difference(records, metric, name, FULL) for name in names}
        told: dict[str, list[str]] = {}
        for name, gap in gaps.items():
            told.setdefault(words(gap), []).append(f"{name} ({gap.mean:+.4f})")
        parts = "; ".join(f"{word} {FULL}: {listed(found)}" for word, found in told.items())
        yield f"{question.title.capitalize()}: {parts}."


def _by_chance(records: Sequence[RunRecord], metric: str) -> str:
    """The reader's allowance for many intervals at once."""
    n = len(differences(records, metric, FULL))
    return (f"{n} intervals of differences to {FULL} were looked at; at {LEVEL:.0%} each, about {(1 - LEVEL) * n:.1f} "
            "would leave out 0 even if no part mattered.")


def _bracketed(names: Sequence[str]) -> str:
    return f" ({listed(names)})" if names else ""

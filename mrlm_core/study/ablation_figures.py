"""Figures of the ablation, drawn from run records and ``ablation.contributions`` alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mrlm_core.evaluation.significance import Interval
from mrlm_core.study.ablation import FULL
from mrlm_core.study.figures import MARKERS, canvas
from mrlm_core.study.findings import named
from mrlm_core.study.record import RunRecord
from mrlm_core.study.tables import differences, intervals
from mrlm_core.study.variants import Variant

INTERVAL = "95% interval"
COLOURS = ("C0", "C1", "C2", "C3", "C4", "C5", "C7")  # of the chapters' palette, without the palest


def effects(records: Sequence[RunRecord], variants: Sequence[Variant], metric: str, title: str) -> Figure:
    """A row a variant: mean of ``metric`` (left) and paired difference to MRLM (right), colour and marker by group."""
    means = _rows(intervals(records, [metric]).set_index("model"), ["mean", "low", "high"])
    gaps = _rows(differences(records, metric, FULL), [f"{metric} minus {FULL}", "low", "high"])
    groups = list(dict.fromkeys(variant.group for variant in variants))
    figure, (left, right) = canvas(10, 1.4 + 0.3 * len(variants), 1, 2)
    for place, variant in enumerate(variants):
        group = groups.index(variant.group)
        look = {"color": COLOURS[group % len(COLOURS)], "marker": MARKERS[group % len(MARKERS)]}
        _interval(left, place, means[variant.name], **look)
        if variant.name in gaps:
            _interval(right, place, gaps[variant.name], **look)
    left.axvline(means[FULL].mean, color="0.2", linewidth=1.5, zorder=1)
    right.axvline(0, color="0.2", linewidth=1.5, zorder=1)
    left.set_yticks(range(len(variants)), labels=[variant.name for variant in variants])
    right.set_yticks(range(len(variants)), labels=[])
    for axes in (left, right):
        axes.set_ylim(len(variants) - 0.5, -0.5)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    left.set_xlabel(f"{named(metric)} on test, {INTERVAL}")
    right.set_xlabel(f"minus {FULL}, same users, {INTERVAL}")
    figure.suptitle(title)
    return figure


def known_and_measured(table: pd.DataFrame, metric: str, title: str) -> Figure:
    """Planted share of each modality, and its effect left out and alone; ``table`` as ``contributions`` gives it."""
    said = {"planted": "planted share of the\nvariance of utility", "left out": "loss when left out",
            "alone": "gain alone, over none"}
    columns = [name for name in said if table[name].notna().to_numpy().any()] or ["planted"]
    figure, panels = canvas(1.5 + 3.2 * len(columns), 1.5 + 0.42 * len(table), 1, len(columns))
    for axes, column in zip(panels, columns, strict=True):
        if column == "planted":
            axes.barh(range(len(table)), table["planted", "share"], color="0.6")
            axes.set_xlabel(said[column])
        else:
            rows = _rows(table[[column]].droplevel(0, axis=1), ["mean", "low", "high"])
            for place, interval in enumerate(rows.values()):
                _interval(axes, place, interval, color="C0", marker="o")
            axes.axvline(0, color="0.2", linewidth=1.5, zorder=1)
            axes.set_xlabel(f"{named(metric)}, {said[column]}\n({INTERVAL})")
        axes.set_yticks(range(len(table)), labels=list(table.index) if axes is panels[0] else [])
        axes.set_ylim(len(table) - 0.5, -0.5)
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    figure.suptitle(title)
    return figure


def _rows(table: pd.DataFrame, columns: list[str]) -> dict[str, Interval]:
    """The rows of ``table`` as intervals by name; ``columns``: those of mean, low and high."""
    if table.empty:
        return {}
    return {str(name): Interval(*row) for name, row in zip(table.index, table[columns].to_numpy(), strict=True)}


def _interval(axes: Axes, place: int, found: Interval, color: str, marker: str) -> None:
    """One mean with its interval at height ``place``; a failed run leaves its row empty."""
    if not np.isnan(found.mean):
        axes.plot([found.low, found.high], [place, place], color=color, linewidth=2)
        axes.plot(found.mean, place, marker=marker, color=color, markersize=7)

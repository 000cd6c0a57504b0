"""Tables made from run records; nothing here computes a metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from mrlm_core.errors import ConfigError, problem
from mrlm_core.study import panel
from mrlm_core.study.record import RunRecord


def by_label(records: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    """The records of each model or variant, in the order in which they first appear."""
    grouped: dict[str, list[RunRecord]] = {}
    for record in records:
        grouped.setdefault(record.label, []).append(record)
    return grouped


def metric_names(measures: Sequence[str], cutoffs: Sequence[int], computed: Sequence[int]) -> list[str]:
    """Columns of records, as "recall@20"; raises ConfigError for a cutoff that the runs do not compute."""
    missing = sorted(set(cutoffs) - set(computed))
    if missing or not cutoffs:
        raise ConfigError(problem("cutoffs", f"some of {list(computed)}", str(missing or "none"),
                                  'Choose among them, or set "protocol.cutoffs" in settings.'))
    return [f"{measure}@{n}" for measure in measures for n in cutoffs]


def intervals(records: Sequence[RunRecord], metrics: Sequence[str]) -> pd.DataFrame:
    """One row a (model, metric): mean and interval over splits and users, number of runs, failed runs, lack.

    No metric is below 0 or above 1, so no interval, however wide for few splits, goes beyond.
    """
    rows: list[dict[str, Any]] = []
    for model, group in by_label(records).items():
        done = [record for record in group if not record.failed]
        found = panel.means([panel.values(done, metric) for metric in metrics])
        for metric, interval in zip(metrics, found, strict=True):
            ends = {"low": np.clip(interval.low, 0, 1), "high": np.clip(interval.high, 0, 1)}
            rows.append({"model": model, "metric": metric, "mean": interval.mean, **ends, "runs": len(done),
                         "failed": sum(record.failed and not record.lack for record in group),
                         "lack": group[0].lack})
    return pd.DataFrame(rows)


def compact(records: Sequence[RunRecord], metrics: Sequence[str]) -> pd.DataFrame:
    """Models x metrics as text "mean [low, high]"; failed runs say so."""
    return _wide(intervals(records, metrics), metrics)


def _wide(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """``intervals`` as ``compact`` shows them."""
    text = table.assign(text=[_cell(row) for _, row in table.iterrows()])
    wide = text.pivot(index="model", columns="metric", values="text")
    return wide.loc[list(table["model"].unique()), list(metrics)].rename_axis(index="Model", columns=None)


def styled(records: Sequence[RunRecord], metrics: Sequence[str], caption: str) -> Styler:
    """``compact`` for a page: the best mean of each column in bold, a caption above."""
    table = intervals(records, metrics)
    means, text = table.pivot(index="model", columns="metric", values="mean"), _wide(table, metrics)
    best = {metric: means[metric].idxmax() for metric in metrics if means[metric].notna().any()}

    def bold(column: pd.Series) -> list[str]:
        return ["font-weight: bold" if name == best.get(str(column.name)) else "" for name in column.index]

    one_line = "white-space: nowrap; font-size: 85%"
    return text.style.apply(bold).set_table_styles([{"selector": "td, th", "props": one_line}]).set_caption(caption)


def differences(records: Sequence[RunRecord], metric: str, reference: str) -> pd.DataFrame:
    """Each model's paired difference to ``reference`` on ``metric``, matched by split and user, seeds averaged."""
    grouped = by_label(records)
    rows = []
    for model, group in grouped.items():
        gaps = panel.gaps(panel.values(group, metric), panel.values(grouped.get(reference, []), metric))
        if model != reference and len(gaps):
            interval = panel.mean(gaps)
            rows.append({"Model": model, f"{metric} minus {reference}": interval.mean, "low": interval.low,
                         "high": interval.high, "splits": len(gaps)})
    return pd.DataFrame(rows).set_index("Model") if rows else pd.DataFrame()


def costs(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Median seconds of each stage, processor seconds of training, and memory (MiB), a row a model.

    A training that went on from a checkpoint is left out, where there is another: it tells of its last part alone.
    Memory is the highest of the process that ran the model, and what that process held before the run began (NaN in
    records that do not say): a worker keeps much of what another model took.
    """
    rows = {}
    for model, group in by_label([record for record in records if not record.failed]).items():
        whole = [record for record in group if not record.data.get("resumed")] or group
        stages = [record.data["stages"] for record in whole]
        rows[model] = {f"{name} (s)": float(np.median([s[name]["seconds"] for s in stages])) for name in stages[0]}
        for name in ("preprocessing", "training"):
            rows[model][f"{name} (processor s)"] = float(np.median([s[name]["cpu_seconds"] for s in stages]))
        highest = max(stages, key=lambda s: max(stage["peak_mib"] for stage in s.values()))
        rows[model]["memory of the process (MiB)"] = max(stage["peak_mib"] for stage in highest.values())
        rows[model]["of it before the run"] = next(iter(highest.values())).get("start_mib", np.nan)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="Model")


def _cell(row: pd.Series) -> str:
    if row["lack"]:
        return f"not run: {row['lack']}"
    if row["runs"] == 0:
        return "failed"
    text = f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
    return f"{text} ({row['failed']} failed)" if row["failed"] else text

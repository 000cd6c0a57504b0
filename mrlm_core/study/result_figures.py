"""Figures of the comparison, drawn from run records alone."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from mrlm_core.study.record import RunRecord
from mrlm_core.study.tables import costs, intervals

LINE_STYLES = ("-", "--", ":", "-.")


def recall_by_cutoff(records: Sequence[RunRecord], cutoffs: Sequence[int]) -> Figure:
    """Recall@N of every model against N with its interval; the paper's Table 3 as curves."""
    table = intervals(records, [f"recall@{n}" for n in cutoffs]).dropna(subset="mean")
    table["cutoff"] = table["metric"].str.split("@").str[1].astype(int)
    last = table[table["cutoff"] == max(cutoffs)].set_index("model")["mean"]
    order = list(last.sort_values(ascending=False).index)
    figure, axes = plt.subplots(figsize=(9, 5.5), layout="constrained")
    plt.close(figure)  # a notebook shows it where it is a value, not once more
    for place, (model, colour) in enumerate(zip(order, sns.color_palette("colorblind", len(order)), strict=True)):
        rows = table[table["model"] == model].sort_values("cutoff")
        spread = np.abs(rows[["low", "high"]].to_numpy().T - rows["mean"].to_numpy())
        style = LINE_STYLES[place % len(LINE_STYLES)]
        axes.errorbar(rows["cutoff"], rows["mean"], spread, label=model, color=colour, linestyle=style,
                      marker="o", capsize=3)
    axes.set(xscale="log", xlabel="cutoff N (items, log scale)", ylabel="Recall@N on test (95% interval)")
    axes.set_xticks(list(cutoffs), labels=[str(n) for n in cutoffs])
    axes.minorticks_off()
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, title="best first, at the last N")
    axes.grid(alpha=0.3)
    return figure


def cost_and_quality(records: Sequence[RunRecord], metric: str) -> Figure:
    """Seconds of preprocessing and training (median over runs) against the mean of ``metric``, a point a model."""
    means = intervals(records, [metric]).set_index("model")["mean"].dropna()
    table = costs(records)
    seconds = table["preprocessing (s)"] + table["training (s)"]
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    plt.close(figure)  # a notebook shows it where it is a value, not once more
    colours = sns.color_palette("colorblind", len(means))
    for colour, model in zip(colours, means.index, strict=True):
        axes.scatter(max(float(seconds.loc[model]), 0.01), means.loc[model], s=60, color=colour, label=model)
    axes.set(xscale="log", xlabel="preprocessing + training (seconds, log scale)", ylabel=f"{metric} on test")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    axes.grid(alpha=0.3)
    return figure

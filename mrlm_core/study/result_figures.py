"""Figures of the comparison, drawn from run records alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from mrlm_core.study.figures import MARKERS, canvas
from mrlm_core.study.grid import as_text
from mrlm_core.study.record import RunRecord
from mrlm_core.study.sensitivity import clear, reach_of_seed
from mrlm_core.study.tables import costs, intervals
from mrlm_core.study.trials import FINALS, best_so_far

LINE_STYLES = ("-", "--", ":", "-.")
ALWAYS_NAMED = ("MRLM", "Popularity")
NAMED = 8  # besides those: the palette has ten colours


def recall_by_cutoff(records: Sequence[RunRecord], cutoffs: Sequence[int], shown: int = NAMED) -> Figure:
    """Recall@N of the ``shown`` best models, of MRLM and of popularity against N; the rest in grey, without a name."""
    table = intervals(records, [f"recall@{n}" for n in cutoffs]).dropna(subset="mean")
    table["cutoff"] = table["metric"].str.split("@").str[1].astype(int)
    last = table[table["cutoff"] == max(cutoffs)].set_index("model")["mean"]
    order = list(last.sort_values(ascending=False).index)
    named = [model for place, model in enumerate(order) if place < shown or model in ALWAYS_NAMED]
    figure, axes = plt.subplots(figsize=(9, 5.5), layout="constrained")
    plt.close(figure)  # a notebook shows it where it is a value, not once more
    for model in (name for name in order if name not in named):
        rows = table[table["model"] == model].sort_values("cutoff")
        axes.plot(rows["cutoff"], rows["mean"], color="0.85", linewidth=1, zorder=0)
    for place, (model, colour) in enumerate(zip(named, sns.color_palette("colorblind", len(named)), strict=True)):
        rows = table[table["model"] == model].sort_values("cutoff")
        spread = np.abs(rows[["low", "high"]].to_numpy().T - rows["mean"].to_numpy())
        style = LINE_STYLES[place % len(LINE_STYLES)]
        axes.errorbar(rows["cutoff"], rows["mean"], spread, label=model, color=colour, linestyle=style,
                      marker="o", capsize=3)
    axes.set(xscale="log", xlabel="cutoff N (items, log scale)", ylabel="Recall@N on test (95% interval)")
    axes.set_xticks(list(cutoffs), labels=[str(n) for n in cutoffs])
    axes.minorticks_off()
    others = f"; {len(order) - len(named)} others grey" if len(order) > len(named) else ""
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, title=f"best first, at the last N{others}")
    axes.grid(alpha=0.3)
    return figure


def rank_change(places: pd.DataFrame, title: str) -> Figure:
    """From each model's place in the paper to its place here; ``places`` as ``paper_tables.ranks`` gives them."""
    figure, axes = plt.subplots(figsize=(7, 0.3 * len(places) + 1.5), layout="constrained")
    plt.close(figure)  # a notebook shows it where it is a value, not once more
    heights = places[["paper", "ours"]].rank(method="first").to_numpy()  # equal places below one another, not upon
    for (model, row), (left, right) in zip(places.iterrows(), heights, strict=True):
        own = model in ALWAYS_NAMED
        colour = "C3" if own else "C0" if row["ours"] < row["paper"] else "0.5"
        axes.plot([0, 1], [left, right], color=colour, linewidth=2.5 if own else 1.2, marker="o")
        axes.annotate(f"{model}  {row['paper']}", (0, left), (-8, 0), textcoords="offset points", ha="right",
                      va="center", fontsize=9)
        axes.annotate(f"{row['ours']}  {model}", (1, right), (8, 0), textcoords="offset points", ha="left",
                      va="center", fontsize=9)
    axes.set(xlim=(-0.7, 1.7), xticks=[0, 1], xticklabels=["place in the paper", "place here"], yticks=[], title=title)
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    return figure


def cost_and_quality(records: Sequence[RunRecord], metric: str) -> Figure:
    """Processor seconds of training (median of runs) against the mean of ``metric``, a point a model.

    Preprocessing is left out: models share it, and only the first that needs an artefact has its seconds. Named are
    those that nothing as cheap surpasses, joined by a line, and ``ALWAYS_NAMED``.
    """
    means = intervals(records, [metric]).set_index("model")["mean"].dropna()
    spent = costs(records)["training (processor s)"]  # other programs do not change it
    seconds = spent.loc[means.index].clip(lower=0.01)
    ordered = means[seconds.sort_values(kind="stable").index]
    best = list(ordered.index[ordered >= ordered.cummax()])
    figure, axes = plt.subplots(figsize=(9, 6), layout="constrained")
    plt.close(figure)  # a notebook shows it where it is a value, not once more
    axes.step(seconds[best], means[best], where="post", color="C0", linewidth=1, alpha=0.6)
    for model in means.index:
        place, named = (seconds[model], means[model]), model in best or model in ALWAYS_NAMED
        axes.scatter(*place, s=40, color="C3" if model in ALWAYS_NAMED else "C0" if named else "0.75")
        if named:
            axes.annotate(str(model), place, (4, 4), textcoords="offset points", fontsize=9)
    axes.set(xscale="log", xlabel="training (processor seconds, log scale)", ylabel=f"{metric} on test")
    axes.grid(alpha=0.3)
    return figure


def searches(trials: pd.DataFrame, title: str, columns: int = 5) -> Figure:
    """A panel a model: each trial's value (points), the best so far (line); ``trials`` as ``tune.trials_of`` gives."""
    models = list(trials["model"].unique())
    rows = -(-len(models) // columns)
    figure, panels = plt.subplots(rows, columns, figsize=(11, 1.7 * rows + 0.6), sharex=True, layout="constrained")
    plt.close(figure)  # a notebook shows it where it is a value, not once more
    best = best_so_far(trials)
    for axes, model in zip(np.ravel(panels), models, strict=False):
        own, line = trials[(trials["model"] == model) & (trials["trial"] < FINALS)], best[best["model"] == model]
        axes.scatter(own["trial"], own["value"], s=12, color="0.5")
        axes.step(line["trial"], line["best"], where="post", color="C3" if model in ALWAYS_NAMED else "C0")
        axes.set_title(model, fontsize=9)
        axes.tick_params(labelsize=7)
    for axes in np.ravel(panels)[len(models):]:
        axes.set_visible(False)
    figure.suptitle(title)
    figure.supxlabel("trial; the first is the default", fontsize=9)
    return figure


def hyperparameter_effects(effects: pd.DataFrame, usual: Mapping[str, Any], title: str) -> Figure:
    """A panel a setting: mean validation score by value, the band over seeds, the usual value marked.

    ``effects`` as ``grid.along`` gives them.
    """
    names = list(effects["setting"].unique())
    figure, panels = canvas(4 * len(names), 3.6, 1, len(names))
    lowest, highest = effects["validation"].min(), effects["validation"].max()
    margin = 0.1 * (highest - lowest) or 0.01
    for axes, name in zip(panels, names, strict=True):
        groups = effects[effects["setting"] == name].groupby("value")["validation"].agg(["mean", "min", "max"])
        places = np.arange(len(groups))  # evenly spaced: grids are as often geometric as not
        axes.plot(places, groups["mean"], marker="o")
        axes.fill_between(places, groups["min"], groups["max"], alpha=0.2)
        own = list(groups.index).index(usual[name])
        axes.plot(own, groups["mean"].iloc[own], marker="s", markersize=11, fillstyle="none", color="C3")
        axes.set_xticks(places, labels=[as_text(value) for value in groups.index])
        axes.set(xlabel=name, ylim=(lowest - margin, highest + margin))
    panels[0].set_ylabel("Recall@20 on validation")
    figure.suptitle(f"{title}; square: the preset's value")
    return figure


def option_effects(effects: pd.DataFrame, metric: str, title: str) -> Figure:
    """How far each option moves ``metric``, with its 95% interval, the furthest on top; the band is another seed's.

    ``effects`` as ``sensitivity.effects`` gives them. Filled: ``sensitivity.clear`` of chance and of the seed.
    """
    shown = effects.dropna(subset="difference")
    figure, (axes,) = canvas(9, 1.3 + 0.34 * len(shown))
    reach = reach_of_seed(shown)
    axes.axvspan(-reach, reach, color="0.88", label="as far as another training seed may go (95%)")
    axes.axvline(0, color="0.3", linewidth=1)
    numbers = shown[["difference", "low", "high"]].to_numpy()
    for height, (mean, low, high), is_clear in zip(range(len(shown), 0, -1), numbers, clear(shown), strict=True):
        colour = "0.45" if not is_clear else "C0" if mean > 0 else "C3"
        axes.plot([low, high], [height, height], color=colour, linewidth=2)
        axes.plot(mean, height, "o", color=colour, markersize=8, fillstyle="full" if is_clear else "none")
    axes.set_yticks(range(len(shown), 0, -1), labels=list(shown.index))
    axes.set(xlabel=f"{metric} on test, minus the usual (95% interval)", title=title, ylim=(0.3, len(shown) + 0.7))
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside lower right", frameon=False)
    return figure


def recall_by_bucket(table: pd.DataFrame, sizes: pd.DataFrame, title: str, ylabel: str, shown: int = NAMED) -> Figure:
    """Recall by bucket of item popularity, a line a model, above; how many test positives each bucket has, below.

    ``table`` and ``sizes`` as ``cold_tables.by_bucket`` and ``bucket_sizes`` give them. The ``shown`` models of the
    best mean over the buckets, MRLM and popularity are named, the rest grey.
    """
    figure, (axes, below) = plt.subplots(2, 1, figsize=(9, 6), sharex=True, layout="constrained",
                                         gridspec_kw={"height_ratios": [4, 1]})
    plt.close(figure)  # a notebook shows it where it is a value, not once more
    buckets = {name: place for place, name in enumerate(sizes.index)}
    best = table.groupby("model")["mean"].mean().nlargest(shown).index
    by_model = dict(iter(table.groupby("model", sort=False)))
    models = [model for model in by_model if model in best or model in ALWAYS_NAMED]
    for rows in (rows for model, rows in by_model.items() if model not in models):
        axes.plot([buckets[name] for name in rows["bucket"]], rows["mean"], color="0.85", linewidth=1, zorder=0)
    for place, (model, colour) in enumerate(zip(models, sns.color_palette("colorblind", len(models)), strict=True)):
        rows = by_model[model]
        spread = np.abs(rows[["low", "high"]].to_numpy().T - rows["mean"].to_numpy())
        # Side by side within a bucket, or the intervals would hide one another.
        across = [buckets[name] + 0.5 * ((place + 0.5) / len(models) - 0.5) for name in rows["bucket"]]
        axes.errorbar(across, rows["mean"], spread, label=model, color=colour, capsize=2, linewidth=1.2,
                      marker=MARKERS[place % len(MARKERS)], linestyle=LINE_STYLES[place % len(LINE_STYLES)])
    axes.set(title=title, ylabel=ylabel, ylim=(0, None))
    others = f"{len(by_model) - len(models)} others grey" if len(by_model) > len(models) else None
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, title=others)
    below.bar(list(buckets.values()), sizes["test positives"], color="0.6")
    below.set(ylabel="test\npositives", xlabel=sizes.index.name)
    below.set_xticks(list(buckets.values()), labels=list(buckets))
    for part in (axes, below):
        part.grid(axis="x", visible=False)
    return figure


def against_chance(panels: Mapping[str, pd.DataFrame], known: Mapping[str, str], title: str) -> Figure:
    """A panel a name: each model's Recall with its interval, and what lists in random order would reach (dashed).

    Each of ``panels`` holds the rows of one cutoff, as ``cold_tables.cold_recall`` gives them. Grey: models that know
    nothing of such items.
    """
    most = max(len(rows) for rows in panels.values())
    figure, row = canvas(1.5 + 4 * len(panels), 1.6 + 0.35 * most, 1, len(panels))
    for axes, (name, rows) in zip(row, panels.items(), strict=True):
        heights = np.arange(len(rows))
        for height, (_, found) in zip(heights, rows.iterrows(), strict=True):
            spread = [[abs(found["mean"] - found["low"])], [abs(found["high"] - found["mean"])]]
            colour = "C0" if known.get(found["model"]) else "0.6"
            axes.errorbar(found["mean"], height, xerr=spread, fmt="o", color=colour, capsize=3)
        axes.axvline(rows["random"].mean(), linestyle="--", color="C3", label="random order")
        axes.set_yticks(heights, labels=list(rows["model"]))
        axes.set(title=name, xlabel=f"Recall@{rows['cutoff'].iloc[0]} (95% interval)", xlim=(0, None))
        axes.invert_yaxis()
    for axes in row[1:]:
        axes.set_yticklabels([])
    figure.suptitle(title)
    figure.legend(*row[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure

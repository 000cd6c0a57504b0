"""The share of the ratings that is trained on (§4.4, Fig. 5): as printed, and with one fixed test set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mrlm_core.evaluation.significance import Interval
from mrlm_core.study import panel
from mrlm_core.study.comparison import fair
from mrlm_core.study.figures import MARKERS, canvas
from mrlm_core.study.findings import listed, named, sign, stopped_soon
from mrlm_core.study.paper_tables import PAPER_DATASETS, paper_numbers
from mrlm_core.study.record import FIXED, GAP, RunRecord
from mrlm_core.study.spec import RunSpec
from mrlm_core.study.tables import intervals

SETTING = "protocol.train_ratio"
ARMS = {"as printed": "", "fixed test": FIXED}  # arm -> prefix of its metrics
GAP_METRIC = "full_auc"  # has no cutoff: who has more positives than places in the list cannot have a Recall of 1
PAPER_METRIC = "auc@100"  # of Fig. 5, the only one whose numbers the text prints


def ratio_specs(base: RunSpec, models: Sequence[str], ratios: Sequence[float], seeds: int) -> list[RunSpec]:
    """Every model at every training ratio on ``seeds`` splits; the rest of ``base`` stays, validation share included.

    Settings of ``base`` are MRLM's and reach the others as ``fair`` says. Raises ConfigError for a model that
    does not exist.
    """
    return [
        RunSpec(base.dataset, name, split_seed=seed, seed=seed, preset=base.preset,
                **fair(name, base.preset, {**base.settings, SETTING: ratio}))
        for name in models for ratio in ratios for seed in range(seeds)
    ]


def is_ratio(record: RunRecord) -> bool:
    """Whether ``record`` is one of these runs: tested on the fixed test as well."""
    return "fixed_ratio" in record.data


def curves(records: Sequence[RunRecord], metric: str) -> pd.DataFrame:
    """Mean of ``metric`` and its interval, a row a (model, arm, ratio); from records with a fixed test."""
    parts = []
    for arm, prefix in ARMS.items():
        for ratio, group in _by_ratio(records).items():
            parts.append(intervals(group, [prefix + metric]).assign(arm=arm, ratio=ratio))
    table = pd.concat(parts, ignore_index=True)
    return table[["model", "arm", "ratio", "mean", "low", "high", "runs", "failed"]]


def steps(records: Sequence[RunRecord], metric: str, prefix: str = FIXED) -> pd.DataFrame:
    """The change of ``metric`` from each ratio to the next, paired by user, a row a (model, step).

    On the fixed test, or with prefix ``GAP`` of how much higher it is for the training positives.
    """
    rows = []
    by_ratio = _by_ratio(records)
    for model in dict.fromkeys(record.label for record in records):
        for low, high in zip(list(by_ratio)[:-1], list(by_ratio)[1:], strict=True):
            gap = _change(records, model, low, high, prefix + metric)
            rows.append({"model": model, "step": f"{low:.0%} to {high:.0%}", **vars(gap)})
    return pd.DataFrame(rows, columns=["model", "step", "mean", "low", "high"]).set_index(["model", "step"])


def test_set_effect(records: Sequence[RunRecord], metric: str) -> pd.DataFrame:
    """How much of each printed mean is the test set: the printed one minus the same models' mean on the fixed test.

    Rows models, columns ratios; 0 at the largest ratio, where both tests are one.
    """
    means = curves(records, metric).pivot(index=["model", "ratio"], columns="arm", values="mean")
    order = list(dict.fromkeys(record.label for record in records))
    return (means["as printed"] - means["fixed test"]).unstack("ratio").loc[order]


def paper_curve() -> pd.Series:
    """Fig. 5's numbers: AUC@100 of MRLM on MovieLens-20M by training ratio."""
    printed = paper_numbers("fig5_text")["AUC100_ML20M_by_train_ratio"]
    return pd.Series({float(ratio): value for ratio, value in printed.items()}, name=PAPER_DATASETS["ML20M"])


def ratio_figure(table: pd.DataFrame, metric: str, title: str, paper: pd.Series | None = None) -> Figure:
    """``curves`` against the ratio, a panel an arm, the band its 95% interval; ``paper`` dashed where it belongs."""
    figure, panels = canvas(11, 4.2, 1, len(ARMS))
    for axes, arm in zip(panels, ARMS, strict=True):
        for place, (model, rows) in enumerate(table[table["arm"] == arm].groupby("model", sort=False)):
            percent = 100 * rows["ratio"]
            axes.plot(percent, rows["mean"], color=f"C{place}", marker=MARKERS[place % len(MARKERS)], label=model)
            axes.fill_between(percent, rows["low"], rows["high"], color=f"C{place}", alpha=0.15)
        axes.set(xlabel="training ratings (% of all)", title=arm, xticks=100 * table["ratio"].unique())
        axes.sharey(panels[0])
    if paper is not None:
        panels[0].plot(100 * paper.index, paper, "--", color="0.3", marker="x", label=f"paper's MRLM,\n{paper.name}")
    panels[0].set_ylabel(f"{named(metric)}, 95% interval")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    figure.suptitle(title)
    return figure


def sentences(records: Sequence[RunRecord], metric: str) -> list[str]:
    """What each arm shows on ``metric``: the best ratio, the change at the last step, and the paper's beside it."""
    failed = sum(record.failed and not record.lack for record in records)
    done = [record for record in records if not record.failed]
    text = [f"{failed} runs failed."] if failed else []
    lacking = {record.label: record.lack for record in records if record.lack}
    text += [f"{label} was not run: {lack}." for label, lack in lacking.items()]
    if not done:
        return [*text, "No model has run."]
    return [*text, *_last_step(done, metric), *_paper(done), *stopped_soon(done)]


def _last_step(records: Sequence[RunRecord], metric: str) -> Iterator[str]:
    table, ratios = curves(records, metric), list(_by_ratio(records))
    if len(ratios) < 2:
        return
    before, last = ratios[-2:]
    wide = table.pivot(index="ratio", columns=["model", "arm"], values="mean")
    told = {1: "more data helps", -1: "more data hurts", 0: "no difference that can be told"}
    for model in table["model"].unique():
        printed = wide[model, "as printed"]
        fixed = _change(records, model, before, last, FIXED + metric)
        gap = _change(records, model, before, last, GAP + GAP_METRIC)
        yield (f"From {before:.0%} to {last:.0%} of the ratings in training, {named(metric)} of {model} changes by "
               f"{printed[last] - printed[before]:+.4f} as printed and by {fixed} on the fixed test "
               f"({told[sign(fixed)]}). How far its {named(GAP_METRIC)} is higher for training positives than on the "
               f"fixed test, which grows where it overfits, changes by {gap}. "
               f"Its mean is highest at {printed.idxmax():.0%} as printed, at "
               f"{wide[model, 'fixed test'].idxmax():.0%} on the fixed test.")


def _paper(records: Sequence[RunRecord]) -> Iterator[str]:
    """The course of the paper's own metric over the ratios, by arm, beside that of its curve."""
    paper, ratios = paper_curve(), list(_by_ratio(records))
    if len(ratios) < 2:
        return
    wide = curves(records, PAPER_METRIC).pivot(index="ratio", columns=["arm", "model"], values="mean")
    for arm in ARMS:
        courses = [f"{model} {_course(means)}" for model, means in wide[arm].items()]
        yield f"{named(PAPER_METRIC)} {arm}: {'; '.join(courses)}. The paper's MRLM {_course(paper)}."


def _course(means: pd.Series) -> str:
    """Which way a curve goes at each step: "rises 55% to 70%, falls 70% to 75% (0.8732, ..., 0.8893)"."""
    means = means.dropna()  # of the ratios at which the model ran
    signs = np.sign(np.diff(means.to_numpy()))
    starts = [place for place in range(len(signs)) if place == 0 or signs[place] != signs[place - 1]]
    words_of = {1: "rises", -1: "falls", 0: "stays"}
    parts = [f"{words_of[int(signs[start])]} {means.index[start]:.0%} to {means.index[end]:.0%}"
             for start, end in zip(starts, [*starts[1:], len(signs)], strict=True)]
    return f"{listed(parts) or 'has one ratio alone'} ({listed([f'{mean:.4f}' for mean in means])})"


def _change(records: Sequence[RunRecord], model: str, low: float, high: float, metric: str) -> Interval:
    """Mean of ``metric`` at ratio ``high`` minus at ``low``, paired by split and user; NaN without a pair."""
    by_ratio = _by_ratio([record for record in records if record.label == model])
    return panel.difference(by_ratio.get(high, []), by_ratio.get(low, []), metric)


def _by_ratio(records: Sequence[RunRecord]) -> dict[float, list[RunRecord]]:
    """The records of each training ratio, smallest ratio first."""
    found: dict[float, list[RunRecord]] = {}
    for record in records:
        found.setdefault(record.data["spec"]["settings"][SETTING], []).append(record)
    return dict(sorted(found.items()))

"""What a comparison of models came to, in sentences that are computed from its records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mrlm_core.baselines import registry
from mrlm_core.baselines.rows_paper import ORDER
from mrlm_core.evaluation.significance import Interval
from mrlm_core.stopping import PATIENCE
from mrlm_core.study import panel
from mrlm_core.study.record import FIXED, GAP, RunRecord
from mrlm_core.study.tables import by_label, intervals
from mrlm_core.study.variants import METHOD

Means = dict[str, Interval]
REPAIRED, RIVALS = "MRLM-R", ("iALS", "EASE", "VBPR")  # chapter 11's variant, and what it was made to beat
# What the method must beat for its gain to be its own: the crowd, its input, itself without parts of it.
INITIAL = "Initial vectors (cosine)"  # what the method is fed, ranked by itself
GLOBAL, CONTROL = "U-GFRL", "MRLM, permuted clusters"
REFERENCES = ("Popularity", INITIAL, GLOBAL, CONTROL)


def findings(records: Sequence[RunRecord], metric: str) -> list[str]:
    """Sentences on ``metric`` (as "recall@20") on test: who wins, the method's place, the paper's ten, what "+" adds.

    A difference counts where the 95% interval of the paired difference over splits and users leaves out 0. Gap G36.
    """
    means = _means(records, metric)
    if not means:
        return ["No model has run."]
    return [*_winner(records, metric, means), *_method(records, metric, means), *_repaired(records, metric, means),
            *_papers_ten(records, metric, means), *_plus(records, metric, means), *stopped_soon(records)]


def difference(records: Sequence[RunRecord], metric: str, one: str, other: str) -> Interval:
    """Mean of the label ``one`` minus ``other`` on the same users of the same splits, and its interval."""
    grouped = by_label(records)
    return panel.difference(grouped[one], grouped[other], metric)


def _means(records: Sequence[RunRecord], metric: str) -> Means:
    """The mean of each model that ran and its interval, best first."""
    table = intervals(records, [metric]).dropna(subset="mean").sort_values("mean", ascending=False, kind="stable")
    numbers = table[["mean", "low", "high"]].to_numpy()
    return {str(name): Interval(*row) for name, row in zip(table["model"], numbers, strict=True)}


def _winner(records: Sequence[RunRecord], metric: str, means: Means) -> Iterator[str]:
    first, *others = means
    n = len({panel.split_of(record) for record in records if record.label == first and not record.failed})
    text = f"Best at {named(metric)} of {len(means)}: **{first}**, {means[first]} over {n} split{'s' * (n > 1)}"
    gaps = {name: difference(records, metric, first, name) for name in others}
    level = [name for name, gap in gaps.items() if not sign(gap) and not np.isnan(gap.mean)]
    yield text + (f"; not told apart from it: {listed(level)}." if level else ", clear of all others.")


def _method(records: Sequence[RunRecord], metric: str, means: Means) -> Iterator[str]:
    if METHOD not in means:
        yield f"{METHOD} has not run on this dataset."
        return
    place = list(means).index(METHOD) + 1
    yield f"{METHOD} is number {place}, {means[METHOD]}."
    if {GLOBAL, CONTROL} <= set(means) and difference(records, metric, METHOD, GLOBAL).low <= 0:
        cost = difference(records, metric, METHOD, CONTROL)
        yield (f"There is no gain over {GLOBAL}, which reads no modality, for the clusters to explain; {METHOD} is "
               f"{words(cost)} itself with clusters permuted among items, {cost}.")
    others = [name for name in (next(iter(means)), *REFERENCES) if name in means and name != METHOD]
    for name in dict.fromkeys(others):
        gap = difference(records, metric, METHOD, name)
        share = means[METHOD].mean / means[name].mean - 1
        yield f"Against {name} it is {words(gap)}: {share:+.1%}, difference {gap}."


def _repaired(records: Sequence[RunRecord], metric: str, means: Means) -> Iterator[str]:
    if REPAIRED in means and (rivals := [name for name in RIVALS if name in means]):
        gaps = {name: difference(records, metric, REPAIRED, name) for name in rivals}
        place = list(means).index(REPAIRED) + 1
        yield f"{REPAIRED}, the repaired variant of chapter 11, is number {place}: {against(gaps)}."


def _papers_ten(records: Sequence[RunRecord], metric: str, means: Means) -> Iterator[str]:
    """The paper's own baselines: which is best, and how many the popularity of items beats."""
    theirs = [name for name in means if registry.row(model_of(name)).base in ORDER]
    if not theirs:
        return
    text = f"Best of the paper's baselines: {theirs[0]}, {means[theirs[0]]}"
    if METHOD in means:
        gap = difference(records, metric, METHOD, theirs[0])
        text += f"; {METHOD} is {words(gap)} it, which the paper has above all of them"
    yield text + "."
    if "Popularity" in means:
        below = [name for name in theirs if sign(difference(records, metric, name, "Popularity")) < 0]
        which = f": {listed(below)}" if below else ""
        yield f"Of these {len(theirs)}, {len(below)} rank below plain popularity{which}."


def _plus(records: Sequence[RunRecord], metric: str, means: Means) -> Iterator[str]:
    pairs = [(f"{name}+", name) for name in ORDER if {f"{name}+", name} <= set(means)]
    if not pairs:
        return
    signs = {plus: sign(difference(records, metric, plus, base)) for plus, base in pairs}
    groups = {word: [name for name, sign in signs.items() if sign == wanted]
              for word, wanted in (("better", 1), ("worse", -1), ("no different", 0))}
    told = "; ".join(f"{len(names)} {word}{f' ({listed(names)})' if names else ''}" for word, names in groups.items())
    yield f"More modalities, put beside what a model reads already, make of {len(pairs)} models {told}."


def stopped_soon(records: Sequence[RunRecord]) -> Iterator[str]:
    """Which models' trainings ended before PATIENCE epochs had brought nothing better: they might rank higher."""
    ran = {name: [run for run in runs if not run.failed] for name, runs in by_label(records).items()}
    told = [f"{name} ({sooner} of {len(runs)} runs)" for name, runs in ran.items() if (sooner := cut_short(runs))]
    if len(ran) > 1 and all(runs and cut_short(runs) == len(runs) for runs in ran.values()):
        told = [f"all {len(ran)}, in every run"]
    if told:
        yield (f"Stopped by a limit on epochs while validation had still risen within the last {PATIENCE}, so that "
               f"they might rank higher: {listed(told)}.")


def cut_short(runs: Sequence[RunRecord]) -> int:
    """How many trainings ended before PATIENCE epochs had brought nothing better."""
    epochs = [run.data["epochs"] for run in runs if run.data.get("epochs")]
    return sum(one["run"] - one["best"] < PATIENCE for one in epochs)


def model_of(label: str) -> str:
    """The model of a record's label: without the modalities it was left and what was done to its clusters."""
    return label.split(",")[0].split(" [")[0]


def sign(gap: Interval) -> int:
    """1 or -1 where the interval of a difference lies above or below 0, else 0."""
    return int(gap.low > 0) - int(gap.high < 0)


def words(gap: Interval) -> str:
    """``sign`` in words, for "A is ... B"."""
    if np.isnan(gap.mean):
        return "on no split together with"
    return {1: "above", -1: "below", 0: "not told apart from"}[sign(gap)]


def against(gaps: Mapping[str, Interval]) -> str:
    """Differences of one model to others, by their name, for "A is ...": "above B (...); below C (...)"."""
    return "; ".join(f"{words(gap)} {name} ({gap})" for name, gap in gaps.items())


_PARTS = {FIXED: " on the fixed test", GAP: ", training part minus fixed test"}


def named(metric: str) -> str:
    """A metric's column as prose has it: "Recall@20" for ``recall@20``."""
    prefix = next((part for part in _PARTS if metric.startswith(part)), "")
    name, _, cutoff = metric.removeprefix(prefix).partition("@")
    word = {"in_list_auc": "in-list AUC", "full_auc": "full AUC"}.get(name)
    usual = name.upper() if "auc" in name else name.capitalize()
    return (f"{word or usual}@{cutoff}" if cutoff else word or name) + _PARTS.get(prefix, "")


def listed(names: Sequence[str]) -> str:
    """Names in a sentence."""
    return ", ".join(names)

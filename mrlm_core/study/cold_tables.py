"""Tables and sentences on Recall by item popularity and on cold items, made from records of ``cold.placed``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from mrlm_core.errors import ConfigError, problem
from mrlm_core.evaluation.places import bucket_names, buckets_of, random_recall, recall_by
from mrlm_core.evaluation.significance import Interval
from mrlm_core.study import panel
from mrlm_core.study.record import RunRecord
from mrlm_core.study.tables import by_label

WITHIN, CATALOGUE, KNOWN = "among the cold items", "of cold items in the catalogue", "of other items in the catalogue"

Rows: TypeAlias = dict[str, dict[str, Any]]  # of a table, by model


@dataclass(frozen=True)
class View:
    """Which test positives are looked at, by which column their place is read, and among how many candidates."""

    wanted: Callable[[pd.DataFrame], pd.Series]
    place: str
    candidates: str


VIEWS = {
    WITHIN: View(lambda table: table["cold_place"] > 0, "cold_place", "cold_candidates"),
    CATALOGUE: View(lambda table: table["cold_place"] > 0, "place", "candidates"),
    KNOWN: View(lambda table: table["cold_place"] == 0, "place", "candidates"),
}


def by_bucket(records: Sequence[RunRecord], ends: Sequence[int], n: int) -> pd.DataFrame:
    """One row a (model, bucket): mean Recall@n and its interval over splits and users, test positives a run.

    Buckets are of the item's training positives; those without a test positive in any run are left out.
    """
    rows = [{"model": model, "bucket": name, **vars(panel.mean(own)), "positives": positives}
            for model, runs in _runs(records).items() for name, own, positives in _in_buckets(runs, ends, n)]
    return pd.DataFrame(rows, columns=["model", "bucket", "mean", "low", "high", "positives"])


def bucket_gaps(
    records: Sequence[RunRecord], ends: Sequence[int], n: int, one: str, others: Sequence[str]
) -> dict[str, dict[str, Interval]]:
    """By bucket and by model of ``others``: Recall@n of ``one`` minus its, on the same users and splits, and interval.

    Buckets as ``by_bucket``; a model that did not run is left out.
    """
    recalls = {model: {name: own for name, own, _ in _in_buckets(runs, ends, n)}
               for model, runs in _runs(records).items() if model in (one, *others)}
    return {bucket: {other: panel.mean(panel.gaps(own, recalls[other][bucket]))
                     for other in others if bucket in recalls.get(other, {})}
            for bucket, own in recalls.get(one, {}).items()}


def _in_buckets(
    runs: Sequence[tuple[int, pd.DataFrame]], ends: Sequence[int], n: int
) -> Iterator[tuple[str, pd.DataFrame, float]]:
    """Of each bucket with a test positive its name, Recall@n ``[splits, users]``, and test positives a run."""
    groups = [buckets_of(table["train_positives"].to_numpy(), ends) for _, table in runs]
    recalls = [(split, recall_by(table, group, n)) for (split, table), group in zip(runs, groups, strict=True)]
    for bucket, name in enumerate(bucket_names(ends)):
        own = panel.by_split((split, recall[bucket]) for split, recall in recalls if bucket in recall)
        if len(own):
            yield name, own, float(np.mean([(group == bucket).sum() for group in groups]))


def bucket_sizes(records: Sequence[RunRecord], ends: Sequence[int]) -> pd.DataFrame:
    """Items and test positives in each bucket, means over the runs of the first model that ran.

    Raises ConfigError where none did.
    """
    tables = [table for _, table in next(iter(_runs(records).values()), [])]
    if not tables:
        raise ConfigError(problem("records", "a run that ended well", f"none among {len(records)}",
                                  "Choose models that can run on this dataset."))
    found = [table.assign(bucket=buckets_of(table["train_positives"].to_numpy(), ends)) for table in tables]
    counts = [table.groupby("bucket")["item"].agg(["nunique", "size"]) for table in found]
    everywhere = [count.reindex(range(len(ends) + 1), fill_value=0) for count in counts]
    means = pd.concat(everywhere).groupby(level=0).mean()
    means.index = pd.Index(bucket_names(ends), name="training positives of the item")
    return means.set_axis(["items tested", "test positives"], axis=1)


def cutoffs_within(records: Sequence[RunRecord], cutoffs: Sequence[int]) -> list[int]:
    """Those of ``cutoffs`` that do not list all cold items anyway; raises ConfigError where none is left."""
    count = min((record.data["cold_counts"]["items"] for record in records if not record.failed), default=0)
    left = [n for n in cutoffs if n < count]
    if not left:
        raise ConfigError(problem("cutoffs", f"one below the number of cold items, {count}", str(list(cutoffs)),
                                  "Give smaller ones, or hold out a larger share."))
    return left


def cold_recall(records: Sequence[RunRecord], view: str, cutoffs: Sequence[int]) -> pd.DataFrame:
    """One row a (model, N): Recall@N of the positives of ``view`` with its interval, and how far it is above chance.

    ``random`` is what lists in random order would reach; ``above``, ``above_low``, ``above_high`` the paired difference
    to it over the same users and splits.
    """
    rows = []
    for model, runs in _runs(records).items():
        for n in cutoffs:
            found = [(split, *_recalls(table, VIEWS[view], n)) for split, table in runs]
            recall = panel.by_split((split, values) for split, values, _ in found)
            chance = panel.by_split((split, values) for split, _, values in found)
            gap = panel.mean(panel.gaps(recall, chance))
            rows.append({"model": model, "cutoff": n, **vars(panel.mean(recall)),
                         "random": panel.mean(chance).mean, "above": gap.mean,
                         "above_low": gap.low, "above_high": gap.high, "splits": len(recall)})
    return pd.DataFrame(rows)


def compact(table: pd.DataFrame) -> pd.DataFrame:
    """``cold_recall`` as text "mean [low, high]", models x cutoffs; chance in the last row."""
    cells = [f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" for _, row in table.iterrows()]
    wide = table.assign(text=cells).pivot(index="model", columns="cutoff", values="text")
    wide = wide.loc[list(table["model"].drop_duplicates())]
    wide.loc["random order"] = table.groupby("cutoff")["random"].mean().map("{:.3f}".format)
    wide.columns = [f"Recall@{n}" for n in wide.columns]
    return wide.rename_axis("Model")


def sentences(
    buckets: pd.DataFrame, cold: Mapping[str, pd.DataFrame], known: Mapping[str, str], method: str = "MRLM"
) -> Iterator[str]:
    """What the tables come to: who leads on rare and on popular items, who beats chance on cold ones, who does not.

    ``buckets`` as ``by_bucket``; ``cold`` rows of ``cold_recall`` at one cutoff, by each of ``VIEWS``; ``known`` what
    each model knows of a cold item, empty for nothing.
    """
    if len(buckets):
        yield from _on_buckets(buckets, method)
    rows = {where: _by_model(table) for where, table in cold.items()}
    able = [name for name in rows[WITHIN] if known.get(name)]
    # Lists full of cold items in any order find many of the cold positives: that is no knowledge of them.
    blind = [name for name in able if _is_above(rows[CATALOGUE][name]) and not _is_above(rows[WITHIN][name])]
    cutoffs = {where: int(table["cutoff"].iloc[0]) for where, table in cold.items()}
    if able:
        yield from _on_cold(rows[WITHIN], able, f"Recall@{cutoffs[WITHIN]} {WITHIN}", method)
        yield from _on_cold(rows[CATALOGUE], able, f"Recall@{cutoffs[CATALOGUE]} {CATALOGUE}", method, blind)
        for name in blind:
            yield _on_blind(name, rows, f"Recall@{cutoffs[KNOWN]} {KNOWN}")
    if ignorant := [name for name in rows[WITHIN] if not known.get(name)]:
        lucky = max(ignorant, key=lambda name: abs(rows[WITHIN][name]["above"]))
        yield (f"What comes of no knowledge {WITHIN}, but of luck or of the order in which items are numbered: "
               f"{lucky}, which knows nothing of them, is {rows[WITHIN][lucky]['above']:+.4f} from random order; a "
               "model no further from it need know no more.")
    if any(table["splits"].max() == 1 for table in cold.values()):
        yield ("From one split: an order of the cold items that is much alike for all users is above or below chance "
               "by its luck with a few items, which an interval over users does not show.")


def _on_buckets(buckets: pd.DataFrame, method: str) -> Iterator[str]:
    order = list(buckets["bucket"].drop_duplicates())
    for place, name in (("fewest", order[0]), ("most", order[-1])):
        rows = _by_model(buckets[buckets["bucket"] == name])
        best = _best(rows, list(rows))
        if rows[best]["mean"] == 0:
            yield f"On items with the {place} training positives ({name}) no model finds any."
            continue
        text = f"On items with the {place} training positives ({name}) {best} leads, {_interval(rows[best])}"
        if method in rows and method != best:
            text += f"; {method} reaches {_interval(rows[method])}"
        yield text + "."


def _on_cold(rows: Rows, able: Sequence[str], what: str, method: str, blind: Sequence[str] = ()) -> Iterator[str]:
    """Who of ``able`` is above chance; ``blind`` are above it without telling cold items apart, and so never lead."""
    telling = [name for name in able if name not in blind]
    best = _best(rows, telling) if telling else ""
    above = [name for name in telling if _is_above(rows[name])]
    below = [name for name in telling if rows[name]["above_high"] < 0]
    level = [name for name in telling if name not in above + below]
    yield (f"{what}: random order gives {_chance(rows):.4f}{f', {best} {_interval(rows[best])}' if best else ''}. "
           f"Of {len(able)} models that know something of a cold item {len(above)} are above chance{_list(above)}, "
           f"{len(level)} level with it{_list(level)}, {len(below)} below it{_list(below)}"
           + (f", {len(blind)} above it without telling cold items apart{_list(blind)}." if blind else "."))
    if method in telling and method != best:
        yield f"{method}: {_interval(rows[method])}."


def _on_blind(name: str, rows: Mapping[str, Rows], what: str) -> str:
    """Why the place of ``name`` in the catalogue is no merit, and what its order costs the other items."""
    return (f"{name} puts cold items before others and does not tell them apart: {_interval(rows[CATALOGUE][name])} in "
            f"the catalogue, but not above chance {WITHIN}. {what}: {_interval(rows[KNOWN][name])}, where random order "
            f"gives {_chance(rows[KNOWN]):.4f}.")


def _by_model(table: pd.DataFrame) -> Rows:
    return {str(row["model"]): {str(name): value for name, value in row.items()} for row in table.to_dict("records")}


def _best(rows: Rows, names: Sequence[str]) -> str:
    return max(names, key=lambda name: float(rows[name]["mean"]))


def _is_above(row: Mapping[str, Any]) -> bool:
    """Whether the interval of the difference to chance is above 0."""
    return bool(row["above_low"] > 0)


def _chance(rows: Rows) -> float:
    return float(np.mean([row["random"] for row in rows.values()]))


def _recalls(table: pd.DataFrame, view: View, n: int) -> tuple[pd.Series, pd.Series]:
    """Recall@n of each user on the positives of ``view``, and what chance gives the same users."""
    own = table[view.wanted(table)]
    recall = recall_by(own, np.zeros(len(own), np.int64), n, view.place)[0]
    return recall, random_recall(own, n, view.candidates).loc[recall.index]


def _runs(records: Sequence[RunRecord]) -> dict[str, list[tuple[int, pd.DataFrame]]]:
    """Split and place table of each model's runs that ended well."""
    grouped = {name: [(panel.split_of(record), record.per_user) for record in group if record.per_user is not None]
               for name, group in by_label(records).items()}
    return {name: runs for name, runs in grouped.items() if runs}


def _interval(row: Mapping[str, Any]) -> str:
    return str(Interval(row["mean"], row["low"], row["high"]))


def _list(names: Sequence[str]) -> str:
    return f" ({', '.join(names)})" if names else ""

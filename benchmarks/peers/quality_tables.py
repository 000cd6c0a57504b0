"""Tables of the peers' quality, and what each row says: no weaker than theirs, or weaker beyond noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers.exported import CUTOFF
from benchmarks.peers.quality_earlier import CHOSEN, NOTHING, Earlier, row_cells
from benchmarks.peers.quality_pairs import PAIRS, Pair, alone
from benchmarks.section import Target
from mrlm_core.evaluation.significance import Interval, interval

if TYPE_CHECKING:
    from benchmarks.peers.quality_data import Exported
    from benchmarks.peers_quality import Fitted, Result

LIBRARIES = {"recbole": "RecBole", "cornac": "Cornac", "implicit": "implicit"}
WANTED = "no weaker than theirs beyond noise"
BY_PROCESSOR = {"theirs": 9, "ours": 10}  # places of the rates in a row


def verdict(difference: Interval) -> str:
    """What the interval of ours minus theirs says."""
    if difference.high < 0:
        return "weaker"
    return "stronger" if difference.low > 0 else "no difference beyond noise"


def measured_part(
    exported: Exported, results: Sequence[Result], before: Earlier = NOTHING, now: str = ""
) -> tuple[list[str], list[Target]]:
    """One dataset's table and targets, of what was measured ``now`` and ``before``; what failed shows its error."""
    rows, targets, failed, chosen, title = {}, {}, [], [], exported.dataset.title
    for result in results:
        pair, name = result.pair, _name(result.pair)
        rows[name], targets[name] = _row(result, now), _target(title, result)
        if result.error and not before.row(title, name, _settings(pair)):
            failed.append(f"- Not measured, {name}: {result.error}")
        elif result.chosen and not result.error:
            chosen.append(f"- {name}: {alone(result.chosen)} {CHOSEN}")
    there = [name for name, result in zip(rows, results, strict=True) if not result.error]
    for pair in PAIRS:
        name = _name(pair)
        old = before.row(title, name, _settings(pair))
        if old and name not in there:
            rows[name], targets[name] = old, before.targets[_what(title, pair)]
            chosen += filter(None, [before.notes.get((title, name))])
    absent = [name for name in map(_name, PAIRS) if name not in rows]
    failed += [f"- Not asked for, and not measured here before: {'; '.join(absent)}."] if before.rows and absent else []
    order = [name for name in map(_name, PAIRS) if name in rows]
    order += [name for name in rows if name not in order]
    dataset, positives = exported.dataset, exported.parts.train.nnz
    lines = [
        f"### {dataset.title}", "",
        f"{dataset.n_users:,} users, {dataset.n_items:,} items, {positives:,} training positives;"
        f" {int((np.diff(exported.parts.test.indptr) > 0).sum()):,} users with a test positive.", "",
        f"| theirs | ours | Recall@{CUTOFF}, theirs | ours | ours - theirs [95%] | | seeds | positives/s, theirs | ours"
        " | by processor time, theirs | ours | epochs, theirs | ours | measured |",
        "|---|---|--:|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|---|",
        *(rows[name] for name in order), "",
    ]
    blocks = [[*block, ""] for block in (failed, chosen) if block]
    rates = [target for name in order if (target := _speed(title, name, rows[name]))]
    return [*lines, *(line for block in blocks for line in block)], [*(targets[name] for name in order), *rates]


def settings_part(pairs: Sequence[Pair]) -> list[str]:
    """What is the same in both of each pair, and what has no counterpart."""
    lines = ["### Settings", "", "Ours / theirs; where the two count another way, theirs after the equals sign.", "",
             "| theirs | in both | theirs alone | ours alone | what no setting makes equal |", "|---|---|---|---|---|"]
    return [*lines, *map(_settings, pairs)]


def _settings(pair: Pair) -> str:
    tried = "; ".join(f"{name} of {', '.join(map(str, values))} by validation" for name, values in pair.tried.items())
    theirs = "; ".join(part for part in (alone(pair.theirs_alone), tried) if part)
    same = ", ".join(map(str, pair.same))
    return f"| {_name(pair)} | {same} | {theirs} | {alone(pair.ours_alone)} | {pair.apart} |"


def stays(pair: Pair, before: Earlier) -> bool:
    """Whether a row of ``pair`` that was measured before is still of its settings, on some dataset."""
    return any(before.row(title, name, _settings(pair)) for title, name in before.rows if name == _name(pair))


def difference(result: Result) -> Interval:
    """Ours minus theirs on test, paired by user, the seeds averaged.

    Users alone are drawn anew. Two or three seeds would widen the interval to where nothing is weaker beyond noise.
    """
    ours, theirs = ([one.recall["test"] for one in side] for side in (result.ours, result.theirs))
    return interval((np.asarray(ours) - np.asarray(theirs)).mean(axis=0, keepdims=True))


def rate(fits: Sequence[Fitted], seconds: str = "fit_seconds") -> float:
    """Median over the seeds of positives trained on, in all epochs, by ``seconds``."""
    return float(np.median([one.facts["amount"] * one.facts["epochs"] / one.facts[seconds] for one in fits]))


def _row(result: Result, now: str) -> str:
    names = f"| {_name(result.pair)} | {result.pair.ours} "
    if result.error:
        return f"{names}| not measured | | | | | | | | | | | |"
    sides: list[Sequence[Any]] = [result.theirs, result.ours]
    found = difference(result)
    recall = [f"{np.mean([np.nanmean(one.recall['test']) for one in side]):.4f}" for side in sides]
    rates = [f"{rate(side, seconds):,.0f}" for seconds in ("fit_seconds", "fit_cpu_seconds") for side in sides]
    epochs = [_range([one.facts["epochs"] for one in side]) for side in sides]
    interval = f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
    cells = [*recall, interval, f"**{verdict(found)}**", str(len(result.ours)), *rates, *epochs, now]
    return f"{names}| {' | '.join(cells)} |"


def _target(title: str, result: Result) -> Target:
    what = _what(title, result.pair)
    if result.error:
        return Target(what, WANTED, "not measured", False, result.error)
    found = difference(result)
    shown = f"{verdict(found)}: {found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
    return Target(what, WANTED, shown, found.high >= 0, "" if found.high >= 0 else result.pair.apart)


def _speed(title: str, name: str, row: str) -> Target | None:
    """Ours against theirs in positives a second of processor time, of the whole fit; None for what has no gradient."""
    cells = row_cells(row)
    if name not in GRADIENT or len(cells) <= max(BY_PROCESSOR.values()):
        return None
    theirs, ours = (float(cells[BY_PROCESSOR[side]].replace(",", "")) for side in ("theirs", "ours"))
    what = f"Positives a second of processor time on {title}, {cells[1]} against {name}"
    why = "" if ours >= theirs else "the whole fit: ours looks at validation in it; steps alone are under Training"
    return Target(what, "at least as many as theirs", f"{ours / theirs:.2f} times", ours >= theirs, why)


def _what(title: str, pair: Pair) -> str:
    return f"Recall@{CUTOFF} on {title}, {pair.ours} against {_name(pair)}"


def _name(pair: Pair) -> str:
    return f"{LIBRARIES[pair.library]} {pair.name}"


# Those whose both sides learn by gradient steps, ConvMF's text network among them.
GRADIENT = tuple(_name(pair) for pair in PAIRS if pair.random and pair.theirs != "ALS")


def _range(counts: Sequence[int]) -> str:
    return f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"

"""Rows of the peers' tables, and targets with verdicts that are computed from the rounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.peers.rounds import Measured
from benchmarks.section import Target


def ratios(ours: Measured, theirs: Measured) -> np.ndarray:
    """How many times as fast ours is, one a round."""
    return ours.rates / theirs.rates


def spread(values: np.ndarray) -> str:
    """The range of the rounds."""
    return f"{number(values.min())} to {number(values.max())}"


def against(unit: str, pairs: Sequence[tuple[Measured, Measured]]) -> list[str]:
    """A table of ours against each of theirs: rates in ``unit`` a second, the ratio's median and range."""
    head = f"| ours | theirs | ours, {unit}/s | theirs, {unit}/s | times as fast | range |"
    lines = [head, "|---|---|--:|--:|--:|--:|"]
    for ours, theirs in pairs:
        names = f"| {ours.case.name} | {theirs.case.name} "
        if ours.error or theirs.error:
            lines.append(f"{names}| {_rate(ours)} | {_rate(theirs)} | | |")
        else:
            ratio = ratios(ours, theirs)
            rates = f"| {_rate(ours)} | {_rate(theirs)} "
            lines.append(f"{names}{rates}| **{number(np.median(ratio))}** | {spread(ratio)} |")
    return [*lines, *unmeasured([measured for pair in pairs for measured in pair])]


def unmeasured(cases: Sequence[Measured]) -> list[str]:
    """What could not be measured, and the error that says why."""
    failed = {measured.case.name: measured.error for measured in cases if measured.error}
    return ["", *(f"- Not measured, {name}: {error}" for name, error in failed.items())] if failed else []


def target(what: str, ours: Measured, theirs: Measured, why: str) -> Target:
    """At least as fast as theirs, by the median of the rounds; ``why`` says what holds ours back when it is not."""
    wanted = "at least 1 times as fast"
    for measured in (ours, theirs):
        if measured.error:
            return Target(what, wanted, "not measured", False, f"{measured.case.name}: {measured.error}")
    ratio = ratios(ours, theirs)
    met = bool(np.median(ratio) >= 1)
    return Target(what, wanted, f"{number(np.median(ratio))} ({spread(ratio)})", met, "" if met else why)


def _rate(measured: Measured) -> str:
    return "not measured" if measured.error else f"{np.median(measured.rates):,.0f}"


def number(value: float) -> str:
    """A ratio in about three digits."""
    return f"{value:.2g}" if value < 0.1 else f"{value:,.2f}" if value < 100 else f"{value:,.0f}"

"""Two ways to do one thing, timed in turn in one process, so that a busy machine slows both alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mrlm_core.study.growth import elapsed


@dataclass(frozen=True)
class Comparison:
    """Seconds of each repeat of ours and of the other, taken in turn, for ``amount`` units of work."""

    name: str
    unit: str
    amount: int
    ours: np.ndarray
    other: np.ndarray

    @property
    def rates(self) -> tuple[float, float]:
        """Median units a second of (ours, other)."""
        return self.amount / float(np.median(self.ours)), self.amount / float(np.median(self.other))

    @property
    def ratios(self) -> np.ndarray:
        """How many times as fast as the other ours is, one a repeat."""
        return self.other / self.ours

    def row(self) -> str:
        """One line of a Markdown table: case, both rates, the ratio's median and range."""
        ours, other = self.rates
        spread = f"{self.ratios.min():.2f} to {self.ratios.max():.2f}"
        return f"| {self.name} | {ours:,.0f} | {other:,.0f} | **{np.median(self.ratios):.2f}** | {spread} |"


def in_turn(
    name: str, unit: str, amount: int, ours: Callable[[], object], other: Callable[[], object], repeats: int
) -> Comparison:
    """Ours, other, ours, other ..., after one untimed call of each."""
    ours(), other()
    seconds = np.array([[elapsed(ours), elapsed(other)] for _ in range(repeats)])
    return Comparison(name, unit, amount, seconds[:, 0], seconds[:, 1])

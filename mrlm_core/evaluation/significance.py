"""Intervals and tests of means, differences and ratios, from one bootstrap over splits and users.

Intervals in tables and tests of claims are made from the same draws, ``joint_means``, which hold their level also where
there are few splits; so a difference that a page calls one is one in a verdict too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

REPETITIONS = 2000
TEST_REPETITIONS = 10_000  # a smallest two-sided p of 2e-4
MOST_REPETITIONS = 100_000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean with its bootstrap interval at ``LEVEL``."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class Draws:
    """A number as measured, and in each repetition of a bootstrap, ``draws`` ``[B]``.

    Numbers from one call of ``joint_means`` are drawn together: their differences and ratios are paired. A repetition
    that gives no number, NaN, speaks against any bound.
    """

    value: float
    draws: np.ndarray

    def __sub__(self, other: Draws) -> Draws:
        return Draws(self.value - other.value, self.draws - other.draws)

    def over(self, other: Draws) -> Draws:
        """The ratio self / other; infinite in repetitions where ``other`` is not above 0, as in Fieller's interval."""
        draws = np.full_like(self.draws, np.inf)
        np.divide(self.draws, other.draws, out=draws, where=~(other.draws <= 0))
        return Draws(np.inf if other.value <= 0 else self.value / other.value, draws)

    def turned_below_1(self) -> Draws:
        """A ratio, or its inverse where that is the one below 1."""
        return self if self.value <= 1 else Draws(1.0, np.ones_like(self.draws)).over(self)

    def interval(self, level: float = LEVEL) -> Interval:
        """The middle ``level`` of the repetitions, and the measured value as ``mean``."""
        if np.isnan(self.value):
            return Interval(np.nan, np.nan, np.nan)
        tail, none = (1 - level) / 2, np.isnan(self.draws)
        low = np.quantile(np.where(none, -np.inf, self.draws), tail, method="inverted_cdf")
        high = np.quantile(np.where(none, np.inf, self.draws), 1 - tail, method="inverted_cdf")
        return Interval(float(self.value), float(low), float(high))

    def p_above(self, bound: float = 0.0) -> float:
        """One-sided p of "not above ``bound``": the share of repetitions that are not, never below 1 / (B + 1)."""
        return (1 + int(np.sum(~(self.draws > bound)))) / (len(self.draws) + 1)

    def p_below(self, bound: float = 0.0) -> float:
        """One-sided p of "not below ``bound``"."""
        return (1 + int(np.sum(~(self.draws < bound)))) / (len(self.draws) + 1)

    def p_differs(self, bound: float = 0.0) -> float:
        """Two-sided p of "equal to ``bound``"."""
        return min(1.0, 2 * min(self.p_above(bound), self.p_below(bound)))


def combined(statistic: Callable[[np.ndarray], np.ndarray], numbers: Sequence[Draws]) -> Draws:
    """A statistic over the first axis (a mean, a median) of numbers that were drawn together."""
    value = statistic(np.array([[number.value] for number in numbers]))
    return Draws(float(value[0]), statistic(np.stack([number.draws for number in numbers])))


def repetitions_for(n_tests: int) -> int:
    """Enough repetitions that the draw does not decide what Holm's correction of ``n_tests`` tests leaves.

    The smallest p there can be must stay far below ``LEVEL``'s complement over ``n_tests``, or a family is decided by
    whether no repetition or one is on the other side.
    """
    return min(MOST_REPETITIONS, max(TEST_REPETITIONS, 1_000 * n_tests))


def joint_means(values: np.ndarray, repetitions: int = TEST_REPETITIONS, seed: int = 0) -> list[Draws]:
    """The mean over splits of the mean over users of K quantities, drawn together.

    ``values`` float ``[K, splits, users]``: the same person in the same column, NaN where he has no value, the seeds
    of a split averaged. Two things are random. *Users*: each repetition draws them anew with replacement, once for all
    splits and quantities, because they are the same people (the bootstrap of crossed arrays, Owen and Eckles 2012).
    Weights that are never 0, as of the Bayesian bootstrap, would keep the one user in whom two models differ in every
    repetition, and call his luck a difference; a repetition that draws none of the users there are is NaN. *Splits*:
    their spread is known from as many numbers as there are splits; drawing three splits with replacement understates
    it and finds differences where there are none. So each repetition moves the mean by the standard error over splits
    times a value of Student's t with splits - 1 degrees of freedom. A single split has no spread, and the draws then
    are of users alone.
    """
    n, n_splits, n_users = values.shape
    present = ~np.isnan(values)
    filled, counted = np.where(present, values, 0.0), present.astype(float)
    if (present == present[:1]).all():  # as a rule: then every quantity has the same count
        counted = counted[:1]
    by_split = filled.sum(axis=2) / counted.sum(axis=2)
    flat, counted = (table.reshape(-1, n_users).T for table in (filled, counted))
    rng = np.random.default_rng(seed)
    drawn = by_split @ _steps(n_splits, repetitions, rng)
    block = max(1, int(4e6) // max(n_users, n * n_splits))
    for start in range(0, repetitions, block):
        weights = _times_drawn(n_users, min(block, repetitions - start), rng)
        sums, counts = ((weights @ table).reshape(len(weights), -1, n_splits) for table in (flat, counted))
        means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
        drawn[:, start : start + block] += means.mean(axis=2).T
    return [Draws(float(by_split[k].mean()), drawn[k]) for k in range(n)]


def _times_drawn(n_users: int, repetitions: int, rng: np.random.Generator) -> np.ndarray:
    """How often each user is drawn, float ``[B, users]``: ``users`` times with replacement in each repetition."""
    drawn = rng.integers(n_users, size=(repetitions, n_users))
    drawn += n_users * np.arange(repetitions)[:, None]
    return np.bincount(drawn.ravel(), minlength=repetitions * n_users).reshape(repetitions, n_users).astype(float)


def interval(values: np.ndarray, seed: int = 0) -> Interval:
    """Mean over splits of the mean over users of ``values`` ``[splits, users]``, and its interval; NaN is no value."""
    return intervals(np.asarray(values, float)[None], seed)[0]


def intervals(values: np.ndarray, seed: int = 0) -> list[Interval]:
    """``interval`` of each of ``values`` ``[K, splits, users]``: the same numbers, for little more than the first."""
    return [drawn.interval() for drawn in joint_means(values, REPETITIONS, seed)]


def _steps(n_splits: int, repetitions: int, rng: np.random.Generator) -> np.ndarray:
    """Weights ``[splits, B]`` of sum 0 that make of the splits' means a standard error times a value of Student's t."""
    if n_splits == 1:
        return np.zeros((1, repetitions))
    normal = rng.standard_normal((n_splits, repetitions))
    spread = np.sqrt(rng.chisquare(n_splits - 1, repetitions) / (n_splits - 1))
    return (normal - normal.mean(axis=0)) / (spread * np.sqrt(n_splits * (n_splits - 1)))


def equivalence_p(number: Draws, low: float, high: float) -> float:
    """p of "outside ``low`` to ``high``": the larger of two one-sided tests (Schuirmann 1987)."""
    return max(number.p_above(low), number.p_below(high))


def holm(p_values: Sequence[float]) -> np.ndarray:
    """p values ``[m]`` adjusted for there being m tests (Holm 1979): those at or below the level are rejected."""
    given = np.asarray(p_values, float)
    order = np.argsort(given, kind="stable")
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1)), 1.0)
    return adjusted

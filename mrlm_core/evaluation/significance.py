"""Intervals of means and of paired differences: a hierarchical bootstrap over runs (splits, seeds) and users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

REPETITIONS = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean with its bootstrap interval at ``LEVEL``."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


def mean_interval(runs: Sequence[np.ndarray], seed: int = 0) -> Interval:
    """Mean over runs of the mean over users, and its interval.

    ``runs`` holds one float array ``[users]`` a run, NaN where a user has no value. Each repetition draws runs with
    replacement and, within each drawn run, users with replacement. With few runs the interval understates the spread
    between splits; the number of runs belongs beside it.
    """
    clean = [values[~np.isnan(values)] for values in (np.asarray(run, float) for run in runs)]
    rng = np.random.default_rng(seed)
    resampled = np.stack([_resampled_means(values, rng) for values in clean])
    drawn = rng.integers(0, len(clean), (len(clean), REPETITIONS))
    means = resampled[drawn, np.arange(REPETITIONS)].mean(axis=0)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(np.mean([values.mean() for values in clean])), float(low), float(high))


def difference_interval(runs_a: Sequence[np.ndarray], runs_b: Sequence[np.ndarray], seed: int = 0) -> Interval:
    """Interval of the paired difference a - b; the arrays of a run hold the same users in the same order. Gap G32."""
    return mean_interval([np.asarray(a) - np.asarray(b) for a, b in zip(runs_a, runs_b, strict=True)], seed)


def _resampled_means(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Means of ``REPETITIONS`` resamples of the users, by blocks to bound memory."""
    block = max(1, int(4e6) // len(values))
    starts = range(0, REPETITIONS, block)
    return np.concatenate(
        [values[rng.integers(0, len(values), (min(block, REPETITIONS - s), len(values)))].mean(axis=1) for s in starts]
    )

"""Intervals of tables: cover what they should, count splits as splits, see NaN users as absent."""

import numpy as np
import pytest

from mrlm_core.evaluation.significance import interval


def test_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(100):
        found = interval(rng.normal(1.0, 1.0, (1, 60)), seed=trial)
        covered += found.low <= 1.0 <= found.high
    assert 86 <= covered <= 100


def test_mean_is_over_splits_of_means_over_users() -> None:
    values = np.array([[0.0, 1.0, np.nan, np.nan], [1.0, 1.0, 1.0, np.nan]])
    assert interval(values).mean == pytest.approx(0.75)


def test_spread_between_splits_widens_the_interval() -> None:
    rng = np.random.default_rng(1)
    users = rng.normal(0, 0.1, 200)
    alike = interval(np.stack([users, users, users]))
    apart = interval(np.stack([users - 1, users, users + 1]))
    assert apart.high - apart.low > 5 * (alike.high - alike.low)

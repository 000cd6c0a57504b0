"""The bootstrap: covers what it should, pairs what it should, sees NaN users as absent."""

import numpy as np
import pytest

from mrlm_core.evaluation.significance import difference_interval, mean_interval


def test_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(100):
        interval = mean_interval([rng.normal(1.0, 1.0, 60)], seed=trial)
        covered += interval.low <= 1.0 <= interval.high
    assert 86 <= covered <= 100


def test_mean_is_over_runs_of_means_over_users() -> None:
    runs = [np.array([0.0, 1.0]), np.array([1.0, 1.0, 1.0, np.nan])]
    assert mean_interval(runs).mean == pytest.approx(0.75)


def test_spread_between_runs_widens_the_interval() -> None:
    rng = np.random.default_rng(1)
    users = rng.normal(0, 0.1, 200)
    alike = mean_interval([users, users, users])
    apart = mean_interval([users - 1, users, users + 1])
    assert apart.high - apart.low > 5 * (alike.high - alike.low)


def test_pairing_removes_what_users_share() -> None:
    hard = np.random.default_rng(2).normal(0, 1, 300)
    paired = difference_interval([hard + 0.1], [hard])
    assert paired.low == pytest.approx(0.1)
    assert paired.high == pytest.approx(0.1)

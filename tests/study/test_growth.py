"""Exponents of growth, and the random problems that are timed."""

import time

import numpy as np
import pytest

from mrlm_core.config import preset
from mrlm_core.errors import ConfigError
from mrlm_core.study import growth as growing
from mrlm_core.study.growth import (
    PARTS,
    Growth,
    against_count,
    eighth_to_all,
    elapsed,
    epoch_on_random,
    growth,
    growth_of,
    in_rounds,
    peak_bytes,
    random_problem,
    resident_mib,
    seconds_of,
)


def test_the_exponent_of_a_power_is_found_and_its_interval_holds_it():
    sizes = np.array([10, 20, 40, 80])
    exact = growth(sizes, 3 * sizes**1.5)
    assert exact.exponent == pytest.approx(1.5)
    assert exact.high - exact.low < 1e-6
    rng = np.random.default_rng(0)
    held = [abs(found.exponent - 2) <= found.high - found.exponent for found in (
        growth(sizes, sizes**2 * np.exp(rng.normal(0, 0.2, 4))) for _ in range(400))]
    assert 0.92 < np.mean(held) < 0.98


def test_what_disturbs_a_size_is_not_taken_for_growth():
    """Drift between sizes, shared by all timings of one: counted once a size it seldom looks like faster growth."""
    rng = np.random.default_rng(1)
    faster = [growth_of({part: part * np.exp(rng.normal(0, 0.1) + rng.normal(0, 0.01, 3)) for part in PARTS}).low > 1
              for _ in range(400)]
    assert np.mean(faster) < 0.05


def test_sizes_are_timed_in_turn(monkeypatch):
    called, clock = [], iter(range(100))
    monkeypatch.setattr(growing, "busy", lambda call: call() or next(clock))
    seconds = in_rounds({size: lambda size=size: called.append(size) for size in (1, 2, 4)}, 2)
    assert called == [1, 2, 4] * 3
    assert {size: list(values) for size, values in seconds.items()} == {1: [0, 3], 2: [1, 4], 4: [2, 5]}


def test_two_sizes_have_a_slope_and_no_interval():
    found = growth([1, 10], [2, 20])
    assert found.exponent == pytest.approx(1)
    assert (found.low, found.high) == (-np.inf, np.inf)


@pytest.mark.parametrize(("sizes", "seconds"), [([5, 5], [1, 2]), ([1, 2], [0, 1]), ([1, 2, 3], [1, 2])])
def test_what_has_no_slope_is_refused(sizes, seconds):
    with pytest.raises(ConfigError, match="two or more different sizes"):
        growth(sizes, seconds)


def test_seconds_leave_the_first_call_out():
    calls = []
    assert seconds_of(lambda: calls.append(1), 3).shape == (3,)
    assert len(calls) == 4
    assert elapsed(lambda: None) >= 0


def test_processor_time_leaves_out_waiting():
    assert growing.busy(lambda: time.sleep(0.2)) < elapsed(lambda: time.sleep(0.2))


def test_a_random_problem_has_the_sizes_that_were_asked_for():
    config = preset("tiny")
    (users, items), clusters, triplets = random_problem(config, 7, 9, 50, n_modalities=2)
    assert users.shape == (7, config.model.embedding_dim)
    assert items.shape == (9, config.model.embedding_dim)
    assert list(clusters) == list(config.preprocessing.cluster_counts)[:2]
    assert triplets.shape == (50, 3)
    assert triplets.max(axis=0).tolist() == [6, 8, 8]


def test_an_epoch_on_a_random_problem_trains_every_triplet():
    model, epoch = epoch_on_random(preset("tiny"), 7, 9, 64)
    before = [np.array(weight) for weight in model.trainable_weights]
    epoch()
    assert int(model.optimizer.iterations) == 2  # batches of 32
    assert any((np.array(weight) != old).any() for weight, old in zip(model.trainable_weights, before, strict=True))


def test_peak_bytes_is_the_most_at_once_and_not_the_sum():
    def twice():
        for _ in range(2):
            np.ones(1_000_000).sum()

    assert peak_bytes(twice) == pytest.approx(8e6, rel=0.02)


def test_sizes_reach_from_an_eighth_to_all():
    sizes = eighth_to_all(4000)
    assert (sizes[0], sizes[-1], len(sizes)) == (500, 4000, 5)
    np.testing.assert_allclose(np.diff(np.log(sizes)), np.log(8) / 4, rtol=1e-3)


def test_the_count_is_held_against_users_units_and_as_many_points_whatever_the_dataset(monkeypatch):
    trained, timed = [], []

    def epoch(config, *sizes):
        trained.append(sizes)
        return None, lambda: None

    def in_rounds(calls, repeats):
        timed.append(list(calls))
        for call in calls.values():
            call()
        return {size: np.array([3.0 * size] * repeats) for size in calls}

    monkeypatch.setattr(growing, "epoch_on_random", epoch)
    monkeypatch.setattr(growing, "in_rounds", in_rounds)
    config = preset("tiny")
    modalities = len(config.preprocessing.cluster_counts)
    found = against_count(config, 80, 30, 1000, 2, clustered=160)
    assert timed == [[20, 28, 40, 56, 80], [2 * r + 7 for r in range(1, modalities + 1)], eighth_to_all(160)]
    assert trained[:5] == [(users, 30, triplets) for users, triplets in zip(
        timed[0], [250, 353, 500, 707, 1000], strict=True)]
    assert trained[5:] == [(80, 30, 1000, r) for r in range(1, modalities + 1)]
    assert [(name, counted) for name, (_, counted) in found.items()] == [
        ("an epoch by users", 1.0), ("an epoch by units of 2r + 7", 1.0), ("clustering by items", 2.0)]
    assert all(growth.exponent == pytest.approx(1) for growth, _ in found.values())


def test_resident_memory_holds_what_tensorflow_keeps():
    """An identity head of many items, its gradients and Adam's two moments: more than its weights alone."""
    config, many = preset("tiny"), 100_000
    rise = resident_mib(config, {"few": (20, 30, 64, 1), "many": (20, many, 64, 1)})
    assert rise["many"] - rise["few"] > many * config.model.global_dim * 4 / 2**20


def test_an_exponent_that_rounds_to_zero_has_no_sign() -> None:
    assert str(Growth(-0.001, -0.5, 0.004)) == "0.00 (-0.50 to 0.00)"

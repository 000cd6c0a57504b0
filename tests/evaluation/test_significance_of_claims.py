"""What claims are tested by, on simulated data whose truth is known: levels held, intervals that cover, power told."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from mrlm_core.evaluation.significance import (
    Draws,
    combined,
    equivalence_p,
    holm,
    joint_means,
)

TRIALS, USERS, REPETITIONS = 300, 80, 499
LEVEL = 0.05


def differences(rng: np.random.Generator, effect: float, n_splits: int, split_sd: float) -> np.ndarray:
    """``[1, splits, users]``: an effect, users who like one model better (skewed, the same in all splits), splits that
    go better for one model, and noise; a tenth of the users is absent from each split."""
    persons = 0.4 * (rng.exponential(1, USERS) - 1)
    values = effect + persons + split_sd * rng.normal(size=(n_splits, 1)) + rng.normal(size=(n_splits, USERS))
    values[rng.random(values.shape) < 0.1] = np.nan
    return values[None]


def shares(effect: float, n_splits: int, split_sd: float, bound: float = 0.0) -> tuple[float, float]:
    """Of many simulated comparisons, the share found to differ from ``bound`` and the share whose interval covers."""
    rng = np.random.default_rng([n_splits, int(100 * split_sd)])
    found = covered = 0
    for trial in range(TRIALS):
        (mean,) = joint_means(differences(rng, effect, n_splits, split_sd), REPETITIONS, seed=trial)
        interval = mean.interval()
        found += mean.p_differs(bound) <= LEVEL
        covered += interval.low <= effect <= interval.high
    return found / TRIALS, covered / TRIALS


def most(share: float) -> float:
    """The largest share of ``TRIALS`` that chance gives in 999 of 1000 cases where the true share is ``share``."""
    return stats.binom.ppf(0.999, TRIALS, share) / TRIALS


@pytest.mark.parametrize(("n_splits", "split_sd"), [(1, 0.0), (2, 0.5), (3, 0.0), (3, 0.1), (3, 0.5), (5, 0.3)])
def test_false_positives_and_coverage(n_splits: int, split_sd: float) -> None:
    found, covered = shares(0.0, n_splits, split_sd)
    assert found <= most(LEVEL)
    assert 1 - covered <= most(LEVEL)


@pytest.mark.parametrize("hit_rate", [0.002, 0.005, 0.01, 0.03, 0.1])
def test_a_few_hits_of_one_split_are_no_difference(hit_rate: float) -> None:
    """Two equal models, whose few hits are luck: where users had weights that are never 0, half of these were found."""
    rng, found = np.random.default_rng(int(1000 * hit_rate)), 0
    for trial in range(TRIALS):
        hits = (rng.random((2, 1, 300)) < hit_rate).astype(float)
        (mean,) = joint_means(hits[:1] - hits[1:], REPETITIONS, seed=trial)
        found += mean.p_differs() <= LEVEL
    assert found / TRIALS <= most(LEVEL)


def test_one_user_tells_nothing_however_many_there_are() -> None:
    values = np.zeros((1, 1, 300))
    values[0, 0, 7] = 1.0
    interval = joint_means(values)[0].interval()
    assert interval.low == 0 < interval.mean < interval.high


def test_of_a_user_who_is_alone_there_is_no_interval() -> None:
    values = np.full((2, 1, 50), np.nan)
    values[:, 0, 7] = 2.0, 1.0
    over, under = joint_means(values)
    gap = over - under
    assert gap.value == 1.0
    assert (gap.interval().low, gap.interval().high) == (-np.inf, np.inf)
    assert min(gap.p_above(), gap.p_below(), gap.p_differs(), equivalence_p(gap, 0.5, 1.5)) > 0.3
    assert np.isnan(over.over(under).draws).any()


def test_what_no_user_has_is_no_number_and_no_difference() -> None:
    values = np.random.default_rng(12).normal(size=(2, 1, 50))
    values[1] = np.nan
    with pytest.warns(RuntimeWarning, match="invalid value"):
        some, none = joint_means(values, 99)
    gap = some - none
    assert np.isnan([gap.value, gap.interval().low, gap.interval().high, some.over(none).value]).all()
    assert gap.p_differs() == equivalence_p(gap, -1, 1) == 1.0


def test_intervals_are_not_wider_than_needed_where_splits_differ() -> None:
    """Covering always would be no merit: where the splits carry most of the spread, coverage is near 95%."""
    _, covered = shares(0.0, 3, 2.0)
    assert covered <= 1 - stats.binom.ppf(0.001, TRIALS, LEVEL) / TRIALS


def test_users_are_the_same_people_in_every_split() -> None:
    """Who likes one model better does so in each split: five splits bear no fivefold witness to it.

    Drawing users anew for each split would take him for five people, and find far too many differences.
    """
    rng, found = np.random.default_rng(11), 0
    for trial in range(TRIALS):
        persons = rng.normal(size=USERS)
        values = persons + 0.3 * rng.normal(size=(5, USERS))
        (mean,) = joint_means(values[None], REPETITIONS, seed=trial)
        found += mean.p_differs() <= LEVEL
    assert found / TRIALS <= most(LEVEL)


def test_drawing_three_splits_with_replacement_finds_what_is_not_there() -> None:
    """Why intervals are not made this way: splits that differ fool it four times as often."""
    rng, found = np.random.default_rng(3), 0
    for _ in range(60):
        values = np.nan_to_num(differences(rng, 0.0, 3, 0.5)[0])
        splits = rng.integers(3, size=(REPETITIONS, 3, 1))
        users = rng.integers(USERS, size=(REPETITIONS, 3, USERS))
        low, high = np.quantile(values[splits, users].mean(axis=(1, 2)), [0.025, 0.975])
        found += not low <= 0 <= high
    assert found / 60 > 2 * LEVEL


def test_power_for_a_given_effect(record_property: Callable[[str, object], None]) -> None:
    """Half a standard deviation of a user's noise is found nearly always on five splits, and rarely on two."""
    power = {n: shares(0.5, n, 0.1)[0] for n in (2, 3, 5)}
    record_property("power by splits", power)
    assert power[2] < power[3] < power[5]
    assert power[3] > 0.4
    assert power[5] > 0.95


def test_ratio_covers_the_true_ratio() -> None:
    rng, covered = np.random.default_rng(4), 0
    for trial in range(TRIALS):
        shared = rng.exponential(1, USERS)  # both models are better for the same users
        levels = np.array([0.3, 0.2])[:, None, None] + 0.01 * rng.normal(size=(2, 3, 1))
        over, under = joint_means(levels * shared + 0.05 * rng.normal(size=(2, 3, USERS)), REPETITIONS, seed=trial)
        interval = over.over(under).interval()
        covered += interval.low <= 1.5 <= interval.high
    assert 1 - covered / TRIALS <= most(LEVEL)


def test_ratio_to_what_may_be_nothing_has_no_upper_end() -> None:
    rng = np.random.default_rng(5)
    over, under = joint_means(np.array([1.0, 0.0])[:, None, None] + 0.5 * rng.normal(size=(2, 1, 30)), 499)
    assert over.over(under).interval().high == np.inf


def test_equivalence_at_the_margin_is_claimed_no_more_often_than_the_level() -> None:
    rng, at_margin, inside = np.random.default_rng(6), 0, 0
    for trial in range(TRIALS):
        (mean,) = joint_means(differences(rng, 0.5, 1, 0.0), REPETITIONS, seed=trial)
        at_margin += equivalence_p(mean, -0.5, 0.5) <= LEVEL
        inside += equivalence_p(mean, 0.0, 1.0) <= LEVEL
    assert at_margin / TRIALS <= most(LEVEL)
    assert inside / TRIALS > 0.9


def slow_holm(p_values: list[float], level: float) -> list[bool]:
    """Holm's steps as he wrote them: the smallest p against level / m, the next against level / (m - 1), until one
    fails."""
    rejected = [False] * len(p_values)
    for step, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[place] > level / (len(p_values) - step):
            break
        rejected[place] = True
    return rejected


def test_holm_agrees_with_its_plain_steps() -> None:
    rng = np.random.default_rng(7)
    for m in (1, 2, 7, 160):
        for _ in range(50):
            p_values = rng.random(m) ** rng.integers(1, 8)
            for level in (0.01, 0.05, 0.5):
                assert (holm(p_values) <= level).tolist() == slow_holm(p_values.tolist(), level)
    assert holm([0.9, 0.01, 0.01]).tolist() == pytest.approx([0.9, 0.03, 0.03])


def test_holm_holds_the_level_of_a_family() -> None:
    rng, families = np.random.default_rng(8), 0
    for trial in range(100):
        values = differences(rng, 0.0, 3, 0.2) + 0.3 * rng.normal(size=(20, 3, USERS))
        families += (holm([mean.p_differs() for mean in joint_means(values, 1999, seed=trial)]) <= LEVEL).any()
    assert families / 100 <= stats.binom.ppf(0.999, 100, LEVEL) / 100


def test_quantities_are_drawn_together() -> None:
    """A constant gap has no spread however much users and splits differ; one user's absence touches only his column."""
    rng = np.random.default_rng(9)
    values = rng.normal(size=(1, 3, USERS)) + rng.normal(size=(1, 3, 1))
    a, b = joint_means(np.concatenate([values + 0.25, values]))
    np.testing.assert_allclose((a - b).draws, 0.25, atol=1e-12)
    median = combined(lambda numbers: np.median(numbers, axis=0), [a, b, b])
    assert median.value == b.value
    np.testing.assert_array_equal(median.draws, b.draws)


def test_mean_is_over_splits_of_means_over_users_who_are_there() -> None:
    (mean,) = joint_means(np.array([[[0.0, 1.0, np.nan, np.nan], [1.0, 1.0, 1.0, np.nan]]]))
    assert mean.value == pytest.approx(0.75)


def test_absent_users_may_differ_between_quantities() -> None:
    values = np.array([[[1.0, 3.0, np.nan]], [[np.nan, 3.0, 5.0]]])
    assert [mean.value for mean in joint_means(values)] == [2.0, 4.0]


def test_draws_of_a_single_split_are_the_bootstrap_of_users() -> None:
    values = np.random.default_rng(10).normal(size=(1, 1, 50))
    (mean,) = joint_means(values, 20_000)
    assert mean.draws.std() == pytest.approx(values.std() / np.sqrt(50), rel=0.03)


def test_p_values_never_reach_nothing() -> None:
    sure = Draws(1.0, np.ones(99))
    assert (sure.p_above(), sure.p_below(), sure.p_differs()) == (0.01, 1.0, 0.02)

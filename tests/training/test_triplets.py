"""The triplet sampler: which positives, which negatives, and that the same generator gives the same epoch."""

import numpy as np
import pandas as pd
import pytest

from mrlm_core.datasets.splits import Split, interactions
from mrlm_core.errors import ConfigError, DatasetError
from mrlm_core.training.triplets import TripletSampler

USERS, ITEMS = 8, 30


def made(rows, n_users=USERS, n_items=ITEMS):
    """Interactions whose training part is ``rows`` of (user, item, rating); one row each for the other parts."""
    ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
    train = np.arange(len(ratings))
    others = pd.DataFrame([[0, 0, 5.0], [0, 0, 5.0]], columns=ratings.columns)
    whole = pd.concat([ratings, others], ignore_index=True)
    split = Split(train, train[-1:] + 1, train[-1:] + 2)
    return interactions(whole, n_users, n_items, 4.0, split, seed=0)


@pytest.fixture
def parts():
    """Users 0..7 like 5 items each; users 0..5 also dislike 3."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(USERS):
        items = rng.permutation(ITEMS)
        rows += [(user, item, 5.0) for item in items[:5]]
        rows += [(user, item, 2.0) for item in items[5:8] if user < 6]
    return made(rows)


def pairs(matrix):
    return set(zip(*(part.tolist() for part in matrix.nonzero()), strict=True))


def drawn(sampler, epochs=20, batch_size=16):
    return np.concatenate([sampler.epoch(np.random.default_rng(seed), batch_size) for seed in range(epochs)])


@pytest.mark.parametrize("arm", ["uniform", "explicit", "mixed", "popularity"])
def test_positives_are_training_positives_and_each_appears_in_every_epoch(parts, arm):
    sampler = TripletSampler(parts, arm, triplets_per_positive=2)
    epoch = sampler.epoch(np.random.default_rng(1), batch_size=16)
    found, counts = np.unique(epoch[:, :2], axis=0, return_counts=True)
    able = {(user, item) for user, item in pairs(parts.train) if arm != "explicit" or user < 6}
    assert set(map(tuple, found.tolist())) == able
    assert counts.min() == 2
    assert epoch.dtype == np.int32
    assert len(epoch) == -(-2 * len(able) // 16) * 16


def test_uniform_negatives_are_unrated_in_training_and_spread_evenly(parts):
    triplets = drawn(TripletSampler(parts, "uniform"), epochs=300)
    assert not set(map(tuple, triplets[:, [0, 2]].tolist())) & pairs(parts.train_rated)
    for user in (0, 7):  # with and without ratings below the threshold
        counts = np.bincount(triplets[triplets[:, 0] == user, 2], minlength=ITEMS)
        unrated = np.setdiff1d(np.arange(ITEMS), parts.train_rated[user].indices)
        assert set(np.flatnonzero(counts)) == set(unrated)
        expected = counts.sum() / len(unrated)
        chi_square = ((counts[unrated] - expected) ** 2 / expected).sum()
        assert chi_square < 60  # 22 or 25 items: beyond the 99.99 % point


def test_explicit_negatives_are_the_users_own_low_ratings_all_of_them(parts):
    sampler = TripletSampler(parts, "explicit")
    assert sampler.left_out == 10  # the positives of users 6 and 7
    triplets = drawn(sampler)
    assert set(map(tuple, triplets[:, [0, 2]].tolist())) == pairs(parts.train_negatives)


def test_mixed_negatives_are_half_explicit_where_there_are_any(parts):
    sampler = TripletSampler(parts, "mixed")
    triplets = drawn(sampler, epochs=100)
    explicit = np.array([pair in pairs(parts.train_negatives) for pair in map(tuple, triplets[:, [0, 2]].tolist())])
    able = triplets[:, 0] < 6
    assert sampler.left_out == 0
    assert explicit[able].mean() == pytest.approx(0.5, abs=0.04)
    assert not explicit[~able].any()
    other = set(map(tuple, triplets[~explicit][:, [0, 2]].tolist()))
    assert not other & pairs(parts.train_rated)


def test_the_generator_alone_decides(parts):
    for arm in ("uniform", "explicit", "mixed"):
        sampler = TripletSampler(parts, arm)
        first, second, other = (sampler.epoch(np.random.default_rng(seed), 16) for seed in (3, 3, 4))
        np.testing.assert_array_equal(first, second)
        assert (first != other).any()
        np.testing.assert_array_equal(TripletSampler(parts, arm).epoch(np.random.default_rng(3), 16), first)


def test_the_order_is_shuffled(parts):
    users = TripletSampler(parts, "uniform").epoch(np.random.default_rng(0), 8)[:, 0]
    assert (np.diff(users) < 0).sum() > 5


def test_a_user_who_rated_nearly_everything_gets_the_one_item_left():
    rows = [(0, item, 5.0) for item in range(ITEMS) if item != 17] + [(1, 2, 5.0)]
    triplets = drawn(TripletSampler(made(rows), "uniform"), epochs=3)
    assert set(triplets[triplets[:, 0] == 0, 2]) == {17}


@pytest.mark.parametrize("arm", ["uniform", "mixed"])
def test_a_user_who_rated_everything_is_left_out_and_counted(arm):
    rows = [(0, item, 5.0 if item else 1.0) for item in range(ITEMS)] + [(1, 2, 5.0)]
    sampler = TripletSampler(made(rows), arm)
    assert sampler.left_out == ITEMS - 1
    assert set(sampler.epoch(np.random.default_rng(0), 4)[:, 0]) == {1}


def test_no_triplet_at_all_is_an_error():
    everything = [(user, item, 5.0) for user in range(2) for item in range(3)]
    with pytest.raises(DatasetError, match="uniform"):
        TripletSampler(made(everything, n_users=2, n_items=3), "uniform")
    with pytest.raises(DatasetError, match="explicit"):
        TripletSampler(made([(0, 1, 5.0)]), "explicit")
    with pytest.raises(DatasetError, match="uniform"):
        TripletSampler(made([(0, 1, 1.0)]), "uniform")


def test_an_unknown_arm_is_refused(parts):
    with pytest.raises(ConfigError, match="unifrom"):
        TripletSampler(parts, "unifrom")


def test_popular_negatives_are_unrated_and_as_frequent_as_they_are_liked():
    """User 0 likes item 0; of the items that he did not rate, 1 is liked by three others, 2 by one, 3 by nobody."""
    others = [(1, 1, 5.0), (2, 1, 5.0), (3, 1, 5.0), (3, 2, 5.0)]
    sampler = TripletSampler(made([(0, 0, 5.0), (0, 4, 2.0), *others, (1, 4, 5.0)], n_users=4, n_items=5), "popularity")
    triplets = drawn(sampler, epochs=400)
    counts = np.bincount(triplets[triplets[:, 0] == 0, 2], minlength=5)
    assert counts[[0, 3, 4]].sum() == 0  # rated, liked by nobody, rated low
    assert counts[1] / counts[2] == pytest.approx(3, rel=0.2)


def test_who_rated_all_that_is_popular_gets_uniform_negatives():
    sampler = TripletSampler(made([(0, 0, 5.0), (0, 1, 5.0), (1, 1, 5.0)], n_users=2, n_items=4), "popularity")
    triplets = drawn(sampler, epochs=60)
    assert set(triplets[triplets[:, 0] == 0, 2].tolist()) == {2, 3}
    assert set(triplets[triplets[:, 0] == 1, 2].tolist()) == {0}

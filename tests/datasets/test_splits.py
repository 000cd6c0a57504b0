"""Random splits: disjoint, complete, repeatable; and the matrices that models see."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mrlm_core.datasets.splits import Split, interactions, random_split, split_by
from mrlm_core.errors import DatasetError


@pytest.mark.parametrize("n_ratings", [10, 101, 5000])
def test_every_row_is_in_exactly_one_part(n_ratings: int) -> None:
    split = random_split(n_ratings, 0.7, 0.2, seed=3)
    rows = np.concatenate([split.train, split.validation, split.test])
    assert sorted(rows) == list(range(n_ratings))
    assert abs(len(split.train) - 0.7 * n_ratings) <= 1
    assert abs(len(split.validation) - 0.2 * n_ratings) <= 1


def test_the_seed_decides() -> None:
    first, again, other = (random_split(500, 0.7, 0.2, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(vars(first).values(), vars(again).values(), strict=True))
    assert not np.array_equal(first.test, other.test)


def test_the_split_is_spread_over_the_file() -> None:
    assert abs(random_split(10_000, 0.7, 0.2, seed=0).test.mean() - 5000) < 400


@pytest.mark.parametrize(("ratios", "part"), [((0.8, 0.2), "test"), ((0.9, 0.0), "validation"), ((0.0, 0.2), "train")])
def test_an_empty_part_is_an_error(ratios: tuple[float, float], part: str) -> None:
    with pytest.raises(DatasetError, match=f"a {part} part with ratings"):
        random_split(100, *ratios, seed=0)


@pytest.fixture
def ratings() -> pd.DataFrame:
    rows = [(0, 3, 5, 10), (0, 1, 4, 30), (0, 2, 4, 20), (0, 0, 2, 40), (1, 2, 5, 5), (1, 3, 4, 5), (2, 0, 5, 1)]
    return pd.DataFrame(rows, columns=["user", "item", "rating", "timestamp"])


def test_matrices_hold_the_positives_of_their_part(ratings: pd.DataFrame) -> None:
    split = Split(np.array([0, 1, 2, 3]), np.array([4, 6]), np.array([5]))
    found = interactions(ratings, 3, 4, threshold=4, split=split, seed=0)
    assert (found.n_users, found.n_items) == (3, 4)
    assert found.train.toarray().tolist() == [[0, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert found.train_negatives.toarray().tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert found.train_rated.toarray().tolist() == [[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert found.validation.toarray().tolist() == [[0, 0, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]]
    assert found.test.toarray().tolist() == [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_a_low_rating_for_validation_is_rated_but_not_positive(ratings: pd.DataFrame) -> None:
    split = Split(np.array([0, 1, 2, 4, 6]), np.array([3]), np.array([5]))
    found = interactions(ratings, 3, 4, threshold=4, split=split, seed=0)
    assert found.validation.nnz == 0
    assert found.validation_rated.toarray()[0].tolist() == [1, 0, 0, 0]


def test_overlapping_parts_are_refused(ratings: pd.DataFrame) -> None:
    with pytest.raises(AssertionError, match="overlap"):
        interactions(ratings, 3, 4, 4, Split(np.array([0, 1]), np.array([1]), np.array([2])), seed=0)


def test_latest_is_newest_first_and_padded(ratings: pd.DataFrame) -> None:
    split = Split(np.array([0, 1, 2, 3, 4, 5]), np.array([], int), np.array([6]))
    found = interactions(ratings, 3, 4, threshold=4, split=split, seed=0)
    assert found.latest_by == "timestamp"
    assert found.latest(2).tolist() == [[1, 2], [2, 3], [-1, -1]]  # of equal age the lower item comes first
    assert found.latest(4).tolist() == [[1, 2, 3, -1], [2, 3, -1, -1], [-1, -1, -1, -1]]


def test_latest_without_timestamps_is_a_seeded_shuffle() -> None:
    plain = pd.DataFrame({"user": [0] * 30, "item": range(30), "rating": 5.0})
    split = Split(np.arange(28), np.array([28]), np.array([29]))
    first, again, other = (interactions(plain, 1, 30, 4, split, seed) for seed in (1, 1, 2))
    assert first.latest_by != "timestamp"
    assert sorted(first.latest(28)[0]) == list(range(28))
    assert first.latest(28).tolist() == again.latest(28).tolist()
    assert first.latest(28).tolist() != other.latest(28).tolist()


@pytest.fixture
def many() -> pd.DataFrame:
    """Users of 1 to 40 ratings, in random order of rows; a row's time is its number in a shuffle."""
    rng = np.random.default_rng(0)
    users = rng.permutation(np.repeat(np.arange(40), np.arange(1, 41)))
    return pd.DataFrame({"user": users, "timestamp": rng.permutation(len(users))})


def sizes(split: Split, users: pd.Series) -> np.ndarray:
    """Ratings of each user in each part, ``[users, 3]``."""
    return np.stack([np.bincount(users.iloc[rows], minlength=users.max() + 1) for rows in vars(split).values()], axis=1)


def test_over_all_is_the_random_split(many: pd.DataFrame) -> None:
    ours, plain = split_by("over-all", many, 0.7, 0.2, 5), random_split(len(many), 0.7, 0.2, 5)
    assert all(np.array_equal(a, b) for a, b in zip(vars(ours).values(), vars(plain).values(), strict=True))


def test_within_user_cuts_each_users_ratings_by_the_ratios(many: pd.DataFrame) -> None:
    split, other = (split_by("within-user", many, 0.7, 0.2, seed) for seed in (1, 2))
    counts = sizes(split, many["user"])
    whole = counts.sum(axis=1, keepdims=True)
    assert np.array_equal(whole.ravel(), np.arange(1, 41))
    assert np.abs(counts - whole * [0.7, 0.2, 0.1]).max() <= 1
    assert not np.array_equal(split.test, other.test)


def test_by_time_trains_on_the_oldest_and_tests_on_the_newest(many: pd.DataFrame) -> None:
    split = split_by("by-time", many, 0.7, 0.2, 0)
    times = [many["timestamp"].to_numpy()[rows] for rows in vars(split).values()]
    assert [part.min() for part in times] == [0, len(times[0]), len(times[0]) + len(times[1])]
    with pytest.raises(DatasetError, match="timestamps"):
        split_by("by-time", many[["user"]], 0.7, 0.2, 0)


@pytest.mark.parametrize("kind", ["over-all", "within-user", "by-time"])
def test_more_training_leaves_a_test_part_within_that_of_less(kind: str, many: pd.DataFrame) -> None:
    less, more = (split_by(kind, many, ratio, 0.2, 3) for ratio in (0.55, 0.7))
    assert set(more.test) < set(less.test)
    assert set(less.train) < set(more.train)

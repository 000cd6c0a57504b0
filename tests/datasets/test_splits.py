"""Random splits: disjoint, complete, repeatable; and the matrices that models see."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mrlm_core.datasets.splits import Split, interactions, random_split
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

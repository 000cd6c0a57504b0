"""Random splits of the ratings and what models and evaluation may see of them (§4.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from mrlm_core.datasets.grouping import chosen, in_order, newest_first, row_numbers
from mrlm_core.errors import DatasetError, problem

# What a rating is to its split; *_LOW: one below the threshold.
TRAIN, TRAIN_LOW, VALIDATION, VALIDATION_LOW, TEST, TEST_LOW = range(1, 7)


@dataclass(frozen=True)
class Split:
    """Row numbers into ``Dataset.ratings`` of each part; disjoint, together every row."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Interactions:
    """One split as sparse matrices ``[users, items]`` of ones; all that training and ranking read.

    ``train``, ``validation``, ``test`` hold the positives of their part; ``train_negatives`` the training ratings
    below the threshold; ``train_rated`` and ``validation_rated`` every rating of their part, whatever its value.
    ``latest`` lists each user's training positives, newest first, as a CSR-like pair (``latest_items``,
    ``train.indptr``); ``latest_by`` says whether "newest" came from timestamps or from a seeded shuffle.
    """

    train: csr_matrix
    train_negatives: csr_matrix
    train_rated: csr_matrix
    validation: csr_matrix
    validation_rated: csr_matrix
    test: csr_matrix
    latest_items: np.ndarray
    latest_by: str

    @property
    def n_users(self) -> int:
        return int(self.train.shape[0])

    @property
    def n_items(self) -> int:
        return int(self.train.shape[1])

    def latest(self, count: int) -> np.ndarray:
        """The ``count`` newest training positives of each user, ``[users, count]``, -1 padded."""
        starts = self.train.indptr[:-1, None] + np.arange(count)
        inside = starts < self.train.indptr[1:, None]
        return np.where(inside, self.latest_items[np.minimum(starts, len(self.latest_items) - 1)], -1)


def random_split(n_ratings: int, train_ratio: float, validation_ratio: float, seed: int) -> Split:
    """Every rating at random into train, validation or test, as §4.1; the rest of the ratios is test.

    Raises DatasetError when a part would be empty. Gaps G19, G33.
    """
    order = row_numbers(n_ratings)
    np.random.default_rng(seed).shuffle(order)  # as ``permutation(n_ratings)``, in half the memory
    return _cut(order, train_ratio, validation_ratio)


def split_by(
    kind: str, ratings: pd.DataFrame, train_ratio: float, validation_ratio: float, seed: int
) -> Split:
    """The split of ``protocol.split``: "over-all" is ``random_split``; "within-user" cuts each user's ratings, in
    random order, by the same ratios; "by-time" takes the oldest ratings of all to train and the newest to test.

    A larger training ratio leaves a test part within that of a smaller one. Raises DatasetError when a part would be
    empty or there are no timestamps. Gap G19.
    """
    if kind == "over-all":
        return random_split(len(ratings), train_ratio, validation_ratio, seed)
    order = np.random.default_rng(seed).permutation(len(ratings))
    if kind == "by-time":
        if "timestamp" not in ratings.columns:
            raise DatasetError(problem("protocol.split 'by-time'", "ratings with timestamps", "none",
                                       "Give them, or take another split."))
        return _cut(order[np.argsort(ratings["timestamp"].to_numpy()[order], kind="stable")], train_ratio,
                    validation_ratio)
    users = ratings["user"].to_numpy()[order]
    order, counts = order[np.argsort(users, kind="stable")], np.bincount(users)
    counts = counts[counts > 0]
    places = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    shares = (places + 0.5) / np.repeat(counts, counts)  # of his ratings before this one
    ends = np.searchsorted(np.sort(shares), (train_ratio, train_ratio + validation_ratio))
    return _parts(np.split(order[np.argsort(shares, kind="stable")], ends), train_ratio, validation_ratio)


def _cut(order: np.ndarray, train_ratio: float, validation_ratio: float) -> Split:
    """``order``, row numbers, cut in three by the ratios."""
    ends = np.rint(np.cumsum([train_ratio, validation_ratio]) * len(order)).astype(int)
    return _parts(np.split(order, ends), train_ratio, validation_ratio)


def _parts(rows: list[np.ndarray], train_ratio: float, validation_ratio: float) -> Split:
    split = Split(*(np.sort(part).astype(np.int64) for part in rows))
    for name, part in vars(split).items():
        if len(part) == 0:
            ratios = f"{train_ratio:g}/{validation_ratio:g}/{1 - train_ratio - validation_ratio:g}"
            raise DatasetError(
                problem(f"split {ratios} of {sum(map(len, rows))} ratings", f"a {name} part with ratings",
                        "an empty one", "Give more ratings or other ratios.")
            )
    return split


def interactions(
    ratings: pd.DataFrame, n_users: int, n_items: int, threshold: float, split: Split, seed: int
) -> Interactions:
    """The matrices of ``split``; ``ratings`` has columns user, item (indices), rating and optionally timestamp.

    Their column indices are sorted. ``seed`` orders each user's positives where there are no timestamps. Asserts that
    the parts are disjoint and rate no item twice. Gap G14.
    """
    users, items = (_indices(ratings, name, count) for name, count in (("user", n_users), ("item", n_items)))
    positive = ratings["rating"].to_numpy() >= threshold
    order = in_order(users, items, n_users, n_items)  # once; every matrix takes its rows in this order
    kinds = _kinds(len(ratings), split, positive)[order]
    users, items = users[order], items[order]

    def matrix(*wanted: int) -> csr_matrix:
        starts, indices = chosen(users, items, kinds, np.isin(np.arange(TEST_LOW + 1), wanted), n_users)
        found = csr_matrix((np.ones(len(indices), np.float32), indices, starts), shape=(n_users, n_items))
        assert found.has_canonical_format, "a part holds two ratings of one user and item"
        return found

    train, timed = matrix(TRAIN), "timestamp" in ratings.columns
    rows = order[kinds == TRAIN]  # as train.indices
    age = -ratings["timestamp"].to_numpy()[rows] if timed else _shuffled(split.train[positive[split.train]], seed)[rows]
    return Interactions(
        train=train,
        train_negatives=matrix(TRAIN_LOW),
        train_rated=matrix(TRAIN, TRAIN_LOW),
        validation=matrix(VALIDATION),
        validation_rated=matrix(VALIDATION, VALIDATION_LOW),
        test=matrix(TEST),
        latest_items=newest_first(train.indptr, train.indices, age),
        latest_by="timestamp" if timed else "random order, seeded",
    )


def _indices(ratings: pd.DataFrame, column: str, count: int) -> np.ndarray:
    """A column of indices as int32; raises DatasetError when one is not in 0 .. count - 1."""
    found = ratings[column].to_numpy()
    if len(found) and not (found.min() >= 0 and found.max() < count):
        raise DatasetError(
            problem(f"ratings, column {column!r}", f"indices from 0 to {count - 1}", f"{found.min()} to {found.max()}",
                    f"Correct them or the number of {column}s.")
        )
    return found.astype(np.int32, copy=False)


def _kinds(n_ratings: int, split: Split, positive: np.ndarray) -> np.ndarray:
    """TRAIN .. TEST_LOW of each rating, 0 where it is in no part."""
    kinds = np.zeros(n_ratings, np.int8)
    for kind, rows in ((TRAIN, split.train), (VALIDATION, split.validation), (TEST, split.test)):
        kinds[rows] = np.where(positive[rows], kind, kind + 1)
    n_rows = sum(len(rows) for rows in vars(split).values())
    assert np.count_nonzero(kinds) == n_rows, "the split's parts overlap"
    return kinds


def _shuffled(rows: np.ndarray, seed: int) -> np.ndarray:
    """By row number: the place of each of ``rows`` in a random order."""
    places = np.zeros(rows.max(initial=-1) + 1, np.int64)
    places[rows] = np.random.default_rng(seed).permutation(len(rows))
    return places

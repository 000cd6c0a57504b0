"""Random splits of the ratings and what models and evaluation may see of them (§4.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from mrlm_core.errors import DatasetError, problem


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

    Raises DatasetError when a part would be empty.
    """
    order = np.random.default_rng(seed).permutation(n_ratings)
    ends = np.rint(np.cumsum([train_ratio, validation_ratio]) * n_ratings).astype(int)
    split = Split(*(np.sort(part) for part in np.split(order, ends)))
    for name, part in vars(split).items():
        if len(part) == 0:
            ratios = f"{train_ratio:g}/{validation_ratio:g}/{1 - train_ratio - validation_ratio:g}"
            raise DatasetError(
                problem(f"split {ratios} of {n_ratings} ratings", f"a {name} part with ratings", "an empty one",
                        "Give more ratings or other ratios.")
            )
    return split


def interactions(
    ratings: pd.DataFrame, n_users: int, n_items: int, threshold: float, split: Split, seed: int
) -> Interactions:
    """The matrices of ``split``; ``ratings`` has columns user, item (indices), rating and optionally timestamp.

    ``seed`` orders each user's positives where there are no timestamps. Asserts that the parts are disjoint.
    """
    parts = np.concatenate([split.train, split.validation, split.test])
    assert len(np.unique(parts)) == len(parts), "the split's parts overlap"

    def matrix(rows: np.ndarray) -> csr_matrix:
        frame = ratings.iloc[rows]
        ones = np.ones(len(frame), np.float32)
        return csr_matrix((ones, (frame["user"], frame["item"])), shape=(n_users, n_items))

    positive = ratings["rating"].to_numpy() >= threshold
    train_positives = split.train[positive[split.train]]
    timed = "timestamp" in ratings.columns
    return Interactions(
        train=matrix(train_positives),
        train_negatives=matrix(split.train[~positive[split.train]]),
        train_rated=matrix(split.train),
        validation=matrix(split.validation[positive[split.validation]]),
        validation_rated=matrix(split.validation),
        test=matrix(split.test[positive[split.test]]),
        latest_items=_newest_first(ratings.iloc[train_positives], timed, seed),
        latest_by="timestamp" if timed else "random order, seeded",
    )


def _newest_first(positives: pd.DataFrame, timed: bool, seed: int) -> np.ndarray:
    """Items of ``positives`` grouped by user in index order, newest first; ties by item index."""
    rng = np.random.default_rng(seed)
    age = -positives["timestamp"].to_numpy() if timed else rng.permutation(len(positives))
    order = np.lexsort((positives["item"].to_numpy(), age, positives["user"].to_numpy()))
    return positives["item"].to_numpy()[order].astype(np.int32)

"""Ratings, their split and an epoch of triplets as one would first write them with pandas, SciPy and NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from mrlm_core.datasets.splits import Interactions, Split


def read(path: Path, scale: tuple[float, float]) -> pd.DataFrame:
    """As ``mrlm_core.datasets.ratings.read_ratings``, but that an error names no row; CSV only."""
    kinds = {"user_id": "str", "item_id": "str", "rating": "float64", "timestamp": "float64"}
    frame = pd.read_csv(path, dtype=kinds, usecols=list(kinds), keep_default_na=False)  # type: ignore[call-overload]
    frame = frame.astype({"user_id": "category", "item_id": "category"})
    for name in ("user_id", "item_id"):
        if "" in frame[name].cat.categories:
            raise ValueError(f"{path}: a row without {name}")
    if not frame["rating"].between(*scale).all() or not np.isfinite(frame["timestamp"]).all():
        raise ValueError(f"{path}: a wrong rating or timestamp")
    if frame.duplicated(["user_id", "item_id"]).any():
        raise ValueError(f"{path}: the same user and item twice")
    return frame.astype({"rating": np.float32, "timestamp": np.int64})


def random_split(n_ratings: int, train_ratio: float, validation_ratio: float, seed: int) -> Split:
    """As ``mrlm_core.datasets.splits.random_split``."""
    order = np.random.default_rng(seed).permutation(n_ratings)
    ends = np.rint(np.cumsum([train_ratio, validation_ratio]) * n_ratings).astype(int)
    return Split(*(np.sort(part) for part in np.split(order, ends)))


def interactions(
    ratings: pd.DataFrame, n_users: int, n_items: int, threshold: float, split: Split, seed: int
) -> Interactions:
    """As ``mrlm_core.datasets.splits.interactions``: each matrix from its rows, the latest by one sort of all."""
    parts = np.concatenate([split.train, split.validation, split.test])
    assert len(np.unique(parts)) == len(parts)

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
    rng = np.random.default_rng(seed)
    age = -positives["timestamp"].to_numpy() if timed else rng.permutation(len(positives))
    order = np.lexsort((positives["item"].to_numpy(), age, positives["user"].to_numpy()))
    return positives["item"].to_numpy()[order].astype(np.int32)


class Sampler:
    """As ``mrlm_core.training.triplets.TripletSampler``: all users' gaps in one long array, searched by NumPy."""

    def __init__(self, interactions: Interactions, arm: str, triplets_per_positive: int = 1) -> None:
        self.arm, self.repeats, self.n_items = arm, triplets_per_positive, interactions.n_items
        pairs = interactions.train.tocoo()
        self.users, self.positives = pairs.row.astype(np.int32), pairs.col.astype(np.int32)
        self.explicit = interactions.train_negatives
        rated = interactions.train_rated.sorted_indices()
        self.rated_starts = rated.indptr.astype(np.int64)
        self.unrated_counts = self.n_items - np.diff(self.rated_starts)
        available = np.diff(self.explicit.indptr) if arm == "explicit" else self.unrated_counts
        able = available[self.users] > 0
        self.left_out = int((~able).sum())
        self.users, self.positives = self.users[able], self.positives[able]
        # How many unrated items come before each rated one, made increasing over all users.
        user_of = np.repeat(np.arange(interactions.n_users), np.diff(self.rated_starts))
        before = rated.indices - (np.arange(rated.nnz) - self.rated_starts[user_of])
        self.unrated_before = user_of * (self.n_items + 1) + before

    def epoch(self, rng: np.random.Generator, batch_size: int) -> np.ndarray:
        """Shuffled triplets ``[n, 3]`` int32."""
        n = len(self.users) * self.repeats
        order = rng.permutation(n) % len(self.users)
        fill = -n % batch_size
        order = np.concatenate([order, rng.integers(0, len(self.users), fill)])
        users = self.users[order]
        return np.stack([users, self.positives[order], self._negatives(users, rng)], axis=1)

    def _negatives(self, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.arm == "uniform":
            return self._uniform(users, rng)
        counts = np.diff(self.explicit.indptr)[users]
        places = self.explicit.indptr[users] + (rng.random(len(users)) * counts).astype(np.int64)
        explicit = self.explicit.indices[np.minimum(places, self.explicit.nnz - 1)]
        if self.arm == "explicit":
            return explicit.astype(np.int32)
        take_explicit = (rng.random(len(users)) < 0.5) & (counts > 0)
        return np.where(take_explicit, explicit, self._uniform(users, rng)).astype(np.int32)

    def _uniform(self, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        drawn = (rng.random(len(users)) * self.unrated_counts[users]).astype(np.int64)
        keys = users.astype(np.int64) * (self.n_items + 1) + drawn
        rated_below = np.searchsorted(self.unrated_before, keys, side="right") - self.rated_starts[users]
        return (drawn + rated_below).astype(np.int32)

"""Triplets (user, positive, negative) for one epoch, sampled without a Python loop over ratings (§3.2)."""

from __future__ import annotations

import numpy as np

from mrlm_core.config import NEGATIVE_ARMS
from mrlm_core.datasets.splits import Interactions
from mrlm_core.errors import ConfigError, DatasetError, problem


class TripletSampler:
    """Draws an epoch of triplets: every training positive ``triplets_per_positive`` times, each with one negative.

    ``arm`` says where negatives come from: ``uniform`` among the items the user did not rate in training,
    ``explicit`` among his training ratings below the threshold, ``mixed`` half and half. Positives of a user who has
    no such negative are counted in ``left_out``: under ``explicit`` a user who rated nothing below the threshold, under
    the other arms one who rated every item; ``mixed`` gives users without explicit negatives uniform ones only.
    Raises ConfigError for another arm and DatasetError when no triplet exists.
    """

    def __init__(self, interactions: Interactions, arm: str, triplets_per_positive: int = 1) -> None:
        if arm not in NEGATIVE_ARMS:
            raise ConfigError(problem("training.negatives", f"one of {NEGATIVE_ARMS}", repr(arm), "Correct its name."))
        self.arm, self.repeats = arm, triplets_per_positive
        self.n_items = interactions.n_items
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
        if len(self.users) == 0:
            raise DatasetError(
                problem("training split", f"triplets with {arm} negatives", "none",
                        "Use negatives='uniform' or a dataset with ratings below the threshold.")
            )
        # How many unrated items come before each rated one, made increasing over all users.
        user_of = np.repeat(np.arange(interactions.n_users), np.diff(self.rated_starts))
        before = rated.indices - (np.arange(rated.nnz) - self.rated_starts[user_of])
        self.unrated_before = user_of * (self.n_items + 1) + before

    def epoch(self, rng: np.random.Generator, batch_size: int) -> np.ndarray:
        """Shuffled triplets ``[n, 3]`` int32; n is rounded up to whole batches by drawing some positives again."""
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
        """Uniform over the items each user has not rated in training: the r-th of them, r drawn, found by bisection."""
        drawn = (rng.random(len(users)) * self.unrated_counts[users]).astype(np.int64)
        keys = users.astype(np.int64) * (self.n_items + 1) + drawn
        rated_below = np.searchsorted(self.unrated_before, keys, side="right") - self.rated_starts[users]
        return (drawn + rated_below).astype(np.int32)

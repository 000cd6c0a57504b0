"""Triplets (user, positive, negative) for one epoch, sampled without a Python loop over ratings (§3.2)."""

from __future__ import annotations

import numpy as np

from mrlm_core.config import NEGATIVE_ARMS
from mrlm_core.datasets.splits import Interactions
from mrlm_core.errors import ConfigError, DatasetError, problem


class TripletSampler:
    """Draws an epoch of triplets: every training positive ``triplets_per_positive`` times, each with one negative.

    ``arm`` says where negatives come from: ``uniform`` among the items the user did not rate in training,
    ``explicit`` among his training ratings below the threshold, ``mixed`` half and half. A user without explicit
    negatives gives no triplets under ``explicit`` (counted in ``left_out``) and only uniform ones under ``mixed``.
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
        explicit_count = np.diff(self.explicit.indptr)
        self.left_out = 0
        if arm == "explicit":
            able = explicit_count[self.users] > 0
            self.left_out = int((~able).sum())
            self.users, self.positives = self.users[able], self.positives[able]
        if len(self.users) == 0:
            raise DatasetError(
                problem("training split", f"triplets with {arm} negatives", "none",
                        "Use negatives='uniform' or a dataset with ratings below the threshold.")
            )
        rated = interactions.train_rated.tocoo()
        self.rated_keys = np.sort(rated.row.astype(np.int64) * self.n_items + rated.col)

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
        """Uniform over the items each user has not rated in training, by rejection."""
        items = rng.integers(0, self.n_items, len(users), dtype=np.int32)
        waiting = np.arange(len(users))
        while len(waiting):
            keys = users[waiting].astype(np.int64) * self.n_items + items[waiting]
            found = np.searchsorted(self.rated_keys, keys)
            rated = self.rated_keys[np.minimum(found, len(self.rated_keys) - 1)] == keys
            waiting = waiting[rated]
            items[waiting] = rng.integers(0, self.n_items, len(waiting), dtype=np.int32)
        return items

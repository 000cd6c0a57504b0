"""Triplets (user, positive, negative) for one epoch, sampled without a Python loop over ratings (§3.2)."""

from __future__ import annotations

import numpy as np
from numba import njit

from mrlm_core.config import NEGATIVE_ARMS
from mrlm_core.datasets.grouping import row_numbers
from mrlm_core.datasets.splits import Interactions
from mrlm_core.errors import ConfigError, DatasetError, problem

ROUNDS = 50  # of drawing again before a user counts as one who rated all that is popular


class TripletSampler:
    """Draws an epoch of triplets: every training positive ``triplets_per_positive`` times, each with one negative.

    ``arm`` says where negatives come from: ``uniform`` among the items the user did not rate in training,
    ``explicit`` among his training ratings below the threshold, ``mixed`` half and half, ``popularity`` as uniform but
    in proportion to how many training positives an item has. Positives of a user who has
    no such negative are counted in ``left_out``: under ``explicit`` a user who rated nothing below the threshold, under
    the other arms one who rated every item; ``mixed`` gives users without explicit negatives uniform ones only.
    Raises ConfigError for another arm and DatasetError when no triplet exists. Gaps G15, G41.
    """

    def __init__(self, interactions: Interactions, arm: str, triplets_per_positive: int = 1) -> None:
        if arm not in NEGATIVE_ARMS:
            raise ConfigError(problem("training.negatives", f"one of {NEGATIVE_ARMS}", repr(arm), "Correct its name."))
        self.arm, self.repeats = arm, triplets_per_positive
        self.n_items = interactions.n_items
        train, rated = interactions.train, interactions.train_rated.sorted_indices()
        self.rated = rated.indptr, rated.indices
        self.explicit = interactions.train_negatives.indptr, interactions.train_negatives.indices
        available = np.diff(self.explicit[0]) if arm == "explicit" else self.n_items - np.diff(rated.indptr)
        able = np.repeat(available > 0, np.diff(train.indptr))
        self.left_out = int((~able).sum())
        self.liked = train.indices  # every training positive: an item stands here as often as it is liked
        self.users = np.repeat(np.arange(interactions.n_users, dtype=np.int32), np.diff(train.indptr))[able]
        self.positives = train.indices[able]
        if len(self.users) == 0:
            raise DatasetError(
                problem("training split", f"triplets with {arm} negatives", "none",
                        "Use negatives='uniform' or a dataset with ratings below the threshold.")
            )

    @property
    def size(self) -> int:
        """Positives that it draws from."""
        return len(self.users)

    def epoch(self, rng: np.random.Generator, batch_size: int) -> np.ndarray:
        """Shuffled triplets ``[n, 3]`` int32; n is rounded up to whole batches by drawing some positives again."""
        order = row_numbers(len(self.users) * self.repeats)
        rng.shuffle(order)
        again = rng.integers(0, len(self.users), -len(order) % batch_size)
        order = np.concatenate([order % len(self.users), again], dtype=order.dtype)
        users = self.users[order]
        return np.stack([users, self.positives[order], self._negatives(users, rng)], axis=1)

    def _negatives(self, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.arm in ("uniform", "popularity"):
            uniform = _unrated(users, rng.random(len(users)), *self.rated, self.n_items)
            return uniform if self.arm == "uniform" else self._popular(users, uniform, rng)
        explicit = _rated(users, rng.random(len(users)), *self.explicit)
        if self.arm == "explicit":
            return explicit
        take_explicit = (rng.random(len(users)) < 0.5) & (explicit >= 0)
        return np.where(take_explicit, explicit, _unrated(users, rng.random(len(users)), *self.rated, self.n_items))

    def _popular(self, users: np.ndarray, otherwise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draws again where the user rated the item; ``otherwise`` stands where ROUNDS draws found none."""
        found, open_rows = otherwise.copy(), np.arange(len(users))
        for _ in range(ROUNDS):
            drawn = self.liked[rng.integers(0, len(self.liked), len(open_rows))]
            rated = _is_rated(users[open_rows], drawn, *self.rated)
            found[open_rows[~rated]] = drawn[~rated]
            open_rows = open_rows[rated]
        return found


@njit(cache=True)
def _is_rated(users, candidates, starts, items):  # type: ignore[no-untyped-def]
    """Whether each candidate is among the sorted items of its user."""
    found = np.empty(len(users), np.bool_)
    for row, user in enumerate(users):
        own = items[starts[user] : starts[user + 1]]
        place = np.searchsorted(own, candidates[row])
        found[row] = place < len(own) and own[place] == candidates[row]
    return found


@njit(cache=True)
def _rated(users, draws, starts, items):  # type: ignore[no-untyped-def]
    """Uniform over the items of each user, by a draw from [0, 1); -1 where he has none."""
    found = np.empty(len(users), np.int32)
    for row, user in enumerate(users):
        first, count = starts[user], starts[user + 1] - starts[user]
        found[row] = items[first + np.int64(draws[row] * count)] if count else -1
    return found


@njit(cache=True)
def _unrated(users, draws, starts, items, n_items):  # type: ignore[no-untyped-def]
    """Uniform over the items that are not among the sorted ones of each user.

    The r-th of them, r drawn, is r plus how many of his items have at most r such items below them: by bisection.
    """
    found = np.empty(len(users), np.int32)
    for row, user in enumerate(users):
        first, low, high = starts[user], 0, starts[user + 1] - starts[user]
        drawn = np.int64(draws[row] * (n_items - high))
        while low < high:
            middle = (low + high) // 2
            if items[first + middle] - middle <= drawn:
                low = middle + 1
            else:
                high = middle
        found[row] = drawn + low
    return found

"""Popularity: everyone gets the items with the most training positives."""

from __future__ import annotations

import numpy as np

from mrlm_core.datasets.splits import Interactions
from mrlm_core.evaluation.ranking import known_users


class Popularity:
    """Scores an item by its number of training positives, alike for every user."""

    def fit(self, interactions: Interactions, seed: int) -> None:
        """Count; ``seed`` changes nothing."""
        self._counts = np.bincount(interactions.train.indices, minlength=interactions.n_items).astype(np.float32)
        self._n_users = interactions.n_users

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores float32 ``[len(users), V]``."""
        return np.tile(self._counts, (len(known_users(users, self._n_users)), 1))

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """User ``[U, 1]`` and item ``[V, 1]`` vectors whose products are the scores."""
        return np.ones((self._n_users, 1), np.float32), self._counts[:, None]

"""The vectors that MRLM is fed, ranked as they are: without this row MRLM would get the credit of its input."""

from __future__ import annotations

import numpy as np

from mrlm_core.datasets.splits import Interactions
from mrlm_core.evaluation.ranking import known_users


class InitialVectors:
    """Rank by the cosine (MRLM's own measure) or the inner product of the initial vectors."""

    def __init__(self, measure: str = "cosine") -> None:
        self.measure = measure

    def fit(self, interactions: Interactions, seed: int, initial_vectors: tuple[np.ndarray, np.ndarray]) -> None:
        """Nothing to learn: keeps users ``[U, d_0]`` and items ``[V, d_0]``."""
        users, items = initial_vectors
        lengths = np.linalg.norm(items, axis=1, keepdims=True)
        self._factors = (users, items / np.maximum(lengths, 1e-12) if self.measure == "cosine" else items)

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """User and item vectors whose product is the score; a user's length does not change his ranking."""
        return self._factors

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores ``[len(users), V]``."""
        return self._factors[0][known_users(users, len(self._factors[0]))] @ self._factors[1].T

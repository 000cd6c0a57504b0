"""EASE: a linear item-item model with a closed form (Steck 2019, Eq. 8)."""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

from mrlm_core.datasets.splits import Interactions
from mrlm_core.errors import ConfigError, problem
from mrlm_core.evaluation.ranking import known_users


class EASE:
    """Ridge regression of each item on all others: B = I - P diag(P)^-1 with P = (X'X + l2 I)^-1.

    With fewer users than items the same scores come from the users' Gram matrix, as X P = K X for
    K = (X X' + l2 I)^-1; so time is cubic and memory quadratic in the smaller of the two.
    """

    def __init__(self, *, l2: float) -> None:
        self.l2 = l2

    def fit(self, interactions: Interactions, seed: int) -> None:
        """Solve; ``seed`` changes nothing."""
        self._train = train = interactions.train
        self._by_users = interactions.n_users < interactions.n_items
        gram = (train @ train.T if self._by_users else train.T @ train).toarray().astype(np.float64)
        gram[np.diag_indices_from(gram)] += self.l2
        inverse = _inverse(gram)
        if self._by_users:
            diagonal = (1 - train.multiply(inverse @ train).sum(axis=0).A1) / self.l2
        else:
            diagonal = inverse.diagonal().copy()
        self._inverse = inverse.astype(np.float32)
        self._diagonal = diagonal.astype(np.float32)

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores float32 ``[len(users), V]``: X B; zero for a user without training positives."""
        users = known_users(users, self._train.shape[0])
        mine = self._train[users]
        product = self._inverse[users] @ self._train if self._by_users else mine @ self._inverse
        return mine.toarray() - np.asarray(product, np.float32) / self._diagonal

    def factors(self) -> None:
        """None: the scores are no product of short vectors."""
        return None


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a symmetric positive definite matrix by Cholesky; raises ConfigError when it is not definite."""
    # LAPACK works on columns; the transpose of a C-ordered symmetric matrix is the same matrix, so nothing is copied.
    lower, failed = dpotrf(matrix.T, lower=True, overwrite_a=True)
    if not failed:
        lower, failed = dpotri(lower, lower=True, overwrite_c=True)
    if failed:
        expected, found = "enough to make the Gram matrix invertible", "too small a value"
        raise ConfigError(problem("EASE hyperparameter 'l2'", expected, found, "Use a larger one."))
    return np.tril(lower) + np.tril(lower, -1).T

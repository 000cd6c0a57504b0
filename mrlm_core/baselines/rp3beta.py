"""RP3beta: random walks of three steps from a user to items, popular ones marked down (Paudel et al. 2017)."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix, diags

from mrlm_core.baselines.neighbours import nearest
from mrlm_core.datasets.splits import Interactions
from mrlm_core.evaluation.ranking import known_users


class RP3Beta:
    """Score of item j for user u: the sum over walks u, i, v, j of p_ui^alpha p_iv^alpha p_vj^alpha / d_j^beta.

    p is one over the degree of the place that is left, d_j the number of users of j. Of the last two steps, from an
    item to an item, the ``neighbours`` likeliest to another item are kept.
    """

    def __init__(self, *, neighbours: int, alpha: float, beta: float) -> None:
        self.neighbours, self.alpha, self.beta = neighbours, alpha, beta

    def fit(self, interactions: Interactions, seed: int) -> None:
        """Find the likeliest steps from item to item; ``seed`` changes nothing."""
        train, n_items = interactions.train, interactions.n_items
        self._from_users, from_items = _steps(train, self.alpha), _steps(train.T.tocsr(), self.alpha)
        penalty = np.maximum(np.bincount(train.indices, minlength=n_items), 1.0) ** self.beta

        def likelihood(items: np.ndarray) -> np.ndarray:
            return (from_items[items] @ self._from_users).toarray() / penalty

        self._from_items = nearest(likelihood, n_items, self.neighbours)

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores float32 ``[len(users), V]``; zero for a user without training positives."""
        users = known_users(users, self._from_users.shape[0])
        return (self._from_users[users] @ self._from_items).toarray().astype(np.float32)

    def factors(self) -> None:
        """None: the scores are no product of short vectors."""
        return None


def _steps(matrix: csr_matrix, exponent: float) -> csr_matrix:
    """The probabilities of a step from rows to columns of a 0/1 ``matrix``, each to the power of ``exponent``."""
    degrees = np.maximum(np.diff(matrix.indptr), 1)
    return csr_matrix(diags((1.0 / degrees) ** exponent) @ matrix, dtype=np.float32)

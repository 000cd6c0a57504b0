"""ItemKNN: items whose users are like those of the items the user liked (Sarwar et al. 2001)."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix, diags

from mrlm_core.baselines.neighbours import nearest
from mrlm_core.datasets.splits import Interactions
from mrlm_core.errors import ConfigError, problem
from mrlm_core.evaluation.ranking import known_users

WEIGHTINGS = ("none", "tf-idf")


class ItemKNN:
    """Sum of the shrunk cosines of an item with the user's training positives, nearest ``neighbours`` only.

    ``weighting`` reweights the interactions before the cosine, items being the documents and users the terms, so
    that users of many items say less about each of them. Raises ConfigError for another weighting.
    """

    def __init__(self, *, neighbours: int, shrink: float, weighting: str) -> None:
        if weighting not in WEIGHTINGS:
            expected = f"one of {WEIGHTINGS}"
            raise ConfigError(problem("ItemKNN weighting", expected, repr(weighting), "Name one of them."))
        self.neighbours, self.shrink, self.weighting = neighbours, shrink, weighting

    def fit(self, interactions: Interactions, seed: int) -> None:
        """Find each item's neighbours; ``seed`` changes nothing."""
        self._train, n_items = interactions.train, interactions.n_items
        users_of_items = _weighted(self._train.T.tocsr(), self.weighting)
        norms = np.sqrt(users_of_items.power(2).sum(axis=1).A1)

        def similarity(items: np.ndarray) -> np.ndarray:
            products = (users_of_items[items] @ users_of_items.T).toarray()
            return products / (np.outer(norms[items], norms) + self.shrink + 1e-6)

        self._similarity = nearest(similarity, n_items, self.neighbours).T.tocsr()

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores float32 ``[len(users), V]``; zero for a user without training positives."""
        users = known_users(users, self._train.shape[0])
        return (self._train[users] @ self._similarity).toarray().astype(np.float32)

    def factors(self) -> None:
        """None: the scores are no product of short vectors."""
        return None


def _weighted(users_of_items: csr_matrix, weighting: str) -> csr_matrix:
    """The 0/1 matrix ``[V, U]``, each user weighted by the inverse document frequency of his items if asked for."""
    if weighting == "none":
        return users_of_items
    n_items, n_users = users_of_items.shape
    idf = np.log((1 + n_items) / (1 + np.bincount(users_of_items.indices, minlength=n_users)))
    return csr_matrix(users_of_items @ diags(idf), dtype=np.float32)

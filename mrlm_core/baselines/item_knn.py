"""ItemKNN: items like those that the user liked, by their users (Sarwar et al. 2001), their content, or both."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.sparse import csr_matrix, diags

from mrlm_core.baselines.neighbours import nearest
from mrlm_core.datasets.splits import Interactions
from mrlm_core.errors import ConfigError, problem
from mrlm_core.evaluation.ranking import Score, known_users
from mrlm_core.preprocessing.vectors import Features, unit_rows

WEIGHTINGS = ("none", "tf-idf")


class ItemNeighbours:
    """Scores an item by the sum of its similarities with the user's training positives, its nearest only."""

    neighbours: int
    _train: csr_matrix
    _similarity: csr_matrix  # column: an item, rows: its neighbours

    def _keep(self, interactions: Interactions, similarity: Score) -> None:
        """What scoring needs: the training positives and each item's nearest."""
        self._train = interactions.train
        self._similarity = nearest(similarity, interactions.n_items, self.neighbours).T.tocsr()

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores float32 ``[len(users), V]``; zero for a user without training positives."""
        users = known_users(users, self._train.shape[0])
        return (self._train[users] @ self._similarity).toarray().astype(np.float32)

    def factors(self) -> None:
        """None: the scores are no product of short vectors."""
        return None


class ItemKNN(ItemNeighbours):
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
        users_of_items = _weighted(interactions.train.T.tocsr(), self.weighting)
        self._keep(interactions, shrunk_cosine(users_of_items, None, self.shrink))


class ContentItemKNN(ItemNeighbours):
    """The same by the items' content alone: the modalities' vectors side by side (ItemKNN-CBF).

    Each is scaled to length 1; one that an item lacks is zero, and so says nothing about it.
    """

    def __init__(self, *, neighbours: int, shrink: float) -> None:
        self.neighbours, self.shrink = neighbours, shrink

    def fit(self, interactions: Interactions, seed: int, features: Mapping[str, Features]) -> None:
        """Find each item's neighbours by ``features`` of all modalities; ``seed`` changes nothing."""
        self._keep(interactions, shrunk_cosine(None, beside(features), self.shrink))


class HybridItemKNN(ItemKNN):
    """The same by users and content: columns of feedback, and of content times ``content_weight`` (ItemKNN-CFCBF)."""

    def __init__(self, *, neighbours: int, shrink: float, weighting: str, content_weight: float) -> None:
        super().__init__(neighbours=neighbours, shrink=shrink, weighting=weighting)
        self.content_weight = content_weight

    def fit(  # type: ignore[override]
        self, interactions: Interactions, seed: int, features: Mapping[str, Features]
    ) -> None:
        """Find each item's neighbours by its users and ``features`` of all modalities; ``seed`` changes nothing."""
        users_of_items = _weighted(interactions.train.T.tocsr(), self.weighting)
        content = beside(features) * np.float32(self.content_weight)
        self._keep(interactions, shrunk_cosine(users_of_items, content, self.shrink))


def beside(features: Mapping[str, Features]) -> np.ndarray:
    """All modalities' vectors, each of length 1 or zero, side by side float32 ``[V, sum of d]``."""
    return np.concatenate([unit_rows(made.values) for made in features.values()], axis=1, dtype=np.float32)


def shrunk_cosine(sparse: csr_matrix | None, dense: np.ndarray | None, shrink: float) -> Score:
    """a . b / (|a| |b| + shrink) of rows of columns, some ``sparse``, some ``dense``: items -> ``[items, V]``."""
    squares: np.ndarray | float = 0.0
    if sparse is not None:
        squares = squares + sparse.power(2).sum(axis=1).A1
    if dense is not None:
        squares = squares + (dense**2).sum(axis=1)
    norms = np.sqrt(squares)

    def similarity(items: np.ndarray) -> np.ndarray:
        products: np.ndarray | float = 0.0
        if sparse is not None:
            products = (sparse[items] @ sparse.T).toarray()
        if dense is not None:
            products = products + dense[items] @ dense.T
        return products / (np.outer(norms[items], norms) + shrink + 1e-6)

    return similarity


def _weighted(users_of_items: csr_matrix, weighting: str) -> csr_matrix:
    """The 0/1 matrix ``[V, U]``, each user weighted by the inverse document frequency of his items if asked for."""
    if weighting == "none":
        return users_of_items
    n_items, n_users = users_of_items.shape
    idf = np.log((1 + n_items) / (1 + np.bincount(users_of_items.indices, minlength=n_users)))
    return csr_matrix(users_of_items @ diags(idf), dtype=np.float32)

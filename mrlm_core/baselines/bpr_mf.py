"""BPR-MF: matrix factorisation by Bayesian personalised ranking (Rendle et al. 2009)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from mrlm_core.datasets.splits import Interactions
from mrlm_core.evaluation.metrics import evaluate

SELECTION_CUTOFF = 20


class BPRMF:
    """Minimises -log sigma(score of a positive - score of a uniform negative) + l2/2 of the vectors used.

    Adam on the rows that a batch touches; stops when Recall@20 on validation has not risen for ``patience`` epochs
    and keeps the best epoch.
    """

    def __init__(
        self, *, dim: int, learning_rate: float, l2: float, batch_size: int, max_epochs: int, patience: int
    ) -> None:
        self.dim, self.learning_rate, self.l2 = dim, learning_rate, l2
        self.batch_size, self.max_epochs, self.patience = batch_size, max_epochs, patience

    def fit(self, interactions: Interactions, seed: int) -> None:
        """Train from a random start; the user's training positives are never his negatives."""
        rng = np.random.default_rng(seed)
        self._users = rng.normal(0, 0.1, (interactions.n_users, self.dim)).astype(np.float32)
        self._items = rng.normal(0, 0.1, (interactions.n_items, self.dim)).astype(np.float32)
        user_rows, item_rows = _Adam(self._users, self.learning_rate), _Adam(self._items, self.learning_rate)
        sampler = _Negatives(interactions.train)
        best, best_epoch, kept = -1.0, 0, (self._users.copy(), self._items.copy())
        for epoch in range(self.max_epochs):
            users, positives = sampler.pairs(rng)
            negatives = sampler.draw(users, rng)
            for start in range(0, len(users), self.batch_size):
                batch = slice(start, start + self.batch_size)
                self._step(users[batch], positives[batch], negatives[batch], user_rows, item_rows)
            recall = self._validation_recall(interactions)
            if recall > best:
                best, best_epoch, kept = recall, epoch, (self._users.copy(), self._items.copy())
            elif epoch - best_epoch >= self.patience:
                break
        self._users, self._items = kept

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores float32 ``[len(users), V]``."""
        return self._users[users] @ self._items.T

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """User ``[U, dim]`` and item ``[V, dim]`` vectors whose products are the scores."""
        return self._users, self._items

    def _step(
        self, users: np.ndarray, positives: np.ndarray, negatives: np.ndarray, user_rows: _Adam, item_rows: _Adam
    ) -> None:
        user, positive, negative = self._users[users], self._items[positives], self._items[negatives]
        margin = np.einsum("bd,bd->b", user, positive - negative)
        slope = (1 / (1 + np.exp(np.clip(margin, -60, 60))))[:, None]  # -d loss / d margin
        toward_items = np.vstack([-slope * user + self.l2 * positive, slope * user + self.l2 * negative])
        user_rows.update(users, slope * (negative - positive) + self.l2 * user)
        item_rows.update(np.concatenate([positives, negatives]), toward_items)

    def _validation_recall(self, interactions: Interactions) -> float:
        frame = evaluate(self, interactions, "validation", (SELECTION_CUTOFF,), (), full=False)
        return float(frame[f"recall@{SELECTION_CUTOFF}"].mean())


class _Adam:
    """Adam (Kingma & Ba 2015) that touches only the rows of ``table`` with a gradient."""

    def __init__(self, table: np.ndarray, learning_rate: float) -> None:
        self.table, self.learning_rate, self.steps = table, learning_rate, 0
        self.first, self.second = np.zeros_like(table), np.zeros_like(table)

    def update(self, rows: np.ndarray, gradients: np.ndarray) -> None:
        """One step with the ``gradients`` ``[n, dim]`` of ``rows`` ``[n]``; gradients of one row add up."""
        self.steps += 1
        touched, place = np.unique(rows, return_inverse=True)
        gather = csr_matrix((np.ones(len(rows), np.float32), (place, np.arange(len(rows)))))
        gradient = (gather @ gradients) / len(rows)
        first = self.first[touched] = 0.9 * self.first[touched] + 0.1 * gradient
        second = self.second[touched] = 0.999 * self.second[touched] + 0.001 * gradient**2
        rate = self.learning_rate * np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        self.table[touched] -= np.float32(rate) * first / (np.sqrt(second) + np.float32(1e-8))


@dataclass
class _Negatives:
    """Draws items that are not among a user's training positives ``[U, V]``."""

    train: csr_matrix

    def __post_init__(self) -> None:
        self.n_items = self.train.shape[1]
        degrees = np.diff(self.train.indptr)
        self.users = np.repeat(np.arange(len(degrees)), degrees)
        self.keys = np.sort(self.users * self.n_items + self.train.indices.astype(np.int64))
        self.usable = np.flatnonzero(degrees[self.users] < self.n_items)  # else the user has no negative at all

    def pairs(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """All training positives in random order: users, items."""
        order = rng.permutation(self.usable)
        return self.users[order], self.train.indices[order]

    def draw(self, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One uniform negative for each of ``users``."""
        items = rng.integers(0, self.n_items, len(users))
        wrong = np.arange(len(users))
        while len(wrong):
            wrong = wrong[self._positive(users[wrong], items[wrong])]
            items[wrong] = rng.integers(0, self.n_items, len(wrong))
        return items

    def _positive(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        asked = users * self.n_items + items
        place = np.minimum(np.searchsorted(self.keys, asked), len(self.keys) - 1)
        return self.keys[place] == asked

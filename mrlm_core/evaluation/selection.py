"""What choices are made by while a model is trained: mean Recall@N, over all users or a sample of them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mrlm_core.datasets.splits import Interactions
from mrlm_core.evaluation.metrics import recall_at
from mrlm_core.evaluation.ranking import Score, inner_product, top_n_of

Part = Literal["validation", "test"]
SAMPLE_SEED = 0  # one sample for all epochs, settings, models and seeds of a split: they are compared on it


def users_of(interactions: Interactions, part: Part = "validation", most: int | None = None) -> np.ndarray:
    """The users with a positive in ``part``, int ``[u]``; beyond ``most`` of them a fixed random sample so large."""
    users = np.flatnonzero(np.diff(getattr(interactions, part).indptr))
    if most is None or len(users) <= most:
        return users
    return np.sort(np.random.default_rng(SAMPLE_SEED).choice(users, most, replace=False))


def mean_recall(
    user_vectors: np.ndarray, item_vectors: np.ndarray, interactions: Interactions, cutoff: int,
    part: Part = "validation", users: np.ndarray | None = None,
) -> float:
    """Mean Recall@cutoff on the positives of ``part``, all items but those rated before as candidates.

    The score is the inner product of ``[U, k]`` and ``[V, k]``. Over ``users``, all that have a positive in ``part``
    unless given; NaN where there is none. Gap G45.
    """
    score = inner_product(np.asarray(user_vectors, np.float32), np.asarray(item_vectors, np.float32))
    return mean_recall_of(score, interactions, cutoff, part, users, np.shape(item_vectors)[1])


def mean_recall_of(
    score: Score, interactions: Interactions, cutoff: int, part: Part = "validation",
    users: np.ndarray | None = None, width: int = 0,
) -> float:
    """As ``mean_recall`` for any scores; ``score(users)`` gives ``[len(users), V]``, ``width`` as in ``top_n_of``."""
    users = users_of(interactions, part) if users is None else users
    if not len(users):
        return float("nan")
    seen = interactions.train_rated[users]
    if part == "test":
        seen = seen + interactions.validation_rated[users]
    ranked, _ = top_n_of(lambda rows: score(users[rows]), len(users), interactions.n_items, cutoff, seen, width)
    return float(np.nanmean(recall_at(ranked, getattr(interactions, part)[users], cutoff)))

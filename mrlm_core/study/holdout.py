"""Items held out of training and validation altogether, and what a model may be shown then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_matrix

from mrlm_core.datasets import Dataset
from mrlm_core.datasets.splits import Interactions, Split
from mrlm_core.errors import ConfigError, problem

LEAST = 2  # cold items: one alone cannot be ranked among its like


def cold_items(dataset: Dataset, share: float, seed: int) -> np.ndarray:
    """A random ``share`` of the rated items, bool ``[V]``; none for a share of 0.

    Raises ConfigError for a share that is not in [0, 1), or of fewer than two items.
    """
    rated = np.unique(dataset.ratings["item"].to_numpy())
    count = round(share * len(rated)) if 0 <= share < 1 else -1
    if count < 0 or (share > 0 and count < LEAST):
        raise ConfigError(problem("share of cold items", f"0, or less than 1 and at least {LEAST} of {len(rated)}",
                                  f"{share:g}", "Choose another."))
    cold = np.zeros(dataset.n_items, bool)
    cold[np.random.default_rng(seed).permutation(rated)[:count]] = True
    return cold


def without(split: Split, cold: np.ndarray, items: np.ndarray) -> Split:
    """``split`` with all ratings of the ``cold`` items (bool ``[V]``) in its test part; the others stay where they are.

    ``items`` is the item of each rating.
    """
    train, validation = (rows[~cold[items[rows]]] for rows in (split.train, split.validation))
    moved = [rows[cold[items[rows]]] for rows in (split.train, split.validation)]
    return Split(train, validation, np.sort(np.concatenate([split.test, *moved])))


def shown(dataset: Dataset, split: Split, parts: Interactions) -> tuple[Dataset, Interactions]:
    """What a model is fitted to: dataset and matrices without a single rating of the test part.

    So whatever a model or its preprocessing reads, it cannot be what it is tested on.
    """
    rows = np.sort(np.concatenate([split.train, split.validation]))
    ratings = dataset.ratings.iloc[rows].reset_index(drop=True)
    return replace(dataset, ratings=ratings), replace(parts, test=csr_matrix(parts.test.shape, dtype=np.float32))


def not_drawn(parts: Interactions, cold: np.ndarray) -> Interactions:
    """``parts`` in which no sampler draws a cold item as a negative, and validation does not rank one.

    For both, an item that a user has rated is no candidate, so every user "has rated" the cold ones: one stored number
    for each pair of a user and a cold item.
    """
    column = csr_matrix(np.where(cold, 1.0, 0.0).astype(np.float32)[None])
    everyone = csr_matrix(np.ones((parts.n_users, 1), np.float32))
    return replace(parts, train_rated=(parts.train_rated + everyone @ column).tocsr().sorted_indices())

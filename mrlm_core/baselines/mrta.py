"""MRTA: neighbours by a weighted fusion of the modalities' similarities (Bougiatiotis & Giannakopoulos 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from mrlm_core.baselines.item_knn import ItemNeighbours
from mrlm_core.baselines.network import CUTOFF
from mrlm_core.baselines.sentences import UNKNOWN, Sentences
from mrlm_core.datasets.splits import Interactions
from mrlm_core.evaluation.ranking import Score
from mrlm_core.evaluation.selection import mean_recall_of, users_of
from mrlm_core.preprocessing.vectors import Features, unit_rows

WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of a modality against the text, whose weight is 1; besides 0
SELECTION_USERS = 20_000
PASSES = 10  # of the topic model over the texts


class MRTA(ItemNeighbours):
    """Content neighbours; nothing but the modalities' weights is learnt from feedback.

    The text is the shares of ``topics`` that a topic model (Blei et al. 2003) finds in it. The similarity of two items
    is the weighted sum over the modalities of their cosines, 0 where one of the two lacks the modality. Weights are
    chosen one modality after the other by validation Recall@20 (``report`` tells how many were compared).
    """

    def __init__(self, *, topics: int, neighbours: int) -> None:
        self.topics, self.neighbours = topics, neighbours

    def fit(
        self, interactions: Interactions, seed: int, sentences: Sentences, features: Mapping[str, Features]
    ) -> None:
        """Choose the weights and find each item's neighbours; ``features`` of the modalities besides text."""
        vectors = {"text": topic_shares(sentences, self.topics, seed)}
        vectors |= {name: made.values for name, made in features.items()}
        units = {name: unit_rows(rows).astype(np.float32) for name, rows in vectors.items()}
        users = users_of(interactions, most=SELECTION_USERS)

        def recall(weights: Mapping[str, float]) -> float:
            self._keep(interactions, fused(units, weights))
            return mean_recall_of(self.score, interactions, CUTOFF, users=users)

        weights, compared = {"text": 1.0}, [({"text": 1.0}, recall({"text": 1.0}))]
        for name in list(units)[1:]:
            compared += [(tried := {**weights, name: weight}, recall(tried)) for weight in WEIGHTS]
            weights = max(compared, key=lambda pair: pair[1])[0]  # the first of equals
        self._keep(interactions, fused(units, weights))
        self.report: dict[str, Any] = {"weights": weights, "weightings_compared": len(compared),
                                       "selection_users": len(users)}


def fused(units: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> Score:
    """Sum over the modalities of weight times cosine, of ``units`` ``[V, d]`` of length 1: items -> ``[items, V]``."""
    # One product of the rows side by side, each times the root of its weight.
    rows = np.concatenate([np.float32(np.sqrt(weight)) * units[name] for name, weight in weights.items()], axis=1)
    return lambda items: rows[items] @ rows.T


def topic_shares(sentences: Sentences, topics: int, seed: int) -> np.ndarray:
    """Shares of the topics of latent Dirichlet allocation in each text, float32 ``[V, topics]``; zeros without text.

    Each occurrence of a word counts by the word's inverse document frequency (Wilson & Chew 2010), which does what a
    list of stop words did for the original.
    """
    from sklearn.decomposition import LatentDirichletAllocation

    items, _, _ = known = np.nonzero(sentences.words > UNKNOWN)
    numbers = sentences.words[known] - UNKNOWN - 1
    shape = len(sentences.words), sentences.size - UNKNOWN - 1
    shares = np.zeros((shape[0], topics), np.float32)
    counts = csr_matrix((np.ones(len(items)), (items, numbers)), shape=shape)
    counts.sum_duplicates()
    texts_with = np.bincount(counts.indices, minlength=shape[1])
    counts.data *= np.log(max(1, len(np.unique(items))) / np.maximum(texts_with, 1))[counts.indices]
    said = np.flatnonzero(counts.sum(axis=1).A1 > 0)
    if len(said):
        model = LatentDirichletAllocation(topics, learning_method="online", batch_size=512, max_iter=PASSES,
                                          random_state=seed)
        shares[said] = model.fit_transform(counts[said])
    return shares

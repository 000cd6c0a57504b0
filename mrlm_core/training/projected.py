"""MRLM whose joined user vector a learned projection brings to the length of an item's vector."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.preprocessing import normalize

from mrlm_core.datasets.splits import Interactions
from mrlm_core.errors import ConfigError, problem
from mrlm_core.evaluation.selection import mean_recall, users_of
from mrlm_core.model.mrlm import Representations
from mrlm_core.model.preference import Preference
from mrlm_core.training.recommender import MRLMRecommender

RIDGES = (0.01, 0.1, 1.0, 10.0)  # times the mean square of a coordinate of the joined vectors, summed over users


@dataclass(frozen=True)
class Projection(Preference):
    """Score by ``project``: the number L of latest items, and how strongly the projection is held small."""

    form: str = "projected"
    ridge: float = 1.0


def project(
    vectors: Representations, interactions: Interactions, projection: Projection
) -> tuple[np.ndarray, np.ndarray]:
    """User ``[U, d_4]`` and item ``[V, d_4]`` vectors whose product is the score cos(W [g_u, m_l1 .. m_lL], m_v).

    W is learned by ridge regression on the training part: it takes a user's joined vector to the mean of m over the
    positives that are not among his L latest, so that it cannot copy what it is given. Users without such positives are
    not learned from; places without an item are zeros. All parts are unit vectors. Raises ConfigError without
    multimodal vectors, and where nobody has more than L positives. Gap G12.
    """
    if vectors.items_multimodal.shape[1] == 0:
        raise ConfigError(problem("a learned projection", "multimodal vectors", "a model without modalities",
                                  "Leave some modality in."))
    m_item = normalize(vectors.items_multimodal)
    latest = interactions.latest(projection.latest_count)
    there = latest >= 0
    of_latest = np.where(there[:, :, None], m_item[latest], 0)
    joined = np.hstack([normalize(vectors.users), of_latest.reshape(len(latest), -1)])
    others = np.diff(interactions.train.indptr) - there.sum(axis=1)
    if not others.any():
        raise ConfigError(problem("a learned projection", f"users with more than {projection.latest_count} training "
                                  "positives", "none", "Give preference.latest_counts smaller numbers."))
    target = (interactions.train.astype(m_item.dtype) @ m_item - of_latest.sum(axis=1))[others > 0]
    learned_from = joined[others > 0]
    strength = projection.ridge * np.square(learned_from).sum() / learned_from.shape[1]
    learned = Ridge(alpha=strength, fit_intercept=False).fit(learned_from, target / others[others > 0, None])
    return normalize(joined @ learned.coef_.T), m_item


class ProjectedRecommender(MRLMRecommender):
    """MRLM trained as ever, ranked by ``project``; validation chooses L and the ridge, each epoch anew. Gap G12."""

    def use(self, preference: Preference, interactions: Interactions) -> None:
        """Score with ``preference``, a ``Projection``, from now on."""
        assert isinstance(preference, Projection)
        self._factors = project(self.representations, interactions, preference)

    def _choose(
        self, vectors: Representations, interactions: Interactions, multimodal: bool = True
    ) -> tuple[Preference, float]:
        """The projection with the best validation Recall, and that Recall; by g alone where m is not learned yet.

        An L that no user has more training positives than is not tried: there is nothing to learn it from.
        """
        if not multimodal:
            return super()._choose(vectors, interactions, multimodal)
        protocol = self.config.protocol
        users = users_of(interactions, most=protocol.selection_users)
        most = np.diff(interactions.train.indptr).max(initial=0)
        counts = self.config.preference.latest_counts
        learnable = [count for count in counts if count < most] or [min(counts)]
        grid = [Projection(latest_count=count, ridge=ridge) for count, ridge in product(learnable, RIDGES)]
        recalls = [mean_recall(*project(vectors, interactions, one), interactions, protocol.selection_cutoff,
                               users=users) for one in grid]
        best = int(np.argmax(recalls))  # the first of equals
        return grid[best], float(recalls[best])

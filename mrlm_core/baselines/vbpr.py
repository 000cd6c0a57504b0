"""VBPR: BPR-MF with a second inner product, of the user's taste for content and the item's content (He 2016)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrlm_core.baselines.bpr_mf import BPRMF, FactorNetwork
from mrlm_core.datasets.splits import Interactions


@dataclass(kw_only=True)
class VBPR(BPRMF):
    """Score p_u . q_i + theta_u . (E f_i) + beta . f_i + b_i with f_i the frozen content (He & McAuley 2016, Eq. 4).

    The content is that of all modalities, where the original has one picture's features.
    """

    content_dim: int
    shared_rate: float  # of E and beta, as a share of the learning rate: each triplet moves all of them
    shared_l2: float

    def network(self, interactions: Interactions, seed: int, content: np.ndarray) -> FactorNetwork:  # type: ignore[override]
        """``content`` float32 ``[V, D]``."""
        return FactorNetwork(interactions.n_users, interactions.n_items, self.dim, content=content,
                             content_dim=self.content_dim)

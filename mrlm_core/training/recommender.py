"""MRLM and U-GFRL as recommenders: train the network, choose the preference score on validation, rank."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from mrlm_core.config import PreferenceConfig, TrainingConfig, preset
from mrlm_core.datasets.splits import Interactions
from mrlm_core.evaluation.ranking import known_users
from mrlm_core.evaluation.selection import mean_recall, users_of
from mrlm_core.model.mrlm import MRLM, Representations
from mrlm_core.model.preference import Preference, fold
from mrlm_core.training.fit import STEPS_PER_CALL, History, fit, seed_everything
from mrlm_core.training.optimizer import Adam, on_tensorflow
from mrlm_core.training.triplets import TripletSampler


class MRLMRecommender:
    """MRLM (§3), or, fitted without clusters, U-GFRL (§4.3): one network, one preference score.

    ``settings`` are dotted settings of the config on top of ``preset``. After ``fit``: ``network``, ``history``,
    ``preference`` (what validation chose), ``report`` (facts for the run record).
    """

    def __init__(self, preset_name: str = "laptop", **settings: Any) -> None:
        self.config = preset(preset_name, settings)

    def fit(
        self,
        interactions: Interactions,
        seed: int,
        initial_vectors: tuple[np.ndarray, np.ndarray],
        clusters: Mapping[str, np.ndarray] | None = None,
        checkpoint: Path | None = None,
    ) -> None:
        """Train on ``interactions``; ``initial_vectors`` are ([U, d_0], [V, d_0]), ``clusters`` ids [V] by modality."""
        training = self.config.training
        seed_everything(seed)
        self.network = MRLM(self.config.model, *initial_vectors, clusters)
        optimizer = optimizer_of(self.network, training)
        self.network.compile(optimizer=optimizer, steps_per_execution=STEPS_PER_CALL)
        sampler = TripletSampler(interactions, training.negatives, training.triplets_per_positive)
        self.history: History = fit(
            self.network,
            lambda rng: sampler.epoch(rng, training.batch_size),
            lambda: self._choose(self.network.represent(), interactions)[1],
            batch_size=training.batch_size,
            max_epochs=training.max_epochs,
            patience=training.patience,
            seed=seed,
            name="MRLM" if clusters else "U-GFRL",
            checkpoint=checkpoint,
        )
        self.representations = self.network.represent()
        self.preference, _ = self._choose(self.representations, interactions)
        self.use(self.preference, interactions)
        self.report = {
            "preference": vars(self.preference),
            "latest_by": interactions.latest_by,
            "selection_users": len(users_of(interactions, most=self.config.protocol.selection_users)),
            "positives_without_negative": sampler.left_out,
            "precision": self.config.model.precision,
            "optimizer": "row-adam" if optimizer.rows else "adam",
            "sampled_identity_heads": self.network.sampled_heads,
            "network_parameters": int(sum(np.prod(v.shape) for v in self.network.trainable_variables)),
        }

    def use(self, preference: Preference, interactions: Interactions) -> None:
        """Score with ``preference`` from now on."""
        latest = interactions.latest(preference.latest_count)
        self._factors = fold(self.representations, latest, preference)

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """User ``[U, k]`` and item ``[V, k]`` vectors whose product is the score."""
        return self._factors

    def score(self, users: np.ndarray) -> np.ndarray:
        """Preference scores ``[len(users), V]``."""
        return self._factors[0][known_users(users, len(self._factors[0]))] @ self._factors[1].T

    def _choose(self, vectors: Representations, interactions: Interactions) -> tuple[Preference, float]:
        """The preference of the grid with the best validation Recall, and that Recall."""
        protocol = self.config.protocol
        users = users_of(interactions, most=protocol.selection_users)
        latest = interactions.latest(max(self.config.preference.latest_counts))
        scored = [
            (mean_recall(*fold(vectors, latest, candidate), interactions, protocol.selection_cutoff, users=users),
             candidate)
            for candidate in preference_grid(self.config.preference, bool(self.network.modalities))
        ]
        recall, chosen = max(scored, key=lambda pair: pair[0])  # the first of equals: a fixed order
        return chosen, recall


def optimizer_of(network: MRLM, training: TrainingConfig) -> Adam:
    """The Adam that ``training.optimizer`` asks for; "auto" updates by rows where a head is sampled and rows exist.

    Gap G25.
    """
    rows = {"adam": False, "row-adam": True, "auto": bool(network.sampled_heads) and on_tensorflow()}
    return Adam(training.learning_rate, rows=rows[training.optimizer])


def preference_grid(config: PreferenceConfig, multimodal: bool) -> list[Preference]:
    """The preferences that validation chooses from, those that would score alike once; without m only g's cosine.

    Gap G43.
    """
    if not multimodal or config.form == "global-only":
        return [Preference("global-only", 1.0, 1)]
    counts = config.latest_counts
    if config.form != "blockwise":
        return [Preference(config.form, 0.5, count) for count in counts]
    mixed = [Preference("blockwise", w, count) for w, count in product(config.global_weights, counts) if w < 1]
    return mixed + [Preference("blockwise", 1.0, 1)] * (1.0 in config.global_weights)

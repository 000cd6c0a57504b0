"""MRLM and U-GFRL as recommenders: train the network, choose the preference score on validation, rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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
    ``preference`` (what validation chose), ``report`` (facts for the run record). Gap G06.
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
        users, items = self._ordered(initial_vectors, seed)
        model = self.config.model
        if model.modalities == "input":  # the descriptions have made the initial vectors longer
            model = replace(model, embedding_dim=items.shape[1])
        self.network = MRLM(model, users, items, clusters)
        sampler = TripletSampler(interactions, training.negatives, training.triplets_per_positive)
        if training.schedule == "sequential" and clusters:
            self.network.learn("global")
            first = self._trained(interactions, sampler, seed, checkpoint and checkpoint / "global", multimodal=False)
            self.network.learn("multimodal")
            last = self._trained(interactions, sampler, seed, checkpoint and checkpoint / "multimodal")
            self.history = History(first.rows + last.rows, first.epochs + last.best_epoch, last.best_score)
        else:
            self.history = self._trained(interactions, sampler, seed, checkpoint)
        self.representations = self.network.represent()
        self.preference, _ = self._choose(self.representations, interactions)
        self.use(self.preference, interactions)
        self.report = {
            "preference": vars(self.preference),
            "latest_by": interactions.latest_by,
            "selection_users": len(users_of(interactions, most=self.config.protocol.selection_users)),
            "positives_without_negative": sampler.left_out,
            "precision": self.config.model.precision,
            "optimizer": "row-adam" if self.network.optimizer.rows else "adam",
            "sampled_identity_heads": self.network.sampled_heads,
            "network_parameters": int(sum(np.prod(v.shape) for v in self.network.trainable_variables)),
        }

    def _trained(
        self, interactions: Interactions, sampler: TripletSampler, seed: int, checkpoint: Path | None,
        multimodal: bool = True,
    ) -> History:
        """Train the network as it is set to learn; without ``multimodal`` validation ranks by the global vectors."""
        training = self.config.training
        self.network.compile(optimizer=optimizer_of(self.network, training), steps_per_execution=STEPS_PER_CALL)
        return fit(
            self.network,
            lambda rng: sampler.epoch(rng, training.batch_size),
            lambda: self._choose(self.network.represent(), interactions, multimodal)[1],
            batch_size=training.batch_size,
            max_epochs=training.max_epochs,
            patience=training.patience,
            seed=seed,
            name="MRLM" if self.network.modalities else "U-GFRL",
            checkpoint=checkpoint,
        )

    def _ordered(self, initial_vectors: tuple[np.ndarray, np.ndarray], seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The initial vectors with their coordinates in the order that ``model.coordinates`` asks for."""
        users, items = initial_vectors
        if self.config.model.coordinates == "as-given":
            return users, items
        order = np.random.default_rng(seed).permutation(items.shape[1])
        return users[:, order], items[:, order]

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

    def _choose(
        self, vectors: Representations, interactions: Interactions, multimodal: bool = True
    ) -> tuple[Preference, float]:
        """The preference of the grid with the best validation Recall, and that Recall; by g alone if so asked."""
        protocol = self.config.protocol
        users = users_of(interactions, most=protocol.selection_users)
        latest = interactions.latest(max(self.config.preference.latest_counts))
        scored = [
            (mean_recall(*fold(vectors, latest, candidate), interactions, protocol.selection_cutoff, users=users),
             candidate)
            for candidate in preference_grid(self.config.preference, multimodal and bool(self.network.modalities))
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

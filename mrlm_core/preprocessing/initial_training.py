"""How the models behind the initial vectors are trained: training positives against uniform negatives."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from mrlm_core.datasets.splits import Interactions
from mrlm_core.preprocessing.initial_features import made
from mrlm_core.preprocessing_config import PreprocessingConfig
from mrlm_core.training.fit import STEPS_PER_CALL, fit
from mrlm_core.training.triplets import TripletSampler


def train(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, validate: Callable[[], float], measure: str,
    interactions: Interactions, config: PreprocessingConfig, seed: int, name: str,
) -> dict[str, np.ndarray]:
    """Train ``model`` on triplets ``[B, 3]``; keep the epoch with the best ``validate()``, which is a ``measure``.

    ``model.vectors()`` gives users ``[U, d_0]`` and items ``[V, d_0]``. Returns what ``initial_features.made`` says.
    """
    model.compile(optimizer=optimizer, steps_per_execution=STEPS_PER_CALL)
    sampler = TripletSampler(interactions, "uniform", config.initial_negatives)
    batch = min(config.initial_batch_size, len(sampler.users))
    history = fit(
        model, lambda rng: sampler.epoch(rng, batch), validate, batch_size=batch, max_epochs=config.initial_epochs,
        patience=config.initial_patience, seed=seed, name=name,
    )
    users, items = model.vectors()
    return made(users, items, interactions, [row["validation"] for row in history.rows], measure)

"""Triplets a second of the step as trained against the literal Keras step, same sizes and losses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import keras
import numpy as np

from benchmarks.compare import Comparison, in_turn
from benchmarks.naive import LiteralMRLM
from benchmarks.section import Section
from mrlm_core.config import preset
from mrlm_core.model.mrlm import MRLM
from mrlm_core.training.fit import STEPS_PER_CALL, seed_everything

CASES = {"laptop": 3, "paper": 1}  # preset -> compiled calls an epoch


def run(cases: dict[str, int] = CASES, **sizes: int) -> Section:
    """The training step's section."""
    measured = [compare(name, calls, **sizes) for name, calls in cases.items()]
    apart = max(relative for _, relative in measured)
    difference = f"at most {max(apart, 1e-7):.0e} of the value"  # float32 knows no less
    lines = [
        "Ours: one stacked trunk call, folded difference calculation, several optimiser steps a compiled call. Literal:"
        " three trunk calls, the difference tensor built and flattened into a dense layer, plain `fit`. Both with full"
        f" softmax, five modalities, Adam; at equal weights their losses differ by {difference}.", "",
        "| preset and size | ours, triplets/s | literal, triplets/s | times as fast | range |",
        "|---|--:|--:|--:|--:|",
        *(comparison.row() for comparison, _ in measured),
    ]
    return Section("Training step", lines, [])


def compare(
    preset_name: str, calls: int, n_users: int = 610, n_items: int = 9_724, repeats: int = 5
) -> tuple[Comparison, float]:
    """(the comparison, the relative difference of the two models' losses at equal weights).

    One repeat is one epoch of ``calls`` * STEPS_PER_CALL batches by ``fit``; full softmax over users and items.
    """
    config = preset(preset_name, {"model.identity_head": "full"})
    models, rows = _models(preset_name, n_users, n_items, config.training.batch_size * STEPS_PER_CALL * calls)
    apart = _loss_difference(models, rows[: config.training.batch_size])
    ours, literal = models
    ours.compile(optimizer=keras.optimizers.Adam(config.training.learning_rate), steps_per_execution=STEPS_PER_CALL)
    literal.compile(optimizer=keras.optimizers.Adam(config.training.learning_rate))

    def epoch(model: MRLM) -> Callable[[], object]:
        return partial(model.fit, rows, batch_size=config.training.batch_size, epochs=1, shuffle=False, verbose=0)

    name = f"{preset_name}, {n_users:,} users, {n_items:,} items"
    return in_turn(name, "triplets", len(rows), epoch(ours), epoch(literal), repeats), apart


def _models(preset_name: str, n_users: int, n_items: int, n_triplets: int) -> tuple[tuple[MRLM, MRLM], np.ndarray]:
    """Ours and the literal one with the same weights, and random triplets."""
    config = preset(preset_name, {"model.identity_head": "full"})
    seed_everything(0)
    rng = np.random.default_rng(0)
    width = config.model.embedding_dim
    vectors = rng.normal(size=(n_users, width)), rng.normal(size=(n_items, width))
    clusters = {name: np.arange(n_items, dtype=np.int32) % count
                for name, count in config.preprocessing.cluster_counts.items()}
    ours, literal = MRLM(config.model, *vectors, clusters), LiteralMRLM(config.model, *vectors, clusters)
    literal.set_weights(ours.get_weights())
    columns = [rng.integers(0, count, n_triplets, dtype=np.int32) for count in (n_users, n_items, n_items)]
    return (ours, literal), np.stack(columns, axis=1)


def _loss_difference(models: tuple[MRLM, MRLM], triplets: np.ndarray) -> float:
    one, other = (float(model.joint_loss(model.loss_terms(model(triplets)))) for model in models)
    return abs(one - other) / abs(one)

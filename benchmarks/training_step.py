"""Triplets a second of the step as trained against the literal Keras step, same sizes and losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np

from benchmarks.compare import Comparison, in_turn
from benchmarks.naive import LiteralMRLM
from benchmarks.section import Section, Target
from mrlm_core.config import preset
from mrlm_core.model.mrlm import MRLM
from mrlm_core.training.fit import STEPS_PER_CALL, seed_everything
from mrlm_core.training.recommender import optimizer_of

HEADER = ["| preset, sizes, options | ours, triplets/s | literal, triplets/s | times as fast | range |",
          "|---|--:|--:|--:|--:|"]
FULL = {"model.identity_head": "full"}


@dataclass(frozen=True)
class Case:
    """One size with options of ours; the literal step has full softmax and float32 always."""

    preset: str
    n_users: int
    n_items: int
    settings: Mapping[str, Any] = field(default_factory=lambda: dict(FULL))
    calls: int = 1  # compiled calls an epoch of ours, of STEPS_PER_CALL batches each
    wanted: float | None = None  # times as fast

    @property
    def name(self) -> str:
        changed = ", ".join(f"{v}" for k, v in self.settings.items() if (k, v) not in FULL.items())
        return f"{self.preset}, {self.n_users:,} users, {self.n_items:,} items" + (f", {changed}" if changed else "")


SMALL, LARGE = (610, 9_724), (138_493, 27_278)
CASES = [
    Case("paper", *SMALL, wanted=2.5),
    Case("paper", *SMALL, settings={**FULL, "model.precision": "bfloat16"}, wanted=4.0),
    Case("paper", *LARGE, settings={"model.identity_head": "sampled", "training.optimizer": "row-adam"}, wanted=6.0),
    Case("laptop", *SMALL, calls=3),
]


def run(cases: list[Case] = CASES, repeats: int = 5) -> Section:
    """The training step's section."""
    measured = [(case, *compare(case, repeats)) for case in cases]
    apart = max(relative for case, _, relative in measured if case.settings == FULL)
    lines = [
        "Ours: one stacked trunk call, folded difference calculation, elementwise chains compiled into single passes,"
        " one-operation Adam, several optimiser steps a compiled call. Literal: three trunk calls, the difference tensor"
        " built and flattened into a dense layer, Keras' own layers, losses and Adam, plain `fit`, always float32 and"
        " full softmax. Batches of 128, five modalities; at equal weights and options their losses differ by at most"
        f" {max(apart, 1e-7):.0e} of the value.", "",
        *HEADER, *(comparison.row() for _, comparison, _ in measured),
    ]
    return Section("Training step", lines, [_target(case, found) for case, found, _ in measured if case.wanted])


def compare(case: Case, repeats: int = 5) -> tuple[Comparison, float]:
    """(the comparison, the relative difference of the two models' losses at equal weights).

    One repeat is one epoch by ``fit``, of a quarter as many batches for the literal step where it is the slow one.
    """
    config = preset(case.preset, case.settings)
    batch = config.training.batch_size
    ours, literal, rows = models(case, batch * STEPS_PER_CALL * case.calls)
    apart = _loss_difference((ours, literal), rows[:batch])
    ours.compile(optimizer=optimizer_of(ours, config.training), steps_per_execution=STEPS_PER_CALL)
    literal.compile(optimizer=keras.optimizers.Adam(config.training.learning_rate))
    share = 4 if case.n_users * case.n_items > 1e8 else 1

    def epoch(model: MRLM, rows: np.ndarray) -> Callable[[], object]:
        return partial(model.fit, rows, batch_size=batch, epochs=1, shuffle=False, verbose=0)

    found = in_turn(case.name, "triplets", len(rows), epoch(ours, rows), epoch(literal, rows[::share]), repeats)
    return Comparison(found.name, found.unit, found.amount, found.ours, found.other * share), apart


def models(case: Case, n_triplets: int) -> tuple[MRLM, LiteralMRLM, np.ndarray]:
    """Ours and the literal one with the same weights, and random triplets ``[n, 3]``."""
    config = preset(case.preset, case.settings)
    plain = preset(case.preset, FULL)
    seed_everything(0)
    rng = np.random.default_rng(0)
    width = config.model.embedding_dim
    vectors = [rng.normal(size=(count, width)).astype(np.float32) for count in (case.n_users, case.n_items)]
    clusters = {name: np.arange(case.n_items, dtype=np.int32) % count
                for name, count in config.preprocessing.cluster_counts.items()}
    ours, literal = MRLM(config.model, *vectors, clusters), LiteralMRLM(plain.model, *vectors, clusters)
    literal.set_weights(ours.get_weights())
    columns = [rng.integers(0, count, n_triplets, dtype=np.int32)
               for count in (case.n_users, case.n_items, case.n_items)]
    return ours, literal, np.stack(columns, axis=1)


def _loss_difference(models: tuple[MRLM, MRLM], triplets: np.ndarray) -> float:
    one, other = (float(model.joint_loss(model.loss_terms(model(triplets)))) for model in models)
    return abs(one - other) / abs(one)


def _target(case: Case, found: Comparison) -> Target:
    ratio = float(np.median(found.ratios))
    figure = f"{ratio:.2f}x ({found.ratios.min():.2f} to {found.ratios.max():.2f})"
    return Target(f"training step, {case.name}", f"{case.wanted:g}x the literal step", figure, ratio >= case.wanted,
                  "see the profile below")

"""Triplets a second of the step as trained against the literal Keras step, same sizes and losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np

from benchmarks import step_profile
from benchmarks.compare import Comparison, in_turn
from benchmarks.naive import LiteralMRLM
from benchmarks.section import Section, Target
from mrlm_core.config import preset
from mrlm_core.model.mrlm import MRLM
from mrlm_core.study.growth import random_problem
from mrlm_core.training.fit import STEPS_PER_CALL, one_epoch, seed_everything
from mrlm_core.training.recommender import optimizer_of

HEADER = ["| preset, sizes, options | ours, triplets/s | literal, triplets/s | times as fast | range |",
          "|---|--:|--:|--:|--:|"]
Profile = Mapping[str, Any]
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


def run(cases: list[Case] = CASES, repeats: int = 7, profiles: bool = True) -> Section:
    """The training step's section."""
    measured = [(case, *compare(case, repeats)) for case in cases]
    apart = max(relative for case, _, relative in measured if case.settings == FULL)
    found = [step_profile.profile(cases.index(case)) if profiles and case.wanted else None for case, *_ in measured]
    lines = [
        "Ours: one stacked trunk call, folded difference calculation, elementwise chains compiled into single passes,"
        " one-operation Adam, several optimiser steps a compiled call. Literal: three trunk calls, the difference"
        " tensor built and flattened into a dense layer, Keras' own layers, losses and Adam, `fit` step by step,"
        " float32 and full softmax always. Batches of 128, five modalities; at equal weights and options their losses"
        f" differ by at most {max(apart, 1e-7):.0e} of the value.", "",
        *HEADER, *(comparison.row() for _, comparison, _ in measured), "",
        *(line for case, part in zip(cases, found, strict=True) if part for line in step_profile.rows(case.name, part)),
    ]
    targets = []
    for (case, comparison, _), part in zip(measured, found, strict=True):
        if case.wanted:
            targets.append(_speed_target(case.name, case.wanted, comparison, part))
        if part:
            targets.append(_rate_target(case.name, part))
    return Section("Training step", lines, targets)


def compare(case: Case, repeats: int = 5) -> tuple[Comparison, float]:
    """(the comparison, the relative difference of the two models' losses at equal weights).

    One repeat is one epoch, of a quarter as many batches for the literal step where it is the slow one.
    """
    config = preset(case.preset, case.settings)
    batch = config.training.batch_size
    ours, literal, rows = models(case, batch * STEPS_PER_CALL * case.calls)
    apart = _loss_difference((ours, literal), rows[:batch])
    ours.compile(optimizer=optimizer_of(ours, config.training), steps_per_execution=STEPS_PER_CALL)
    literal.compile(optimizer=keras.optimizers.Adam(config.training.learning_rate))
    share = 4 if case.n_users * case.n_items > 1e8 else 1

    epochs = partial(one_epoch, ours, rows, batch), partial(one_epoch, literal, rows[::share], batch)
    found = in_turn(case.name, "triplets", len(rows), *epochs, repeats)
    return Comparison(found.name, found.unit, found.amount, found.ours, found.other * share), apart


def models(case: Case, n_triplets: int) -> tuple[MRLM, LiteralMRLM, np.ndarray]:
    """Ours and the literal one with the same weights, and random triplets ``[n, 3]``."""
    config = preset(case.preset, case.settings)
    plain = preset(case.preset, FULL)
    seed_everything(0)
    vectors, clusters, triplets = random_problem(config, case.n_users, case.n_items, n_triplets)
    ours = MRLM(config.model, vectors[0], vectors[1], clusters)
    literal = LiteralMRLM(plain.model, vectors[0], vectors[1], clusters)
    literal.set_weights(ours.get_weights())
    return ours, literal, triplets


def _loss_difference(models: tuple[MRLM, MRLM], triplets: np.ndarray) -> float:
    one, other = (float(model.joint_loss(model.loss_terms(model(triplets)))) for model in models)
    return abs(one - other) / abs(one)


def _speed_target(name: str, wanted: float, found: Comparison, part: Profile | None) -> Target:
    ratio = float(np.median(found.ratios))
    figure = f"{ratio:.2f}x ({found.ratios.min():.2f} to {found.ratios.max():.2f})"
    why = ""
    if part:
        total = sum(part["milliseconds"].values())
        largest = sorted(part["milliseconds"].items(), key=lambda pair: -pair[1])[:3]
        shares = ", ".join(f"{kind} {ms / total:.0%}" for kind, ms in largest)
        why = f"what is left is {shares} of the step's core time (profile below)"
    return Target(f"training step, {name}", f"{wanted:g}x the literal step", figure, ratio >= wanted, why)


def _rate_target(name: str, part: Profile) -> Target:
    share = part["product_rate"] / part["matrix_rate"]
    figure = f"{share:.0%} ({part['product_rate']:,.0f} of {part['matrix_rate']:,.0f} GFLOP/s on one core)"
    return Target(f"dense products of the step, {name}", "50% of the matrix rate a core-second", figure, share >= 0.5,
                  "small or narrow products, which reach less of the rate than the square one")

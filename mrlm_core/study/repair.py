"""What it takes for the method to earn its place: changes to the printed model, one after the other, each kept only if
validation gains by it; and one change of model, which is no choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mrlm_core.baselines import registry
from mrlm_core.config import settings_of
from mrlm_core.errors import ConfigError, nearest, problem
from mrlm_core.study.comparison import settings_for
from mrlm_core.study.record import RunRecord
from mrlm_core.study.spec import RunSpec
from mrlm_core.study.variants import NamedRecord, Variant, run_variants

PRINTED, REPAIRED, END = "MRLM", "MRLM-R", "end of the chain"
METRIC = "recall@20"  # on validation it decides, on test it is shown
_DEFAULTS = registry.row(REPAIRED).defaults

# Hyperparameters of MRLM-R and the settings of MRLM that say the same. All but the loss stay when the model changes.
SAME = {"objective": "model.metric_loss", "activation": "model.output_activation", "dropout": "model.dropout",
        "learning_rate": "training.learning_rate", "batch_size": "training.batch_size",
        "negatives": "training.triplets_per_positive", "max_epochs": "training.max_epochs",
        "patience": "training.patience"}
# What MRLM's settings would say of MRLM-R: one loss ranks, and nothing is learned beside it but the clusters.
_ONE_LOSS = {"model.lambda_1": 1.0, "model.lambda_2": 0.0}
# The printed networks and nothing else: initial vectors as they are, no clusters but as a loss, trained on their score.
_BARE = {"start": "given", "learn_start": False, "skip": False, "profile": False, "features": False,
         "objective": "bpr", "drawn": 0.0, "l2": 0.0}


@dataclass(frozen=True)
class Step:
    """One change: ``model`` (empty: as before), settings of the config, hyperparameters of MRLM-R; ``why`` to try it.

    A step to another model is kept whatever it gives: those after it are changes of that model.
    """

    name: str
    why: str
    model: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    def applied(self, spec: RunSpec) -> RunSpec:
        """``spec`` with the change; what another model has in common with MRLM stays as it was."""
        if self.model:
            spec = _switched(spec, self.model)
        return replace(spec, settings={**spec.settings, **self.settings},
                       hyperparameters={**spec.hyperparameters, **self.hyperparameters})


def _switched(spec: RunSpec, model: str) -> RunSpec:
    before = told(spec)
    held = {name: before[name] for name in ("preset", *SAME) if name != "objective"}
    return replace(spec, model=model, settings=settings_for(model, spec.settings), hyperparameters=held)


STEPS = (
    Step("verification with interaction", "As printed the difference of user and item splits into a part of each, and "
         "learns what is popular at most.", settings={"model.verification": "repaired"}),
    Step("low ratings as half the negatives", "The user has seen these items: they are near what he likes.",
         settings={"training.negatives": "mixed"}),
    Step("L_g1 in the form of BPR", "As printed a triplet that is told well already pulls as hard as one that is not.",
         settings={"model.metric_loss": "bpr"}),
    Step("L_g1 alone", "The identities, L_g2, and the verification, L_g3, are no rankings.", settings=_ONE_LOSS),
    Step("trained on the score that ranks", "As printed the sum of two cosines ranks, and none of the losses knows it. "
         "Here g alone ranks, by its inner product, and BPR of that score is the loss, whatever L_g1, L_g2 and L_g3 "
         "were; m keeps the loss of the clusters, weighted anew.", REPAIRED, hyperparameters=_BARE),
    Step("batches, dropout and learning rate", "The change of model left those of MRLM; MRLM-R trains in larger "
         "batches and drops less.",
         hyperparameters={"batch_size": _DEFAULTS["batch_size"], "dropout": _DEFAULTS["dropout"],
                          "learning_rate": 1e-3}),
    Step("linear outputs", "A sigmoid keeps the coordinates of g and m between 0 and 1, most of them at an end.",
         hyperparameters={"activation": "linear"}),
    Step("softmax over the batch", "Each positive against all negatives of its batch, not one.",
         hyperparameters={"objective": "softmax"}),
    Step("initial vectors move", "The vectors of users and items are trained with the rest, not frozen; how far they "
         "move is penalised.", hyperparameters={"learn_start": True, "l2": _DEFAULTS["l2"]}),
    Step("initial vectors in the score", "They rank better than what the trunk makes of them: let it add to them.",
         hyperparameters={"skip": True}),
    Step("initial vectors by iALS", "A start that ranks better by itself; smaller steps, not to lose it.",
         hyperparameters={"start": "factors", "learning_rate": 2e-4}),
    Step("initial vectors drawn to the descriptions", "Ratings say little of a rare item; a regression of all items' "
         "vectors on their descriptions says what to expect of it. Tried whether plain iALS was kept or not.",
         hyperparameters={"start": "factors", "learning_rate": 2e-4, "drawn": 3.0}),
    Step("m meets the user", "The m of an item is scored against the m of the user's latest items.",
         hyperparameters={"profile": True}),
    Step("m reads the descriptions", "Vectors of text, picture and the rest, where a cluster id is all that was told.",
         hyperparameters={"features": True}),
    Step("no loss of the clusters", "What is left of the printed use of modalities is taken out.",
         hyperparameters={"cluster_weight": 0.0}),
)


@dataclass(frozen=True)
class Link:
    """One step of the chain as it came out: its runs, how validation moved from the best before, whether it is kept."""

    name: str
    why: str
    spec: RunSpec
    before: RunSpec  # the chain's so far; of the start its own
    records: list[NamedRecord]
    moved: np.ndarray  # [runs], validation METRIC minus that of the chain so far, split by split
    kept: bool

    @property
    def validation(self) -> np.ndarray:
        """METRIC on validation ``[runs]``, NaN for a run without a result."""
        return validation_of(self.records)

    @property
    def other_model(self) -> bool:
        """Whether it is a change of model, kept without a choice."""
        return self.spec.model != self.before.model

    @property
    def changed(self) -> dict[str, Any]:
        """What it changes among what both models have, and the model; its own values by name, as ``told``."""
        return differing(self.spec, self.before)

    @property
    def held(self) -> dict[str, Any]:
        """What a change of model leaves as it was, of ``SAME``; empty for any other step."""
        own, before = told(self.spec), told(self.before)
        return {name: own[name] for name in SAME if self.other_model and own[name] == before[name]}


def told(spec: RunSpec) -> dict[str, Any]:
    """All that the model of ``spec`` reads and its name, defaults spelled out; what is in ``SAME`` under one name."""
    row, settings = registry.row(spec.model), settings_of(spec.config)
    if row.family == "mrlm":
        names = {setting: name for name, setting in SAME.items()}
        return {"model": spec.model, "preset": spec.preset, **{names.get(key, key): settings[key] for key in settings}}
    return {"model": spec.model, **settings_for(spec.model, settings), **_ONE_LOSS, **row.defaults,
            **spec.hyperparameters}


def differing(spec: RunSpec, other: RunSpec) -> dict[str, Any]:
    """What ``spec`` has otherwise than ``other``, of what both are ``told`` to read."""
    usual = told(other)
    return {name: value for name, value in told(spec).items() if name in usual and value != usual[name]}


def chosen(names: Sequence[str] = ()) -> list[Step]:
    """The steps called ``names`` and those to another model, in the order of the chain; all if none.

    Raises ConfigError for another name.
    """
    known = [step.name for step in STEPS]
    for name in names:
        if name not in known:
            raise ConfigError(problem("steps", f"some of {known}", repr(name), nearest(name, known)))
    return [step for step in STEPS if not names or step.model or step.name in names]


def chain(base: RunSpec, steps: Sequence[Step], seeds: int, scheduler: str | None = None) -> list[Link]:
    """MRLM as ``base`` has it, then each step on top of those kept so far.

    Kept is a step whose mean of METRIC on validation is higher than the chain's before it, and a step to another model;
    test is not looked at. Raises ConfigError where MRLM itself has no result.
    """
    records = run_variants([Variant(PRINTED, "", base)], seeds, scheduler)
    links = [Link(PRINTED, "As printed.", base, base, records, np.zeros(seeds), True)]
    if np.isnan(links[0].validation).any():
        raise ConfigError(problem(f"{PRINTED} on {base.dataset}", "a result on every split",
                                  str(next(record.data["error"] for record in records if record.failed)),
                                  "Correct that first: every step is measured against it."))
    for step in steps:
        before = links_kept(links)[-1]
        spec = step.applied(before.spec)
        records = run_variants([Variant(step.name, "", spec)], seeds, scheduler)
        moved = validation_of(records) - before.validation
        links.append(Link(step.name, step.why, spec, before.spec, records, moved,
                          bool(step.model) or bool(moved.mean() > 0)))
    return links


def links_kept(links: Sequence[Link]) -> list[Link]:
    """The links that others build on, in order; the last is the end of the chain."""
    return [link for link in links if link.kept]


def fate(link: Link, end: RunSpec) -> str:
    """What became of ``link``: "start", "no", "not a choice" (another model), or, where validation chose it, "yes".

    That it is no part of ``end`` all the same has two reasons: "left behind", where the model of ``end`` has nothing
    that it changes, and "replaced", where a later step set all of that otherwise.
    """
    if link.other_model:
        return "not a choice"
    if not link.kept:
        return "no"
    if link.spec == link.before:
        return "start"
    last = told(end)
    if any(last.get(name) == value for name, value in link.changed.items()):
        return "yes"
    return "replaced" if last.keys() & link.changed.keys() else "left behind"


def on_splits(specs: Sequence[RunSpec], seeds: int) -> list[RunSpec]:
    """Each of ``specs`` on ``seeds`` splits, as the chain has them."""
    return [replace(spec, split_seed=seed, seed=spec.seed + seed) for spec in specs for seed in range(seeds)]


def validation_of(records: Sequence[RunRecord]) -> np.ndarray:
    """METRIC on validation of each record, NaN where the run failed."""
    return np.array([np.nan if record.failed else record.validation[METRIC] for record in records])


def renamed(records: Sequence[RunRecord], name: str = END) -> list[NamedRecord]:
    """``records`` under the ``name`` that tables print: the chain's end is of the model MRLM-R, but not that row."""
    return [NamedRecord(**{**vars(record), "name": name}) for record in records]

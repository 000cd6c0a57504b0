"""Runs that keep the place of every test positive, with or without items held out of training; and who knows those.

Recall@N on cold items decides what modalities are worth: nothing else can tell such items apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mrlm_core.baselines import registry
from mrlm_core.cache import code_hash, content_hash
from mrlm_core.config import workspace
from mrlm_core.datasets import Dataset
from mrlm_core.datasets.splits import Interactions, interactions
from mrlm_core.errors import ConfigError, problem
from mrlm_core.evaluation.places import places
from mrlm_core.preprocessing.pipeline import chosen_modalities
from mrlm_core.study.comparison import fair
from mrlm_core.study.holdout import cold_items, not_drawn, shown, without
from mrlm_core.study.inputs import encoded, own
from mrlm_core.study.key import run_key
from mrlm_core.study.record import RunRecord, Stages
from mrlm_core.study.run import check_names, dataset_of, fitted_to, in_order, kept, lost_in, split_of
from mrlm_core.study.scheduler import Lost
from mrlm_core.study.spec import RunSpec

OWN_MODULES = ("mrlm_core.evaluation.places", "mrlm_core.study.holdout")  # what a run's numbers depend on besides
OF_USERS_ONLY = ("Covington",)  # reads the users' attributes, not the items'
OF_ATTRIBUTES = ("xdeepfm",)  # the initial vectors that are made of attributes; others know ids alone


@dataclass(frozen=True)
class ColdSpec:
    """``run`` with a random ``share`` of the items cold: without a rating in training and validation.

    ``seed`` draws them. ``drawn``: whether a cold item may be drawn as a negative, as any item without a rating may. If
    not, training meets it in no triplet, as if it came to the catalogue later; models that learn from the whole matrix
    or a softmax over all items still count it among what nobody liked. A share of 0 is the split as it is. Raises
    ConfigError where items that are not drawn would be taken for ratings, or the lists hold rated items alone.
    """

    run: RunSpec
    share: float = 0.1
    seed: int = 0
    drawn: bool = False

    def __post_init__(self) -> None:
        rated = registry.row(self.run.model).base == "ConvMF" and self.run.hyperparameters.get("objective") == "rating"
        if self.share and not self.drawn and rated:
            raise ConfigError(problem("ConvMF with objective 'rating' on cold items", "drawn=True", "drawn=False",
                                      "It reads every rated pair, and items not to be drawn are marked as rated."))
        if (candidates := self.run.config.protocol.candidates) != "catalogue":
            raise ConfigError(problem("protocol.candidates with places of cold items", "'catalogue'", repr(candidates),
                                      "Leave it out: items held out of training are unrated there."))

    def held_out(self) -> dict[str, Any]:
        """What is held out and how, as far as it matters: for the key and the record."""
        return {"share": self.share, **({"seed": self.seed, "drawn": self.drawn} if self.share else {})}


def cold_specs(
    dataset: str, models: Sequence[str], seeds: int, share: float, drawn: bool = False, preset: str = "laptop",
    settings: Mapping[str, Any] | None = None,
) -> list[ColdSpec]:
    """Each of ``models`` on ``seeds`` splits; seed s draws the split and the cold items and starts the training.

    ``settings`` are MRLM's and reach the others as ``fair`` says.
    """
    runs = [RunSpec(dataset, name, split_seed=seed, seed=seed, preset=preset,
                    **fair(name, preset, settings or {})) for name in models for seed in range(seeds)]
    return [ColdSpec(run, share, run.split_seed, drawn) for run in runs]


def placed(spec: ColdSpec) -> RunRecord:
    """The record of ``spec``, from runs/<dataset>/cold/ or by running it; ``per_user`` is what ``places`` gives.

    Raises and records as ``run_or_load`` does.
    """
    dataset = dataset_of(spec.run)
    more = {"cold": spec.held_out()}
    return kept(spec.run, dataset, _folder(spec, dataset), partial(_run, spec, dataset), more)


def placed_many(specs: Sequence[ColdSpec], scheduler: str | None = None) -> list[RunRecord]:
    """The records of ``specs``, in order; as ``run_many``."""
    for spec in specs:
        check_names(spec.run)
        cold_items(dataset_of(spec.run), spec.share, spec.seed)
    return in_order(placed, _lost, lambda spec: _folder(spec, dataset_of(spec.run)), specs, scheduler,
                    lambda spec: spec.run.model)


def prepared(spec: ColdSpec, dataset: Dataset) -> tuple[np.ndarray, Interactions, Dataset, Interactions]:
    """The cold items bool ``[V]``, the matrices to rank by, and the dataset and matrices to fit the model to."""
    split, _ = split_of(spec.run, dataset)
    cold = cold_items(dataset, spec.share, spec.seed)
    split = without(split, cold, dataset.ratings["item"].to_numpy())
    parts = interactions(dataset.ratings, dataset.n_users, dataset.n_items, dataset.positive_threshold, split,
                         spec.run.split_seed)
    visible, given = shown(dataset, split, parts)
    if not spec.drawn:
        given = not_drawn(given, cold)
    elif cold.any():  # initial vectors draw negatives too: where cold items are none, others come of the same ratings
        visible = replace(visible, data_hash=content_hash(visible.data_hash, "cold items drawn"))
    return cold, parts, visible, given


def known_by(spec: ColdSpec, dataset: Dataset) -> str:
    """By what the model of ``spec`` can tell a cold item from another, in words; empty where by nothing.

    MRLM's clusters are what it learns to tell, not what it reads: those of a cold item count only where it is drawn.
    """
    run, row = spec.run, registry.row(spec.run.model)
    names = own(row, dataset, run.modalities)
    vectors = () if "clusters" in row.inputs else encoded(row, dataset, run.modalities)
    words, triples = ([name for name in names if dataset.modalities[name].kind == kind]
                      for kind in ("text", "knowledge"))
    fields = list(dataset.item_fields)
    clustered = "clusters" in row.inputs and (spec.drawn or row.family != "mrlm")
    ways = {
        "words of": words if "sentences" in row.inputs else [],
        "triples of": triples if "triples" in row.inputs else [],
        "vectors of": list(vectors),
        "attributes": fields if "attributes" in row.inputs and row.base not in OF_USERS_ONLY else [],
        "initial vectors from": _fields_of_initial(run, fields) if "initial_vectors" in row.inputs else [],
        "clusters of": chosen_modalities(dataset, run.modalities) if clustered else [],
    }
    said = [f"{way} {', '.join(what)}" for way, what in ways.items() if what]
    return "; ".join(said)


def _run(spec: ColdSpec, dataset: Dataset, stages: Stages, checkpoint: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    with stages.stage("split"):
        cold, parts, visible, given = prepared(spec, dataset)
    model, _ = fitted_to(spec.run, visible, given, stages, checkpoint)
    with stages.stage("evaluation"):
        table = places(model, parts, cold)
    counts = {"items": int(cold.sum()), "positives": int((table["cold_place"] > 0).sum())}
    return {"validation": {}, "test": {}, "cold_counts": counts, "test_positives": len(table)}, table


def _folder(spec: ColdSpec, dataset: Dataset) -> Path:
    key = content_hash(run_key(spec.run, dataset), spec.held_out(), code_hash(*OWN_MODULES))
    return workspace() / "runs" / dataset.name / "cold" / key


def _lost(spec: ColdSpec, lost: Lost) -> RunRecord:
    dataset = dataset_of(spec.run)
    return lost_in(spec.run, dataset, _folder(spec, dataset), lost)


def _fields_of_initial(run: RunSpec, fields: list[str]) -> list[str]:
    return fields if run.config.preprocessing.initial in OF_ATTRIBUTES else []

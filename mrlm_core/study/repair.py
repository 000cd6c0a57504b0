"""What it takes for the method to earn its place: changes to the printed model, one after the other, each kept only if
validation gains by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from mrlm_core.errors import ConfigError, nearest, problem
from mrlm_core.study.findings import difference, listed, sign, stopped_soon
from mrlm_core.study.record import RunRecord
from mrlm_core.study.spec import RunSpec
from mrlm_core.study.variants import NamedRecord, Variant, run_variants

PRINTED, REPAIRED = "MRLM", "MRLM-R"
METRIC = "recall@20"  # on validation it decides, on test it is shown
# The printed networks and nothing else: initial vectors as they are, no clusters but as a loss, trained on their score.
_BARE = {"start": "given", "learn_start": False, "skip": False, "activation": "sigmoid", "profile": False,
         "features": False, "objective": "bpr", "drawn": 0.0, "learning_rate": 1e-3}


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
        """``spec`` with the change."""
        return replace(spec, model=self.model or spec.model, settings={**spec.settings, **self.settings},
                       hyperparameters={**spec.hyperparameters, **self.hyperparameters})


STEPS = (
    Step("verification with interaction", "As printed the difference of user and item splits into a part of each, and "
         "learns what is popular at most.", settings={"model.verification": "repaired"}),
    Step("low ratings as half the negatives", "The user has seen these items: they are near what he likes.",
         settings={"training.negatives": "mixed"}),
    Step("trained on the score that ranks", "Three losses shape g and m, the sum of two other scores ranks. Here the "
         "score of g alone is trained by BPR.", REPAIRED, hyperparameters=_BARE),
    Step("linear outputs", "A sigmoid keeps the coordinates of g and m between 0 and 1, most of them at an end.",
         hyperparameters={"activation": "linear"}),
    Step("softmax over the batch", "Each positive against all negatives of its batch, not one.",
         hyperparameters={"objective": "softmax"}),
    Step("initial vectors move", "The vectors of users and items are trained with the rest, not frozen.",
         hyperparameters={"learn_start": True}),
    Step("initial vectors in the score", "They rank better than what the trunk makes of them: let it add to them.",
         hyperparameters={"skip": True}),
    Step("initial vectors by iALS", "A start that ranks better by itself; smaller steps, not to lose it.",
         hyperparameters={"start": "factors", "learning_rate": 2e-4}),
    Step("the same, drawn to the descriptions", "Ratings say little of a rare item; a regression of all items' "
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
    records: list[NamedRecord]
    moved: np.ndarray  # [runs], validation METRIC minus that of the chain so far, split by split
    kept: bool

    @property
    def validation(self) -> np.ndarray:
        """METRIC on validation ``[runs]``, NaN for a run without a result."""
        return validation_of(self.records)


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
    links = [Link(PRINTED, "As printed.", base, records, np.zeros(seeds), True)]
    if np.isnan(links[0].validation).any():
        raise ConfigError(problem(f"{PRINTED} on {base.dataset}", "a result on every split",
                                  str(next(record.data["error"] for record in records if record.failed)),
                                  "Correct that first: every step is measured against it."))
    for step in steps:
        before = links_kept(links)[-1]
        spec = step.applied(before.spec)
        if step.model == REPAIRED:
            sizes = {"preset": base.preset, "max_epochs": base.config.training.max_epochs}
            spec = replace(spec, hyperparameters={**spec.hyperparameters, **sizes})
        records = run_variants([Variant(step.name, "", spec)], seeds, scheduler)
        moved = validation_of(records) - before.validation
        links.append(Link(step.name, step.why, spec, records, moved, bool(step.model) or bool(moved.mean() > 0)))
    return links


def links_kept(links: Sequence[Link]) -> list[Link]:
    """The links that are part of the final model, in order."""
    return [link for link in links if link.kept]


def on_splits(specs: Sequence[RunSpec], seeds: int) -> list[RunSpec]:
    """Each of ``specs`` on ``seeds`` splits, as the chain has them."""
    return [replace(spec, split_seed=seed, seed=spec.seed + seed) for spec in specs for seed in range(seeds)]


def validation_of(records: Sequence[RunRecord]) -> np.ndarray:
    """METRIC on validation of each record, NaN where the run failed."""
    return np.array([np.nan if record.failed else record.validation[METRIC] for record in records])


def chain_table(links: Sequence[Link]) -> pd.DataFrame:
    """A row a link: what it changes, validation (mean), how it moved (mean, smallest, largest), kept or why not."""
    rows = {}
    for link in links:
        failed = [record.data["error"] for record in link.records if record.failed]
        moved = np.array([np.nan]) if link is links[0] else link.moved
        rows[link.name] = {"why": link.why, "validation": link.validation.mean(), "moved": moved.mean(),
                           "least": moved.min(), "most": moved.max(),
                           "kept": f"failed: {failed[0]}" if failed else ("no", "yes")[link.kept]}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="step")


def renamed(link: Link, name: str = REPAIRED) -> list[NamedRecord]:
    """The records of ``link`` under the ``name`` of the final model."""
    return [replace(record, name=name) for record in link.records]


def sentences(links: Sequence[Link], records: Sequence[RunRecord], others: Sequence[str]) -> list[str]:
    """What the chain came to on validation, and on test against ``others``; ``records`` holds all, REPAIRED too."""
    first, last = links[0], links_kept(links)[-1]
    gains = links_kept(links)[1:]
    text = [f"From {first.validation.mean():.4f} to {last.validation.mean():.4f} on validation, by {len(gains)} of "
            f"{len(links) - 1} steps."]
    if gains:
        best = max(gains, key=lambda link: link.moved.mean())
        text.append(f"The largest single gain is **{best.name}**: {best.moved.mean():+.4f}.")
    dropped = [link.name for link in links if not link.kept]
    if dropped:
        text.append(f"Not kept: {listed(dropped)}.")
    there = {record.label for record in records if not record.failed}
    gaps = {name: difference(records, METRIC, REPAIRED, name) for name in others if name in there}
    for said, which in (("Better on test than", 1), ("not told apart from", 0), ("worse than", -1)):
        names = [f"{name} ({gap})" for name, gap in gaps.items() if sign(gap) == which]
        if names:
            text.append(f"{said[0].upper()}{said[1:]} {listed(names)}.")
    return [*text, *stopped_soon(records)]

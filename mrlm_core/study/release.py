"""A comparison made to be kept: searches and runs of every model, one after the other or side by side, resumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd

from mrlm_core.baselines import registry
from mrlm_core.errors import ConfigError, problem
from mrlm_core.study.comparison import comparison
from mrlm_core.study.key import run_key
from mrlm_core.study.record import RunRecord
from mrlm_core.study.released import (
    Part,
    Plan,
    Release,
    alone,
    no_trials,
    released,
    released_datasets,
    together,
    unfinished,
    write_release,
    write_unfinished,
)
from mrlm_core.study.run import check_names, dataset_of, lost_record, or_lost, run_or_load
from mrlm_core.study.scheduler import Lost, each
from mrlm_core.study.spec import RunSpec
from mrlm_core.study.tune import trials_of, tuned

# Of the families: the cheap ones first, so that a release that is stopped early holds the most models.
ORDER = ("simple", "control", "mrlm", "deep")


@dataclass(frozen=True)
class _Step:
    """What a worker does at a time: the search of a model's settings, or with a ``number`` one of its runs."""

    specs: Sequence[RunSpec]
    number: int | None = None

    @property
    def model(self) -> str:
        return self.specs[0].model


def make_release(
    dataset: str, plan: Plan, scheduler: str | None = None, say: Callable[[str], None] = print,
    only: Sequence[str] = (),
) -> Release:
    """Tune and run every model of the comparison, releasing each as it ends; stopped, it goes on from there.

    Or the models ``only``, in their order; the others stay as they are, released or pending. Raises ConfigError for a
    name that is not in the comparison, and for some models by another search than that of the others' release.

    What was released under the same plan counts as done, also on another machine: records whose key (spec, data, code)
    is the same, trials of the same search. So does what was released with fewer splits or repeats, and what a release
    that was stopped had of a model that is not whole yet (``unfinished``). One task of ``scheduler`` is one search or
    one run.
    """
    specs = comparison(dataset, plan.preset, plan.seeds, repeats=plan.repeats)
    data = dataset_of(specs[0])
    for spec in specs:
        check_names(spec)
    specs = sorted(specs, key=lambda spec: ORDER.index(registry.row(spec.model).family))
    models = list(dict.fromkeys(spec.model for spec in specs))
    asked = [_compared(model, models) for model in only] or models
    if only:
        _check_searched_alike(data.name, plan)
    steps = [_Step([spec for spec in specs if spec.model == model]) for model in asked]
    progress = _Progress(data.name, plan, models, asked)
    left = len(asked)
    for place, result in each(partial(_taken, plan=plan, before=progress.known), steps, scheduler):
        step = steps[place]
        if step.number is None and not isinstance(result, Lost):
            chosen, trials = result
            progress.searched(step.model, trials)
            steps += [_Step(chosen, number) for number in range(len(chosen))]
            continue
        for number in range(len(step.specs)) if step.number is None else [step.number]:
            record = lost_record(step.specs[number], result) if isinstance(result, Lost) else result
            progress.run(step, number, record)
        if own := progress.whole(step):
            left -= 1
            say(f"{step.model}: {len(own)} runs, {sum(r.failed for r in own)} failed or not run; {left} models to go")
    return released(data.name)


def _check_searched_alike(name: str, plan: Plan) -> None:
    """Raise ConfigError where models were released by another search: beside these they could not stay."""
    if name in released_datasets() and not plan.searches_as(there := released(name).plan):
        options = f"--preset {there['preset']} --trials {there['trials']}"
        options += "" if there["seconds"] is None else f" --minutes {there['seconds'] / 60:g}"
        raise ConfigError(problem(f"book/results/{name}", f"models searched as those that are there: {options}",
                                  "another preset, number of trials or time",
                                  "Give these options; or leave --models out, to release all models anew."))


def _compared(model: str, models: Sequence[str]) -> str:
    if registry.row(model).name not in models:
        raise ConfigError(problem("--models", f"models that are compared here: {', '.join(models)}", repr(model),
                                  "Leave it out."))
    return model


def _taken(step: _Step, plan: Plan, before: Part) -> Any:
    """The record of a run, or of a search the model's specs with the settings it chose and its trials."""
    data = dataset_of(step.specs[0])
    if step.number is not None:
        spec = step.specs[step.number]
        there = {record.data["spec_hash"]: record for record in before.records if not record.failed}
        return there.get(run_key(spec, data)) or or_lost(run_or_load, spec)
    chosen = tuned(step.specs, data, plan.trials, plan.seconds, before.trials)
    return chosen, trials_of(step.specs, data) if plan.trials > 1 else no_trials()


class _Progress:
    """What is released of a dataset and what is under way; on disk after each step.

    Of the models that were not asked for it holds nothing: what is on disk of them stays, be it another release's that
    runs at the same time.
    """

    def __init__(self, name: str, plan: Plan, models: Sequence[str], asked: Sequence[str]) -> None:
        """From the release of dataset ``name`` and from what is unfinished of it, as far as their plans allow."""
        self.name, self.plan, self.models = name, plan, models
        kept = unfinished(name, plan)
        self.known = together([*earlier(name, plan).parts().values(), *kept.values()])  # finished model or not
        self.under_way = {model: kept.get(model, together([])) for model in asked}
        self.runs: dict[str, dict[int, RunRecord]] = {model: {} for model in asked}

    def searched(self, model: str, trials: pd.DataFrame) -> None:
        """Keep the ``trials`` of a search that has ended."""
        self.under_way[model] = Part(self.under_way[model].records, trials)
        self._keep()

    def run(self, step: _Step, number: int, record: RunRecord) -> None:
        """Keep the ``record`` of the model's run ``number``."""
        self.runs[step.model][number] = record
        part = self.under_way[step.model]
        others = [other for other in part.records if other.data["spec_hash"] != record.data["spec_hash"]]
        self.under_way[step.model] = Part([*others, record], part.trials)
        self._keep()

    def whole(self, step: _Step) -> list[RunRecord]:
        """The model's records, released herewith, once it has them all; before that none."""
        runs = self.runs[step.model]
        if len(runs) < len(step.specs):
            return []
        records = [runs[number] for number in sorted(runs)]
        self._keep(Part(records, self.under_way.pop(step.model).trials))
        return records

    def _keep(self, finished: Part | None = None) -> None:
        """Write what is under way, and of a model that is ``finished`` its release."""
        with alone(self.name):
            kept = {**unfinished(self.name, self.plan), **self.under_way}
            if finished is not None:
                before, model = earlier(self.name, self.plan), finished.records[0].data["spec"]["model"]
                done = {**before.parts(), model: finished}
                # A model may be newer than the release.
                waiting = [name for name in self.models if name not in done or name in before.pending]
                whole = together([done[name] for name in registry.names() if name in done])
                write_release(self.name, whole.records, whole.trials, self.plan, [m for m in waiting if m != model])
                kept.pop(model, None)
            write_unfinished(self.name, {model: part for model, part in kept.items() if not part.empty}, self.plan)


def earlier(name: str, plan: Plan) -> Release:
    """The release of dataset ``name`` if its settings were searched as this plan has it, else an empty one.

    With other splits or repeats the models that these give other runs are pending; the runs that both have are there.
    """
    wanted = comparison(name, plan.preset, plan.seeds, repeats=plan.repeats)
    models = list(dict.fromkeys(spec.model for spec in wanted))
    if name in released_datasets():
        found = released(name)
        if found.plan == plan.described():
            return found
        if plan.searches_as(found.plan):
            there = comparison(name, plan.preset, found.plan["seeds"], repeats=found.plan["repeats"])
            changed = {spec.model for spec in [*wanted, *there] if (spec in wanted) != (spec in there)}
            pending = [model for model in models if model in found.pending or model in changed]
            return replace(found, plan=plan.described(), pending=pending)
    return Release([], no_trials(), plan.described(), models)

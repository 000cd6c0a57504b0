"""Hyperparameter search on validation, one budget for every model, kept in a journal that a killed search resumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from mrlm_core.baselines import registry
from mrlm_core.config import workspace
from mrlm_core.datasets import Dataset
from mrlm_core.study.run import run_key, run_or_load
from mrlm_core.study.spec import RunSpec


@dataclass(frozen=True)
class Search:
    """What a search found: ``best`` is the spec with the chosen settings, ``trials`` every trial with its score."""

    best: RunSpec
    trials: pd.DataFrame


def tune(spec: RunSpec, dataset: Dataset, n_trials: int) -> Search:
    """The settings of ``spec.model`` with the best validation Recall among ``n_trials`` of its search space.

    The first trial is the default; the rest are drawn by Optuna's seeded sampler. Scores come from validation alone,
    on the split and seed of ``spec``. A failed trial is recorded as failed and the search goes on. Every trial is a
    run record, so a search that was stopped, or asked for more trials, repeats nothing.
    """
    if n_trials <= 1 or not registry.row(spec.model).search:
        return Search(spec, pd.DataFrame())
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = workspace() / "runs" / dataset.name / "tuning.journal"
    journal.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=f"{spec.model} {run_key(spec, dataset)}", direction="maximize", load_if_exists=True,
        storage=JournalStorage(JournalFileBackend(str(journal))),
        sampler=optuna.samplers.RandomSampler(seed=spec.seed + len(spec.model)),
    )
    metric = f"recall@{spec.config.protocol.selection_cutoff}"
    space = registry.row(spec.model).search
    finished = [trial for trial in study.trials if trial.state.is_finished()]
    for number in range(len(finished), n_trials):
        trial = study.ask()
        candidate = spec if number == 0 else with_values(spec, _suggest(trial, space))
        record = run_or_load(candidate)
        trial.set_user_attr("values", {} if number == 0 else dict(trial.params))
        trial.set_user_attr("record", record.folder.name)
        if record.failed:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, record.validation[metric])
    trials = study.trials_dataframe(attrs=("number", "value", "state", "user_attrs"))
    return Search(with_values(spec, study.best_trial.user_attrs["values"]), trials)


def tuned(specs: Sequence[RunSpec], dataset: Dataset, n_trials: int) -> list[RunSpec]:
    """Each spec with the settings that a search on its model's first split chose; one search a model."""
    found: dict[str, RunSpec] = {}
    for spec in specs:
        if spec.model not in found:
            found[spec.model] = tune(spec, dataset, n_trials).best
    return [
        replace(spec, settings=found[spec.model].settings, hyperparameters=found[spec.model].hyperparameters)
        for spec in specs
    ]


def with_values(spec: RunSpec, values: dict[str, Any]) -> RunSpec:
    """``spec`` with hyperparameter values; MRLM's are dotted settings, a baseline's its own."""
    if registry.row(spec.model).family == "mrlm":
        return replace(spec, settings={**spec.settings, **values})
    return replace(spec, hyperparameters={**spec.hyperparameters, **values})


def _suggest(trial: Any, space: Any) -> dict[str, Any]:
    return {name: _SUGGESTIONS[kind](trial, name, *bounds) for name, (kind, *bounds) in space.items()}


_SUGGESTIONS: dict[str, Callable[..., Any]] = {
    "float": lambda trial, name, low, high, log=False: trial.suggest_float(name, low, high, log=log),
    "int": lambda trial, name, low, high, log=False: trial.suggest_int(name, low, high, log=log),
    "choice": lambda trial, name, values: trial.suggest_categorical(name, list(values)),
}

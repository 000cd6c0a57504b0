"""Hyperparameter search on validation, one budget for every model, kept in a journal that a killed search resumes."""

from __future__ import annotations

import shutil
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mrlm_core.baselines import registry
from mrlm_core.cache import content_hash
from mrlm_core.config import workspace
from mrlm_core.datasets import Dataset
from mrlm_core.errors import UserError, problem
from mrlm_core.study.inputs import missing
from mrlm_core.study.key import run_key
from mrlm_core.study.record import RunRecord, device
from mrlm_core.study.run import CHECKPOINT, dataset_of, record_folder, run_or_load
from mrlm_core.study.spec import RunSpec
from mrlm_core.study.trials import COLUMNS, FINALS, STOPPED, TO_ITS_END, as_json
from mrlm_core.training.time_limit import ENDLESS, OutOfTime, within


class SearchError(UserError):
    """Every trial of a search failed, so that there is nothing to choose."""


@dataclass(frozen=True)
class Search:
    """What a search found: ``best`` is the spec with the chosen settings, ``trials`` a table as ``trials_of`` gives."""

    best: RunSpec
    trials: pd.DataFrame


def tune(
    spec: RunSpec, dataset: Dataset, n_trials: int, seconds: float = ENDLESS, known: pd.DataFrame | None = None
) -> Search:
    """The settings of ``spec.model`` with the best validation Recall among ``n_trials`` of its search space.

    The first trial is the default; the rest are drawn at random, each by a seed of its own. Scores come from validation
    alone, on the split and seed of ``spec``. ``seconds`` of processor time, which other programs on the machine do not
    change, are shared out among the trials: a training that outlasts an equal share of what is left is stopped after
    the epoch, and counts with the best that it had reached. No trial starts once nothing is left; what all models
    share, the preprocessing, does not count. Where the default or the best of the others was stopped, their scores
    tell which starts faster: in two finals beyond the budget both train to their end, and the default stays unless it
    is beaten.

    A failed trial is recorded as failed and the search goes on. A search that was interrupted, or asked for more, goes
    on; ``known`` are trials of searches on other machines, as ``trials_of`` gives them, which are taken over. Raises
    SearchError when all failed. Gap G32.
    """
    if n_trials <= 1 or not _searchable(spec, dataset):
        return Search(spec, pd.DataFrame(columns=COLUMNS))
    study = _study(spec, dataset)
    made = _of_search(known, study)
    while len(done := _finished(study)) < n_trials and (left := seconds - sum(map(_seconds, done))) > 0:
        _run_trial(study, spec, len(done), left / (n_trials - len(done)), made.get(len(done)))
    trials = _table(spec.model, study)
    if trials["value"].isna().all():
        raise SearchError(
            problem(f"tuning of {spec.model}", "a trial that runs", f"all {len(trials)} failed, the first of "
                    f"{trials['error'][0]}", f"Correct that; then remove {_journal(dataset)} to search anew.")
        )
    best, rival = _best(done), _best(done[1:])
    if rival is not None and STOPPED in (done[0].user_attrs["error"], rival.user_attrs["error"]):
        best = _final(study, spec, rival.user_attrs["values"], made) or done[0]
    return Search(with_values(spec, best.user_attrs["values"]),
                  pd.concat([trials, _finals(spec.model, study)], ignore_index=True))


def _final(
    study: Any, spec: RunSpec, values: Mapping[str, Any], made: Mapping[int, Mapping[str, Any]]
) -> Any:
    """The best of the finals, those of the default and of ``values`` among them; None where all failed."""
    elsewhere = {row["hyperparameters"]: row for number, row in made.items() if number >= FINALS}
    ended = [trial.user_attrs["values"] for trial in _finished(study, finals=True)]
    for one in ({}, values):
        if one not in ended:
            trial = study.ask()
            trial.set_user_attr("final", True)
            _tell(study, trial, spec, one, ENDLESS, elsewhere.get(as_json(one)))
    return _best(_finished(study, finals=True))


def _best(trials: Sequence[Any]) -> Any:
    """The first of those with the highest value; None where all failed."""
    return max((trial for trial in trials if trial.value is not None), key=lambda trial: trial.value, default=None)


def tuned(
    specs: Sequence[RunSpec], dataset: Dataset, n_trials: int, seconds: float = ENDLESS,
    known: pd.DataFrame | None = None,
) -> list[RunSpec]:
    """Each spec with the settings that a search on its model's first split chose; one search a model, as in ``tune``.

    A model of which every trial failed keeps its defaults: its runs then say how they fail, and the others go on.
    """
    found: dict[str, RunSpec] = {}
    for spec in _first_of_each_model(specs):
        try:
            found[spec.model] = tune(spec, dataset, n_trials, seconds, known).best
        except SearchError:
            found[spec.model] = spec
    return [
        replace(spec, settings=found[spec.model].settings, hyperparameters=found[spec.model].hyperparameters)
        for spec in specs
    ]


def trials_of(specs: Sequence[RunSpec], dataset: Dataset) -> pd.DataFrame:
    """Every finished trial of the searches that ``tuned`` made of ``specs``, in one table, a row a trial.

    Columns ``COLUMNS``: ``trial`` from 0, the default, of a final from ``FINALS``; ``value`` the validation Recall, NaN
    if it failed; ``state`` "COMPLETE" or "FAIL"; ``hyperparameters`` as JSON, those that differ from the default;
    ``error`` empty if none, STOPPED, or of a final TO_ITS_END; ``device`` what it ran on, empty where that was not
    kept; ``search`` names model, default, space, data and code, so that only equal ones are gone on with.
    """
    if not _journal(dataset).exists():
        return pd.DataFrame(columns=COLUMNS)
    tables = []
    for spec in _first_of_each_model(specs):
        if _searchable(spec, dataset):
            study = _study(spec, dataset)
            tables += [_table(spec.model, study), _finals(spec.model, study)]
    return pd.concat([table for table in tables if len(table)] or [pd.DataFrame(columns=COLUMNS)], ignore_index=True)


def with_values(spec: RunSpec, values: Mapping[str, Any]) -> RunSpec:
    """``spec`` with hyperparameter values; MRLM's are dotted settings, a baseline's its own."""
    if registry.row(spec.model).family == "mrlm":
        return replace(spec, settings={**spec.settings, **values})
    return replace(spec, hyperparameters={**spec.hyperparameters, **values})


def _run_trial(study: Any, spec: RunSpec, number: int, share: float, made: Mapping[str, Any] | None) -> None:
    """One more trial, of ``share`` seconds; what a killed one had drawn is drawn again, as its number is its seed."""
    import optuna

    seed = zlib.crc32(f"{spec.model} {spec.seed} {number}".encode())
    study.sampler = optuna.samplers.RandomSampler(seed=seed)
    trial = study.ask()
    values = {} if number == 0 else _suggest(trial, registry.row(spec.model).search)
    _tell(study, trial, spec, values, share, made)


def _tell(
    study: Any, trial: Any, spec: RunSpec, values: Mapping[str, Any], share: float, made: Mapping[str, Any] | None
) -> None:
    """Run ``trial`` with ``values``, or take what was ``made`` of it elsewhere, and keep what it gave."""
    import optuna

    trial.set_user_attr("values", values)
    value, seconds, error, ran_on = (
        (*_score(spec, values, share), device()) if made is None
        else (made["value"], made["seconds"], made["error"], made["device"])
    )
    failed = value is None or np.isnan(value)
    trial.set_user_attr("seconds", seconds)
    trial.set_user_attr("device", ran_on)
    trial.set_user_attr("error", error or ("no validation score" if failed else ""))
    if failed:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    else:
        study.tell(trial, value)


def _score(spec: RunSpec, values: Mapping[str, Any], share: float) -> tuple[float | None, float, str]:
    """Validation Recall with ``values`` (None if it failed), the seconds that count, and the error or STOPPED.

    A trial whose time is limited begins anew: what a killed one, or a run without a limit, had reached took time that
    nobody counted.
    """
    started, wanted = time.process_time(), with_values(spec, values)
    own = CHECKPOINT if share == ENDLESS else f"{CHECKPOINT}-of-a-trial"
    try:
        if own != CHECKPOINT:
            shutil.rmtree(record_folder(wanted, dataset_of(wanted)) / own, ignore_errors=True)
        with within(share):
            record = run_or_load(wanted, checkpoint=own)
    except OutOfTime as stopped:
        return stopped.best_score, stopped.seconds, STOPPED
    except UserError as refused:  # values that the model cannot take
        return None, _own_seconds(None, time.process_time() - started), f"{type(refused).__name__}: {refused}"
    value = record.validation.get(f"recall@{spec.config.protocol.selection_cutoff}")
    return value, _own_seconds(record, time.process_time() - started), record.data.get("error", "")


def _of_search(known: pd.DataFrame | None, study: Any) -> dict[int, Mapping[str, Any]]:
    """Those of ``known`` that belong to ``study``, by their number."""
    if known is None:
        return {}
    rows = known[known["search"] == study.study_name].to_dict("records")
    return {int(row["trial"]): row for row in rows}


def _own_seconds(record: RunRecord | None, elapsed: float) -> float:
    """Processor seconds of a trial without preprocessing; of a record that was there, what it took when it was made."""
    stages = {} if record is None else {name: row["cpu_seconds"] for name, row in record.data["stages"].items()}
    shared = stages.pop("preprocessing", 0.0)
    return elapsed - shared if record is None or record.failed else sum(stages.values())


def _study(spec: RunSpec, dataset: Dataset) -> Any:
    """The search of ``spec`` in the dataset's journal, made if it is not there; another space is another search."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = _journal(dataset)
    journal.parent.mkdir(parents=True, exist_ok=True)
    key = content_hash(run_key(spec, dataset), dict(registry.row(spec.model).search))
    return optuna.create_study(
        study_name=f"{spec.model} {key}", direction="maximize", load_if_exists=True,
        storage=JournalStorage(JournalFileBackend(str(journal))),
    )


def _journal(dataset: Dataset) -> Any:
    return workspace() / "runs" / dataset.name / "tuning.journal"


def _searchable(spec: RunSpec, dataset: Dataset) -> bool:
    row = registry.row(spec.model)
    return bool(row.search) and not missing(row, dataset)


def _first_of_each_model(specs: Sequence[RunSpec]) -> list[RunSpec]:
    first: dict[str, RunSpec] = {}
    for spec in specs:
        first.setdefault(spec.model, spec)
    return list(first.values())


def _finished(study: Any, finals: bool = False) -> list[Any]:
    """The trials of the search, or its finals, that ended, well or not; one that was killed did not."""
    return [trial for trial in study.trials
            if trial.state.is_finished() and trial.user_attrs.get("final", False) == finals]


def _seconds(trial: Any) -> float:
    return float(trial.user_attrs["seconds"])


def _finals(model: str, study: Any) -> pd.DataFrame:
    table = _table(model, study, finals=True)
    return table.assign(trial=table["trial"] + FINALS, error=table["error"].replace("", TO_ITS_END))


def _table(model: str, study: Any, finals: bool = False) -> pd.DataFrame:
    rows = [
        (model, number, np.nan if trial.value is None else trial.value, trial.state.name, _seconds(trial),
         as_json(trial.user_attrs["values"]), trial.user_attrs["error"], study.study_name,
         trial.user_attrs.get("device", ""))
        for number, trial in enumerate(_finished(study, finals))
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"value": float, "seconds": float})


def _suggest(trial: Any, space: Any) -> dict[str, Any]:
    return {name: _SUGGESTIONS[kind](trial, name, *bounds) for name, (kind, *bounds) in space.items()}


_SUGGESTIONS: dict[str, Callable[..., Any]] = {
    "float": lambda trial, name, low, high, log=False: trial.suggest_float(name, low, high, log=log),
    "int": lambda trial, name, low, high, log=False: trial.suggest_int(name, low, high, log=log),
    "choice": lambda trial, name, values: trial.suggest_categorical(name, list(values)),
}

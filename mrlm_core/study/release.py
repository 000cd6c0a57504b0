"""Released comparisons: made model by model, kept under version control with their provenance, and read again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from mrlm_core.baselines import registry
from mrlm_core.cache import atomic, write_text
from mrlm_core.config import workspace
from mrlm_core.errors import ConfigError, problem
from mrlm_core.study.comparison import comparison
from mrlm_core.study.record import RunRecord
from mrlm_core.study.run import dataset_of, lost_record, run_key, run_or_load
from mrlm_core.study.scheduler import Lost, each
from mrlm_core.study.spec import RunSpec
from mrlm_core.study.tune import COLUMNS, ENDLESS, trials_of, tuned

# Of the families: the cheap ones first, so that a release that is stopped early holds the most models.
ORDER = ("simple", "control", "mrlm", "deep")
RELEASED_METRICS = (*(f"{name}@{n}" for name in ("recall", "auc") for n in (10, 20, 50, 100)), "lauc@100", "full_auc")


@dataclass(frozen=True)
class Plan:
    """What a release compares and the budget of every model alike: ``trials`` settings, within ``seconds``.

    ``seeds`` splits, and on each ``repeats`` trainings of the models of ``comparison.HEADLINE``.
    """

    preset: str = "laptop"
    seeds: int = 3
    repeats: int = 1
    trials: int = 1
    seconds: float = ENDLESS

    def described(self) -> dict[str, Any]:
        """As JSON holds it; ``seconds`` None when there is no limit."""
        return {**asdict(self), "seconds": None if self.seconds == ENDLESS else self.seconds}

    def searches_as(self, other: Mapping[str, Any]) -> bool:
        """Whether ``other``, as ``described``, chooses settings the same way: then its runs are runs of this plan."""
        own = self.described()
        return all(own[name] == other[name] for name in ("preset", "trials", "seconds"))


@dataclass(frozen=True)
class Release:
    """The released records of a dataset, all trials of their searches, the plan, and the models not yet run."""

    records: list[RunRecord]
    trials: pd.DataFrame
    plan: dict[str, Any]
    pending: list[str]


def make_release(
    dataset: str, plan: Plan, scheduler: str | None = None, say: Callable[[str], None] = print,
    only: Sequence[str] = (),
) -> Release:
    """Tune and run every model of the comparison, releasing each as it ends; stopped, it goes on from there.

    Or the models ``only``, in their order; the others stay as they are, released or pending. Raises ConfigError for a
    name that is not in the comparison.

    What was released under the same plan counts as done, also on another machine: records whose key (spec, data, code)
    is the same, trials of the same search. So does what was released with fewer splits or repeats. One task of
    ``scheduler`` is one model: its search and all its runs.
    """
    specs = comparison(dataset, plan.preset, plan.seeds, repeats=plan.repeats)
    data = dataset_of(specs[0])
    specs = sorted(specs, key=lambda spec: ORDER.index(registry.row(spec.model).family))
    models = list(dict.fromkeys(spec.model for spec in specs))
    groups = {model: [spec for spec in specs if spec.model == model] for model in models}
    before = earlier(data.name, plan)
    known = {record.data["spec"]["model"] for record in before.records}  # a model may be newer than the release
    done: dict[str, tuple[list[RunRecord], pd.DataFrame]] = {
        model: ([r for r in before.records if r.data["spec"]["model"] == model],
                before.trials[before.trials["model"] == model])
        for model in models if model in known
    }
    waiting = [model for model in models if model not in known or model in before.pending]
    asked = [_compared(model, models) for model in only] or models
    pending = list(asked)
    task = partial(_one_model, plan=plan, before=before)
    for place, result in each(task, [groups[model] for model in asked], scheduler):
        model = asked[place]
        pending.remove(model)
        if isinstance(result, Lost):
            result = [lost_record(spec, result) for spec in groups[model]], before.trials.iloc[:0]
        done[model] = result
        waiting = [name for name in waiting if name != model]
        records = [record for name in registry.names() if name in done for record in done[name][0]]
        trials = pd.concat([done[name][1] for name in registry.names() if name in done], ignore_index=True)
        write_release(data.name, records, trials, plan, waiting)
        say(f"{model}: {len(result[0])} runs, {sum(r.failed for r in result[0])} failed or not run; "
            f"{len(pending)} models to go")
    return released(data.name)


def _compared(model: str, models: Sequence[str]) -> str:
    if registry.row(model).name not in models:
        raise ConfigError(problem("--models", f"models that are compared here: {', '.join(models)}", repr(model),
                                  "Leave it out."))
    return model


def _one_model(specs: Sequence[RunSpec], plan: Plan, before: Release) -> tuple[list[RunRecord], pd.DataFrame]:
    """The records of one model's specs with the settings its search chose, and the search's trials."""
    data = dataset_of(specs[0])
    chosen = tuned(specs, data, plan.trials, plan.seconds, before.trials)
    there = {record.data["spec_hash"]: record for record in before.records if not record.failed}
    records = [there.get(run_key(spec, data)) or run_or_load(spec) for spec in chosen]
    trials = trials_of(specs, data) if plan.trials > 1 else pd.DataFrame(columns=list(COLUMNS))
    return records, trials


def earlier(name: str, plan: Plan) -> Release:
    """The release of dataset ``name`` if its settings were searched as this plan has it, else an empty one.

    With other splits or repeats all models are pending; the runs that both have are there.
    """
    models = list(dict.fromkeys(spec.model for spec in comparison(name, plan.preset, 1)))
    if (_folder(name) / "plan.json").exists():
        found = released(name)
        if found.plan == plan.described():
            return found
        if plan.searches_as(found.plan):
            return replace(found, plan=plan.described(), pending=models)
    return Release([], pd.DataFrame(columns=list(COLUMNS)), plan.described(), models)


def write_release(
    name: str, records: Sequence[RunRecord], trials: pd.DataFrame, plan: Plan, pending: Sequence[str] = ()
) -> Path:
    """Write book/results/<name>/: records.json, per_user.parquet, plan.json and, after a search, trials.csv.

    The records carry their provenance (commit, versions, hashes, device) and are kept under version control, so that a
    long study need not run again to be read.
    """
    folder = _folder(name)
    tables = []
    for record in records:
        if record.per_user is not None:
            values = record.per_user[list(RELEASED_METRICS)].astype("float32").reset_index()
            tables.append(values.assign(spec_hash=record.data["spec_hash"]))
    if tables:
        with atomic(folder / "per_user.parquet") as temporary:
            pd.concat(tables).to_parquet(temporary, index=False, compression="zstd")
    if trials.empty:
        (folder / "trials.csv").unlink(missing_ok=True)  # of an earlier release
    else:
        write_text(folder / "trials.csv", trials.to_csv(index=False))
    write_text(folder / "plan.json", json.dumps({**plan.described(), "pending": list(pending)}, indent=1) + "\n")
    write_text(folder / "records.json", json.dumps([record.data for record in records], indent=1, sort_keys=True))
    return folder


def released(name: str) -> Release:
    """The release of dataset ``name``, records in the order of the tables."""
    folder = _folder(name)
    table = pd.read_parquet(folder / "per_user.parquet")
    per_user = {key: rows.drop(columns="spec_hash").set_index("user") for key, rows in table.groupby("spec_hash")}
    data = json.loads((folder / "records.json").read_text(encoding="utf-8"))
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    trials = folder / "trials.csv"
    return Release(
        [RunRecord(folder, row, per_user.get(row["spec_hash"])) for row in data],
        pd.read_csv(trials, keep_default_na=False, na_values={"value": ""}) if trials.exists()
        else pd.DataFrame(columns=list(COLUMNS)),
        {"repeats": 1, **{name: value for name, value in plan.items() if name != "pending"}}, plan["pending"],
    )


def released_datasets() -> list[str]:
    """Names of the datasets with a released comparison."""
    return sorted(path.parent.name for path in (workspace() / "book" / "results").glob("*/records.json"))


def _folder(name: str) -> Path:
    return workspace() / "book" / "results" / name

"""What is kept of a comparison, under version control: records with their provenance, trials and plan; read again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from mrlm_core.cache import atomic, write_text
from mrlm_core.config import workspace
from mrlm_core.errors import ConfigError, problem
from mrlm_core.study.record import FIXED, GAP, RunRecord
from mrlm_core.study.trials import COLUMNS
from mrlm_core.study.variants import METHOD, NamedRecord
from mrlm_core.training.time_limit import ENDLESS

PER_USER, UNFINISHED, VARIANTS = "per_user.parquet", "unfinished", "variants"  # names within a released folder
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
class Part:
    """Records, and the trials of searches, of one model or of several."""

    records: list[RunRecord]
    trials: pd.DataFrame

    @property
    def empty(self) -> bool:
        return not self.records and self.trials.empty


@dataclass(frozen=True)
class Release:
    """The released records of a dataset, all trials of their searches, the plan, and the models not yet run."""

    records: list[RunRecord]
    trials: pd.DataFrame
    plan: dict[str, Any]
    pending: list[str]

    def parts(self) -> dict[str, Part]:
        """What there is of each model that has records or trials."""
        names = dict.fromkeys([*map(_model, self.records), *map(str, self.trials["model"])])
        return {name: Part([record for record in self.records if _model(record) == name],
                           self.trials[self.trials["model"] == name]) for name in names}


def unfinished(name: str, plan: Plan) -> dict[str, Part]:
    """What a release of dataset ``name`` that was stopped had of models that are not whole, by model.

    Nothing of another search: with other trials, time or preset the runs are others. It is kept in
    book/results/<name>/unfinished/, in the form of a release, until the models are whole; no page shows it.
    """
    folder = _folder(name) / UNFINISHED
    if not (folder / "plan.json").exists():
        return {}
    found = _read(folder)
    return found.parts() if plan.searches_as(found.plan) else {}


def write_release(
    name: str, records: Sequence[RunRecord], trials: pd.DataFrame, plan: Plan, pending: Sequence[str] = ()
) -> Path:
    """Write book/results/<name>/: records.json, per_user.parquet, plan.json and, after a search, trials.csv.

    The records carry their provenance (commit, versions, hashes, device) and are kept under version control, so that a
    long study need not run again to be read.
    """
    return _write(_folder(name), records, trials, plan.described(), pending)


def released(name: str) -> Release:
    """The release of dataset ``name``, records in the order of the tables."""
    return _read(_folder(name))


def alone(name: str) -> FileLock:
    """Held while the release of dataset ``name`` is read and written again: several may be made at a time."""
    path = workspace() / "runs" / f"release-{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path)


def released_datasets() -> list[str]:
    """Names of the datasets with a released comparison."""
    return sorted(path.parent.name for path in (workspace() / "book" / "results").glob("*/records.json"))


def write_unfinished(name: str, parts: Mapping[str, Part], plan: Plan) -> None:
    """Keep what ``unfinished`` gives; without ``parts`` nothing is kept."""
    folder, all_parts = _folder(name) / UNFINISHED, together(list(parts.values()))
    if parts:
        _write(folder, all_parts.records, all_parts.trials, plan.described(), list(parts))
    elif folder.exists():
        shutil.rmtree(folder)


def method_run(release: Release) -> RunRecord | None:
    """MRLM on the first split, which stands for its settings, code and data; None where it is not released."""
    own = [record for record in release.records if record.label == METHOD]
    return min(own, key=lambda one: (one.data["spec"]["split_seed"], one.data["spec"]["seed"]), default=None)


def _method_key(name: str) -> str:
    own = method_run(released(name))
    return "" if own is None else str(own.data["spec_hash"])


def write_variants(name: str, of: str, records: Sequence[NamedRecord], pending: Sequence[str]) -> None:
    """Keep the ``records`` of variants of the MRLM of key ``of``, those of ``pending`` ones that are not whole too.

    Raises ConfigError where another MRLM was released meanwhile.
    """
    if _method_key(name) != of:
        raise ConfigError(problem(f"book/results/{name}/records.json", f"the {METHOD} whose variants these are",
                                  "another, released meanwhile", "Run `mrlm release --variants` again, for this one."))
    named = [RunRecord(record.folder, {**record.data, "name": record.name}, record.per_user) for record in records]
    plan = {**released(name).plan, "repeats": 1, "of": of}
    _write(_folder(name) / VARIANTS, named, no_trials(), plan, pending)


def variants_kept(name: str) -> list[NamedRecord]:
    """All that ``write_variants`` kept; none where it never did, or where they are of an MRLM released before.

    Beside an MRLM with other settings, a variant would show what the settings do as well.
    """
    folder = _folder(name) / VARIANTS
    kept = _read(folder) if (folder / "plan.json").exists() else None
    if kept is None or kept.plan.get("of") != _method_key(name):
        return []
    return [NamedRecord(**vars(record), name=record.data["name"]) for record in kept.records]


def released_variants(name: str) -> list[NamedRecord]:
    """The records of the variants that have all their splits: one that lacks some would take them from the others."""
    pending = variants_pending(name)
    return [record for record in variants_kept(name) if record.name not in pending]


def variants_pending(name: str) -> list[str]:
    """The names of the variants of which a split is still to come; none where no variant of today's MRLM is kept."""
    return _read(_folder(name) / VARIANTS).pending if variants_kept(name) else []


def _write(
    folder: Path, records: Sequence[RunRecord], trials: pd.DataFrame, plan: Mapping[str, Any], pending: Sequence[str]
) -> Path:
    # By hash: one run may have two names.
    tables = {record.data["spec_hash"]: record.per_user for record in records if record.per_user is not None}
    if tables:
        rows = [table[_kept_of(table)].astype("float32").reset_index().assign(spec_hash=key)
                for key, table in tables.items()]
        with atomic(folder / PER_USER) as temporary:
            pd.concat(rows).to_parquet(temporary, index=False, compression="zstd")
    if trials.empty:
        (folder / "trials.csv").unlink(missing_ok=True)  # of an earlier release
    else:
        write_text(folder / "trials.csv", trials.to_csv(index=False))
    write_text(folder / "plan.json", json.dumps({**plan, "pending": list(pending)}, indent=1) + "\n")
    write_text(folder / "records.json", json.dumps([record.data for record in records], indent=1, sort_keys=True))
    return folder


def _read(folder: Path) -> Release:
    data = json.loads((folder / "records.json").read_text(encoding="utf-8"))
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    per_user: dict[str, pd.DataFrame] = {}
    if (folder / PER_USER).exists():  # not before the first run has ended
        table = pd.read_parquet(folder / PER_USER)
        groups = table.groupby("spec_hash")
        per_user = {str(key): rows.drop(columns="spec_hash").set_index("user").dropna(axis="columns", how="all")
                    for key, rows in groups}  # a column of others is no column of its
    trials = no_trials()
    if (folder / "trials.csv").exists():
        trials = pd.read_csv(folder / "trials.csv", keep_default_na=False, na_values={"value": ""})
    return Release(
        [RunRecord(folder, row, per_user.get(row["spec_hash"])) for row in data],
        trials.reindex(columns=list(COLUMNS), fill_value=""),  # older tables have fewer
        {"repeats": 1, **{name: value for name, value in plan.items() if name != "pending"}}, plan["pending"],
    )


def _kept_of(table: pd.DataFrame) -> list[str]:
    """The metrics of ``table`` that a release keeps: on the test part, and where there is one on the fixed test."""
    return [column for part in ("", FIXED, GAP) for name in RELEASED_METRICS if (column := part + name) in table]


def together(parts: Sequence[Part]) -> Part:
    """The records and trials of all ``parts``, in their order."""
    tables = [part.trials for part in parts if len(part.trials)]
    return Part([record for part in parts for record in part.records],
                pd.concat(tables, ignore_index=True) if tables else no_trials())


def no_trials() -> pd.DataFrame:
    return pd.DataFrame(columns=list(COLUMNS))


def _model(record: RunRecord) -> str:
    return str(record.data["spec"]["model"])


def _folder(name: str) -> Path:
    return workspace() / "book" / "results" / name

"""The comparison of all models on one dataset: which runs it has, and its release with provenance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mrlm_core.baselines import registry
from mrlm_core.cache import atomic, write_text
from mrlm_core.config import workspace
from mrlm_core.study.record import RunRecord
from mrlm_core.study.spec import RunSpec

RELEASED_METRICS = ("recall@10", "recall@20", "recall@50", "recall@100", "auc@100", "lauc@100", "full_auc")


def comparison(dataset: str, preset: str, seeds: int, models: Sequence[str] = ()) -> list[RunSpec]:
    """Every model of the registry, or ``models``, and MRLM with permuted clusters, on ``seeds`` splits each.

    Seed s draws the split and starts the training, so that the spread over seeds holds both.
    """
    chosen = [registry.row(name).name for name in models] or list(registry.names())
    variants = [(name, "own") for name in chosen] + [("MRLM", "permuted")] * ("MRLM" in chosen)
    return [
        RunSpec(dataset, name, split_seed=seed, seed=seed, preset=preset, clusters=clusters)
        for name, clusters in variants
        for seed in range(seeds)
    ]


def release(dataset: str, records: Sequence[RunRecord], trials: pd.DataFrame | None = None) -> Path:
    """Write the records of ``dataset`` to book/results/<dataset>/: records.json and per_user.parquet, for the book.

    They carry their provenance (commit, versions, hashes, device) and are kept under version control, so that a long
    study need not run again to be read. ``trials``, a table as ``tune.trials_of`` gives, becomes trials.csv; without
    any there is no such file.
    """
    folder = workspace() / "book" / "results" / dataset
    tables = []
    for record in records:
        if record.per_user is not None:
            values = record.per_user[list(RELEASED_METRICS)].astype("float32").reset_index()
            tables.append(values.assign(spec_hash=record.data["spec_hash"]))
    with atomic(folder / "per_user.parquet") as temporary:
        pd.concat(tables).to_parquet(temporary, index=False, compression="zstd")
    write_text(folder / "records.json", json.dumps([record.data for record in records], indent=1, sort_keys=True))
    if trials is None or trials.empty:
        (folder / "trials.csv").unlink(missing_ok=True)  # of an earlier release
    else:
        write_text(folder / "trials.csv", trials.to_csv(index=False))
    return folder


def released(dataset: str) -> list[RunRecord]:
    """The released records of ``dataset``, in the order in which they were released."""
    folder = workspace() / "book" / "results" / dataset
    table = pd.read_parquet(folder / "per_user.parquet")
    per_user = {key: rows.drop(columns="spec_hash").set_index("user") for key, rows in table.groupby("spec_hash")}
    data = json.loads((folder / "records.json").read_text(encoding="utf-8"))
    return [RunRecord(folder, row, per_user.get(row["spec_hash"])) for row in data]


def released_datasets() -> list[str]:
    """Names of the datasets with released results."""
    return sorted(path.parent.name for path in (workspace() / "book" / "results").glob("*/records.json"))

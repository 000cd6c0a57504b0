"""What each faster option costs in quality: validation Recall@20 over seeds, against the plain training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.section import Section
from mrlm_core.config import preset, workspace
from mrlm_core.study.record import RunRecord
from mrlm_core.study.run import run_many
from mrlm_core.study.spec import RunSpec

DATASETS = ("movielens-latest-small", "iot-shop")  # the first that is there
PLAIN = preset("laptop").training  # Adam's rate grows with the root of the batch (Malladi et al. 2022)
OPTIONS: dict[str, dict[str, Any]] = {
    f"plain: float32, full softmax, batches of {PLAIN.batch_size}": {},
    "bfloat16": {"model.precision": "bfloat16"},
    "sampled softmax, row-wise Adam": {"model.identity_head": "sampled", "training.optimizer": "row-adam"},
    **{f"batches of {times * PLAIN.batch_size:,}, rate x {times**0.5:g}":
       {"training.batch_size": times * PLAIN.batch_size, "training.learning_rate": PLAIN.learning_rate * times**0.5}
       for times in (4, 16)},
    "epoch and preference chosen by 200 of the users": {"protocol.selection_users": 200},
}


def run(seeds: int = 3, sizes: str = "laptop", options: Mapping[str, dict[str, Any]] = OPTIONS) -> Section:
    """MRLM with each option on ``seeds`` splits; runs that have a record are not run again."""
    dataset = present()
    specs = [RunSpec(dataset, "MRLM", split_seed=seed, seed=seed, preset=sizes, settings=settings)
             for settings in options.values() for seed in range(seeds)]
    records = run_many(specs)
    groups = [records[start : start + seeds] for start in range(0, len(records), seeds)]
    plain = groups[0]
    lines = [
        f"MRLM on `{dataset}`, {sizes} preset, {seeds} splits and seeds, stopped on validation as always. Differences"
        " are paired by split; the smallest and the largest are given, for so few runs bear no interval. Seconds an"
        " epoch include validation.", "",
        "| option | validation Recall@20, mean | difference to plain | epochs | seconds an epoch, median |",
        "|---|--:|--:|--:|--:|",
        *(row(name, group, plain) for name, group in zip(options, groups, strict=True)),
    ]
    return Section("Quality of the options", lines, [])


def present() -> str:
    """The first of ``DATASETS`` under data/; says when it is not the first choice."""
    there = [name for name in DATASETS if (workspace() / "data" / name / "dataset.yml").exists()]
    if not there:
        raise SystemExit(f"benchmarks: expected one of {', '.join(DATASETS)} in data/, found none; "
                         "make one with `mrlm data make iot-shop`")
    if there[0] != DATASETS[0]:
        print(f"benchmarks: {DATASETS[0]} is not in data/, measuring on {there[0]}")
    return there[0]


def row(name: str, records: list[RunRecord], plain: list[RunRecord]) -> str:
    """One line of the table; a failed run shows as such."""
    failed = [record for record in (*records, *plain) if record.failed]
    if failed:
        return f"| {name} | failed: {failed[0].data['error']} | | | |"
    recall = np.array([record.validation["recall@20"] for record in records])
    gain = recall - np.array([record.validation["recall@20"] for record in plain])
    shown = "" if records is plain else f"{gain.mean():+.4f} ({gain.min():+.4f} to {gain.max():+.4f})"
    epochs = [record.data["epochs"]["run"] for record in records]
    seconds = [epoch["seconds"] for record in records for epoch in record.data["history"]]
    return (f"| {name} | {recall.mean():.4f} | {shown} | {min(epochs)} to {max(epochs)} | "
            f"{float(np.median(seconds)):.1f} |")

"""The same runs in this process and on two Dask workers of which one is killed on the way: same records, what time."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from benchmarks.section import Section, Target
from mrlm_core.cli import main as mrlm
from mrlm_core.study.record import RunRecord, found_by
from mrlm_core.study.run import run_many
from mrlm_core.study.scheduler import local_cluster
from mrlm_core.study.spec import RunSpec

DATASET, WORKERS = "iot-shop", 2
MODELS = ("MRLM", "U-GFRL", "Covington", "BPR-MF")
SHORT = {"training.max_epochs": 4, "preprocessing.initial_epochs": 4}  # what is timed is the running, not the result


def run(models: Sequence[str] = MODELS, seeds: int = 2, dataset: str = DATASET, preset: str = "laptop") -> Section:
    """``models`` on ``seeds`` splits, once here and once there, each in a workspace of its own."""
    specs = [RunSpec(dataset, name, seed, seed, preset, settings=SHORT) for name in models for seed in range(seeds)]
    here, alone = _timed(specs, None)
    with local_cluster(WORKERS) as cluster:
        there, shared = _timed(specs, cluster)
    same = [_same(*pair) for pair in zip(here, there, strict=True)]
    lines = [
        f"{len(specs)} runs ({', '.join(models)}; {seeds} splits) on `{dataset}`, {preset} preset, few epochs, with all"
        f" preprocessing. Here: one after the other, each with all cores. There: {WORKERS} workers on the same cores;"
        " one is killed by SIGKILL when the first record is written, its task is given to another.", "",
        f"{sum(same)} of the {len(same)} records are the same bit for bit, seconds and memory aside. "
        f"Here {alone:.0f} s, there {shared:.0f} s: {alone / shared:.2f} times as fast. Starting workers and importing"
        " TensorFlow in each, and once more in the one that replaces the killed, is in it.",
    ]
    target = Target(f"{len(specs)} runs on {WORKERS} Dask workers, one killed: records as in process, bit for bit",
                    f"{len(specs)} of {len(specs)}", f"{sum(same)} of {len(same)}", all(same),
                    f"other: {', '.join(spec.model for spec, equal in zip(specs, same, strict=True) if not equal)}")
    return Section("Scale out", lines, [target])


def _timed(specs: Sequence[RunSpec], cluster: Any) -> tuple[list[RunRecord], float]:
    """The records of ``specs``, made in a new workspace, and the seconds; on ``cluster`` one worker is killed."""
    with _workspace(specs[0].dataset) as folder:
        if cluster is None:
            started = time.perf_counter()
            return run_many(specs), time.perf_counter() - started
        killer = Thread(target=_kill_one, args=(cluster, folder / "runs"), daemon=True)
        killer.start()
        started = time.perf_counter()
        records = run_many(specs, cluster.scheduler_address)
        seconds = time.perf_counter() - started
        killer.join(timeout=1)
        if killer.is_alive():
            raise SystemExit("scale_out: no worker was killed, so nothing was shown; take more runs")
        return records, seconds


def _kill_one(cluster: Any, runs: Path) -> None:
    """Kill a worker as soon as one record is there."""
    while not any(runs.glob("*/*/record.json")):
        time.sleep(0.05)
    os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)


@contextmanager
def _workspace(dataset: str) -> Iterator[Path]:
    """A workspace that holds ``dataset`` and nothing else."""
    before = os.environ.get("MRLM_WORKSPACE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MRLM_WORKSPACE"] = folder
        try:
            mrlm(["data", "make", dataset])
            yield Path(folder)
        finally:
            os.environ.pop("MRLM_WORKSPACE")
            if before is not None:
                os.environ["MRLM_WORKSPACE"] = before


def _same(one: RunRecord, other: RunRecord) -> bool:
    (ours, users), (theirs, others) = found_by(one), found_by(other)
    return ours == theirs and users is not None and others is not None and users.equals(others)

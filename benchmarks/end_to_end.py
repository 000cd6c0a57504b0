"""One epoch of MRLM from files to metrics over all users, on generated data of MovieLens-20M's size and parts of it.

``python -m benchmarks.end_to_end SCALE`` runs one size in this process and prints what it took as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.generate import generated
from benchmarks.section import ROOT, Section, Target
from mrlm_core.study.growth import growth

SCALES = (0.01, 0.1, 1.0)
MEMORY_LIMIT, EXPONENT_LIMIT = 12e9, 1.1  # bytes; of seconds over ratings
SETTINGS = {
    "training.max_epochs": 1,
    "preprocessing.initial_epochs": 1,
    "preprocessing.clustering": "nystrom",  # the same at each size; exact kernel matrices end at 20,000 items
    "training.batch_size": 2_048, "training.learning_rate": 0.004,  # an option of the quality section
    "model.identity_head": "sampled",  # the same at each size; "auto" would change the head on the way
}
STAGES = ("read", "split", "preprocessing", "training", "evaluation")
Taken = Mapping[str, Any]


def run(scales: Sequence[float] = SCALES, preset: str = "laptop") -> Section:
    """One process a size, smallest first, each in a workspace of its own, so that nothing is found ready-made."""
    taken = []
    for scale in scales:
        taken.append(_in_own_process(scale, preset))
        print(f"end_to_end at {scale:g}: {json.dumps(taken[-1])}", flush=True)
    return section(taken, preset)


def section(taken: Sequence[Taken], preset: str) -> Section:
    """Table of the stages, growth exponents between neighbouring sizes and over all."""
    changed = ", ".join(f"{name}={value}" for name, value in SETTINGS.items())
    lines = [
        f"Preset {preset}, {changed}; from the CSV to the metrics of all users on validation and test. Training"
        " includes the choice of the preference on validation: ten rankings of all users after the epoch and ten more"
        " at the end. Data generated with MovieLens-20M's counts and skew, users, items and ratings all scaled. Growth"
        " is that of processor time, which other programs hardly change.", "",
        f"| ratings | users | items | {' | '.join(f'{name}, s' for name in STAGES)} | all, s | CPU, s | peak, GB |",
        "|--:|--:|--:|" + "--:|" * (len(STAGES) + 3),
        *map(_row, taken), "",
        f"| growth of processor seconds with ratings | {' | '.join(STAGES)} | all |",
        "|---|" + "--:|" * (len(STAGES) + 1),
        *(_growth(one, other) for one, other in pairwise(taken)),
    ]
    largest = taken[-1]
    peak = largest["peak_bytes"]
    memory = Target(f"end to end, {largest['ratings']:,} ratings: memory", f"under {MEMORY_LIMIT / 1e9:g} GB",
                    f"{peak / 1e9:.1f} GB, {_total(largest) / 60:.0f} min", peak < MEMORY_LIMIT,
                    "see the stage peaks")
    targets = [memory]
    if len(taken) > 1:
        exponents = {name: _exponent(taken[-2], taken[-1], name) for name in (*STAGES, "all")}
        steepest = max(STAGES, key=lambda name: exponents[name] * largest["cpu_seconds"][name])
        targets.append(Target(
            f"end to end, growth from {taken[-2]['ratings']:,} to {largest['ratings']:,} ratings",
            f"exponent at most {EXPONENT_LIMIT}", f"{exponents['all']:.2f}", exponents["all"] <= EXPONENT_LIMIT,
            f"{steepest} grows with exponent {exponents[steepest]:.2f}: full ranking is users times items, and both"
            " grow with the ratings here"))
    return Section("End to end at full size", lines, targets)


def measure(scale: float, preset: str) -> dict[str, Any]:
    """One run in this process and workspace: seconds and memory of each stage, and the record's test Recall@20."""
    from mrlm_core.datasets import load_dataset
    from mrlm_core.study.run import run_or_load
    from mrlm_core.study.spec import RunSpec

    folder = generated(scale)
    started, computed = time.perf_counter(), time.process_time()
    dataset = load_dataset(folder)
    read = time.perf_counter() - started, time.process_time() - computed
    counts = {"ratings": len(dataset.ratings), "users": dataset.n_users, "items": dataset.n_items}
    del dataset
    record = run_or_load(RunSpec(str(folder), "MRLM", preset=preset, settings=SETTINGS))
    if record.failed:
        raise RuntimeError(f"end to end at scale {scale:g} failed: {record.data['error']}")
    stages = record.data["stages"]
    return {
        **counts,
        "seconds": {"read": read[0], **{name: stages[name]["seconds"] for name in STAGES if name in stages}},
        "cpu_seconds": {"read": read[1], **{name: stages[name]["cpu_seconds"] for name in STAGES if name in stages}},
        "peak_bytes": max(row["peak_mib"] for row in stages.values()) * 2**20, "recall@20": record.test["recall@20"],
    }


def _in_own_process(scale: float, preset: str) -> dict[str, Any]:
    folder = generated(scale)  # outside the clock and the process
    with tempfile.TemporaryDirectory(dir=folder.parent) as workspace:
        (Path(workspace) / "data").mkdir()
        (Path(workspace) / "data" / folder.name).symlink_to(folder.resolve())
        environment = {**os.environ, "MRLM_WORKSPACE": workspace, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-m", "benchmarks.end_to_end", str(scale), preset]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout.strip().splitlines()[-1])


def _row(taken: Taken) -> str:
    seconds = " | ".join(f"{taken['seconds'][name]:,.1f}" for name in STAGES)
    return (f"| {taken['ratings']:,} | {taken['users']:,} | {taken['items']:,} | {seconds} | {_total(taken):,.0f} | "
            f"{_total(taken, 'cpu_seconds'):,.0f} | "
            f"{taken['peak_bytes'] / 1e9:.2f} |")


def _growth(one: Taken, other: Taken) -> str:
    exponents = " | ".join(f"{_exponent(one, other, name):.2f}" for name in (*STAGES, "all"))
    return f"| {one['ratings']:,} to {other['ratings']:,} | {exponents} |"


def _exponent(one: Taken, other: Taken, stage: str) -> float:
    times = [_total(taken, "cpu_seconds") if stage == "all" else taken["cpu_seconds"][stage] for taken in (one, other)]
    return growth([one["ratings"], other["ratings"]], times).exponent


def _total(taken: Taken, clock: str = "seconds") -> float:
    return float(sum(taken[clock].values()))


if __name__ == "__main__":
    print(json.dumps(measure(float(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "laptop")))

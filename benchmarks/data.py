"""Seconds and memory from 20,000,263 ratings on disk to triplets, each step in a process of its own.

``python -m benchmarks.data STEP FOLDER`` runs one step and prints what it took as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import naive_data
from benchmarks.generate import generated
from benchmarks.section import ROOT, Section, Target
from mrlm_core.cache import content_hash
from mrlm_core.datasets import load_dataset, ratings
from mrlm_core.datasets.splits import Interactions, Split, interactions, random_split
from mrlm_core.study.record import peak_mib
from mrlm_core.training.triplets import TripletSampler

SCALE = (0.5, 5.0)
BATCH = 128
GB = 2**20 / 1e9  # a MiB in GB
Taken = dict[str, list[dict[str, Any]]]  # step -> what each repeat took
Step = tuple[Callable[[], Any], Callable[[Any], str]]  # what is timed; a hash of what it made


def run(scale: float = 1.0, repeats: int = 3) -> Section:
    """The data section; one repeat is every step once, in turn."""
    with tempfile.TemporaryDirectory() as workspace:
        _in_turn(generated(min(scale, 0.01)), Path(workspace) / "first", 1)  # compiles what is not compiled yet
        folder = generated(scale)
        return section(folder / "ratings.csv", _in_turn(folder, Path(workspace) / "second", repeats))


def section(file: Path, taken: Taken) -> Section:
    """What the steps took, by step and repeat. Asserts that both of a pair made the same."""
    for _, ours, naive in PAIRS:
        assert {row["made"] for row in taken[ours]} == {row["made"] for row in taken[naive]}, f"{ours}: another result"
    n_ratings, idle = taken["read"][0]["amount"], _median(taken["sha256"], "before") * GB
    lines = [
        f"{n_ratings:,} ratings in {file.stat().st_size / 1e6:,.0f} MB of CSV, generated with the counts and skew of"
        " MovieLens 20M. Each step in a new process, the steps in turn; the files lie in the page cache. Seconds and"
        f" CPU seconds are medians of {len(taken['read'])}, with the range; peak is the largest of the whole process,"
        f" of which {idle:.2f} GB are Python and its libraries. The two of a pair made the same to the last bit.", "",
        "| step | seconds | range | CPU seconds | peak, GB |", "|---|--:|--:|--:|--:|",
        *(_row(what, taken[name]) for name, what in STEPS.items()), "",
        "| ours against the naive way | times as fast | range | peak memory |", "|---|--:|--:|--:|",
        *(_ratio(what, taken[ours], taken[naive]) for what, ours, naive in PAIRS),
    ]  # fmt: skip
    return Section("Data", lines, _targets(taken, n_ratings))


STEPS = {
    "read": "`read_ratings`: ratings.csv, every check",
    "read-naive": "the same by `pandas.read_csv` and pandas' checks",
    "parse": "pyarrow's parser alone, the same pieces",
    "load": "`load_dataset`, the first time",
    "load-again": "`load_dataset`, again",
    "kept": "of that: the ratings, from sha256 and kept Parquet",
    "sha256": "of that: the sha256 of ratings.csv",
    "prepare": "split, matrices of positives and negatives, triplet index",
    "prepare-naive": "the same by pandas, SciPy and NumPy",
    "epoch": "an epoch of triplets, uniform negatives",
    "epoch-naive": "the same by one search over all users' gaps",
}


PAIRS = (
    ("reading", "read", "read-naive"),
    ("split, matrices, index", "prepare", "prepare-naive"),
    ("an epoch of triplets", "epoch", "epoch-naive"),
)


def _targets(taken: Taken, n_ratings: int) -> list[Target]:
    parser = _median(taken["parse"], "seconds") / _median(taken["read"], "seconds")
    digest = _median(taken["sha256"], "seconds") / _median(taken["kept"], "seconds")
    count = f"{n_ratings:,} ratings"
    return [
        _target(f"reading {count} from CSV", taken["read"], 4, 1.2, f"the parser alone takes {parser:.0%} of it"),
        _target(f"{count} from the kept Parquet", taken["kept"], 1, None, f"the sha256 takes {digest:.0%} of it"),
        _target(f"split, positives, negatives, triplet index of {count}", taken["prepare"], 20, 4, ""),
    ]


def _target(what: str, rows: list[dict[str, Any]], seconds: float, gigabytes: float | None, why: str) -> Target:
    took, peak = _median(rows, "seconds"), max(row["peak"] for row in rows) * GB
    computed = _median(rows, "cpu")
    wanted = f"≤ {seconds:g} s" + (f", ≤ {gigabytes:g} GB" if gigabytes else "")
    met = took <= seconds and (gigabytes is None or peak <= gigabytes)
    reasons = [f"{computed:.1f} CPU seconds", *([why] if why else [])]
    return Target(what, wanted, f"{took:.2f} s, {peak:.2f} GB", met, "; ".join(reasons))


def _in_turn(folder: Path, workspace: Path, repeats: int) -> Taken:
    """Each repeat has a workspace of its own, or nothing would be a first time."""
    taken: Taken = {name: [] for name in STEPS}
    for repeat in range(repeats):
        place = {**os.environ, "MRLM_WORKSPACE": str(workspace / str(repeat))}
        for name in STEPS:
            command = [sys.executable, "-m", "benchmarks.data", name, str(folder)]
            done = subprocess.run(command, cwd=ROOT, env=place, stdout=subprocess.PIPE, text=True, check=True)
            taken[name].append(json.loads(done.stdout))
    return taken


def main(argv: Sequence[str]) -> None:
    """Prepare a step, time it, and print what it took and a hash of what it made."""
    name, folder = argv[0], Path(argv[1])
    _sha256(folder / "ratings.csv")  # into the page cache
    before = peak_mib()
    call, made = _step(name, folder)
    started, computed = time.perf_counter(), time.process_time()
    result = call()
    taken = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - computed, "peak": peak_mib()}
    amount = len(result) if isinstance(result, pd.DataFrame) else 0
    print(json.dumps({**taken, "before": before, "amount": amount, "made": made(result)}))


def _step(name: str, folder: Path) -> Step:
    file, nothing = folder / "ratings.csv", lambda _: ""
    reading: dict[str, Step] = {
        "read": (lambda: ratings.read_ratings(file, SCALE), _frame_hash),
        "read-naive": (lambda: naive_data.read(file, SCALE), _frame_hash),
        "parse": (lambda: _parse(file), nothing),
        "load": (lambda: load_dataset(folder), nothing),
        "load-again": (lambda: load_dataset(folder), nothing),
        "kept": (lambda: ratings.kept_ratings(file, SCALE), nothing),
        "sha256": (lambda: _sha256(file), nothing),
    }
    return reading[name] if name in reading else _preparing(name, folder)


def _preparing(name: str, folder: Path) -> Step:
    dataset = load_dataset(folder)
    split_up, matrices, sampler_of = (
        (naive_data.random_split, naive_data.interactions, naive_data.Sampler) if name.endswith("naive")
        else (random_split, interactions, TripletSampler)
    )

    def prepare() -> tuple[Split, Interactions, Any]:
        split = split_up(len(dataset.ratings), 0.7, 0.2, 0)
        parts = matrices(dataset.ratings, dataset.n_users, dataset.n_items, dataset.positive_threshold, split, 0)
        return split, parts, sampler_of(parts, "uniform")

    if name.startswith("prepare"):
        return prepare, lambda made: _parts_hash(*made[:2])
    sampler = prepare()[2]
    sampler.epoch(np.random.default_rng(1), BATCH)  # from the second on they cost alike
    return lambda: sampler.epoch(np.random.default_rng(0), BATCH), content_hash


def _parse(file: Path) -> None:
    for _ in ratings.text_pieces(file, ratings.column_types(file)):
        pass


def _sha256(file: Path) -> None:
    with file.open("rb") as stream:
        hashlib.file_digest(stream, "sha256").hexdigest()


def _frame_hash(frame: pd.DataFrame) -> str:
    """Of the rows, whichever number an id has among the categories."""
    ids = {}
    for name in ("user_id", "item_id"):
        labels = frame[name].cat.categories.to_numpy(dtype=str)
        ids[name] = [np.sort(labels), np.argsort(np.argsort(labels))[frame[name].cat.codes.to_numpy()]]
    return content_hash(*ids["user_id"], *ids["item_id"], frame["rating"].to_numpy(), frame["timestamp"].to_numpy())


def _parts_hash(split: Split, parts: Interactions) -> str:
    matrices = [value for value in vars(parts).values() if hasattr(value, "indptr")]
    arrays = [array for matrix in matrices for array in (matrix.indptr, matrix.indices, matrix.data)]
    return content_hash(*vars(split).values(), *arrays, parts.latest_items)


def _row(what: str, rows: list[dict[str, Any]]) -> str:
    seconds = [row["seconds"] for row in rows]
    peak = max(row["peak"] for row in rows) * GB
    return (f"| {what} | {np.median(seconds):.2f} | {min(seconds):.2f} to {max(seconds):.2f} |"
            f" {_median(rows, 'cpu'):.2f} | {peak:.2f} |")


def _ratio(what: str, ours: list[dict[str, Any]], naive: list[dict[str, Any]]) -> str:
    ratios = np.array([b["seconds"] / a["seconds"] for a, b in zip(ours, naive, strict=True)])
    memory = max(row["peak"] for row in ours) / max(row["peak"] for row in naive)
    return f"| {what} | **{np.median(ratios):.1f}** | {ratios.min():.1f} to {ratios.max():.1f} | {memory:.0%} of it |"


def _median(rows: list[dict[str, Any]], key: str) -> float:
    return float(np.median([row[key] for row in rows]))


if __name__ == "__main__":
    main(sys.argv[1:])

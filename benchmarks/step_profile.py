"""Where the time of a training step goes, on one thread so that times add up; ``python -m benchmarks.step_profile``.

Runs in a process of its own: thread counts are fixed when TensorFlow starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

ONE_THREAD = {"TF_NUM_INTEROP_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
KINDS = {
    "products": ("MatMul",),
    "convolutions": ("Conv2D",),
    "Adam": ("ResourceApplyAdam", "ResourceScatter", "Unique", "UnsortedSegmentSum"),
    "compiled passes": ("fusion", "wrapped_", "stack.", "concat.", "reduce-window"),
    "random numbers": ("StatelessRandom",),
    "casts and copies": ("Cast", "Transpose", "Split", "Concat", "Slice", "Gather", "ResourceGather"),
}


def profile(index: int) -> dict[str, Any]:
    """Milliseconds a step by kind, GFLOP a step and GFLOP/s of the products, and the machine's rate on one core.

    ``index`` is the case's place in ``training_step.CASES``.
    """
    environment = {**os.environ, **ONE_THREAD, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "benchmarks.step_profile", str(index)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"benchmarks.step_profile {index} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def rows(name: str, found: dict[str, Any]) -> list[str]:
    """The profile of one case as a Markdown table."""
    total = sum(found["milliseconds"].values())
    parts = sorted(found["milliseconds"].items(), key=lambda pair: -pair[1])
    return [
        f"Profile of {name}, one thread: {total:.0f} ms a step.", "", "| kind | ms a step | share |", "|---|--:|--:|",
        *(f"| {kind} | {ms:.1f} | {ms / total:.0%} |" for kind, ms in parts), "",
    ]


def product_flops(config: Any, n_users: int, n_items: int) -> float:
    """Floating point operations of a step's dense products, forward and backward (three products each)."""
    model, batch = config.model, config.training.batch_size
    positions = -(-model.embedding_dim // model.first_stride)
    sampled = model.sampled_candidates if model.identity_head == "sampled" else None
    shapes = [
        (3 * batch, positions * model.trunk_channels[-1], model.global_dim),
        (3 * batch, positions * model.trunk_channels[0], model.verification_units),
        (2 * batch, model.global_dim * model.siamese_channels[-1], model.multimodal_dim),
        (batch, model.global_dim, sampled or n_users),
        (2 * batch, model.global_dim, sampled or n_items),
    ]
    return float(sum(6 * rows * inner * columns for rows, inner, columns in shapes))


def _measure(index: int, steps: int = 16) -> dict[str, Any]:
    import numpy as np
    import tensorflow as tf

    from benchmarks.limits import matrix_rates
    from benchmarks.training_step import CASES, models
    from mrlm_core.config import preset
    from mrlm_core.training.fit import one_epoch
    from mrlm_core.training.recommender import optimizer_of

    case = CASES[index]
    config = preset(case.preset, case.settings)
    batch = config.training.batch_size
    model, _, triplets = models(case, steps * batch)
    model.compile(optimizer=optimizer_of(model, config.training), steps_per_execution=steps)
    with tempfile.TemporaryDirectory() as folder:
        for measured in (False, True):
            if measured:
                tf.profiler.experimental.start(folder)
            one_epoch(model, triplets, batch)
        tf.profiler.experimental.stop()
        spent = _by_kind(next(Path(folder).rglob("*.xplane.pb")), steps)
    flops = product_flops(config, case.n_users, case.n_items)
    return {
        "milliseconds": spent, "product_gflop": flops / 1e9, "product_rate": flops / spent["products"] / 1e6,
        "matrix_rate": float(np.median(matrix_rates(config.model.precision, size=2048))),
    }


def _by_kind(path: Path, steps: int) -> dict[str, float]:
    """Milliseconds a step of each kind of operation: the time of each traced event without those inside it."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    spent: dict[str, float] = defaultdict(float)
    space.ParseFromString(path.read_bytes())
    for plane in space.planes:
        names = {key: value.name for key, value in plane.event_metadata.items()}
        for line in plane.lines:
            if "tf_Compute" in line.name:
                for name, own in _own_times([(e.offset_ps, e.duration_ps, names[e.metadata_id]) for e in line.events]):
                    spent[_kind(name)] += own / 1e9 / steps
    return {kind: milliseconds for kind, milliseconds in spent.items() if kind != "waiting"}


def _own_times(events: list[tuple[int, int, str]]) -> list[tuple[str, int]]:
    """(name, duration without nested events) of events (start, duration, name) on one thread."""
    open_events: list[list[Any]] = []
    closed: list[tuple[str, int]] = []
    for start, duration, name in sorted(events, key=lambda event: (event[0], -event[1])):
        while open_events and start >= open_events[-1][0]:
            _, label, own = open_events.pop()
            closed.append((label, own))
        if open_events:
            open_events[-1][2] -= duration
        open_events.append([start + duration, name, duration])
    return closed + [(label, own) for _, label, own in open_events]


def _kind(name: str) -> str:
    if name.startswith("BlockUntilReady"):
        return "waiting"
    operation = name.rsplit(":", 1)[-1]
    for kind, marks in KINDS.items():
        if any(mark in operation for mark in marks):
            return kind
    return "all else"


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]))))

"""The peers' section: starts all libraries, measures training, ranking and recall in turn, and puts it together."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers import ranking, recall, training
from benchmarks.peers.data import export_split
from benchmarks.peers.environments import PEERS, version_of
from benchmarks.peers.rounds import OURS, THREADS, started
from benchmarks.section import Section


def section(dataset: str, sizes: Mapping[str, Mapping[str, Any]] | None = None) -> Section:
    """All three parts; ``sizes`` are keyword arguments of each part's ``measure``, by its name."""
    sizes = sizes or {}
    with tempfile.TemporaryDirectory(prefix="peers-") as place, started((OURS, *PEERS)) as (running, missing):
        folder = Path(place)
        parts = [
            training.measure(export_split(dataset, folder), running, missing, **sizes.get("training", {})),
            ranking.measure(folder, running, missing, **sizes.get("ranking", {})),
            recall.measure(folder, running, missing, **sizes.get("recall", {})),
        ]
    lines = [
        f"{', '.join(f'{name} {version_of(name)}' for name in PEERS)}, each in an environment of its own; every library"
        f" in its own process with {THREADS} threads, taken in turn round by round after one untimed call, so that a"
        " busy machine slows all alike; waiting threads sleep (`OMP_WAIT_POLICY=PASSIVE`). Ranges are over the rounds.",
        "",
    ]
    for part, _ in parts:
        lines += [*part, ""]
    return Section("Peers", lines[:-1], [target for _, targets in parts for target in targets])

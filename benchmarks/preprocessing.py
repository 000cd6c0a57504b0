"""All of the preprocessing on real media with the paper's encoders: seconds, memory, and what a killed run repeats.

``python -m benchmarks.preprocessing DATASET SETTINGS`` makes every artefact once and prints one line of JSON for each.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.section import ROOT, Section, Target
from mrlm_core.config import workspace

DATASET = "movielens-latest-small"
WEIGHTS = "MRLM_SQUEEZENET"  # environment variable: the file of SqueezeNet's weights
MODALITIES = ("text", "image", "knowledge", "video")  # the paper's four
ENCODERS = {"text": "transformer", "knowledge": "transg"}
KILLED_AFTER = 40.0  # seconds into the second modality, the pictures, which take longest
MINUTES, GIGABYTES = 15, 6
Made = Mapping[str, Any]


def run(dataset: str = DATASET, preset: str = "laptop", modalities: Sequence[str] = MODALITIES,
        killed_after: float = KILLED_AFTER) -> Section:
    """Features and clusters of ``modalities`` from nothing: a run killed in the second, and the run that goes on."""
    settings, told = settings_here()
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "data").mkdir()
        (Path(place) / "data" / dataset).symlink_to((workspace() / "data" / dataset).resolve())
        command = [dataset, preset, json.dumps(settings), *modalities]
        before, killed = _run(command, place, killed_after)
        made, again = _run(command, place)
        cached, third = _run(command, place)
    return section(dataset, told, (before, killed), (made, again), (cached, third))


def settings_here() -> tuple[dict[str, Any], str]:
    """The preprocessing settings with the encoders that can run here, and which stands in for ResNet-50."""
    file = os.environ.get(WEIGHTS)
    if not file:
        return {"preprocessing.encoders": ENCODERS}, (
            f"Pictures by the light encoder: ${WEIGHTS} names no weights of SqueezeNet, so not the target's case.")
    return ({"preprocessing.encoders": {**ENCODERS, "image": "squeezenet"}, "preprocessing.weights": {"image": file}},
            "Pictures by SqueezeNet, which stands in for ResNet-50, whose weights are not at hand.")


def section(
    dataset: str, told: str, first: tuple[list[Made], float], second: tuple[list[Made], float],
    third: tuple[list[Made], float],
) -> Section:
    """Table of the steps; the time wanted is that of the killed run and of the one that went on, together."""
    (before, killed), (made, again), (cached, loaded) = first, second, third
    repeated = [row["what"] for row in made if row["what"] in {old["what"] for old in before} and not row["loaded"]]
    peak, minutes = max(row["peak"] for row in (*before, *made)) / 1e9, (killed + again) / 60
    ended = {row["what"]: row for row in (*before, *made) if not row["loaded"]}
    lines = [
        f"`{dataset}`, each step from nothing, all in one process that was killed once, in the second modality, and"
        f" started again. {told}", "",
        "| step | items | seconds | peak of the process, GB |", "|---|--:|--:|--:|",
        *(f"| {name} | {row['items']:,} | {row['seconds']:.1f} | {row['peak'] / 1e9:.2f} |"
          for name, row in ended.items()), "",
        f"Killed after {killed:.0f} s; the second run took {again:.0f} s and did again what the first had finished:"
        f" {', '.join(repeated) or 'nothing'}. A third, with everything there, took {loaded:.0f} s"
        f" ({sum(row['loaded'] for row in cached)} of {len(cached)} steps loaded).",
    ]
    why = "slowest: " + max(ended.values(), key=lambda row: row["seconds"])["what"]
    return Section("Preprocessing", lines, [
        Target(f"preprocessing of {dataset}, killed once", f"under {MINUTES} min, {GIGABYTES} GB",
               f"{minutes:.1f} min, {peak:.1f} GB", minutes < MINUTES and peak < GIGABYTES, why),
        Target("a killed preprocessing repeats no finished modality", "none", ", ".join(repeated) or "none",
               not repeated and bool(before), "finished steps were made again, or the kill came before any"),
    ])


def main(argv: Sequence[str]) -> None:
    """Every artefact of the modalities in turn, a line of JSON when it is there."""
    from mrlm_core.config import preset
    from mrlm_core.datasets import load_dataset
    from mrlm_core.preprocessing import pipeline
    from mrlm_core.study.record import peak_mib

    name, size, settings, *modalities = argv
    config = preset(size, json.loads(settings)).preprocessing
    dataset = load_dataset(workspace() / "data" / name)
    kept = workspace() / "artefacts"
    for modality in modalities:
        for step, make in (("features", pipeline.modality_features), ("clusters", pipeline.modality_clusters)):
            there, started = set(kept.glob("*/*.npz")), time.perf_counter()
            make(dataset, modality, config)
            print(json.dumps({
                "what": f"{modality}, {step}", "items": int(dataset.described(modality).sum()),
                "seconds": time.perf_counter() - started,
                "peak": peak_mib() * 2**20, "loaded": set(kept.glob("*/*.npz")) == there,
            }), flush=True)


def _run(command: Sequence[str], place: str, killed_after: float | None = None) -> tuple[list[Made], float]:
    """The lines that the process printed, and its seconds."""
    environment = {**os.environ, "MRLM_WORKSPACE": place, "TF_CPP_MIN_LOG_LEVEL": "3"}
    started, lines = time.perf_counter(), []
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.preprocessing", *command], cwd=ROOT, env=environment,
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(json.loads(line))
        print(f"preprocessing: {line.strip()}", flush=True)
        if killed_after is not None and len(lines) == 2:  # its first modality has told of features and clusters
            time.sleep(killed_after)
            process.send_signal(signal.SIGKILL)
    if process.wait() and killed_after is None:
        raise RuntimeError(f"preprocessing ended with {process.returncode}")
    return lines, time.perf_counter() - started


if __name__ == "__main__":
    main(sys.argv[1:])

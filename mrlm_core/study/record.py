"""Run records: one folder a run, record.json and per_user.parquet, written atomically, read into tables."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from mrlm_core.cache import atomic, write_text
from mrlm_core.config import keras_backend, workspace

NOT_CODE = (":!book/results", ":!benchmarks/results", ":!benchmarks/RESULTS.md")
FILES = PER_USER, RECORD = "per_user.parquet", "record.json"  # in the order they are written
# What the metrics' names start with in runs with a fixed test: of it, and by how much the training part's are higher.
FIXED, GAP = "fixed_", "gap_"
PACKAGES = ("keras", "numpy", "scipy", "pandas", "scikit-learn")


@dataclass(frozen=True)
class RunRecord:
    """What one run was and gave. ``data`` is record.json; ``per_user`` the test metrics by user (None if failed)."""

    folder: Path
    data: dict[str, Any]
    per_user: pd.DataFrame | None

    @property
    def failed(self) -> bool:
        return self.data["status"] != "done"

    @property
    def lack(self) -> str:
        """Why the model could not run on this dataset at all; empty when it ran, also when it then failed."""
        return self.data["error"] if self.data["status"] == "not run" else ""

    @property
    def label(self) -> str:
        """The model's name as tables print it, with what sets this run apart: its modalities, a null control."""
        spec = self.data["spec"]
        kept = "" if spec["modalities"] is None else f" [{' + '.join(spec['modalities']) or 'no modality'}]"
        control = "" if spec["clusters"] == "own" else f", {spec['clusters']} clusters"
        return f"{spec['model']}{kept}{control}"

    @property
    def test(self) -> dict[str, float]:
        """Unrounded mean test metrics, empty for a failed run."""
        return dict(self.data["test"])

    @property
    def validation(self) -> dict[str, float]:
        """Unrounded mean validation metrics, empty for a failed run."""
        return dict(self.data["validation"])


def save_record(folder: Path, data: dict[str, Any], per_user: pd.DataFrame | None) -> RunRecord:
    """Write the record; record.json comes last, so that a record which exists is whole."""
    if per_user is not None:
        with atomic(folder / PER_USER) as temporary:
            per_user.reset_index().to_parquet(temporary, index=False)
    write_text(folder / RECORD, json.dumps(data, indent=1, sort_keys=True))
    return RunRecord(folder, data, per_user)


def load_record(folder: Path) -> RunRecord | None:
    """The record in ``folder``, or None where there is none yet."""
    if not (folder / RECORD).exists():
        return None
    data = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    table = folder / PER_USER
    return RunRecord(folder, data, pd.read_parquet(table).set_index("user") if table.exists() else None)


def finished(folder: Path) -> bool:
    """Whether the run of ``folder`` has ended well."""
    record = load_record(folder)
    return record is not None and not record.failed


def load_records(folder: Path) -> list[RunRecord]:
    """Every record below ``folder``, sorted by model, split, seed and name."""
    found = (load_record(path.parent) for path in sorted(folder.glob(f"*/{RECORD}")))
    order = ("model", "split_seed", "seed")
    records = [record for record in found if record is not None]
    return sorted(records, key=lambda r: (*(str(r.data["spec"][name]) for name in order), r.folder.name))


def found_by(record: RunRecord) -> tuple[str, pd.DataFrame | None]:
    """What of a record does not depend on when, where and how fast it was made: as JSON, and the users' metrics."""
    data = {key: value for key, value in record.data.items() if key not in ("stages", "commit", "resumed")}
    data["history"] = [{k: v for k, v in row.items() if k != "seconds"} for row in data.get("history", [])]
    return json.dumps(data, sort_keys=True), record.per_user


def environment() -> dict[str, Any]:
    """Commit, package versions and device: what else a result may depend on."""
    return {
        "commit": _commit(),
        "versions": {"python": platform.python_version(),
                     **{name: version(name) for name in (keras_backend(), *PACKAGES)}},
        "device": device(),
    }


class Stages:
    """Seconds, processor seconds, memory (MiB) at the start and at its peak, of each stage of a run.

    All are of the whole process: a worker that ran something large before may still hold that memory.
    """

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, float]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        _reset_peak()
        before = peak_mib()
        started, computed = time.perf_counter(), time.process_time()
        yield
        self.rows[name] = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - computed,
                           "start_mib": before, "peak_mib": peak_mib()}


def peak_mib() -> float:
    """Peak resident memory of this process in MiB, since the last stage began where Linux lets us reset it."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / (1024 * 1024 if platform.system() == "Darwin" else 1024)


def _reset_peak() -> None:
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")  # the kernel's "reset the peak resident set size"


def _commit() -> str:
    """The commit, "-dirty" where a tracked file differs from it that is no result of runs like this one."""
    commit = _git("describe", "--always", "--abbrev=12")
    changed = commit and _git("status", "--porcelain", "--untracked-files=no", "--", ".", *NOT_CODE)
    return f"{commit}-dirty" if changed else commit or "not a git checkout"


def _git(*arguments: str) -> str:
    asked = subprocess.run(["git", *arguments], cwd=workspace(), capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def accelerators() -> list[str]:
    """Names of the accelerators that Keras' backend sees; none where it computes on the processor."""
    if keras_backend() == "jax":
        import jax

        return [f"{device.device_kind} ({device.platform})" for device in jax.devices() if device.platform != "cpu"]
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return [str(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)) for gpu in gpus]


def device() -> str:
    """What computes: the accelerators, else the processor, by its name where Linux tells it, and its cores.

    And that oneDNN's kernels are off, where a user has turned them off: others round differently.
    """
    plain = keras_backend() == "tensorflow" and os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"
    cpu = f"CPU, {_processor()}, {platform.machine()}, {_cores()} cores{', without oneDNN' * plain}"
    return ", ".join(accelerators()) or cpu


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.system()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

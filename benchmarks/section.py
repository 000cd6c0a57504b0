"""What one benchmark hands to RESULTS.md: its tables, and each target with the figure that meets it or does not."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from mrlm_core.cache import write_text
from mrlm_core.config import keras_backend

ROOT = Path(__file__).resolve().parent.parent
KEPT = Path(__file__).with_name("results")  # a folder a machine, one JSON a section: each can be measured again alone
FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")


@dataclass(frozen=True)
class Target:
    """One thing that was to be reached, and what was measured; ``why`` says what holds it back where it was not."""

    what: str
    wanted: str
    found: str
    met: bool
    why: str = ""

    def row(self) -> str:
        """One line of a Markdown table."""
        verdict = "met" if self.met else f"**not met**: {self.why}"
        return f"| {self.what} | {self.wanted} | {self.found} | {verdict} |"


@dataclass(frozen=True)
class Section:
    """The Markdown ``lines`` of one benchmark below its ``title``, its targets, and when it was measured at what."""

    title: str
    lines: list[str]
    targets: list[Target]
    measured: str = ""

    def stamped(self) -> Section:
        """The same with ``stamp()``."""
        return Section(self.title, self.lines, self.targets, stamp())

    def keep(self, name: str) -> None:
        """Write it to ``benchmarks/results/<machine>/<name>.json``, and beside it what the machine is."""
        folder = KEPT / this_machine()
        write_text(folder / f"{name}.json", json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")
        write_text(folder / "machine.json", json.dumps(description(), indent=1, ensure_ascii=False) + "\n")


def stamp() -> str:
    """Date, load average and commit."""
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    commit = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load average {os.getloadavg()[0]:.1f} at the end"
    return f"{when}, commit {commit or 'unknown'}"


def kept(name: str, machine: str) -> Section | None:
    """The section measured last under ``name`` on ``machine``, or None when it never was."""
    path = KEPT / machine / f"{name}.json"
    if not path.exists():
        return None
    data = json.loads(path.read_text(encoding="utf-8"))
    return Section(**{**data, "targets": [Target(**target) for target in data["targets"]]})


def machines() -> dict[str, list[str]]:
    """What was written about each machine with kept sections, this machine first."""
    here = this_machine()
    found = sorted(KEPT.glob("*/machine.json"), key=lambda path: (path.parent.name != here, path.parent.name))
    return {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in found}


def this_machine() -> str:
    """A folder's name for the processor, its vector extensions and the number of cores."""
    return re.sub(r"[^a-z0-9]+", "-", description()[0].lower()).strip("-")


def description() -> list[str]:
    """Processor and versions, a line each."""
    processor, flags = _processor()
    return [
        f"{processor}, {len(os.sched_getaffinity(0))} cores; {' '.join(flags)}",
        f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in (keras_backend(), "keras", "numpy")),
    ]


def _processor() -> tuple[str, list[str]]:
    """Name and vector extensions, where the system tells."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine(), []
    fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = fields.get("flags", "").split()
    return fields.get("model name", platform.machine()), [flag for flag in FLAGS if flag in flags]

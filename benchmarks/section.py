"""What one benchmark hands to RESULTS.md: its tables, and each target with the figure that meets it or does not."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from mrlm_core.cache import write_text

ROOT = Path(__file__).resolve().parent.parent
KEPT = Path(__file__).with_name("results")  # one JSON a section, so that a section can be measured again by itself


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
        """The same with date, load average and commit."""
        asked = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
        commit = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
        when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load average {os.getloadavg()[0]:.1f} at the end"
        return Section(self.title, self.lines, self.targets, f"{when}, commit {commit or 'unknown'}")

    def keep(self, name: str) -> None:
        """Write it to ``benchmarks/results/<name>.json``."""
        write_text(KEPT / f"{name}.json", json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")


def kept(name: str) -> Section | None:
    """The section measured last under ``name``, or None when it never was."""
    path = KEPT / f"{name}.json"
    if not path.exists():
        return None
    data = json.loads(path.read_text(encoding="utf-8"))
    return Section(**{**data, "targets": [Target(**target) for target in data["targets"]]})

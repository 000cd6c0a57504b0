"""``python -m benchmarks [NAME ...]``: measure all sections or the named ones, and write RESULTS.md."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.section import Section, kept
from mrlm_core.cache import write_text

RESULTS = Path(__file__).with_name("RESULTS.md")
FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
# Modules of this package with a function ``run() -> Section``, in the order of the page.
SECTIONS = ("limits", "training_step", "full_ranking", "data", "end_to_end", "peers", "startup", "gpu", "quality")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and keep; close other programs first."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SECTIONS)} (all)")
    names = parser.parse_args(argv).names or SECTIONS
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        parser.error(f"no section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    if len(names) == 1:
        measure(names[0])
        return
    # Each in a process of its own: none finds the memory or the threads of another; what one gave is kept at once.
    command = [sys.executable, "-m", "benchmarks"]
    failed = [name for name in names if subprocess.run([*command, name], check=False).returncode]
    if failed:
        parser.exit(1, f"benchmarks: {', '.join(failed)} failed; run them again by name\n")


def measure(name: str) -> None:
    """One section: measured, printed, kept, and RESULTS.md written anew."""
    print(f"{name} ...", flush=True)
    section = importlib.import_module(f"benchmarks.{name}").run().stamped()
    section.keep(name)
    print("\n".join([*section.lines, "", *(target.row() for target in section.targets), ""]), flush=True)
    write_text(RESULTS, page([section for section in map(kept, SECTIONS) if section is not None]))


def page(sections: Sequence[Section]) -> str:
    """RESULTS.md: machine, every target with its figure, then the sections."""
    targets = [target.row() for section in sections for target in section.targets]
    table = ["## Targets", "", "| what | wanted | measured | |", "|---|---|---|---|", *targets, ""]
    parts = [line for s in sections for line in (f"## {s.title}", "", f"*{s.measured}*", "", *s.lines, "")]
    lines = ["# Benchmarks", "", *machine(), "", *(table if targets else []), *parts]
    return "\n".join(lines).rstrip() + "\n"


def machine() -> list[str]:
    """Where, as a list in Markdown."""
    names = ("tensorflow", "keras", "numpy")
    processor, flags = _processor()
    return [
        "Made by `make bench`. Compare ratios, not rates: both sides of a ratio ran in turn in one process on the same"
        " busy or idle machine. Ranges are over the repeats.", "",
        f"- {processor}, {len(os.sched_getaffinity(0))} cores; {' '.join(flags)}",
        f"- Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in names),
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


if __name__ == "__main__":
    main()

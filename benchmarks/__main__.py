"""``python -m benchmarks [NAME ...]``: measure all sections or the named ones, and write RESULTS.md."""

from __future__ import annotations

import argparse
import importlib
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.section import ROOT, Section, kept, machines
from mrlm_core.cache import write_text

RESULTS = Path(__file__).with_name("RESULTS.md")
BOOK = ROOT / "book" / "measured"  # what pages of the book include: a Markdown file a section
SHOWN = ("scale_out",)
# Modules of this package with a function ``run() -> Section``, in the order of the page.
SECTIONS = ("limits", "training_step", "full_ranking", "data", "peers", "peers_quality", "startup", "gpu", "end_to_end",
            "scale_out", "clustering", "preprocessing", "quality")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and keep; close other programs first."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SECTIONS)} (all)")
    names = parser.parse_args(argv).names or SECTIONS
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        parser.error(f"no section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    if len(names) == 1:
        # A kill unwinds as an interrupt does, so that the processes of other libraries end too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        measure(names[0])
        return
    # Each in a process of its own: none finds the memory or the threads of another; what one gave is kept at once.
    command = [sys.executable, "-m", "benchmarks"]
    failed = [name for name in names if subprocess.run([*command, name], check=False).returncode]
    if failed:
        parser.exit(1, f"benchmarks: {', '.join(failed)} failed; run them again by name\n")


def measure(name: str) -> None:
    """One section: measured, printed, kept, and RESULTS.md and what the book shows of it written anew."""
    print(f"{name} ...", flush=True)
    section = importlib.import_module(f"benchmarks.{name}").run().stamped()
    section.keep(name)
    print("\n".join([*section.lines, "", *(target.row() for target in section.targets), ""]), flush=True)
    write_text(RESULTS, kept_page())
    if name in SHOWN:
        write_text(BOOK / f"{name}.md", shown(name))


def shown(name: str) -> str:
    """What a page of the book includes of a kept section: when and where it was measured, and its lines."""
    found = [(description[0].split(";")[0], section) for machine, description in sorted(machines().items())
             if (section := kept(name, machine)) is not None]
    return "\n\n".join("\n".join([f"*{machine}, {section.measured}*", "", *section.lines])
                       for machine, section in found) + "\n"


def kept_page() -> str:
    """The page of all that is kept."""
    sections = {machine: [section for name in SECTIONS if (section := kept(name, machine)) is not None]
                for machine in machines()}
    return page(sections, machines())


def page(measured: Mapping[str, Sequence[Section]], descriptions: Mapping[str, Sequence[str]]) -> str:
    """RESULTS.md: for each machine what it is, every target with its figure, then the sections."""
    lines = [
        "# Benchmarks", "",
        "Made by `make bench`. Compare ratios, not rates: both sides of a ratio ran in turn in one process on the same"
        " busy or idle machine. Ranges are over the repeats. Machines are told apart by processor and vector"
        " extensions; the one that wrote this page comes first, if it was measured.", "",
    ]
    for name, sections in measured.items():
        targets = [target.row() for section in sections for target in section.targets]
        table = ["### Targets", "", "| what | wanted | measured | |", "|---|---|---|---|", *targets, ""]
        lines += [f"## Measured on {descriptions[name][0].split(';')[0]}", "",
                  *(f"- {line}" for line in descriptions[name]), "", *(table if targets else [])]
        lines += [line for s in sections for line in (f"### {s.title}", "", f"*{s.measured}*", "", *s.lines, "")]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    main()

"""``python -m benchmarks``: run all, print the tables and keep them in RESULTS.md."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks import full_ranking, training_step
from mrlm_core.cache import write_text

RESULTS = Path(__file__).with_name("RESULTS.md")
FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")


def main() -> None:
    """Minutes; close other programs first."""
    report = "\n".join(["# Benchmarks", "", *machine(), "", *training(), "", *rankings(), ""])
    print(report)
    write_text(RESULTS, report)


def machine() -> list[str]:
    """Where and when, as a list in Markdown."""
    names = ("tensorflow", "keras", "numpy")
    processor, flags = _processor()
    return [
        "Made by `make bench`. Compare ratios, not rates: both sides of a ratio ran in turn in one process on the same"
        " busy or idle machine. Ranges are over the repeats.", "",
        f"- {datetime.now(UTC):%Y-%m-%d}, load average at the start {os.getloadavg()[0]:.1f}",
        f"- {processor}, {len(os.sched_getaffinity(0))} cores; {' '.join(flags)}",
        f"- Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in names),
        f"- float32 matrix product of 4,096: {full_ranking.matrix_rate():,.0f} GFLOP/s",
    ]


def training(cases: dict[str, int] = training_step.CASES, **sizes: int) -> list[str]:
    """The training step's section."""
    measured = [training_step.run(name, calls, **sizes) for name, calls in cases.items()]
    apart = max(relative for _, relative in measured)
    difference = f"at most {max(apart, 1e-7):.0e} of the value"  # float32 knows no less
    return [
        "## Training step", "",
        "Ours: one stacked trunk call, folded difference calculation, several optimiser steps a compiled call. Literal:"
        " three trunk calls, the difference tensor built and flattened into a dense layer, plain `fit`. Both with full"
        f" softmax, five modalities, Adam; at equal weights their losses differ by {difference}.", "",
        "| preset and size | ours, triplets/s | literal, triplets/s | times as fast | range |",
        "|---|--:|--:|--:|--:|",
        *(comparison.row() for comparison, _ in measured),
    ]


def rankings(cases: list[tuple[int, int, int]] = full_ranking.CASES) -> list[str]:
    """The full ranking's section."""
    return [
        "## Full ranking", "",
        "Ours: exact top 100 of all items but the user's own, ties by index. Bare: the matrix product of the scores"
        " alone. 1 would be the limit.", "",
        "| size | ours, users/s | bare product, users/s | share of the limit | range |",
        "|---|--:|--:|--:|--:|",
        *(full_ranking.run(*case).row() for case in cases),
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

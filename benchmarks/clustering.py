"""Seconds and memory of multiple-kernel k-means: growth over a decade of items, the largest size, and agreement.

``python -m benchmarks.clustering METHOD N`` clusters N generated rows once and prints what it took as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score

from benchmarks.section import ROOT, Section, Target
from mrlm_core.preprocessing.agreement import agreement
from mrlm_core.preprocessing.clustering import multiple_kernel_kmeans
from mrlm_core.study.growth import growth
from mrlm_core.study.record import peak_mib

KERNELS = ("cosine", "rbf-0.5", "rbf-1", "rbf-2", "poly-2")
COLUMNS, CLUSTERS = 384, 25
# A decade each. The largest is Book-Crossing's 271,379 items; exact ends where its matrices fill a laptop.
SIZES = {"nystrom": (27_138, 85_818, 271_379), "exact": (1_200, 3_795, 12_000)}
GB = 2**20 / 1e9  # a MiB in GB
MINUTES, GIGABYTES = 15, 8
EXPONENT = 1.15  # what still counts as linear
AGREEMENT_ROWS = 2_000


def run(sizes: Mapping[str, Sequence[int]] = SIZES, agreement_rows: int = AGREEMENT_ROWS) -> Section:
    """The clustering section; every size in a process of its own."""
    taken = {method: [_in_process(method, n) for n in counts] for method, counts in sizes.items()}
    table = agreement(planted(agreement_rows, 0)[0], CLUSTERS, others=("okkc", "kmeans"), alone=KERNELS[:1],
                      kernels=KERNELS)
    lines = [
        f"Generated rows of {COLUMNS} columns around {CLUSTERS} centres that overlap, {CLUSTERS} clusters, kernels"
        f" {', '.join(KERNELS)}. One run a size, each in a new process; peak is that of the whole process, rows"
        " included. ARI is that with the planted centres.", "",
        "| method | items | seconds | CPU seconds | peak, GB | ARI |", "|---|--:|--:|--:|--:|--:|",
        *(_row(row) for rows in taken.values() for row in rows), "",
        "What grows as n to the power of:", "",
        "| method | items | CPU seconds | seconds | added memory |", "|---|--:|--:|--:|--:|",
        *(_growth(method, rows) for method, rows in taken.items()), "",
        f"Agreement on {agreement_rows:,} such rows: `exact` is the mean over pairs of seeds, the other rows are held"
        " against it; `mrlm_core.preprocessing.agreement` says what the columns are.", "",
        *_markdown(table.reset_index()),
    ]  # fmt: skip
    return Section("Clustering", lines, _targets(taken))


def planted(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows float32 ``[n, COLUMNS]`` and the centre of each ``[n]``."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((CLUSTERS, COLUMNS), dtype=np.float32)
    labels = rng.integers(CLUSTERS, size=n)
    rows = rng.standard_normal((n, COLUMNS), dtype=np.float32)
    rows += 0.25 * centres[labels]
    return rows, labels


def main(argv: Sequence[str]) -> None:
    """Cluster once, and print what it took."""
    method, n = argv[0], int(argv[1])
    rows, labels = planted(n, 0)
    multiple_kernel_kmeans(rows[:500], 5, method, KERNELS)  # imports and threads
    before, started, computed = peak_mib(), time.perf_counter(), time.process_time()
    found = multiple_kernel_kmeans(rows, CLUSTERS, method, KERNELS)
    print(json.dumps({
        "method": method, "items": n, "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - computed, "peak": peak_mib(), "before": before,
        "ari": adjusted_rand_score(labels, found.labels), "iterations": found.n_iterations,
    }))  # fmt: skip


def _in_process(method: str, n: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.clustering", method, str(n)]
    return json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout)


def _targets(taken: Mapping[str, list[dict[str, Any]]]) -> list[Target]:
    rows = taken["nystrom"]
    last, slope = rows[-1], growth([row["items"] for row in rows], [row["cpu"] for row in rows]).exponent
    minutes, peak = last["seconds"] / 60, last["peak"] * GB
    why = f"{last['cpu'] / 60:.1f} CPU minutes"
    return [
        Target(f"Nyström: {last['items']:,} by {COLUMNS} into {CLUSTERS} clusters, {len(KERNELS)} kernels",
               f"≤ {MINUTES} min, ≤ {GIGABYTES} GB", f"{minutes:.1f} min, {peak:.2f} GB",
               minutes <= MINUTES and peak <= GIGABYTES, why),
        Target("Nyström: CPU seconds as a power of the number of items", f"≤ {EXPONENT}", f"{slope:.2f}",
               slope <= EXPONENT, why),
    ]


def _row(row: Mapping[str, Any]) -> str:
    return (f"| {row['method']} | {row['items']:,} | {row['seconds']:.1f} | {row['cpu']:.1f} |"
            f" {row['peak'] * GB:.2f} | {row['ari']:.3f} |")


def _growth(method: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """The exponents; of the peak only what clustering added, for Python and its libraries do not grow."""
    items = [row["items"] for row in rows]
    computed, seconds = (growth(items, [row[key] for row in rows]).exponent for key in ("cpu", "seconds"))
    memory = growth(items, [max(row["peak"] - row["before"], 1) for row in rows]).exponent
    return f"| {method} | {items[0]:,} to {items[-1]:,} | **{computed:.2f}** | {seconds:.2f} | {memory:.2f} |"


def _markdown(table: Any) -> list[str]:
    cells = [[f"{value:.3f}" if isinstance(value, float) else str(value) for value in row]
             for row in table.itertuples(index=False)]
    return [f"| {' | '.join(map(str, row))} |" for row in (table.columns, ["---"] * len(table.columns), *cells)]


if __name__ == "__main__":
    main(sys.argv[1:])

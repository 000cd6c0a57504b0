"""How long the command takes to answer, and what papermill adds to the computing of a notebook."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import nbformat
import numpy as np

from benchmarks.section import ROOT, Section, Target
from mrlm_core.study.growth import seconds_of

HELP_LIMIT = 0.5
CELLS = {
    "an empty notebook": "pass",
    "one that reads kept records (no TensorFlow)": "import mrlm_core.study.run, mrlm_core.study.tables",
    "one that imports the model": "import mrlm_core.model.mrlm",
}


def run(repeats: int = 5) -> Section:
    """Seconds of `mrlm --help`, of papermill around nothing, and of the same imports in plain Python."""
    helps = seconds_of(_python("-m", "mrlm_core.cli", "--help"), repeats)
    heavy = _imported_by_help()
    lines = [
        f"`mrlm --help`: median {np.median(helps):.2f} s ({helps.min():.2f} to {helps.max():.2f}); bare Python:"
        f" {np.median(seconds_of(_python('-c', 'pass'), repeats)):.2f} s. Heavy libraries it imports:"
        f" {', '.join(heavy) or 'none'}.", "",
        "| notebook of one cell | papermill, s | the cell in plain Python, s | papermill and kernel add, s |",
        "|---|--:|--:|--:|",
        *(_overhead(name, cell, repeats) for name, cell in CELLS.items()),
    ]
    median = float(np.median(helps))
    why = "see what it imports: python -X importtime -m mrlm_core.cli --help"
    targets = [Target("mrlm --help", f"under {HELP_LIMIT} s", f"{median:.2f} s", median < HELP_LIMIT, why),
               Target("mrlm --help imports TensorFlow", "no", "yes" if "tensorflow" in heavy else "no",
                      "tensorflow" not in heavy, why)]
    return Section("Start-up", lines, targets)


def _overhead(name: str, cell: str, repeats: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        source = Path(folder) / "in.ipynb"
        nbformat.write(notebook, source)
        executed = seconds_of(
            _python("-m", "papermill", "--no-progress-bar", str(source), str(Path(folder) / "out.ipynb")), repeats)
    plain = seconds_of(_python("-c", cell), repeats)
    return (f"| {name} | {np.median(executed):.2f} | {np.median(plain):.2f} | "
            f"{np.median(executed) - np.median(plain):.2f} |")


def _imported_by_help() -> list[str]:
    script = ("import sys, contextlib, io\nfrom mrlm_core.cli import main\n"
              "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n    main(['--help'])\n"
              "print(*(n for n in ('tensorflow', 'keras', 'pandas', 'numpy', 'numba', 'scipy') if n in sys.modules))")
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True,
                          cwd=ROOT).stdout.split()


def _python(*arguments: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, *arguments], capture_output=True, check=True, cwd=ROOT)

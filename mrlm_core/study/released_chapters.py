"""Executed chapters that are kept under version control: a study of real data, read without running it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrlm_core.cache import write_text
from mrlm_core.config import workspace
from mrlm_core.study.record import environment

ID = "released-chapter"
FIRST_DATASET = "iot-shop"  # of the package: every build of the book runs it, and it comes first there


def release_chapters(executed: Sequence[Path], dataset: str) -> list[Path]:
    """Copy executed chapters to book/results/<dataset>/chapters/, each saying what made it; returns the copies."""
    made = environment()
    return [_released(path, _folder(dataset) / path.name, made) for path in executed]


def with_released(executed: Mapping[str, Sequence[Path]]) -> dict[str, list[Path]]:
    """The chapters of each dataset in order: those ``executed`` here, and in their absence those that were released.

    Every build executes the embedded dataset's, with the trimmed defaults; its released ones, of a longer run, are a
    part of their own, ``<dataset>-in-full``.
    """
    found = {name: {path.name: path for path in paths} for name, paths in executed.items()}
    for path in sorted((workspace() / "book" / "results").glob("*/chapters/*.ipynb")):
        name = path.parent.parent.name
        found.setdefault(in_full(name) if name == FIRST_DATASET else name, {}).setdefault(path.name, path)
    return {name: [paths[file] for file in sorted(paths)] for name, paths in found.items()}


def in_full(dataset: str) -> str:
    """The part of the book with the released chapters of a dataset that every build executes as well."""
    return f"{dataset}-in-full"


def _folder(dataset: str) -> Path:
    return workspace() / "book" / "results" / dataset / "chapters"


def _released(executed: Path, target: Path, made: Mapping[str, Any]) -> Path:
    notebook = json.loads(executed.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell.get("id") != ID]
    notebook["cells"] = [cells[0], _note(made), *cells[1:]]
    write_text(target, json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    return target


def _note(made: Mapping[str, Any]) -> dict[str, Any]:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(made["versions"].items()))
    text = (f"```{{admonition}} Released\n:class: note\nThis chapter was executed once and is kept with its output; a "
            f"build of the book does not run it. Commit {made['commit']}; {made['device']}; {versions}.\n```")
    return {"cell_type": "markdown", "id": ID, "metadata": {}, "source": text}

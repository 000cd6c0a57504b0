"""Runs the chapters of notebooks/ with papermill, skipping those whose executed copy is up to date."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import mrlm_core
from mrlm_core import config, preprocessing_config
from mrlm_core.cache import code_hash, content_hash, write_text
from mrlm_core.config import source_folder, workspace
from mrlm_core.errors import ConfigError, nearest, problem

# What runs and renders chapters cannot change what is in them, so it is left out of their keys.
_OUTSIDE_CHAPTERS = {"mrlm_core.cli", "mrlm_core.cli_data", "mrlm_core.study.notebooks", "mrlm_core.study.book",
                     "mrlm_core.study.released_chapters"}
_CHAPTERS = "[0-9][0-9]_*.ipynb"
_SECONDS_BETWEEN_LINES = 20.0  # of the plain display, when the output is not a terminal

Say = Callable[[str], None]


class NotebookError(RuntimeError):
    """A chapter that did not run to its end; the text names notebook, cell and cause."""


@dataclass(frozen=True)
class Chapter:
    """One notebook to run: where it is, where its executed copy goes, what it is given and what that is worth."""

    source: Path
    executed: Path
    partial: Path
    parameters: Mapping[str, Any]
    key: str

    @property
    def name(self) -> str:
        return self.source.stem

    @property
    def log(self) -> Path:
        return self.partial.with_suffix(".log")


def run_notebooks(
    dataset: str,
    data_hash: str,
    parameters: Mapping[str, Any],
    only: Sequence[str] = (),
    force: bool = False,
    say: Say = print,
) -> list[Path]:
    """Execute the chapters in order into book/executed/<dataset>/ and return the executed copies.

    A chapter whose executed copy has the key of its present source, parameters, data and code is skipped, so a stopped
    study goes on where it stopped. Raises ConfigError for an unknown parameter or chapter, NotebookError when a cell
    fails; the chapter then is kept as far as it came under runs/<dataset>/notebooks/.
    """
    chapters = plan(dataset, data_hash, parameters, only)
    for number, chapter in enumerate(chapters, start=1):
        label = f"[{number}/{len(chapters)}] {chapter.name}"
        if not force and recorded_key(chapter.executed) == chapter.key:
            say(f"{label}: up to date")
            continue
        started = time.monotonic()
        say(f"{label}: running")
        _execute(chapter, dataset, label, say)
        say(f"{label}: done in {time.monotonic() - started:.0f} s")
    return [chapter.executed for chapter in chapters]


def plan(dataset: str, data_hash: str, parameters: Mapping[str, Any], only: Sequence[str] = ()) -> list[Chapter]:
    """The chapters to run, each with those of the parameters that it declares, and its key."""
    sources = _selected(chapter_sources(), only)
    accepted = {source: _declared(source) for source in chapter_sources()}
    given = {"dataset": dataset, **parameters}
    _check_names(given, set().union(*accepted.values()))
    code = study_code_hash()
    paper = content_hash(*(path.read_bytes() for path in sorted(source_folder("data/paper", "*.json").iterdir())))
    released = [path.read_bytes() for path in sorted((workspace() / "book" / "results").glob("*/*.json"))]
    chapters = []
    for source in sources:
        own = {name: value for name, value in given.items() if name in accepted[source]}
        chapters.append(
            Chapter(
                source=source,
                executed=workspace() / "book" / "executed" / dataset / source.name,
                partial=workspace() / "runs" / dataset / "notebooks" / source.name,
                parameters=own,
                key=content_hash(source_hash(source), own, data_hash, code, paper, *released),
            )
        )
    return chapters


def chapter_sources() -> list[Path]:
    """The chapters, NN_name.ipynb, in order; raises ConfigError when there is none."""
    return sorted(source_folder("notebooks", _CHAPTERS).glob(_CHAPTERS))


def source_hash(source: Path) -> str:
    """Hash of a notebook's cells without outputs, so that running it in JupyterLab changes nothing."""
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    tags = [cell.get("metadata", {}).get("tags", []) for cell in cells]
    return content_hash([(cell["cell_type"], "".join(cell["source"])) for cell in cells], tags)


def study_code_hash() -> str:
    """Hash of every module of ours that a chapter may use."""
    root = Path(mrlm_core.__file__).resolve().parent
    parts = [("mrlm_core", *path.relative_to(root).with_suffix("").parts) for path in root.rglob("*.py")]
    names = {".".join(p[:-1] if p[-1] == "__init__" else p) for p in parts}
    # Artefacts hash the values that they use; a chapter may use any.
    settings = [Path(str(module.__file__)).read_bytes() for module in (config, preprocessing_config)]
    return content_hash(code_hash(*sorted(names - _OUTSIDE_CHAPTERS - {"mrlm_core"})), *settings)


def recorded(executed: Path) -> Mapping[str, Any]:
    """What an executed chapter records of its making; empty when there is no readable copy."""
    try:
        return json.loads(executed.read_text(encoding="utf-8"))["metadata"].get("mrlm", {})
    except (FileNotFoundError, json.JSONDecodeError, KeyError):
        return {}


def recorded_key(executed: Path) -> str | None:
    """The key under which an executed chapter was made; None when there is no readable copy."""
    return recorded(executed).get("key")


def _selected(sources: Sequence[Path], only: Sequence[str]) -> list[Path]:
    if not only:
        return list(sources)
    wanted: set[Path] = set()
    for name in only:
        match = {s for s in sources if name.removesuffix(".ipynb") in (s.stem, s.stem[:2], str(int(s.stem[:2])))}
        if not match:
            known = ", ".join(source.stem for source in sources)
            raise ConfigError(problem(f"chapter {name!r}", "a chapter's number or name", "neither", f"Known: {known}."))
        wanted |= match
    return [source for source in sources if source in wanted]


def _declared(source: Path) -> set[str]:
    """Names assigned in the notebook's ``parameters`` cell."""
    from papermill import inspect_notebook

    try:
        return set(inspect_notebook(source))
    except ValueError as error:
        raise ConfigError(
            problem(source.name, "a notebook with a Python kernelspec in its metadata", str(error), "Save it again.")
        ) from error


def _check_names(given: Iterable[str], known: set[str]) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(problem(f"parameter {name!r}", "a name in a notebook's `parameters` cell",
                                      "an unknown name", nearest(name, known)))


def _execute(chapter: Chapter, dataset: str, label: str, say: Say) -> None:
    """Run one chapter beside its destination and move it there only when every cell succeeded."""
    import papermill

    chapter.partial.parent.mkdir(parents=True, exist_ok=True)
    _prepare_kernel()
    terminal = sys.stderr.isatty()
    with chapter.log.open("w") as log:
        try:
            notebook = papermill.execute_notebook(
                chapter.source,
                chapter.partial,
                parameters=dict(chapter.parameters),
                kernel_name="python3",
                language="python",
                cwd=workspace(),
                kernel_manager_class=_kernel_manager(log),
                progress_bar={"desc": label, "leave": False} if terminal else False,
                **({} if terminal else {"on_cell_start": _line_reporter(label, say)}),
            )
        except papermill.PapermillExecutionError as error:
            raise NotebookError(_failure(chapter, error)) from error
        except RuntimeError as error:  # nbclient: the kernel died or did not start
            raise NotebookError(f"{chapter.name}: {error}. What it said last: {_shown(chapter.log)}") from error
    _tidy(notebook, {"key": chapter.key, "dataset": dataset, "source": source_hash(chapter.source)})
    write_text(chapter.executed, json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    chapter.partial.unlink()
    chapter.log.unlink()


def _kernel_manager(log: IO[str]) -> type:
    """A kernel manager whose kernels write to ``log`` what compiled libraries say past the notebook."""
    from jupyter_client.manager import AsyncKernelManager

    class LoggingKernelManager(AsyncKernelManager):
        async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
            await super().start_kernel(**options, stdout=log, stderr=log)

    return LoggingKernelManager


def _prepare_kernel() -> None:
    """The kernel is this interpreter: its own kernelspec goes before one that the user installed elsewhere."""
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    logging.getLogger("papermill").setLevel(logging.ERROR)


def _line_reporter(label: str, say: Say) -> Callable[..., None]:
    """A callback that says now and then which cell is running."""
    last = time.monotonic()

    def report(cell: Any, cell_index: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            say(f"{label}: cell {cell_index + 1}")

    return report


def _failure(chapter: Chapter, error: Any) -> str:
    # Papermill puts one cell of its own before the failing one when it was given parameters.
    cell = error.cell_index + (0 if chapter.parameters else 1)
    lines = f"{error.ename}: {error.evalue}".strip().splitlines()
    return (
        f"{chapter.name}, cell {cell} (In [{error.exec_count}]): {lines[-1] if len(lines) > 1 else lines[0]}\n"
        f"Kept as far as it came, with the traceback: {_shown(chapter.partial)}"
    )


def _shown(path: Path) -> str:
    root = workspace()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _tidy(notebook: Any, record: Mapping[str, Any]) -> None:
    """Take out clock times and machine paths, which would make equal results differ; add what made it."""
    notebook.metadata.pop("papermill", None)
    notebook.metadata["mrlm"] = dict(record)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = "injected-parameters"

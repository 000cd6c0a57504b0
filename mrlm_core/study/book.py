"""Stages the pages and the executed chapters and renders them with Jupyter Book; warnings are errors."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mrlm_core.cache import write_text
from mrlm_core.config import source_folder, workspace
from mrlm_core.errors import ConfigError, problem
from mrlm_core.study import answers
from mrlm_core.study.notebooks import recorded, source_hash
from mrlm_core.study.released_chapters import FIRST_DATASET, with_released

_JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"
_LINK = rb'<a href=\"%s.html\">%s</a>'  # as a notebook's JSON has it


class BookError(RuntimeError):
    """The book did not build without warnings."""


def build_book(
    executed: Path | None = None, out: Path | None = None, quiet: bool = False, say: Callable[[str], None] = print
) -> Path:
    """Render book/ and the chapters under ``executed`` (``<dataset>/NN_name.ipynb``) and return the page to open.

    Chapters that were released and not executed here are shown as they were released. HTML goes to
    ``out``/_build/html, by default of the workspace. Only changed pages are staged and read again. Raises ConfigError
    when nothing was executed, BookError when Sphinx gives any warning.
    """
    executed = executed or workspace() / "book" / "executed"
    build = (out or workspace()).resolve() / "_build"
    chapters = with_released(executed_chapters(executed))
    pages = source_folder("book", "_toc.yml")
    for dataset, paths in chapters.items():
        for path in paths:
            _check_chapter(path, dataset, say)
    stage(pages, chapters, build / "stage")
    _render(build, pages.parent / "_config.yml", quiet)
    return build / "html" / "index.html"


def executed_chapters(executed: Path) -> dict[str, list[Path]]:
    """The executed chapters of each dataset in order, the embedded dataset first; raises ConfigError when none."""
    found = {folder.name: sorted(folder.glob("*.ipynb")) for folder in sorted(executed.glob("*")) if folder.is_dir()}
    found = {name: chapters for name, chapters in found.items() if chapters}
    if not found:
        raise ConfigError(
            problem(f"executed chapters in {executed.name}/", "at least one notebook", "none",
                    f"Run `mrlm study {FIRST_DATASET}` first.")
        )
    return dict(sorted(found.items(), key=lambda item: (item[0] != FIRST_DATASET, item[0])))


def compose_toc(static: dict[str, Any], chapters: dict[str, list[Path]]) -> dict[str, Any]:
    """The table of contents with one part a dataset after the first part of the explaining pages."""
    parts = [
        {
            "caption": f"Results on {dataset}",
            "chapters": [{"file": f"executed/{dataset}/{path.stem}"} for path in paths],
        }
        for dataset, paths in chapters.items()
    ]
    return {**static, "parts": [*static["parts"][:1], *parts, *static["parts"][1:]]}


def stage(pages: Path, chapters: dict[str, list[Path]], target: Path) -> None:
    """Mirror the pages and chapters into ``target``, touching only what changed, so that Sphinx reads no more.

    Below the text of the page ``answers.PAGE`` stands what the chapters say.
    """
    wanted = {
        target / path.relative_to(pages): path.read_bytes()
        for path in pages.rglob("*")
        if path.is_file() and path.relative_to(pages).parts[0] not in ("executed", "_toc.yml")
    }
    wanted |= {target / "executed" / name / path.name: with_links(path.read_bytes(), name, chapters)
               for name, paths in chapters.items() for path in paths}
    if (pages / answers.PAGE).exists():
        wanted[target / answers.PAGE] += f"\n{answers.answers(chapters)}\n".encode()
    static = yaml.safe_load((pages / "_toc.yml").read_text(encoding="utf-8"))
    toc = yaml.safe_dump(compose_toc(static, chapters), sort_keys=False)
    _mirror(wanted, target, keep=target / "_toc.yml")
    if not (target / "_toc.yml").exists() or (target / "_toc.yml").read_text(encoding="utf-8") != toc:
        write_text(target / "_toc.yml", toc)


def with_links(notebook: bytes, dataset: str, chapters: Mapping[str, Sequence[Path]]) -> bytes:
    """Links of an output to other chapters: to that of the first dataset where the own part lacks it, else none."""
    there = {name: {path.stem for path in paths} for name, paths in chapters.items()}

    def link(found: re.Match[bytes]) -> bytes:
        stem, text = found[1].decode(), found[2]
        if stem in there[dataset]:
            return found[0]
        first = stem in there.get(FIRST_DATASET, ())
        return _LINK % (f"../{FIRST_DATASET}/{stem}".encode(), text) if first else text

    return re.sub(_LINK.replace(b"\\", b"\\\\") % (rb"(\d\d_\w+)", rb"([^<]*)"), link, notebook)


def _mirror(wanted: Mapping[Path, bytes], target: Path, keep: Path) -> None:
    for copy in [path for path in target.rglob("*") if path.is_file() and path not in wanted and path != keep]:
        copy.unlink()
    for copy, content in wanted.items():
        if not copy.exists() or copy.read_bytes() != content:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
    for folder in sorted((path for path in target.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def _check_chapter(chapter: Path, dataset: str, say: Callable[[str], None]) -> None:
    """Refuse a chapter with a failed cell; say so when its source has changed since it was executed."""
    cells = json.loads(chapter.read_text(encoding="utf-8"))["cells"]
    for number, cell in enumerate(cells, start=1):
        if any(output["output_type"] == "error" for output in cell.get("outputs", [])):
            raise ConfigError(
                problem(f"{dataset}/{chapter.name}, cell {number}", "cells that ran", "a failed cell",
                        f"Run `mrlm study {dataset}` again.")
            )
    known = recorded(chapter).get("source")
    if known is None:  # executed by hand
        return
    source = source_folder("notebooks", "*.ipynb") / chapter.name
    if source.exists() and known != source_hash(source):
        say(f"{dataset}/{chapter.name}: shown as executed from an older notebook; `mrlm study` renews it")


def _render(build: Path, config: Path, quiet: bool) -> None:
    """Run Jupyter Book; a build that did not end well is followed by one that reads every page again.

    Sphinx gives a page's warnings only when it reads the page, so an incremental build after a failed one would pass.
    """
    unfinished = build / ".unfinished"
    options = ["-W", "-n", "--keep-going", *(["--all"] if unfinished.exists() else []), *(["-q"] if quiet else [])]
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    unfinished.touch()
    arguments = ["build", str(build / "stage"), "--path-output", str(build.parent), "--config", str(config), *options]
    # Warnings come on standard error, so a quiet build still shows them.
    out = subprocess.DEVNULL if quiet else None
    done = subprocess.run([sys.executable, "-c", _JUPYTER_BOOK, *arguments], check=False, stdout=out)
    if done.returncode != 0:
        raise BookError("the book did not build without warnings; they are listed above")
    unfinished.unlink()

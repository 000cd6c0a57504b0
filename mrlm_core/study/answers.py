"""The page that gathers what the chapters say of themselves, for who reads one page of the book."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mrlm_core.study.claims import claims
from mrlm_core.study.released_chapters import in_full

PAGE = "answers.md"  # in book/; what is gathered is put below its text
SECTION = "## What this says"  # of a chapter: the cell below it computes the sentences
VERDICT = "09_verdict"
_WORDS = re.compile(r"\*\*\d+ ([a-z ]+)\*\* \((C\d\d(?:, C\d\d)*)\)")  # as verdict_tables.sentences has them


def answers(chapters: Mapping[str, Sequence[Path]]) -> str:
    """The questions of each executed chapter and below them what it came to, by dataset; the verdicts come first.

    Of a chapter that was executed in full as well the trimmed one is left out. Chapters without computed sentences do
    not appear.
    """
    found: dict[str, dict[str, Path]] = {}
    for name, paths in chapters.items():
        for path in paths:
            found.setdefault(path.stem, {})[name] = path
    sections = [_section(stem, found[stem]) for stem in sorted(found, key=lambda stem: (stem != VERDICT, stem))]
    return "\n\n".join(section for section in sections if section)


def _section(stem: str, found: Mapping[str, Path]) -> str:
    """One chapter's heading, questions and answers; empty where no dataset has an answer."""
    parts = {name: path for name, path in found.items() if in_full(name) not in found}
    read = {name: json.loads(path.read_text(encoding="utf-8"))["cells"] for name, path in parts.items()}
    told = {name: answer for name, cells in read.items() if (answer := _answer(cells))}
    if not told:
        return ""
    opening = "".join(read[next(iter(told))][0]["source"])
    heading = opening.splitlines()[0].removeprefix("# ")
    questions = [line for line in opening.splitlines() if line.startswith("- ")]
    blocks = [_block(name, stem, answer, is_open=stem == VERDICT) for name, answer in told.items()]
    return "\n\n".join([f"## {heading}", *(["\n".join(questions)] if questions else []), *blocks])


def _answer(cells: Sequence[Mapping[str, Any]]) -> str:
    """The Markdown that the cell below the section's heading put out; empty where there is none."""
    places = [place for place, cell in enumerate(cells) if "".join(cell["source"]).startswith(SECTION)]
    outputs = [output for place in places for output in cells[place + 1].get("outputs", [])]
    texts = ["".join(output.get("data", {}).get("text/markdown", "")) for output in outputs]
    return "\n\n".join(text for text in texts if text)


def _block(name: str, stem: str, answer: str, is_open: bool) -> str:
    link = f"[The chapter](executed/{name}/{stem}.ipynb) has the tables and figures behind it."
    lines = [f":::{{dropdown}} {name}", *([":open:"] if is_open else []), "", answer, *_named(answer), "", link, ":::"]
    return "\n".join(lines)


def _named(answer: str) -> Iterator[str]:
    """The claims that a count of verdicts names, each in words below its verdict."""
    for verdict, names in _WORDS.findall(answer):
        yield f"\n**{verdict[0].upper()}{verdict[1:]}**\n"
        for claim in map(claims().__getitem__, names.split(", ")):
            yield f"- {claim.name}, {_plain(claim.source)}: {_plain(claim.text)}"


def _plain(text: str) -> str:
    """``text`` with what Markdown would read as its own taken literally."""
    return re.sub(r"([\\`*_{}\[\]<>$|~^#])", r"\\\1", text)

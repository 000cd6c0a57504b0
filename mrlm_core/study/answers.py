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
RELEASED = "12_released_results"  # of all datasets, whichever part it stands in
SECTION = "## What this says"  # of a chapter: the cell below it computes the sentences
VERDICT = "09_verdict"
FIRST = (VERDICT, RELEASED)
_WORDS = re.compile(r"\*\*\d+ ([a-z ]+)\*\* \((C\d\d(?:, C\d\d)*)\)")  # as verdict_tables.sentences has them


def answers(chapters: Mapping[str, Sequence[Path]]) -> str:
    """The questions of each executed chapter and below them what it came to, by dataset; ``FIRST`` come first.

    Of a chapter that was executed in full as well the trimmed one is left out. Chapters without computed sentences do
    not appear.
    """
    found: dict[str, dict[str, Path]] = {}
    for name, paths in chapters.items():
        for path in paths:
            found.setdefault(path.stem, {})[name] = path
    order = [stem for stem in FIRST if stem in found] + sorted(set(found) - set(FIRST))
    sections = [_section(stem, found[stem]) for stem in order]
    return "\n\n".join(section for section in sections if section)


def _section(stem: str, found: Mapping[str, Path]) -> str:
    """One chapter's heading, questions and answers; empty where no dataset has an answer."""
    parts = {name: path for name, path in found.items() if in_full(name) not in found}
    if stem == RELEASED:
        parts = dict(list(parts.items())[:1])
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
    """The Markdown that the cell below the section's heading put out; empty where there is none.

    Before it what the section says of its words, after a first sentence on where they come from.
    """
    place = next((place for place, cell in enumerate(cells) if "".join(cell["source"]).startswith(SECTION)), None)
    if place is None:
        return ""
    outputs = cells[place + 1].get("outputs", [])
    texts = ["".join(output.get("data", {}).get("text/markdown", "")) for output in outputs]
    told = [text for text in texts if text]
    _, _, words = "".join(cells[place]["source"]).removeprefix(SECTION).strip().partition(". ")
    answer = "\n\n".join([words, *told] if words and told else told)
    return answer.replace("](../../", "](")  # chapters lie two folders below this page


def _block(name: str, stem: str, answer: str, is_open: bool) -> str:
    link = f"[The chapter](executed/{name}/{stem}.ipynb) has the tables and figures behind it."
    title = "all released datasets" if stem == RELEASED else name
    lines = [f":::{{dropdown}} {title}", *([":open:"] if is_open else []), "", answer, *_named(answer), "", link, ":::"]
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

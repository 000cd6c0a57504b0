"""Verdicts as tables and sentences for a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from mrlm_core.study.findings import listed
from mrlm_core.study.notebooks import chapter_sources
from mrlm_core.study.verdicts import CONTRADICTED, DIRECTION, NOT, REPRODUCED, UNTESTED, VERDICTS, Verdict

COLOURS = dict(zip(VERDICTS, ("#b7e1cd", "#e2f0d9", "#fff2cc", "#f4c7c3", "#eeeeee"), strict=True))
_TEXT: Any = [{"selector": "td", "props": "text-align: left; vertical-align: top; font-size: 80%"},
         {"selector": "th", "props": "text-align: left; font-size: 80%"}]


def styled_verdicts(verdicts: Sequence[Verdict], caption: str) -> Styler:
    """One row a verdict: the claim and where it stands, the verdict and on which dataset, the evidence, its chapter."""
    rows = [{"claim": _lines(v.claim.name, v.claim.source), "the paper claims": _safe(v.claim.text),
             "verdict": _lines(v.word, f"on {v.dataset}"), "evidence": _safe(v.evidence),
             "chapter": _link(v.chapter)} for v in verdicts]
    table = pd.DataFrame(rows)
    colours = [_colour(v.word) for v in verdicts]
    style = table.style.apply(lambda _: colours, subset=["verdict"]).hide(axis="index").set_caption(caption)
    for name, width in (("the paper claims", "14em"), ("evidence", "22em")):  # else squeezed to a word a line
        style = style.set_properties(subset=[name], **{"min-width": width})
    return style.set_table_styles(_TEXT)


def by_dataset(verdicts: Sequence[Verdict], caption: str) -> Styler:
    """Claims as rows, datasets as columns; verdicts from the paper's own tables stand in a column of their own."""
    rows = pd.DataFrame([{"claim": v.claim.name, "dataset": v.dataset, "verdict": v.word} for v in verdicts])
    rows = rows.drop_duplicates(["claim", "dataset"])
    table = rows.pivot(index="claim", columns="dataset", values="verdict")[list(rows["dataset"].unique())]
    style = table.rename_axis(index="claim", columns=None).style.format(na_rep="").map(_colour)
    return style.set_table_styles(_TEXT).set_caption(caption)


def styled_checks(checks: pd.DataFrame, caption: str) -> Styler:
    """``paper_checks.against_itself`` for a page."""
    words = {True: "yes", False: "no", None: ""}
    table = checks.assign(agrees=[words[value] for value in checks["agrees"]])

    def colour(value: object) -> str:
        return f"background-color: {COLOURS[CONTRADICTED]}" if value == "no" else ""

    style = table.style.format(_safe).map(colour, subset=["agrees"]).hide(axis="index")
    return style.set_table_styles(_TEXT).set_caption(caption)


def sentences(chosen: Sequence[Verdict], checks: pd.DataFrame) -> list[str]:
    """How many claims got each verdict and which, what the untested lack most, and the checks that failed."""
    return [*_counts(chosen), *_splits(chosen), *_checks(checks)]


def _counts(chosen: Sequence[Verdict]) -> Iterator[str]:
    yield f"Of {len(chosen)} claims:"
    firm = [v for v in chosen if not v.alone]
    groups = {word: [v.claim.name for v in firm if v.verdict == word] for word in VERDICTS}
    order = (REPRODUCED, DIRECTION, NOT, CONTRADICTED, UNTESTED)
    yield "; ".join(f"**{len(groups[word])} {word}**{f' ({listed(groups[word])})' if groups[word] else ''}"
                    for word in order) + "."
    tested = len(firm) - len(groups[UNTESTED])
    agree = len(groups[REPRODUCED]) + len(groups[DIRECTION])
    if tested:
        yield f"Of the {tested} that could be tested, {agree} hold at least in direction."
        where = pd.Series([v.dataset for v in firm if v.verdict != UNTESTED]).value_counts(sort=False)
        yield f"They were decided on {listed([f'{name} ({n})' for name, n in where.items()])}."


def _splits(chosen: Sequence[Verdict]) -> Iterator[str]:
    few = {word: [v.claim.name for v in chosen if v.alone and v.verdict == word] for word in VERDICTS}
    told = [f"{word} {listed(names)}" for word, names in few.items() if names]
    if told:
        yield (f"The other {sum(map(len, few.values()))} were looked at on a single split, which tells nothing of how "
               f"splits differ. What it shows is a demonstration, no verdict: {'; '.join(told)}.")


def _checks(checks: pd.DataFrame) -> Iterator[str]:
    wrong = [str(row["claim"]) for _, row in checks.iterrows() if row["agrees"] is False]
    judged = sum(row["agrees"] is not None for _, row in checks.iterrows())
    yield (f"Of {judged} numbers of the paper that follow from others of its numbers, {judged - len(wrong)} agree with "
           f"them{f'; the others concern {listed(list(dict.fromkeys(wrong)))}' if wrong else ''}.")


def _link(chapter: str) -> str:
    """A link to the executed chapter beside this one; plain text for one that this study does not have."""
    there = {source.stem for source in chapter_sources()}
    return f'<a href="{chapter}.html">{chapter[:2]}</a>' if chapter in there else chapter[:2]


def _lines(first: str, second: str) -> str:
    return f"{_safe(first)}<br><small>{_safe(second)}</small>"


def _safe(value: object) -> str:
    return escape(str(value))


def _colour(value: object) -> str:
    return f"background-color: {COLOURS[value]}" if isinstance(value, str) and value in COLOURS else ""

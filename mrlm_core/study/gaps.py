"""Every gap and error of the paper, and what was decided about it: data/paper/gaps.yml, read and shown."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from pandas.io.formats.style import Styler

from mrlm_core.config import source_folder
from mrlm_core.errors import ConfigError, nearest, problem

KINDS = {"open": "left open", "wrong": "printed wrongly or against another place", "doubtful": "hard to reconcile"}


@dataclass(frozen=True)
class Option:
    """One way to read a gap. ``settings``, ``model``, ``clusters`` make a run of it (fields of RunSpec).

    ``shown`` says how else it is had or where its effect is shown; ``needs`` what the dataset must have: "low ratings",
    "unrated items", or a modality of that name and kind. The file's head explains both in full.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    clusters: str = ""
    shown: str = ""
    needs: tuple[str, ...] = ()

    @property
    def runs(self) -> bool:
        """Whether a run of its own shows what it does."""
        return bool(self.settings or self.model or self.clusters)


@dataclass(frozen=True)
class Gap:
    """One row: where the paper leaves something open or is wrong, the options, ours, why, and the code that has it."""

    id: str
    part: str
    kind: str
    place: str
    gap: str
    options: tuple[Option, ...]
    default: str
    reason: str
    code: tuple[str, ...]

    @property
    def can_run(self) -> bool:
        """Whether an option other than the default can be run."""
        return any(option.runs for option in self.options if option.name != self.default)


def gaps(file: Path | None = None) -> tuple[Gap, ...]:
    """The rows of ``file``, by default data/paper/gaps.yml, in its order; raises ConfigError for one not complete."""
    return _read(file or source_folder("data/paper", "gaps.yml") / "gaps.yml")


def chosen(ids: Sequence[str] = ()) -> list[Gap]:
    """The rows with these ids, or all of which an option can be run; raises ConfigError for an id that is none."""
    known = {row.id: row for row in gaps() if row.can_run}
    for name in ids:
        if name not in known:
            expected = "the id of a row with an option to run"
            raise ConfigError(problem(f"gap {name!r}", expected, "another", nearest(name, known)))
    return [known[name] for name in ids] or list(known.values())


def page(part: str) -> Styler:
    """The rows of one part for a page. Of the options the one we take is bold, one not in the program is grey."""
    rows = [
        {"gap": f"{row.id}<br><small>{KINDS[row.kind]}<br>{html.escape(row.place)}</small>",
         "what": html.escape(row.gap),
         "options": "<br>".join(_printed(option, row.default) for option in row.options),
         "why ours": html.escape(row.reason),
         "in the program": "<br>".join(f"<code>{name.removeprefix('mrlm_core.')}</code>" for name in row.code)}
        for row in gaps() if row.part == part
    ]
    small = "text-align: left; vertical-align: top; font-size: 80%; white-space: normal"
    styler = pd.DataFrame(rows).style.hide(axis="index").set_caption(part)
    for name, width in (("gap", "7em"), ("what", "14em"), ("options", "12em"), ("why ours", "12em")):  # else squeezed
        styler = styler.set_properties(subset=[name], **{"min-width": width})
    styler = styler.set_properties(subset=["in the program"], **{"overflow-wrap": "anywhere", "min-width": "8em"})
    return styler.set_table_styles([{"selector": "td, th", "props": small}])


def parts() -> list[str]:
    """The headings of the rows, in their order."""
    return list(dict.fromkeys(row.part for row in gaps()))


def not_in_program() -> pd.DataFrame:
    """One row an option that the program does not have: ``id``, ``option``."""
    lacking = [(row.id, option.name) for row in gaps() for option in row.options
               if not (option.runs or option.shown or option.name == row.default)]
    return pd.DataFrame(lacking, columns=["id", "option"])


def summary() -> str:
    """How many rows there are, of which kind, and how many can be run: a sentence."""
    rows = gaps()
    kinds = ", ".join(f"{sum(row.kind == kind for row in rows)} {words}" for kind, words in KINDS.items())
    return (f"{len(rows)} rows: {kinds}. Of {sum(row.can_run for row in rows)} another option than ours can be run; "
            f"{len(not_in_program())} options are named but not in the program.")


def _printed(option: Option, default: str) -> str:
    text = html.escape(option.name)
    if option.name == default:
        return f"<b>{text}</b>"
    if option.shown:
        return f"{text} ({html.escape(option.shown)})"
    return text if option.runs else f'<span style="color: #888"><i>{text}</i></span>'


@lru_cache
def _read(file: Path) -> tuple[Gap, ...]:
    rows = tuple(_row(entry, file) for entry in yaml.safe_load(file.read_text(encoding="utf-8"))["rows"])
    ids = [row.id for row in rows]
    for name in ids:
        if ids.count(name) > 1:
            raise ConfigError(problem(f"{file.name}, row {name}", "an id of its own", "it twice", "Give it another."))
    return rows


def _row(entry: Mapping[str, Any], file: Path) -> Gap:
    where = f"{file.name}, row {entry.get('id', entry)}"
    _check_keys(where, entry, [f.name for f in fields(Gap)], required=[f.name for f in fields(Gap)])
    for option in entry["options"]:
        _check_keys(f"{where}, option {option.get('name')}", option, [f.name for f in fields(Option)], ["name"])
    options = tuple(Option(**{**option, "needs": tuple(option.get("needs", ()))}) for option in entry["options"])
    row = Gap(**{**entry, "options": options, "code": tuple(entry["code"])})
    for what, value, allowed in (("kind", row.kind, list(KINDS)), ("default", row.default, [o.name for o in options])):
        if value not in allowed:
            raise ConfigError(problem(f"{where}, {what}", f"one of {allowed}", repr(value), "Correct it."))
    return row


def _check_keys(where: str, entry: Mapping[str, Any], known: Sequence[str], required: Iterable[str]) -> None:
    """Raises ConfigError for a key that is unknown, or required and missing or empty."""
    for key in entry:
        if key not in known:
            raise ConfigError(problem(f"{where}, key {key!r}", f"one of {list(known)}", "another",
                                      nearest(str(key), known)))
    for key in required:
        if not entry.get(key):
            raise ConfigError(problem(where, f"a {key!r} that is not empty", "none", "Add it."))

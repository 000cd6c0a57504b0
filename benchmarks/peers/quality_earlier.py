"""What an earlier call measured of the peers' quality on this machine: rows not measured again stay as they are.

They are read from the kept page itself; a row stays only while its pair has the settings that it was measured at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.section import Section, Target

COLUMNS = 14  # of a row, the last being when it was measured
CHOSEN = "was best on validation."  # ends a line on the settings that were chosen
SETTINGS = 4  # of the settings' table: the names and what is set; after them is prose


@dataclass(frozen=True)
class Earlier:
    """Rows and targets by (dataset's title, name of the pair), and the settings of each pair by its name."""

    rows: Mapping[tuple[str, str], str] = field(default_factory=dict)
    targets: Mapping[str, Target] = field(default_factory=dict)
    settings: Mapping[str, list[str]] = field(default_factory=dict)
    notes: Mapping[tuple[str, str], str] = field(default_factory=dict)  # what was chosen on validation

    def row(self, title: str, name: str, settings: str) -> str | None:
        """The row of a pair, if it was measured with the same ``settings`` (a row of their table)."""
        same = self.settings.get(name) == row_cells(settings)[:SETTINGS]
        return self.rows.get((title, name)) if same else None


def earlier(section: Section | None) -> Earlier:
    """What the page of ``section`` tells; nothing where there is none."""
    rows, notes = dict[tuple[str, str], str](), dict[tuple[str, str], str]()
    settings, title = dict[str, list[str]](), ""
    for line in section.lines if section else ():
        if line.startswith("### "):
            title = line.removeprefix("### ")
        elif line.startswith("- ") and line.endswith(CHOSEN):
            notes[title, line.removeprefix("- ").partition(":")[0]] = line
        elif line.startswith("| ") and not line.startswith("| theirs") and "| not measured |" not in line:
            cells = row_cells(line)
            if title == "Settings":
                settings[cells[0]] = cells[:SETTINGS]
            else:
                when = [] if len(cells) == COLUMNS else [short(section.measured if section else "")]
                rows[title, cells[0]] = f"| {' | '.join([*cells, *when])} |"
    return Earlier(rows, {target.what: target for target in (section.targets if section else ())}, settings, notes)


def short(measured: str) -> str:
    """Day and commit of a section's stamp."""
    return f"{measured[:10]}, {measured.rpartition('commit ')[2]}"


def row_cells(line: str) -> list[str]:
    """The cells of a row of a table."""
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


NOTHING = earlier(None)

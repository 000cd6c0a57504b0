"""What the models of a comparison are: by whom, what they read, and how far from the publication they are here."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd
from pandas.io.formats.style import Styler

from mrlm_core.baselines import registry
from mrlm_core.baselines.row import Row
from mrlm_core.config import source_folder

PLUS = "+"  # ends the name of a model that reads every modality besides


def models_table(names: Sequence[str]) -> pd.DataFrame:
    """A row a model of the registry, one for it and its "+" where both are among ``names``, in their order.

    Columns: ``published`` (author and year), ``reads`` (besides the ratings), ``here`` ("as published", or what was
    adapted and why).
    """
    rows: dict[str, dict[str, str]] = {}
    for name in names:
        row, base = registry.row(name), name.removesuffix(PLUS)
        if name != base and base in rows:
            rows[base]["Model"] += f", {name}"
            rows[base]["reads"] += f"; {PLUS}: every modality"
            continue
        rows[name] = {"Model": name, "published": _published(row), "reads": _reads(row),
                      "here": "as published" if row.fidelity == "faithful" else row.adaptation}
    return pd.DataFrame(rows.values()).set_index("Model")


def styled_models(names: Sequence[str], caption: str) -> Styler:
    """``models_table`` for a page."""
    cells = "text-align: left; vertical-align: top; padding: 0.3em 0.6em"
    return models_table(names).style.set_table_styles([{"selector": "td, th", "props": cells}]).set_caption(caption)


def _reads(row: Row) -> str:
    inputs = [name.replace("_", " ") for name in row.inputs if name != "interactions"]
    return ", ".join(inputs) or "ratings alone"


def _published(row: Row) -> str:
    """First author and year, as the bibliography has them."""
    entries = (source_folder("book", "references.bib") / "references.bib").read_text(encoding="utf-8")
    (author,) = re.findall(rf"@\w+\{{{row.citation},\s+author\s*= \{{([^,]+),", entries)
    return f"{author} {re.findall('[0-9]{4}', row.citation)[0]}"

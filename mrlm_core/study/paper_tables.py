"""The paper's numbers, and ours beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from mrlm_core.baselines import registry
from mrlm_core.config import source_folder
from mrlm_core.study.findings import model_of
from mrlm_core.study.record import RunRecord
from mrlm_core.study.tables import compact, intervals

PAPER_DATASETS = {"ML20M": "MovieLens-20M", "BX": "BookCrossing"}
MEASURES = {"recall": "table3_recall", "auc": "table4_auc"}  # of our metrics, "recall@20" -> Table 3


def paper_numbers(table: str) -> Mapping[str, Any]:
    """One table of data/paper/tables.json, for example ``table3_recall``. Gaps G46, G47."""
    return _paper()[table]


def paper_table(table: str) -> pd.DataFrame:
    """Table 3 or 4 of the paper as numbers: rows models, columns (dataset, N). Gaps G37, G38, G39."""
    rows = {
        model: {(PAPER_DATASETS[name], int(n)): value for name, cells in datasets.items() for n, value in cells.items()}
        for model, datasets in paper_numbers(table).items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="Model")


def ranks(records: Sequence[RunRecord], measure: str, cutoff: int, dataset: str) -> pd.DataFrame:
    """Places of the models that the paper, on its ``dataset``, and ``records`` have, columns ``paper`` and ``ours``.

    1 is best; models with the same value share a place.
    """
    metric = f"{measure}@{cutoff}"
    ours = intervals(records, [metric]).set_index("model")["mean"].dropna()
    paper = paper_table(MEASURES[measure])[dataset, cutoff].dropna()
    both = [name for name in paper.index if name in ours.index]
    found = {"paper": paper.loc[both], "ours": ours.loc[both]}
    return pd.DataFrame({who: values.rank(ascending=False, method="min").astype(int) for who, values in found.items()})


def beside(records: Sequence[RunRecord], measure: str, cutoffs: Sequence[int], dataset: str) -> pd.DataFrame:
    """Table 3 (``recall``) or 4 (``auc``): each model's value in the paper and ours, by cutoff, with their places.

    Ours is "mean [low, high]"; the places, after #, are among the models that both have, if these are two or more. A
    model of one side alone has no place and a dash on the other. The first column says how faithful our model is.
    """
    paper = paper_table(MEASURES[measure])[dataset]
    text = compact(records, [f"{measure}@{cutoff}" for cutoff in cutoffs])
    models = [*paper.index, *(name for name in text.index if name not in paper.index)]
    columns: dict[tuple[Any, str], list[str]] = {("", "fidelity"): [_fidelity(name) for name in models]}
    for cutoff in cutoffs:
        places = ranks(records, measure, cutoff, dataset)
        theirs = {name: f"{paper.loc[name, cutoff]:.4f}" for name in paper.index}
        mine = text[f"{measure}@{cutoff}"].to_dict()
        for who, values in (("paper", theirs), ("ours", mine)):
            place = {name: f" #{places.loc[name, who]}" for name in places.index if len(places) > 1}
            columns[f"N = {cutoff}", who] = [values.get(name, "-") + place.get(name, "") for name in models]
    return pd.DataFrame(columns, index=pd.Index(models, name="Model"))


def styled_beside(
    records: Sequence[RunRecord], measure: str, cutoffs: Sequence[int], caption: str, dataset: str
) -> Styler:
    """``beside`` for a page, the best of each column, first among the models that both have, in bold. Gap G40."""
    table = beside(records, measure, cutoffs, dataset)

    def bold(column: pd.Series) -> list[str]:
        return ["font-weight: bold" if str(value).endswith(" #1") else "" for value in column]

    small = "white-space: nowrap; font-size: 80%"
    return table.style.apply(bold).set_table_styles([{"selector": "td, th", "props": small}]).set_caption(caption)


def _fidelity(name: str) -> str:
    model = model_of(name)
    if model not in registry.names():
        return "not implemented"
    return registry.row(model).fidelity if model == name else f"a variant of {model}"


@lru_cache
def _paper() -> dict[str, Any]:
    return json.loads((source_folder("data/paper", "tables.json") / "tables.json").read_text(encoding="utf-8"))

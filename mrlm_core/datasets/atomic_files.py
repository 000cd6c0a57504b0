"""RecBole's atomic files (``.inter``, ``.user``, ``.item``, ``.kg``, ``.link``) as a dataset folder, as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from mrlm_core.datasets.description import checked, read_yaml
from mrlm_core.datasets.tables import column_names, read_columns
from mrlm_core.errors import DatasetError, problem

_FIELD_KINDS = {"token": "categorical", "token_seq": "multi", "float": "numeric"}


def find(folder: Path) -> dict[str, Path]:
    """The atomic files of ``folder`` by suffix without the dot; empty when it has no ``.inter``."""
    found = sorted(folder.glob("*.inter")) if folder.is_dir() else []
    if not found:
        return {}
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise DatasetError(problem(str(folder), "one .inter file", names, "Put each dataset into its own folder."))
    files = {suffix: found[0].with_suffix(f".{suffix}") for suffix in ("inter", "user", "item", "kg", "link")}
    return {suffix: file for suffix, file in files.items() if file.is_file()}


def describe(folder: Path, files: Mapping[str, Path]) -> dict[str, Any]:
    """What dataset.yml would say, from the files' headers; a dataset.yml beside them overrules any key.

    Without one, the rating scale is the range found and a positive is a rating of at least four fifths of the
    highest (4 of 5); the report says so. Raises DatasetError.
    """
    description: dict[str, Any] = {"name": files["inter"].stem, "notes": []}
    for kind in ("user", "item"):
        fields = _fields(files[kind]) if kind in files else {}
        titles = [name for name in fields if name.endswith(("title", "name"))] if kind == "item" else []
        if titles:
            description["title_column"] = titles[0]
        description[f"{kind}_fields"] = {name: form for name, form in fields.items() if name not in titles}
    if "kg" in files and "link" in files:
        entry = {"kind": "knowledge", "path": files["kg"].name, "entities": files["link"].name}
        description["modalities"] = {"knowledge": entry}
    given = read_yaml(folder / "dataset.yml") if (folder / "dataset.yml").is_file() else {}
    if "positive_threshold" not in given or "rating_scale" not in given:
        description |= _assumed_scale(files["inter"])
    return checked({**description, **given}, folder / "dataset.yml" if given else files["inter"], folder)


def _fields(path: Path) -> dict[str, str]:
    """Attribute column -> categorical, multi or numeric, from a header such as ``genre:token_seq``."""
    with path.open(encoding="utf-8-sig") as file:
        header = [name.partition(":") for name in file.readline().rstrip("\r\n").split("\t")]
    for name, _, form in header:
        if form not in (*_FIELD_KINDS, "float_seq"):
            expected = f"columns as name:type with a type of {', '.join(_FIELD_KINDS)} or float_seq"
            raise DatasetError(problem(f"{path}, line 1", expected, f"{name}:{form}" if form else repr(name),
                                       "Correct the header."))
    return {name: _FIELD_KINDS[form] for name, _, form in header[1:] if form in _FIELD_KINDS}


def _assumed_scale(path: Path) -> dict[str, Any]:
    if "rating" not in column_names(path):
        note = "this dataset has no ratings: each interaction counts as a positive of 1"
        return {"rating_scale": [1, 1], "positive_threshold": 1, "notes": [note]}
    distinct = pa.dictionary(pa.int32(), pa.string())  # a few, not one a row
    ratings = read_columns(path, ["rating"], {"rating": distinct})["rating"].unify_dictionaries().combine_chunks()
    values = pd.to_numeric(ratings.dictionary.to_pandas(), errors="coerce")
    low, high = float(values.min()), float(values.max())
    note = (f"no rating_scale and positive_threshold in a dataset.yml: took the range found, {low:g} to {high:g}, "
            f"and {0.8 * high:g} as the lowest positive")
    return {"rating_scale": [low, high], "positive_threshold": 0.8 * high, "notes": [note]}

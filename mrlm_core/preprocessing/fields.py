"""Users' and items' ids and attributes as the fields that xDeepFM embeds.

Shapes: n users or items, F fields, K values a field.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class FieldTable:
    """One side's attributes as embedding rows: ``indices`` and ``weights`` ``[n, F, K]``, ``size`` rows in all.

    A categorical field has one value of weight 1, a multi-valued one its values at equal weights, a numeric one its
    own row weighted by the standardised value; a missing value has weight 0.
    """

    names: tuple[str, ...]
    indices: np.ndarray
    weights: np.ndarray
    size: int


def field_table(ids: np.ndarray, attributes: pd.DataFrame, kinds: dict[str, str]) -> FieldTable:
    """The side's id and declared attribute columns as a FieldTable; the id is the first field."""
    columns = [(np.arange(len(ids))[:, None], np.ones((len(ids), 1), np.float32))]
    for name, kind in kinds.items():
        columns.append(_numeric(attributes[name]) if kind == "numeric" else _categorical(attributes[name], kind))
    sizes = [int(indices.max()) + 1 for indices, _ in columns]
    offsets = np.cumsum([0, *sizes])
    widest = max(indices.shape[1] for indices, _ in columns)
    indices = np.zeros((len(ids), len(columns), widest), np.int32)
    weights = np.zeros((len(ids), len(columns), widest), np.float32)
    for position, (column_indices, column_weights) in enumerate(columns):
        indices[:, position, : column_indices.shape[1]] = column_indices + offsets[position]
        weights[:, position, : column_weights.shape[1]] = column_weights
    return FieldTable(("id", *kinds), indices, weights, int(offsets[-1]))


def without_id(table: FieldTable) -> FieldTable | None:
    """The fields of ``table`` but the first, which is the id; None where there are no others."""
    if len(table.names) == 1:
        return None
    ids = len(table.indices)
    indices = np.maximum(table.indices[:, 1:] - ids, 0)  # padding lies before all values
    return FieldTable(table.names[1:], indices, table.weights[:, 1:], table.size - ids)


def _numeric(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    values = column.astype(float).to_numpy()
    if np.isnan(values).all():
        return np.zeros((len(values), 1), np.int64), np.zeros((len(values), 1), np.float32)
    spread = np.nanstd(values)
    standard = (values - np.nanmean(values)) / (spread if spread > 0 else 1.0)
    return np.zeros((len(values), 1), np.int64), np.nan_to_num(standard)[:, None].astype(np.float32)


def _categorical(column: pd.Series, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Codes and weights ``[n, K]``; K = 1 unless the values are lists divided by "|"."""
    text = column.reset_index(drop=True).astype("string")
    long = text.str.split("|").explode() if kind == "multi" else text
    long = long[long.fillna("") != ""]
    codes, _ = pd.factorize(long, sort=True)
    place = long.groupby(level=0).cumcount().to_numpy()
    rows = long.index.to_numpy()
    shape = (len(column), int(place.max()) + 1 if len(place) else 1)
    indices, weights = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
    indices[rows, place], weights[rows, place] = codes, 1.0
    return indices, weights / np.maximum(weights.sum(1, keepdims=True), 1)

"""Tables of a dataset folder (CSV, TSV, Parquet, RecBole's atomic files) read with errors that name the row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from mrlm_core.errors import DatasetError, nearest, problem

ATOMIC = (".inter", ".user", ".item", ".kg", ".link")
# RecBole's column names and ours.
_ATOMIC_NAMES = {"head_id": "head", "relation_id": "relation", "tail_id": "tail", "entity_id": "entity"}


def read_table(path: Path, required: Sequence[str]) -> pd.DataFrame:
    """Every column of ``path`` as str, missing values as ""; raises DatasetError for a missing column."""
    header = column_names(path)
    require_columns(path, header, required)
    table = read_columns(path, header, {name: pa.string() for name in header})
    return pd.DataFrame({name: table[name].to_numpy() for name in header}, dtype=object).fillna("")


def read_attributes(path: Path, key: str, fields: Mapping[str, str]) -> pd.DataFrame:
    """Attributes indexed by the id column ``key``: numeric fields float64 (NaN = missing), the rest str ("").

    Raises DatasetError for a missing column, a missing or repeated id, or text in a numeric field.
    """
    frame = read_table(path, [key, *fields])
    check_rows(path, frame[key].eq("").to_numpy(), f"a {key}", frame[key])
    check_unique(path, frame[key])
    for column, kind in fields.items():
        if kind == "numeric":
            values = pd.to_numeric(frame[column].where(frame[column] != ""), errors="coerce").astype(np.float64)
            wrong = frame[column].ne("").to_numpy() & ~np.isfinite(values.to_numpy())
            check_rows(path, wrong, f"a finite number in {column!r}", frame[column])
            frame[column] = values
        elif kind == "multi" and _atomic(path):
            frame[column] = frame[column].str.split().str.join("|")
    return frame.set_index(key)


def check_unique(path: Path, ids: pd.Series) -> None:
    """Raises DatasetError where an id stands in two rows of ``path``."""
    check_rows(path, ids.duplicated().to_numpy(), "each id once", ids, "Keep one of its rows.", "a second row for ")


def check_known(path: Path, ids: pd.Series, known: Mapping[str, int]) -> None:
    """Raises DatasetError where ``path`` names an item outside the catalogue."""
    remedy = "Add the item to items.csv or remove the row."
    unknown = np.array([name not in known for name in ids.tolist()], bool)
    check_rows(path, unknown, "an item of the catalogue", ids, remedy, "the unknown item ")


def column_names(path: Path) -> list[str]:
    """The header of ``path``; RecBole's ``name:type`` without the type and in our names."""
    if path.suffix == ".parquet":
        try:
            return list(pa_parquet.read_schema(path).names)
        except pa.ArrowInvalid as error:
            raise _unreadable(path, error) from error
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline().strip("\r\n")
    line = pa.BufferReader(f"{first}\n".encode())
    names = pa_csv.read_csv(line, parse_options=_dialect(path)).column_names if first else []
    names = [_ATOMIC_NAMES.get(name.split(":")[0], name.split(":")[0]) for name in names] if _atomic(path) else names
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise DatasetError(problem(str(path), "each column once", f"{repeated[0]!r} twice", "Rename or remove one."))
    return names


def require_columns(path: Path, header: Sequence[str], required: Sequence[str]) -> None:
    """Raises DatasetError naming the first of ``required`` that ``header`` lacks."""
    for name in required:
        if name not in header:
            others = [column for column in header if column not in required]
            remedy = f"{nearest(name, others)} Rename or add the column."
            raise DatasetError(problem(str(path), f"the column {name!r}", f"columns {list(header)}", remedy))


def read_columns(path: Path, columns: list[str], types: Mapping[str, pa.DataType]) -> pa.Table:
    """``columns`` of ``path`` with these types; a value of a wrong type becomes an error that names the row."""
    try:
        if path.suffix == ".parquet":
            table = pa_parquet.read_table(path, columns=columns)
            return pa.table({name: cast(path, name, table[name], types[name]) for name in columns})
        return parse(path, path, column_names(path), types)
    except pa.ArrowInvalid as error:
        if path.suffix != ".parquet" and pa.float64() in types.values():
            _find_text_among_numbers(path, columns, types)
        raise _unreadable(path, error) from error


def _find_text_among_numbers(path: Path, columns: list[str], types: Mapping[str, pa.DataType]) -> None:
    try:
        table = parse(path, path, column_names(path), {name: pa.string() for name in columns})
    except pa.ArrowInvalid as error:
        raise _unreadable(path, error) from error
    for name in columns:
        if types[name] == pa.float64():
            values = table[name].to_pandas()
            wrong = pd.to_numeric(values, errors="coerce").isna() & values.ne("")
            check_rows(path, wrong.to_numpy(), f"a number in {name!r}", values)


def parse(path: Path, source: Path | pa.Buffer, names: list[str], types: Mapping[str, pa.DataType]) -> pa.Table:
    """The columns ``types`` of ``source``: text as in ``path``, below its header, whose ``names`` are ours."""
    return pa_csv.read_csv(
        pa.BufferReader(source) if isinstance(source, pa.Buffer) else source,
        read_options=pa_csv.ReadOptions(column_names=names, skip_rows=1),
        parse_options=_dialect(path),
        convert_options=pa_csv.ConvertOptions(include_columns=list(types), column_types=dict(types)),
    )


def cast(path: Path, name: str, column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """A Parquet column in the wanted type; float ids are refused because 1.0 is not the id "1"."""
    is_id = pa.types.is_dictionary(wanted)
    if is_id and pa.types.is_floating(column.type):
        raise DatasetError(problem(f"{path}, {name}", "ids as text or whole numbers", str(column.type), "Convert it."))
    if not is_id:
        return column.cast(wanted)
    encoded = column.combine_chunks()
    encoded = encoded if pa.types.is_dictionary(encoded.type) else encoded.dictionary_encode()
    labels = encoded.dictionary.cast(pa.string())  # a few thousand labels, not millions of rows
    return pa.chunked_array([pa.DictionaryArray.from_arrays(encoded.indices, labels)])


def _dialect(path: Path) -> pa_csv.ParseOptions:
    """Commas and quotes in CSV; tabs and no quoting in TSV and atomic files, where a quote is a character."""
    if path.suffix == ".csv":
        return pa_csv.ParseOptions(newlines_in_values=path.name != "ratings.csv")
    return pa_csv.ParseOptions(delimiter="\t", quote_char=False)


def _atomic(path: Path) -> bool:
    return path.suffix in ATOMIC


def check_rows(
    path: Path, wrong: np.ndarray, expected: str, values: pd.Series, remedy: str = "Correct or remove the row.",
    prefix: str = "",
) -> None:
    """Raises DatasetError naming the first row where ``wrong``, and how many there are."""
    if not wrong.any():
        return
    at = int(np.argmax(wrong))
    more = f" ({int(wrong.sum()):,} such rows)" if wrong.sum() > 1 else ""
    raise DatasetError(
        problem(f"{path}, {row_name(path, at)}", expected, f"{prefix}{_shown(values.iloc[at])}{more}", remedy)
    )


def row_name(path: Path, index: int) -> str:
    """Rows count from 1 below the header; text in quotes may span lines, so only there no line is given."""
    spans = path.suffix == ".parquet" or (path.suffix == ".csv" and path.name != "ratings.csv")
    return f"row {index + 1}" if spans else f"row {index + 1} (line {index + 2})"


def _shown(value: Any) -> str:
    if value is None or value == "" or (isinstance(value, float) and np.isnan(value)):
        return "nothing"
    return repr(value) if isinstance(value, str) else f"{value:g}"


def _unreadable(path: Path, error: Exception) -> DatasetError:
    remedy = "Correct it and save the file as UTF-8."
    return DatasetError(problem(str(path), "a table of readable values", str(error).splitlines()[0], remedy))

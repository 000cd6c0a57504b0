"""Ratings of a dataset folder: read in pieces, checked, and those of a large file kept as Parquet in artefacts/."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pa_compute
import pyarrow.parquet as pa_parquet

from mrlm_core.cache import atomic, code_hash, content_hash
from mrlm_core.config import workspace
from mrlm_core.datasets.grouping import has_repeats
from mrlm_core.datasets.tables import cast, check_rows, column_names, parse, read_columns, require_columns, row_name
from mrlm_core.errors import DatasetError, problem

PIECE = 2**24  # bytes of text parsed at a time: bounds the memory, and is enough for every core
KEPT_FROM = 2**25  # bytes; a smaller file is read in less than a second anyway
_ID = pa.dictionary(pa.int32(), pa.string())


def read_ratings(path: Path, scale: tuple[float, float]) -> pd.DataFrame:
    """Columns user_id, item_id (categories of str), rating float32, and timestamp int64 where the file has it.

    Raises DatasetError for a missing column or value, a rating off ``scale`` and a repeated (user, item).
    """
    types = column_types(path)
    frame = _in_pieces(path, types, scale)
    return read_whole(path, types, scale) if frame is None else frame


def column_types(path: Path) -> dict[str, pa.DataType]:
    """The columns that ``path`` has of those that are read, ids as text; raises DatasetError for a missing one."""
    header = column_names(path)
    required = ["user_id", "item_id"] if path.suffix == ".inter" else ["user_id", "item_id", "rating"]
    require_columns(path, header, required)
    wanted: list[str] = [name for name in ("user_id", "item_id", "rating", "timestamp") if name in header]
    return {name: _ID if name.endswith("_id") else pa.float64() for name in wanted}


def read_whole(path: Path, types: Mapping[str, pa.DataType], scale: tuple[float, float]) -> pd.DataFrame:
    """``read_ratings`` by the plain way, the file in one table: slower and larger, but its errors name the row."""
    frame = read_columns(path, list(types), types).unify_dictionaries().to_pandas()
    if "rating" not in frame:  # an .inter file without ratings: each interaction counts as 1
        frame["rating"] = np.ones(len(frame), np.float32)
    _check_ids(path, frame, ["user_id", "item_id"])
    _check_scale(path, frame["rating"].to_numpy(), scale)
    frame["rating"] = frame["rating"].astype(np.float32)
    if "timestamp" in frame:
        check_rows(path, ~np.isfinite(frame["timestamp"].to_numpy()), "a timestamp", frame["timestamp"])
        frame["timestamp"] = frame["timestamp"].astype(np.int64)
    _check_duplicates(path, frame)
    return frame


def kept_ratings(path: Path, scale: tuple[float, float]) -> tuple[pd.DataFrame, str]:
    """(``read_ratings``, the file's sha256); what a large file held is kept by its content, ``scale`` and this code.

    Raises DatasetError as ``read_ratings`` does, each time anew, and for a file that changes while it is read. Gap G16.
    """
    before = path.stat()
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if before.st_size < KEPT_FROM:
        return read_ratings(path, scale), digest
    key = content_hash("ratings", {"sha256": digest, "name": path.name, "scale": scale}, code_hash(__name__))
    kept = workspace() / "artefacts" / "ratings" / f"{key}.parquet"
    if kept.exists():
        return _load(kept), digest
    frame = read_ratings(path, scale)
    if not _unchanged(before, path.stat()):
        raise DatasetError(problem(str(path), "a file at rest", "one that changed while it was read",
                                   "Wait until it is whole and load it again."))
    _keep(frame, kept)
    return frame, digest


def _unchanged(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


def _keep(frame: pd.DataFrame, kept: Path) -> None:
    """Codes and numbers in ``kept``; the ids in a file beside it, written first. Small without compression."""
    ids = [name for name in frame if str(name).endswith("_id")]
    labels = {name: [frame[name].cat.categories.to_numpy(dtype=object)] for name in ids}  # one row of lists
    with atomic(_labels(kept)) as temporary:
        pa_parquet.write_table(pa.table(labels, pa.schema({name: pa.list_(pa.string()) for name in ids})), temporary)
    columns = {name: (frame[name].cat.codes if name in ids else frame[name]).to_numpy() for name in frame}
    with atomic(kept) as temporary:
        pa_parquet.write_table(
            pa.table(columns), temporary, compression="none", row_group_size=2**26, use_dictionary=[*ids, "rating"],
            column_encoding={"timestamp": "DELTA_BINARY_PACKED"} if "timestamp" in columns else None,
        )


def _load(kept: Path) -> pd.DataFrame:
    labels = pa_parquet.ParquetFile(_labels(kept)).read()
    table = pa_parquet.ParquetFile(kept, buffer_size=2**20).read()  # streamed; read_table makes hundreds of chunks
    arrays = {name: table[name].to_numpy() for name in table.column_names}
    return _frame(arrays, {name: labels[name].chunk(0).values for name in labels.column_names})


def _labels(kept: Path) -> Path:
    return kept.with_suffix(".ids.parquet")


class _Ids:
    """Numbers text ids by first appearance, across pieces that each number them in their own way."""

    def __init__(self) -> None:
        self.labels = pa.array([], pa.string())

    def codes(self, column: pa.ChunkedArray) -> np.ndarray:
        """int32; -1 where an id is missing or the piece names one twice."""
        piece = column.unify_dictionaries().combine_chunks()
        known = pa_compute.index_in(piece.dictionary, value_set=self.labels)
        new = piece.dictionary.filter(known.is_null())
        odd = piece.null_count or new.null_count or len(new.unique()) < len(new)
        if odd or pa_compute.any(pa_compute.equal(new, "")).as_py():
            return np.full(1, -1, np.int32)
        codes = known.fill_null(-1).to_numpy().copy()
        codes[codes < 0] = np.arange(len(self.labels), len(self.labels) + len(new))
        self.labels = pa.concat_arrays([self.labels, new])
        return codes[piece.indices.to_numpy()]


def _in_pieces(path: Path, types: Mapping[str, pa.DataType], scale: tuple[float, float]) -> pd.DataFrame | None:
    """What ``read_whole`` gives, or None where anything is wrong with the file."""
    ids = {name: _Ids() for name in types if name.endswith("_id")}
    kinds = {"user_id": np.int32, "item_id": np.int32, "rating": np.float32, "timestamp": np.int64}
    arrays = {name: np.empty(0, kinds[name]) for name in types}
    try:
        for table in (_parquet_pieces if path.suffix == ".parquet" else text_pieces)(path, types):
            for name in types:
                values = ids[name].codes(table[name]) if name in ids else table[name].to_numpy()
                if not _sound(name, values, scale):
                    return None
                whole, start = arrays[name], len(arrays[name])
                whole.resize(start + len(values), refcheck=False)  # moves pages instead of copying them
                whole[start:] = values
    except pa.ArrowInvalid:
        return None
    n_users, n_items = (len(ids[name].labels) for name in ("user_id", "item_id"))
    if not n_users or has_repeats(arrays["user_id"], arrays["item_id"], n_users, n_items):
        return None
    if "rating" not in arrays:
        arrays["rating"] = np.ones(len(arrays["user_id"]), np.float32)
    return _frame(arrays, {name: column.labels for name, column in ids.items()})


def _sound(name: str, values: np.ndarray, scale: tuple[float, float]) -> bool:
    if name == "rating":
        return bool(((values >= scale[0]) & (values <= scale[1])).all())  # false for NaN too
    return bool(np.isfinite(values).all() if name == "timestamp" else values.min(initial=0) >= 0)


def text_pieces(path: Path, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
    """Rows of about PIECE bytes at a time, cut at line ends; each piece below the header, as in the file."""
    names = column_names(path)
    with path.open("rb") as file:
        header, rest = file.readline(), b""
        while chunk := file.read(PIECE):
            cut = chunk.rfind(b"\n") + 1
            if cut:
                yield parse(path, pa.py_buffer(b"".join((header, rest, memoryview(chunk)[:cut]))), names, types)
            rest = chunk[cut:] if cut else rest + chunk
        if rest:
            yield parse(path, pa.py_buffer(header + rest), names, types)


def _parquet_pieces(path: Path, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
    """One row group at a time; text ids as the dictionaries that the file holds anyway."""
    text = [field.name for field in pa_parquet.read_schema(path)
            if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    file = pa_parquet.ParquetFile(path, read_dictionary=text)
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, list(types))
        yield pa.table({name: cast(path, name, table[name], kind) for name, kind in types.items()})


def _frame(arrays: Mapping[str, np.ndarray], labels: Mapping[str, pa.Array]) -> pd.DataFrame:
    """The arrays as columns without a copy, codes as categories."""
    columns = {
        name: pd.Categorical.from_codes(values, pd.Index(labels[name].to_pandas()), validate=False)
        if name in labels else values
        for name, values in arrays.items()
    }
    return pd.DataFrame(columns, copy=False)


def _check_ids(path: Path, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    for column in columns:
        codes, labels = frame[column].cat.codes.to_numpy(), frame[column].cat.categories
        empty = labels.get_indexer(pd.Index([""], dtype=object))[0] if len(labels) else -1
        check_rows(path, (codes < 0) | ((codes == empty) & (empty >= 0)), f"a {column}", frame[column])


def _check_scale(path: Path, ratings: np.ndarray, scale: tuple[float, float]) -> None:
    off = ~((ratings >= scale[0]) & (ratings <= scale[1]))  # true for NaN too
    remedy = "Correct the row, or rating_scale in dataset.yml."
    check_rows(path, off, f"a rating from {scale[0]:g} to {scale[1]:g}", pd.Series(ratings), remedy)


def _check_duplicates(path: Path, frame: pd.DataFrame) -> None:
    users, items = frame["user_id"].cat, frame["item_id"].cat
    pairs = users.codes.to_numpy().astype(np.int64) * len(items.categories) + items.codes.to_numpy()
    repeated = pd.Series(pairs).duplicated().to_numpy()
    if repeated.any():
        second = int(np.argmax(repeated))
        first = int(np.argmax(pairs == pairs[second]))
        found = f"user {frame['user_id'].iloc[second]!r} and item {frame['item_id'].iloc[second]!r} again"
        raise DatasetError(
            problem(f"{path}, {row_name(path, second)}", "one rating for each user and item",
                    f"{found} (first in {row_name(path, first)}; {int(repeated.sum()):,} such rows)",
                    "Keep one of them.")
        )

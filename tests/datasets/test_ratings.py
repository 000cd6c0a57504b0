"""Ratings read in pieces equal those of the whole file read the plain way, errors too; the kept copy is never stale."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

from mrlm_core.datasets import ratings
from mrlm_core.datasets.ratings import column_types, kept_ratings, read_ratings, read_whole
from mrlm_core.errors import DatasetError

SCALE = (0.5, 5.0)
PIECES = [1, 40, 333, 2**24]  # bytes; the first gives a piece a row
IDS = ["7", "007", "u1", "é ü", "0", "-1", "1.0", "1e3", "NA", " x", 'say ""hi""', "0x1F", "+7"]


def rows(n: int = 300, seed: int = 0) -> pd.DataFrame:
    """``n`` ratings with ids as text that a number parser would spoil, in no order."""
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(len(IDS) * 40)[:n]
    return pd.DataFrame({
        "user_id": [IDS[pair % len(IDS)] for pair in pairs],
        "item_id": [f"{pair // len(IDS):03d}" for pair in pairs],
        "rating": rng.integers(1, 11, n) / 2,
        "timestamp": rng.integers(0, 2**40, n),
    })


def as_csv(frame: pd.DataFrame, line_end: str = "\n", start: str = "", end: str = "\n") -> bytes:
    lines = [f'"{row.user_id}",{row.item_id},{row.rating},{row.timestamp}' for row in frame.itertuples()]
    return (start + line_end.join(["user_id,item_id,rating,timestamp", *lines]) + end).encode()


def both(path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(what the pieces give, what the whole file gives); the pieces may not fall back on the whole."""
    types = column_types(path)
    whole = read_whole(path, types, SCALE)
    with monkeypatch.context() as patch:
        patch.setattr(ratings, "PIECE", piece)
        patch.setattr(ratings, "read_whole", None)
        return read_ratings(path, SCALE), whole


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("form", ["plain", "windows", "marked", "no last line end", "blank lines"])
def test_pieces_of_a_csv_equal_the_whole(
    form: str, piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = {
        "plain": as_csv(rows()), "windows": as_csv(rows(), "\r\n"), "marked": as_csv(rows(), start="\ufeff"),
        "no last line end": as_csv(rows(), end=""), "blank lines": as_csv(rows(), "\n\n"),
    }[form]  # fmt: skip
    (tmp_path / "ratings.csv").write_bytes(text)
    pieces, whole = both(tmp_path / "ratings.csv", monkeypatch, piece)
    pd.testing.assert_frame_equal(pieces, whole)
    assert [str(kind) for kind in pieces.dtypes] == ["category", "category", "float32", "int64"]
    assert pieces["user_id"].astype(str).tolist() == rows()["user_id"].str.replace('""', '"').tolist()
    assert pieces["rating"].tolist() == rows()["rating"].tolist()


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize(
    "columns", ["user_id item_id rating timestamp", "item_id extra user_id", "timestamp user_id item_id"]
)
def test_pieces_of_an_atomic_file_equal_the_whole(
    columns: str, piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = rows().assign(extra='a "quote"')[columns.split()]
    header = "\t".join(f"{name}:token" for name in frame)
    text = "\n".join([header, *("\t".join(map(str, row)) for row in frame.to_numpy().tolist())])
    (tmp_path / "toy.inter").write_text(text, encoding="utf-8")
    pieces, whole = both(tmp_path / "toy.inter", monkeypatch, piece)
    pd.testing.assert_frame_equal(pieces, whole)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.int32(), pa.dictionary(pa.int8(), pa.string())])
def test_row_groups_of_parquet_equal_the_whole(kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = rows()
    frame["user_id"] = frame["user_id"].map({name: str(place) for place, name in enumerate(IDS)})
    text = pa.Table.from_pandas(frame)
    whole_numbers = [pa.array(frame[name].astype(int)) for name in ("user_id", "item_id")]
    ids = whole_numbers if kind == pa.int32() else [text[name].cast(pa.string()) for name in ("user_id", "item_id")]
    columns = [*(column.cast(kind) for column in ids), text["rating"], text["timestamp"]]
    table = pa.table(columns, frame.columns.tolist())
    for size in (7, 1000):
        pa_parquet.write_table(table, tmp_path / "ratings.parquet", row_group_size=size)
        pieces, whole = both(tmp_path / "ratings.parquet", monkeypatch, 1)
        pd.testing.assert_frame_equal(pieces, whole)
        assert pieces["user_id"].astype(str).tolist() == frame["user_id"].tolist()


Edit = Callable[[list[str]], list[str]]
BROKEN: dict[str, Edit] = {
    "no user": lambda lines: [*lines[:200], ",1,3,5", *lines[200:]],
    "no item": lambda lines: [*lines[:200], "u,,3,5", *lines[200:], "u,,3,5"],
    "empty in quotes": lambda lines: [*lines, '"",1,3,5'],
    "off the scale": lambda lines: [*lines, "new,1,5.00000001,5", "new,2,9,5"],
    "no rating": lambda lines: [*lines, "new,1,,5"],
    "no number": lambda lines: [*lines[:250], "new,1,good,5", *lines[250:]],
    "not a number": lambda lines: [*lines, "new,1,nan,5"],
    "no time": lambda lines: [*lines, "new,1,4,"],
    "endless time": lambda lines: [*lines, "new,1,4,inf"],
    "short row": lambda lines: [*lines[:250], "new,1", *lines[250:]],
    "long row": lambda lines: [*lines[:250], "new,1,2,3,4", *lines[250:]],
    "twice": lambda lines: [*lines, lines[-1], lines[17], lines[17]],
    "twice, together": lambda lines: [*lines[:5], lines[4], *lines[5:]],
    "no rows": lambda lines: lines[:1],
}


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_gets_the_same_error(
    name: str, piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(BROKEN[name](as_csv(rows()).decode().splitlines())))
    monkeypatch.setattr(ratings, "PIECE", piece)
    with pytest.raises(DatasetError) as plain:
        read_whole(path, column_types(path), SCALE)
    with pytest.raises(DatasetError) as found:
        read_ratings(path, SCALE)
    assert str(found.value) == str(plain.value)
    assert str(path) in str(found.value)


def test_text_that_is_not_utf_8_and_missing_parquet_ids_get_the_same_error(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_bytes(as_csv(rows()) + b"\xff\xfe,1,3,5\n")
    with pytest.raises(DatasetError, match="UTF-8"):
        read_ratings(tmp_path / "ratings.csv", SCALE)
    rows().assign(user_id=[None, *rows()["user_id"][1:]]).to_parquet(tmp_path / "ratings.parquet")
    with pytest.raises(DatasetError, match="row 1: expected a user_id, found nothing"):
        read_ratings(tmp_path / "ratings.parquet", SCALE)


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ratings.csv that counts as large, in a workspace of its own."""
    monkeypatch.setenv("MRLM_WORKSPACE", str(tmp_path / "work"))
    monkeypatch.setattr(ratings, "KEPT_FROM", 0)
    (tmp_path / "ratings.csv").write_bytes(as_csv(rows()))
    return tmp_path / "ratings.csv"


def test_a_large_file_is_parsed_once(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, digest = kept_ratings(large, SCALE)
    monkeypatch.setattr(ratings, "read_ratings", None)
    again, same = kept_ratings(large, SCALE)
    pd.testing.assert_frame_equal(first, again)
    assert digest == same
    large.rename(large.parent / "elsewhere.csv").rename(large)
    os.utime(large, (1, 1))  # neither place nor time matters
    pd.testing.assert_frame_equal(first, kept_ratings(large, SCALE)[0])


def test_a_small_file_leaves_nothing(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratings, "KEPT_FROM", large.stat().st_size + 1)
    pd.testing.assert_frame_equal(kept_ratings(large, SCALE)[0], read_ratings(large, SCALE))
    assert not (large.parent / "work").exists()


def test_a_change_of_contents_alone_is_seen(large: Path) -> None:
    before, digest = kept_ratings(large, SCALE)
    stamp, text = large.stat(), large.read_text()
    large.write_text(text[:-2] + ("1" if text[-2] != "1" else "2") + "\n")  # the last digit of the last timestamp
    os.utime(large, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert large.stat().st_size == stamp.st_size
    after, other = kept_ratings(large, SCALE)
    assert other != digest
    assert (before["timestamp"] != after["timestamp"]).sum() == 1


def test_another_scale_is_checked_and_an_error_is_not_kept(large: Path) -> None:
    kept_ratings(large, SCALE)
    for _ in range(2):
        with pytest.raises(DatasetError, match=r"expected a rating from 0\.5 to 2"):
            kept_ratings(large, (0.5, 2.0))
    good = large.read_bytes()
    large.write_bytes(good + b"new,1,9,5\n")
    for _ in range(2):
        with pytest.raises(DatasetError, match="row 301"):
            kept_ratings(large, SCALE)
    kept = large.parent / "work" / "artefacts" / "ratings"
    assert len(list(kept.iterdir())) == 2  # the codes and the ids of the one that was sound


def test_a_file_that_changes_while_it_is_read_is_refused(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path, scale: tuple[float, float]) -> pd.DataFrame:
        frame = read_ratings(path, scale)
        path.write_bytes(as_csv(rows(299)))
        return frame

    monkeypatch.setattr(ratings, "read_ratings", read)
    with pytest.raises(DatasetError, match="changed while it was read"):
        kept_ratings(large, SCALE)
    assert not (large.parent / "work").exists()

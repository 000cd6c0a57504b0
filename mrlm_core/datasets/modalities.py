"""Files of one modality read by item: texts, media in a folder or archive, triples, ready-made features."""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from mrlm_core.datasets.tables import check_known, check_unique, read_table
from mrlm_core.errors import DatasetError, nearest, problem

EXTENSIONS = {
    "image": (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp"),
    "video": (".mp4", ".gif", ".webm", ".avi", ".mov", ".mkv"),
    "audio": (".wav", ".mp3", ".flac", ".ogg", ".m4a"),
}


@dataclass(frozen=True)
class Problem:
    """Rows or files that were left out or masked, for the report: "``where``: ``count`` ``what``"."""

    where: str
    what: str
    count: int
    examples: tuple[str, ...] = ()


def counted(where: str, what: str, examples: Sequence[object]) -> list[Problem]:
    """One Problem with the first examples, or none when there are none."""
    return [Problem(where, what, len(examples), tuple(map(str, examples[:5])))] if len(examples) else []


def read_texts(path: Path, items: Mapping[str, int]) -> tuple[dict[int, str], list[Problem]]:
    """Item index -> text of a (item_id, text) table; an empty text is a missing one.

    ``items`` maps item id to index. Raises DatasetError for an unknown or repeated item.
    """
    frame = read_table(path, ["item_id", "text"])
    check_known(path, frame["item_id"], items)
    check_unique(path, frame["item_id"])
    empty = frame["text"].str.strip() == ""
    kept = frame[~empty]
    texts = dict(zip(kept["item_id"].map(items), kept["text"], strict=True))
    return texts, counted(path.name, "empty texts, masked", frame["item_id"][empty].tolist())


def list_media(path: Path, kind: str, items: Mapping[str, int]) -> tuple[dict[str, int], list[Problem]]:
    """File name in the folder or archive -> item index, in the order they are stored.

    Raises DatasetError for a file of an unknown item and for two files of one item.
    """
    files: dict[str, int] = {}
    owner: dict[int, str] = {}
    strange = []
    with open_media(path) as (names, _):
        for name in names:
            file = PurePosixPath(name)
            if file.suffix.lower() not in EXTENSIONS[kind]:
                strange.append(name)
                continue
            if file.stem not in items:
                remedy = "Name files <item_id>.<extension>; add the item to items.csv or remove the file."
                raise DatasetError(problem(f"{path}, {name}", "an item of the catalogue", repr(file.stem), remedy))
            item = items[file.stem]
            if item in owner:
                raise DatasetError(problem(f"{path}, {name}", f"one file for item {file.stem!r}",
                                           f"{owner[item]} too", "Keep one of them."))
            files[name], owner[item] = item, name
    return files, counted(path.name, f"files that are no {kind}, ignored", strange)


@contextmanager
def open_media(path: Path) -> Iterator[tuple[list[str], Callable[[str], bytes]]]:
    """The file names in a folder, .zip or .tar (hidden files left out), and a function that reads one."""
    if path.is_dir():
        found = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
        yield _visible(found), lambda name: (path / name).read_bytes()
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield _visible([entry.filename for entry in archive.infolist() if not entry.is_dir()]), archive.read
    else:
        yield from _open_tar(path)


def _open_tar(path: Path) -> Iterator[tuple[list[str], Callable[[str], bytes]]]:
    try:
        with tarfile.open(path) as archive:
            members = {member.name: member for member in archive if member.isfile()}
    except (tarfile.TarError, EOFError) as error:
        remedy = "Make the archive again."
        raise DatasetError(problem(str(path), "a folder, .zip or .tar", str(error), remedy)) from error
    with tarfile.open(path) as archive:

        def read(name: str) -> bytes:
            file = archive.extractfile(members[name])
            assert file is not None  # only ordinary files are listed
            return file.read()

        yield _visible(list(members)), read


def _visible(names: list[str]) -> list[str]:
    """Names without hidden files, nor what macOS adds to archives."""
    return [name for name in names if not re.search(r"(^|/)(\.[^/.]|__MACOSX)", name)]


def read_knowledge(
    path: Path, entities: Path, items: Mapping[str, int]
) -> tuple[pd.DataFrame, dict[int, str], list[Problem]]:
    """Triples (head, relation, tail), each once, and the entity of each item that occurs in one.

    Raises DatasetError for an unknown or repeated item and for an empty cell.
    """
    columns = ["head", "relation", "tail"]
    triples = read_table(path, columns)[columns]
    links = read_table(entities, ["item_id", "entity"])
    for file, frame in ((path, triples), (entities, links)):
        for column in frame.columns:
            _no_blank(file, frame[column])
    check_known(entities, links["item_id"], items)
    check_unique(entities, links["item_id"])
    repeated = triples.duplicated()
    triples = triples[~repeated].reset_index(drop=True)
    known = pd.Index(pd.unique(pd.concat([triples["head"], triples["tail"]])))
    inside = links["entity"].isin(known)
    problems = counted(path.name, "repeated triples, left out", np.flatnonzero(repeated).tolist())
    problems += counted(entities.name, "items whose entity is in no triple, masked", links["item_id"][~inside].tolist())
    linked = links[inside]
    return triples, dict(zip(linked["item_id"].map(items), linked["entity"], strict=True)), problems


def _no_blank(path: Path, values: pd.Series) -> None:
    blank = np.flatnonzero(values.eq(""))
    if len(blank):
        raise DatasetError(problem(f"{path}, row {blank[0] + 1}", f"a {values.name}", "nothing", "Fill or remove it."))


def read_features(path: Path, items: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 ``[V, d]`` (0 where masked) and mask bool ``[V]`` of an npz with ``ids`` and ``features``.

    Raises DatasetError for missing arrays, wrong shapes, unknown or repeated ids and values that are not finite.
    """
    ids, rows = read_feature_rows(path)
    with np.errstate(over="ignore"):
        rows = rows.astype(np.float32)
    check_known(path, pd.Series(ids), items)
    check_unique(path, pd.Series(ids))
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        row, column = bad[0]
        raise DatasetError(
            problem(f"{path}, item {ids[row]!r}, column {column}", "a finite number", f"{rows[row, column]} "
                    f"({len(bad):,} such values)", "Leave the item's row out (it is then masked) or the column.")
        )
    values = np.zeros((len(items), rows.shape[1]), np.float32)
    mask = np.zeros(len(items), bool)
    index = np.array([items[name] for name in ids], dtype=np.int64)
    values[index], mask[index] = rows, True
    return values, mask


def read_feature_rows(path: Path) -> tuple[list[str], np.ndarray]:
    """The raw ``ids`` as str and ``features`` ``[n, d]`` of an npz; raises DatasetError where they do not fit."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (ValueError, OSError, zipfile.BadZipFile, AttributeError) as error:
        remedy = "Write it with numpy.savez(file, ids=..., features=...), ids as text and no objects."
        raise DatasetError(problem(str(path), "an npz of plain arrays", str(error), remedy)) from error
    for name in ("ids", "features"):
        if name not in arrays:
            raise DatasetError(problem(str(path), f"the array {name!r}", f"{sorted(arrays)}", nearest(name, arrays)))
    ids, rows = arrays["ids"], arrays["features"]
    if rows.ndim != 2 or ids.ndim != 1 or len(ids) != len(rows) or rows.dtype.kind not in "fiu":
        found = f"ids {ids.shape} and features {rows.shape} of {rows.dtype}"
        raise DatasetError(problem(str(path), "ids [n] and numeric features [n, d]", found, "Write them anew."))
    return [str(name) for name in ids], rows

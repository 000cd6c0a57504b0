"""A dataset folder as a validated ``Dataset``; data/README.md states the contract in plain words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mrlm_core.cache import content_hash
from mrlm_core.datasets import atomic_files
from mrlm_core.datasets import modalities as files
from mrlm_core.datasets.description import read_description
from mrlm_core.datasets.modalities import Problem, counted
from mrlm_core.datasets.ratings import kept_ratings
from mrlm_core.datasets.tables import read_attributes
from mrlm_core.errors import DatasetError, nearest, problem

MINIMUM_USERS = 10
MEDIA_KINDS = tuple(files.EXTENSIONS)

__all__ = ["Dataset", "Modality", "Problem", "describe", "load_dataset"]


@dataclass(frozen=True)
class Modality:
    """One entry of dataset.yml's ``modalities``.

    ``extra`` holds ``notes`` and, where given, ``entities`` (Path), ``encoder`` (name) and ``weights`` (a
    file, as written there).
    """

    name: str
    kind: str
    path: Path
    extra: Mapping[str, Any]

    @property
    def role(self) -> str:
        """What it describes an item by: its kind, or its name where ready-made features are all there is."""
        return self.name if self.kind == "features" else self.kind


@dataclass(frozen=True)
class Dataset:
    """One dataset: U users, V items of the catalogue (rated or not), ratings by index, modalities by item.

    ``ratings``: user int32, item int32, rating float32, where known timestamp int64, in the file's order.
    ``users`` and ``items``: attributes by id, rows as ``user_ids`` and ``item_ids``; str ("" = missing) or float64
    for numeric fields (NaN = missing). Fields are declared categorical, multi (values split by "|") or numeric.
    """

    name: str
    title: str
    path: Path
    description: Mapping[str, Any]
    ratings: pd.DataFrame = field(repr=False)
    user_ids: np.ndarray = field(repr=False)
    item_ids: np.ndarray = field(repr=False)
    users: pd.DataFrame = field(repr=False)
    items: pd.DataFrame = field(repr=False)
    user_fields: Mapping[str, str]
    item_fields: Mapping[str, str]
    positive_threshold: float
    modalities: Mapping[str, Modality]
    problems: tuple[Problem, ...]
    data_hash: str

    @property
    def n_users(self) -> int:
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        return len(self.item_ids)

    def texts(self, modality: str) -> dict[int, str]:
        """Item index -> text; items without one are left out."""
        return files.read_texts(self._modality(modality, "text").path, self._item_index())[0]

    def media(self, modality: str) -> Iterator[tuple[int, str, bytes]]:
        """(item index, file name, bytes) of each picture, clip or sound, one at a time in stored order."""
        entry = self._modality(modality, *MEDIA_KINDS)
        names, _ = files.list_media(entry.path, entry.kind, self._item_index())
        with files.open_media(entry.path) as (_, read):
            for name, item in names.items():
                yield item, name, read(name)

    def knowledge(self, modality: str) -> tuple[pd.DataFrame, dict[int, str]]:
        """Triples (head, relation, tail) as str, and item index -> its entity."""
        entry = self._modality(modality, "knowledge")
        return files.read_knowledge(entry.path, entry.extra["entities"], self._item_index())[:2]

    def features(self, modality: str) -> tuple[np.ndarray, np.ndarray]:
        """Ready-made features float32 ``[V, d]`` (0 where masked) and mask bool ``[V]``."""
        return files.read_features(self._modality(modality, "features").path, self._item_index())

    def described(self, modality: str) -> np.ndarray:
        """bool ``[V]``: which items have a description of this modality."""
        return _described(self._modality(modality), self._item_index())[0]

    def titles(self) -> list[str]:
        """A name of each item for display: the title column of items.csv, else the id."""
        column = self.description["title_column"]
        if column not in self.items:
            return [str(name) for name in self.item_ids]
        return [title or str(name) for title, name in zip(self.items[column], self.item_ids, strict=True)]

    def _item_index(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.item_ids)}

    def _modality(self, name: str, *kinds: str) -> Modality:
        if name not in self.modalities:
            raise DatasetError(problem(f"{self.path}, modality {name!r}", "a modality of the dataset", "none of that "
                                       "name", nearest(name, self.modalities)))
        entry = self.modalities[name]
        if kinds and entry.kind not in kinds:
            raise DatasetError(problem(f"{self.path}, modality {name!r}", f"the kind {' or '.join(kinds)}",
                                       repr(entry.kind), "Correct its kind in dataset.yml."))
        return entry


def load_dataset(path: str | Path) -> Dataset:
    """The dataset folder ``path``, read and validated; raises DatasetError that names the first thing wrong."""
    folder = Path(path)
    atomic = atomic_files.find(folder)
    if not atomic and not (folder / "dataset.yml").is_file():
        raise _no_dataset(folder)
    description = atomic_files.describe(folder, atomic) if atomic else read_description(folder)
    ratings_file = atomic["inter"] if atomic else _ratings_file(folder)
    raw, ratings_hash = kept_ratings(ratings_file, description["rating_scale"])
    rated = _natural_order(raw["item_id"].cat.categories)
    ratings, user_ids, left_out = _drop_short_users(raw, description["minimum_ratings_per_user"])
    _enough_users(ratings_file, len(user_ids), len(left_out), description)

    items, item_ids, unlisted = _attributes(atomic.get("item", folder / "items.csv"), "item", description, rated)
    users, user_ids, strangers = _attributes(atomic.get("user", folder / "users.csv"), "user", description, user_ids)
    problems = [*_notes("dataset.yml", description["notes"])]
    problems += counted(ratings_file.name, "users with fewer ratings than minimum_ratings_per_user, left out", left_out)
    if "timestamp" not in ratings:
        problems.append(Problem(ratings_file.name, "ratings without a timestamp: a user's latest items are a random "
                                "order, by seed", len(ratings)))
    problems += counted("items", "rated items without a row of attributes", unlisted)
    problems += counted("users", "users without a row of attributes", strangers)

    index = {name: position for position, name in enumerate(item_ids)}
    modalities = {str(name): _modality(folder, str(name), entry) for name, entry in description["modalities"].items()}
    for entry in modalities.values():
        _, found = _described(entry, index)
        problems += [*found, *_notes(f"modality {entry.name}", entry.extra["notes"])]
    return Dataset(
        name=description["name"], title=description["title"] or description["name"], path=folder,
        description=description, ratings=_indexed(ratings, user_ids, item_ids), user_ids=user_ids, item_ids=item_ids,
        users=users, items=items, user_fields=description["user_fields"], item_fields=description["item_fields"],
        positive_threshold=description["positive_threshold"], modalities=modalities, problems=tuple(problems),
        data_hash=_folder_hash(folder, {ratings_file: ratings_hash}),
    )


def describe(dataset: Dataset) -> pd.DataFrame:
    """Table 1 of the paper for this dataset: one column, one row a statistic; items are the whole catalogue.

    Gap G18.
    """
    n_ratings = len(dataset.ratings)
    rows: dict[str, Any] = {
        "Users": dataset.n_users,
        "Items": dataset.n_items,
        "Items rated": int(dataset.ratings["item"].nunique()),
        "Ratings": n_ratings,
        "Positive ratings": int((dataset.ratings["rating"] >= dataset.positive_threshold).sum()),
        "Ratings per user": round(n_ratings / dataset.n_users, 1),
        "Ratings per item": round(n_ratings / dataset.n_items, 1),
    }
    rows |= {f"Items having {name}": int(dataset.described(name).sum()) for name in dataset.modalities}
    return pd.DataFrame({dataset.name: pd.Series(rows, dtype=object)})


def _described(entry: Modality, items: Mapping[str, int]) -> tuple[np.ndarray, list[Problem]]:
    """Which items have this modality; reading it all, so every breach of the contract shows."""
    problems: list[Problem] = []
    if entry.kind == "features":
        return files.read_features(entry.path, items)[1], problems
    if entry.kind == "text":
        texts, problems = files.read_texts(entry.path, items)
        found = list(texts)
    elif entry.kind == "knowledge":
        _, entities, problems = files.read_knowledge(entry.path, entry.extra["entities"], items)
        found = list(entities)
    else:
        names, problems = files.list_media(entry.path, entry.kind, items)
        found = list(names.values())
    mask = np.zeros(len(items), bool)
    mask[found] = True
    return mask, problems


def _modality(folder: Path, name: str, entry: Mapping[str, Any]) -> Modality:
    extra: dict[str, Any] = {"notes": entry.get("notes", [])}
    if "entities" in entry:
        extra["entities"] = folder / entry["entities"]
    extra |= {key: entry[key] for key in ("encoder", "weights") if key in entry}
    return Modality(name, entry["kind"], folder / entry["path"], extra)


def _notes(where: str, notes: list[Any]) -> list[Problem]:
    """What the converter wrote down: ``{count, what, examples}`` or plain text."""
    return [
        Problem(where, note["what"], int(note["count"]), tuple(map(str, note.get("examples", ()))))
        if isinstance(note, Mapping) else Problem(where, f"note: {note}", 1)
        for note in notes
    ]


def _ratings_file(folder: Path) -> Path:
    present = [folder / name for name in ("ratings.csv", "ratings.parquet") if (folder / name).is_file()]
    if len(present) != 1:
        found = "both" if present else "neither"
        raise DatasetError(problem(str(folder), "ratings.csv or ratings.parquet", found, "Keep or add one of them."))
    return present[0]


def _drop_short_users(raw: pd.DataFrame, minimum: int) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    codes, labels = raw["user_id"].cat.codes.to_numpy(), raw["user_id"].cat.categories.to_numpy(dtype=object)
    n_ratings = np.bincount(codes, minlength=len(labels))
    enough, few = n_ratings >= max(minimum, 1), (n_ratings > 0) & (n_ratings < minimum)
    kept = raw[enough[codes]].reset_index(drop=True) if few.any() else raw
    return kept, _natural_order(labels[enough]), list(_natural_order(labels[few]))


def _attributes(
    path: Path, kind: str, description: Mapping[str, Any], rated: np.ndarray
) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """Attributes, ids in their final order, and rated ids without attributes.

    Items keep the order of their file, then rated ones it lacks; users are those with ratings, in natural order.
    """
    fields = description[f"{kind}_fields"]
    if not path.is_file():
        if fields:
            raise DatasetError(problem(str(path), f"a file, for dataset.yml has {kind}_fields", "none", "Add it."))
        return pd.DataFrame(index=pd.Index(rated, name=f"{kind}_id")), rated, []
    frame = read_attributes(path, f"{kind}_id", fields)
    missing = [str(name) for name in rated[~np.isin(rated, frame.index.to_numpy(dtype=str))]]
    ids = rated if kind == "user" else np.array([*frame.index, *missing], dtype=str)
    text = [str(column) for column in frame if fields.get(str(column)) != "numeric"]
    frame = frame.reindex(pd.Index(ids, name=f"{kind}_id", dtype=object))
    frame = frame.fillna(dict.fromkeys(text, ""))
    return frame, ids, missing


def _indexed(ratings: pd.DataFrame, user_ids: np.ndarray, item_ids: np.ndarray) -> pd.DataFrame:
    columns = {}
    for name, ids in (("user", user_ids), ("item", item_ids)):
        values = ratings[f"{name}_id"].cat
        position = pd.Index(ids).get_indexer(pd.Index(values.categories.to_numpy(dtype=object)))
        columns[name] = position.astype(np.int32)[values.codes.to_numpy()]
    return pd.DataFrame({**columns, **{name: ratings[name] for name in ratings.columns[2:]}}, copy=False)


def _natural_order(ids: Any) -> np.ndarray:
    """Ids as str, short before long, then by alphabet: 2 before 10, p2 before p10."""
    names = np.asarray(list(ids), dtype=str)
    return names[np.lexsort((names, np.char.str_len(names)))]


def _enough_users(path: Path, n_users: int, n_left_out: int, description: Mapping[str, Any]) -> None:
    if n_users >= MINIMUM_USERS:
        return
    minimum = description["minimum_ratings_per_user"]
    left = f" after leaving out {n_left_out:,} with fewer than {minimum} ratings" if n_left_out else ""
    remedy = "Give more users" + (" or lower minimum_ratings_per_user in dataset.yml." if n_left_out else ".")
    raise DatasetError(problem(str(path), f"at least {MINIMUM_USERS} users", f"{n_users}{left}", remedy))


def _no_dataset(folder: Path) -> DatasetError:
    around = folder if folder.is_dir() else folder.parent
    there = [file.parent.name for file in sorted(around.glob("*/dataset.yml"))]
    found = "a folder without them" if folder.is_dir() else "no such folder"
    remedy = f"Datasets in {around}: {', '.join(there) or 'none'}. data/README.md says how to make one."
    return DatasetError(problem(str(folder), "a folder with dataset.yml (or .inter)", found, remedy))


def _folder_hash(folder: Path, known: Mapping[Path, str]) -> str:
    """Hash of the names and contents of all files that are not hidden; ``known``: those of files read already."""
    digests = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_file() and not any(part.startswith(".") for part in name.split("/")):
            digests[name] = known.get(file) or _sha256(file)
    return content_hash(digests)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

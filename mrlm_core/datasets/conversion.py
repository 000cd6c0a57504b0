"""What converters of published datasets share: a folder made whole or not at all, and descriptions of its items."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from mrlm_core.datasets.contract import load_dataset
from mrlm_core.datasets.feature_audit import BLOW_UP, audit_features
from mrlm_core.datasets.modalities import open_media, read_feature_rows
from mrlm_core.datasets.tables import read_table
from mrlm_core.errors import DatasetError, nearest, problem


@dataclass(frozen=True)
class Catalogue:
    """The ``ids`` of the items, what they are called, and the column that names one in a publisher's files."""

    ids: set[str]
    plural: str
    key: str

    @property
    def outside(self) -> str:
        return f"{self.plural} outside the catalogue, left out"


def check_variant(variant: str, known: Collection[str]) -> None:
    """Raises DatasetError for a dataset that a converter does not know."""
    if variant not in known:
        raise DatasetError(problem(f"dataset {variant!r}", f"one of {', '.join(known)}", "another name",
                                   nearest(variant, known)))


@contextmanager
def whole_folder(raw: Path, out: Path) -> Iterator[Path]:
    """A temporary folder beside ``out`` that becomes ``out`` when the block ends well and vanishes when not.

    Nothing that breaks the contract is put in place. Raises DatasetError.
    """
    if out.exists() and not (out / "dataset.yml").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(problem(str(out), "a free place or a dataset folder to replace", "other files",
                                   "Choose another place."))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as place:
        folder = Path(place) / "new"
        folder.mkdir()
        yield folder
        _check(folder, raw, out)
        if out.exists():
            out.rename(Path(place) / "old")
        folder.rename(out)


def _check(folder: Path, raw: Path, out: Path) -> None:
    """The temporary folder's name would help nobody."""
    try:
        load_dataset(folder)
    except DatasetError as error:
        raise DatasetError(f"Making {out} from {raw}: {str(error).replace(f'{folder}/', '')}") from error


def publishers(raw: Path, name: str, title: str) -> Path:
    """The publisher's file ``name`` in the folder ``raw``; raises DatasetError that says what is there."""
    if (raw / name).is_file():
        return raw / name
    found = ", ".join(sorted(file.name for file in raw.iterdir())[:8]) if raw.is_dir() else "no such folder"
    remedy = f"Give the folder unpacked from the publisher's archive of {title}."
    raise DatasetError(problem(str(raw), f"the file {name}", found or "an empty folder", remedy))


def write_description(
    folder: Path, description: Mapping[str, Any], modalities: Mapping[str, Any], usual: Sequence[str]
) -> None:
    """dataset.yml; those of the ``usual`` modalities that are not there are noted."""
    absent = [name for name in usual if name not in modalities]
    notes = [*description["notes"], *note(absent, "modalities without a source given, absent")]
    ordered = [*usual, *(name for name in modalities if name not in usual)]
    whole = {**description, "notes": notes, "modalities": {n: modalities[n] for n in ordered if n in modalities}}
    text = yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=110)
    (folder / "dataset.yml").write_text(text, encoding="utf-8")


def write_texts(path: Path, what: str, folder: Path, catalogue: Catalogue) -> dict[str, Any]:
    """text.csv from a CSV with the catalogue's key and text; ``what`` the texts are called, as "plots"."""
    key = catalogue.key
    texts = read_table(_given(path, what), [key, "text"]).rename(columns={key: "item_id"})
    inside = texts["item_id"].isin(catalogue.ids)
    repeated = inside & texts["item_id"].duplicated()
    texts.loc[inside & ~repeated, ["item_id", "text"]].to_csv(folder / "text.csv", index=False)
    notes = note(texts["item_id"][~inside], f"{what} of {catalogue.outside}")
    one = catalogue.plural.removesuffix("s")
    return _entry("text", "text.csv", notes + note(texts["item_id"][repeated], f"second {what} of a {one}, left out"))


def write_pictures(path: Path, what: str, folder: Path, catalogue: Catalogue) -> dict[str, Any]:
    """images.tar, one picture at a time from archive to archive, with nothing in it that changes between runs."""
    outside = []
    with open_media(_given(path, what)) as (names, read), tarfile.open(folder / "images.tar", "w") as archive:
        for name in names:
            file = PurePosixPath(name)
            if file.stem not in catalogue.ids:
                outside.append(file.name)
                continue
            content = read(name)
            member = tarfile.TarInfo(f"images/{file.name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return _entry("image", "images.tar", note(outside, f"{what} of {catalogue.outside}"))


def write_knowledge(path: Path, entities: Path, folder: Path, catalogue: Catalogue) -> dict[str, Any]:
    """Triples whose head or tail is an item of the catalogue, and the entities of those items."""
    key = catalogue.key
    links = read_table(_given(entities, "entities"), [key, "entity"]).rename(columns={key: "item_id"})
    triples = read_table(_given(path, "knowledge"), ["head", "relation", "tail"])[["head", "relation", "tail"]]
    links = links[links["item_id"].isin(catalogue.ids)]
    near = triples["head"].isin(links["entity"]) | triples["tail"].isin(links["entity"])
    lines = map("\t".join, triples[near].to_numpy().tolist())
    (folder / "knowledge.tsv").write_text("\n".join(["head\trelation\ttail", *lines]) + "\n", encoding="utf-8")
    links[["item_id", "entity"]].to_csv(folder / "entities.csv", index=False)
    notes = note(triples["head"][~near], f"triples of {catalogue.outside}")
    return {**_entry("knowledge", "knowledge.tsv", notes), "entities": "entities.csv"}


def write_features(name: str, path: Path, folder: Path, catalogue: Catalogue) -> dict[str, Any]:
    """features/<name>.npz with sound columns and rows of the catalogue; what is not sound is masked and noted."""
    ids, rows = read_feature_rows(_given(path, f"features {name}"))
    inside = np.array([key in catalogue.ids for key in ids], dtype=bool)
    outside = [key for key, known in zip(ids, inside, strict=True) if not known]
    names, rows = np.array(ids)[inside], rows[inside].astype(np.float64)
    if not len(names):
        raise DatasetError(problem(str(path), f"{catalogue.plural} of the catalogue", "none",
                                   "Its ids must be those of the publisher's files."))
    audit = audit_features(rows)
    (folder / "features").mkdir(exist_ok=True)
    sound = rows[audit.rows][:, audit.columns].astype(np.float32)
    np.savez(folder / "features" / f"{name}.npz", ids=names[audit.rows], features=sound)
    notes = [
        *note(outside, f"rows of {catalogue.outside}"),
        *note(np.flatnonzero(audit.broken_columns), "columns not finite in most rows, left out"),
        *note(np.flatnonzero(audit.constant_columns), "constant columns, left out"),
        *note(names[audit.broken_rows], f"{catalogue.plural} with a value that is not finite, masked"),
        *note(names[audit.blown_up_rows],
              f"{catalogue.plural} with a value over {BLOW_UP:,.0f} times its column's median size, masked"),
    ]
    return _entry("features", f"features/{name}.npz", notes)


def _given(path: Path, option: str) -> Path:
    if not path.exists():
        raise DatasetError(problem(f"{option} {path}", "a file that exists", "none", "Correct the path."))
    return path


def _entry(kind: str, path: str, notes: list[dict[str, Any]]) -> dict[str, Any]:
    return {"kind": kind, "path": path, **({"notes": notes} if notes else {})}


def note(which: Any, what: str) -> list[dict[str, Any]]:
    """What was left out or masked, for dataset.yml; nothing when ``which`` is empty."""
    names = [str(name) for name in which]
    return [{"count": len(names), "what": what, "examples": list(dict.fromkeys(names))[:5]}] if names else []

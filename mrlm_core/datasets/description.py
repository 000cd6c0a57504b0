"""dataset.yml: what it may say, and its checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from mrlm_core.errors import DatasetError, nearest, problem

KINDS = ("text", "image", "video", "audio", "knowledge", "features")
FIELD_KINDS = ("categorical", "multi", "numeric")
DEFAULTS: dict[str, Any] = {
    "name": None,
    "title": "",
    "licence": "",
    "citation": "",
    "source": "",
    "positive_threshold": None,
    "rating_scale": None,
    "minimum_ratings_per_user": 1,
    "user_fields": {},
    "item_fields": {},
    "title_column": "title",
    "modalities": {},
    "notes": [],  # what a converter left out or masked; shown in the report
    "generated": {},  # how a generated dataset was made; free in form
    "planted": {},  # the true effects of a generated dataset; free in form, no model reads it
}
REQUIRED = ("name", "positive_threshold", "rating_scale")
MODALITY_KEYS = ("kind", "path", "entities", "encoder", "weights", "notes")
_TYPES: dict[type, str] = {str: "text", int: "a whole number", dict: "a mapping", list: "a list"}


def read_description(folder: Path) -> dict[str, Any]:
    """The parsed and checked dataset.yml of ``folder`` with defaults filled in; raises DatasetError."""
    file = folder / "dataset.yml"
    return checked(read_yaml(file), file, folder)


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file; raises DatasetError that names the line."""
    try:
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise _wrong(file, "UTF-8 text", f"byte {error.start} that is not", "Save it as UTF-8.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        found = getattr(error, "problem", None) or str(error)
        raise _wrong(f"{file}{line}", "YAML", str(found), "Correct the line; data/README.md has an example.") from error
    if not isinstance(given, dict):
        raise _wrong(file, "`key: value` lines", repr(given)[:40], "data/README.md has an example.")
    return given


def checked(given: Mapping[str, Any], file: Path, folder: Path) -> dict[str, Any]:
    """``given`` with defaults and every value checked; ``file`` is what errors name. Raises DatasetError."""
    _known_keys(given, DEFAULTS, str(file))
    for key in REQUIRED:
        if given.get(key) is None:
            raise _wrong(file, f"the key {key!r}", "none", f"Add a line `{key}: ...`; data/README.md has an example.")
    description = {**DEFAULTS, **{key: value for key, value in given.items() if value is not None}}
    for key, default in DEFAULTS.items():
        wanted = str if key == "name" else type(default)
        if wanted in _TYPES and not isinstance(description[key], wanted):
            found = repr(description[key])
            raise _wrong(f"{file}, {key}", _TYPES[wanted], found, "Correct it (text may need quotes).")
    description["rating_scale"] = _scale(description["rating_scale"], file)
    description["positive_threshold"] = _threshold(description, file)
    for key in ("user_fields", "item_fields"):
        for column, kind in description[key].items():
            _one_of(kind, FIELD_KINDS, f"{file}, {key}.{column}")
    for name, entry in description["modalities"].items():
        _check_modality(str(name), entry, file, folder)
    return description


def _check_modality(name: str, entry: Any, file: Path, folder: Path) -> None:
    where = f"{file}, modalities.{name}"
    if not isinstance(entry, dict):
        raise _wrong(where, "`{kind: ..., path: ...}`", repr(entry), "Correct it.")
    _known_keys(entry, MODALITY_KEYS, where)
    _one_of(entry.get("kind"), KINDS, f"{where}.kind")
    paths = ["path", "entities"] if entry["kind"] == "knowledge" else ["path"]
    for key in paths:
        _check_path(entry.get(key), f"{where}.{key}", folder)
    for key in ("encoder", "weights"):
        if key in entry and not (isinstance(entry[key], str) and entry[key]):
            raise _wrong(f"{where}.{key}", "text", repr(entry[key]), "Correct it or leave it out.")


def _check_path(value: Any, where: str, folder: Path) -> None:
    """Files must lie inside the folder, or the folder's hash would not cover them."""
    if not isinstance(value, str):
        raise _wrong(where, "a file or folder name", repr(value), "Add it.")
    if not (folder / value).resolve().is_relative_to(folder.resolve()):
        raise _wrong(where, "a path inside the dataset folder", repr(value), "Move or copy the file there.")
    if not (folder / value).exists():
        present = [str(path.relative_to(folder)) for path in sorted(folder.glob("*"))]
        raise _wrong(where, "a file or folder that exists", f"no {folder / value}", nearest(value, present))


def _scale(value: Any, file: Path) -> tuple[float, float]:
    numbers = isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_number, value))
    if not numbers or value[0] > value[1]:
        raise _wrong(f"{file}, rating_scale", "[lowest, highest]", repr(value), "For example `rating_scale: [1, 5]`.")
    return float(value[0]), float(value[1])


def _threshold(description: Mapping[str, Any], file: Path) -> float:
    value, (low, high) = description["positive_threshold"], description["rating_scale"]
    if not _is_number(value) or not low <= value <= high:
        expected = f"a number on the rating scale {low:g} to {high:g}"
        raise _wrong(f"{file}, positive_threshold", expected, repr(value), "Correct one of the two.")
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) != float("inf")


def _known_keys(given: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    for key in given:
        if key not in known:
            raise _wrong(where, "known keys", f"{key!r}", nearest(str(key), known))


def _one_of(value: Any, allowed: tuple[str, ...], where: str) -> None:
    if value not in allowed:
        raise _wrong(where, f"one of {', '.join(allowed)}", repr(value), nearest(str(value), allowed))


def _wrong(where: Any, expected: str, found: str, remedy: str) -> DatasetError:
    return DatasetError(problem(str(where), expected, found, remedy))

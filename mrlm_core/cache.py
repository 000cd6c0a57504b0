"""Artefacts: results keyed by the hash of their inputs and of the code that makes them, written atomically."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from mrlm_core.config import workspace

Arrays = dict[str, np.ndarray]


def content_hash(*parts: Any) -> str:
    """A 16-digit hash of arrays, bytes and anything JSON can hold; equal contents, equal hash."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            if part.dtype.hasobject:
                raise TypeError("content_hash: an array of objects has no bytes of its own; convert it")
            digest.update(f"{part.dtype}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        elif isinstance(part, bytes):
            digest.update(part)
        else:
            digest.update(json.dumps(part, sort_keys=True, default=_plain).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def file_hash(path: Path) -> str:
    """A 16-digit hash of a file's bytes, or of all files in a folder with their names."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return content_hash([[str(file.relative_to(path)), file_hash(file)] for file in files])
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _plain(value: Any) -> Any:
    """What JSON cannot hold, without the loss that printing a long array would be."""
    if isinstance(value, np.ndarray):
        return content_hash(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (Path, Mapping)):
        return dict(value) if isinstance(value, Mapping) else str(value)
    raise TypeError(f"content_hash: cannot hash a {type(value).__name__}")


# Their values reach a key as the resolved settings, their wording not at all.
_NOT_HASHED = {"mrlm_core.config", "mrlm_core.preprocessing_config", "mrlm_core.errors", "mrlm_core.cache"}


@cache
def code_hash(*modules: str, without: str | None = None) -> str:
    """Hash of the syntax trees, without docstrings, of the named modules and all of ours that they import.

    ``without`` names a module that is left out, with what it alone imports.
    """
    closure = [(name, tree) for name, tree in _import_closure(modules, without) if name not in _NOT_HASHED]
    trees = {name: ast.dump(_without_docstrings(tree)) for name, tree in closure}
    return content_hash(trees)


def artefact(
    kind: str,
    inputs: Mapping[str, Any],
    module: str,
    compute: Callable[[], Arrays],
) -> tuple[Arrays, str]:
    """The arrays ``compute()`` gives, from disk when these inputs and this code made them before.

    ``module`` is the module that computes; returns (arrays, key). The inputs are kept beside the arrays as JSON.
    """
    path = artefact_path(kind, inputs, module)
    if not path.exists():
        with _lock(path):
            if not path.exists():  # another worker may have made it while this one waited
                _make(path, inputs, compute)
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}, path.stem


def _make(path: Path, inputs: Mapping[str, Any], compute: Callable[[], Arrays]) -> None:
    arrays = compute()
    write_text(path.with_suffix(".json"), json.dumps(dict(inputs), indent=1, sort_keys=True, default=str))
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _lock(path: Path) -> FileLock:
    """Held by one process of this machine at a time; others could make the same, but need not."""
    owner = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    return FileLock(Path(tempfile.gettempdir()) / f"mrlm-{owner}-{content_hash(str(path.absolute()))}.lock")


def artefact_path(kind: str, inputs: Mapping[str, Any], module: str) -> Path:
    """Where ``artefact`` keeps the arrays; the stem is their key."""
    return workspace() / "artefacts" / kind / f"{content_hash(kind, dict(inputs), code_hash(module))}.npz"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that becomes ``path`` when the block ends well and vanishes when not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _import_closure(modules: tuple[str, ...], without: str | None) -> list[tuple[str, ast.Module]]:
    found: dict[str, ast.Module] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or name == without or not name.startswith("mrlm_core."):
            continue
        source = _source(name)
        if source is None:
            continue
        found[name] = ast.parse(source)
        waiting.extend(_imported(found[name]))
    return sorted(found.items())


def _source(module: str) -> str | None:
    spec = importlib.util.find_spec(module)
    return None if spec is None or spec.origin is None else Path(spec.origin).read_text(encoding="utf-8")


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("mrlm_core"):
            yield node.module
            for alias in node.names:
                candidate = f"{node.module}.{alias.name}"
                if _is_module(candidate):
                    yield candidate


def _is_module(name: str) -> bool:
    parent = importlib.util.find_spec(name.rpartition(".")[0])
    if parent is None or parent.submodule_search_locations is None:
        return False
    leaf = name.rpartition(".")[2]
    return any((Path(place) / f"{leaf}.py").exists() for place in parent.submodule_search_locations)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                del body[0]
    return tree

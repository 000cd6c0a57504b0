"""Media files through a network: decoded one by one, predicted in batches, finished batches kept for a killed run."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mrlm_core.cache import atomic
from mrlm_core.preprocessing.vectors import Unreadable

if TYPE_CHECKING:
    from mrlm_core.datasets import Dataset

Decode = Callable[[bytes], np.ndarray]  # file -> pictures uint8 [pictures of a file, side, side, 3]; raises Unreadable
Predict = Callable[[np.ndarray], np.ndarray]  # pictures uint8 [n, side, side, 3] -> float32 [n, d]


@dataclass(frozen=True)
class Encoded:
    """Vectors of some files, and the files that could not be read."""

    items: np.ndarray  # int64 [n]
    rows: np.ndarray  # float32 [n, d]
    failed: tuple[str, ...]


def encode_stream(
    dataset: Dataset, modality: str, decode: Decode, predict: Predict, batch: int, scratch: Path | None
) -> Encoded:
    """One vector a file, the mean over its pictures, with ``batch`` files in memory at a time and as many decoded.

    A thread decodes the next batch while the network works on this one. With ``scratch`` (a folder) every finished
    batch is written there at once and a run that is started again goes on behind the last one, to the same bytes.
    """
    from tqdm import tqdm

    total = int(dataset.described(modality).sum())
    done = _finished(scratch)
    begin = sum(len(encoded.items) + len(encoded.failed) for encoded in done)
    files = itertools.islice(dataset.media(modality), begin, None)
    with tqdm(total=total, initial=min(begin, total), desc=modality, unit="file", disable=None) as bar:
        for group in _ahead(_decoded(files, decode, batch)):
            encoded = _predicted(*group, predict)
            if scratch is not None:
                _write(scratch / f"{len(done):07d}.npz", encoded)
            done.append(encoded)
            bar.update(len(encoded.items) + len(encoded.failed))
    return _joined(done)


Decoded = tuple[list[int], list[np.ndarray], list[str]]  # items, pictures of each, names of unreadable files


def _decoded(files: Iterator[tuple[int, str, bytes]], decode: Decode, batch: int) -> Iterator[Decoded]:
    """Groups of ``batch`` files, readable or not, so that a group's place says which files it holds."""
    while group := list(itertools.islice(files, batch)):
        items: list[int] = []
        pictures: list[np.ndarray] = []
        failed: list[str] = []
        for item, name, content in group:
            try:
                pictures.append(decode(content))
                items.append(item)
            except Unreadable as error:
                failed.append(f"{name} ({error})")
        yield items, pictures, failed


def _ahead(groups: Iterator[Decoded]) -> Iterator[Decoded]:
    """The same groups, the next one made in a thread while the present one is used."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, groups, None)
        while (group := coming.result()) is not None:
            coming = thread.submit(next, groups, None)
            yield group


def _predicted(items: list[int], pictures: list[np.ndarray], failed: list[str], predict: Predict) -> Encoded:
    index = np.array(items, np.int64)
    if not items:
        return Encoded(index, np.zeros((0, 0), np.float32), tuple(failed))
    rows = predict(np.concatenate(pictures))
    means = rows.reshape(len(items), len(pictures[0]), -1).mean(axis=1, dtype=np.float64).astype(np.float32)
    return Encoded(index, means, tuple(failed))


def _finished(scratch: Path | None) -> list[Encoded]:
    """What an earlier run finished, in order; batches are written in order, so there is no hole."""
    done = []
    for path in sorted(scratch.glob("[0-9]*.npz")) if scratch is not None else ():
        with np.load(path, allow_pickle=False) as stored:
            done.append(Encoded(stored["items"], stored["rows"], tuple(map(str, stored["failed"]))))
    return done


def _write(path: Path, encoded: Encoded) -> None:
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, items=encoded.items, rows=encoded.rows, failed=np.array(encoded.failed, dtype=str))


def _joined(parts: list[Encoded]) -> Encoded:
    items = np.concatenate([part.items for part in parts]) if parts else np.zeros(0, np.int64)
    rows = [part.rows for part in parts if len(part.rows)] or [np.zeros((0, 1), np.float32)]
    return Encoded(items, np.concatenate(rows), tuple(itertools.chain.from_iterable(part.failed for part in parts)))

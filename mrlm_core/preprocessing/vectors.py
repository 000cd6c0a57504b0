"""What every encoder gives, one vector an item with a mask, and the steps that encoders share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mrlm_core.datasets import Dataset

Blocks = Mapping[str, np.ndarray]  # descriptor name -> vector


@dataclass(frozen=True)
class Features:
    """Auxiliary feature vectors of one modality; an item that lacks the modality is masked, never zero data."""

    values: np.ndarray  # float32 [V, d], finite; zero rows where mask is False
    mask: np.ndarray  # bool [V]
    encoder: str
    notes: tuple[str, ...]  # what was masked, counted, left out


class Unreadable(Exception):
    """A media file that its decoder cannot read; the item is masked and the file named in the notes."""


def encode_files(dataset: Dataset, modality: str, encoder: str, describe: Callable[[bytes], Blocks]) -> Features:
    """Features from one file an item, a single file in memory at a time.

    ``describe`` turns a file into named blocks of descriptors, or raises Unreadable. Each block is centred and
    weighs the same in the summed squared distance, whatever its units and length.
    """
    from tqdm import tqdm

    found: dict[int, Blocks] = {}
    failed: list[str] = []
    total = int(dataset.described(modality).sum())
    for item, name, content in tqdm(dataset.media(modality), total=total, desc=modality, unit="file", disable=None):
        try:
            found[item] = describe(content)
        except Unreadable as error:
            failed.append(f"{name} ({error})")
    if not found:
        return spread(np.zeros((0, 1), np.float32), [], dataset.n_items, encoder, note(failed, "unreadable, masked"))
    columns = {name: np.stack([blocks[name] for blocks in found.values()]) for name in next(iter(found.values()))}
    rows = np.concatenate([_unit_spread(column) for column in columns.values()], axis=1)
    return spread(rows, list(found), dataset.n_items, encoder, note(failed, "unreadable, masked"))


def spread(
    rows: np.ndarray, items: list[int] | np.ndarray, n_items: int, encoder: str, notes: tuple[str, ...] = ()
) -> Features:
    """Features of all items from the ``rows`` ``[n, d]`` of the described ``items``."""
    values, mask = np.zeros((n_items, rows.shape[1]), np.float32), np.zeros(n_items, bool)
    index = np.asarray(items, dtype=np.int64)
    values[index], mask[index] = rows, True
    return Features(values, mask, encoder, (*notes, f"{n_items - len(index)} of {n_items} items without a vector"))


def standardise(columns: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and deviation 1; constant columns become 0. ``[n, d]`` -> float32 ``[n, d]``."""
    columns = columns.astype(np.float64)
    centred = columns - columns.mean(axis=0)
    deviation = centred.std(axis=0)
    # Rounding leaves a trace of deviation in a constant column.
    constant = deviation <= 1e-9 * np.abs(columns).max(axis=0, initial=0)
    return np.where(constant, 0, centred / np.where(constant, 1, deviation)).astype(np.float32)


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """``rows`` ``[n, d]``, each of length 1 (a zero row stays zero)."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)


def note(names: list[str], what: str, shown: int = 5) -> tuple[str, ...]:
    """One note that counts ``names`` and gives the first of them; none when there are none."""
    if not names:
        return ()
    listed = ", ".join(names[:shown]) + (", ..." if len(names) > shown else "")
    return (f"{len(names)} {what}: {listed}",)


def _unit_spread(columns: np.ndarray) -> np.ndarray:
    """``columns`` centred, their variances summing to 1 (to 0 when all rows are equal)."""
    centred = columns.astype(np.float64) - columns.mean(axis=0, dtype=np.float64)
    total = np.sqrt((centred**2).sum() / len(centred))
    return (centred / total if total > 1e-9 else np.zeros_like(centred)).astype(np.float32)

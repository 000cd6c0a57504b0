"""What every encoder gives, one vector an item with a mask, and the steps that encoders share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mrlm_core.datasets import Dataset


@dataclass(frozen=True)
class Features:
    """Auxiliary feature vectors of one modality; an item that lacks the modality is masked, never zero data."""

    values: np.ndarray  # float32 [V, d], finite; zero rows where mask is False
    mask: np.ndarray  # bool [V]
    encoder: str
    notes: tuple[str, ...]  # what was masked, counted, left out


class Unreadable(Exception):
    """A media file that its decoder cannot read; the item is masked and the file named in the notes."""


def describe_files(
    dataset: Dataset, modality: str, describe: Callable[[bytes], np.ndarray]
) -> tuple[dict[int, np.ndarray], tuple[str, ...]]:
    """Apply ``describe`` to each media file, one in memory at a time; (item -> descriptor, notes on unreadable files).

    ``describe`` raises Unreadable for a file that no decoder can read.
    """
    from tqdm import tqdm

    found: dict[int, np.ndarray] = {}
    failed: list[str] = []
    total = int(dataset.described(modality).sum())
    for item, name, content in tqdm(dataset.media(modality), total=total, desc=modality, unit="file", disable=None):
        try:
            found[item] = describe(content)
        except Unreadable as error:
            failed.append(f"{name} ({error})")
    return found, _note(failed, "unreadable, masked")


def gather(
    found: dict[int, np.ndarray], n_items: int, encoder: str, notes: tuple[str, ...] = (),
    blocks: tuple[int, ...] | None = None,
) -> Features:
    """Features of all ``n_items`` from one vector a described item.

    Columns are standardised over the described items; with ``blocks`` (column counts, in order) each block of columns
    then weighs the same in a distance, however many columns it has.
    """
    mask = np.zeros(n_items, bool)
    mask[list(found)] = True
    width = len(next(iter(found.values()))) if found else 1
    values = np.zeros((n_items, width), np.float32)
    if found:
        values[list(found)] = standardise(np.stack(list(found.values())))
        start = 0
        for size in blocks or ():
            values[:, start : start + size] /= np.sqrt(size)
            start += size
    missing = n_items - int(mask.sum())
    return Features(values, mask, encoder, (*notes, f"{missing} of {n_items} items without a vector"))


def standardise(columns: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and deviation 1; constant columns become 0. ``[n, d]`` -> float32 ``[n, d]``."""
    columns = columns.astype(np.float64)
    centred = columns - columns.mean(axis=0)
    deviation = centred.std(axis=0)
    # Rounding leaves a trace of deviation in a constant column.
    constant = deviation <= 1e-9 * np.abs(columns).max(axis=0, initial=0)
    return np.where(constant, 0, centred / np.where(constant, 1, deviation)).astype(np.float32)


def _note(names: list[str], what: str, shown: int = 5) -> tuple[str, ...]:
    if not names:
        return ()
    listed = ", ".join(names[:shown]) + (", ..." if len(names) > shown else "")
    return (f"{len(names)} {what}: {listed}",)

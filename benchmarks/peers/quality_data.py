"""What the peers are trained on for quality: one split of a dataset and its real content, exported once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.exported import CUTOFF, HIDDEN, arrays, matrix
from mrlm_core.baselines.cke import entity_numbers
from mrlm_core.baselines.xdeepfm import XDeepFM
from mrlm_core.cache import content_hash
from mrlm_core.datasets import Dataset
from mrlm_core.datasets.splits import Interactions, Split
from mrlm_core.evaluation.metrics import recall_at
from mrlm_core.evaluation.selection import users_of
from mrlm_core.study.inputs import inputs_of
from mrlm_core.study.run import dataset_of, split_of
from mrlm_core.study.spec import RunSpec

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Exported:
    """One exported split: where it is, each file's hash, and what only the driver knows of it: the test part."""

    folder: Path
    dataset: Dataset
    parts: Interactions
    keys: dict[str, str]


def export(name: str, folder: Path, reads: Iterable[str]) -> Exported:
    """Write dataset ``name``'s split (seed 0) without its test part, and what ``reads`` names of ``CONTENT``."""
    spec = RunSpec(name, "BPR-MF")
    dataset = dataset_of(spec)
    split, parts = split_of(spec, dataset)
    files = {"interactions": _interactions(dataset, split, parts)}
    for kind in sorted(set(reads)):
        files[kind] = CONTENT[kind](name, dataset, parts)
    keys = {}
    for kind, found in files.items():
        np.savez(folder / f"{kind}.npz", **found)  # type: ignore[arg-type]
        keys[kind] = content_hash(*(part for pair in sorted(found.items()) for part in pair))
    return Exported(folder, dataset, parts, keys)


def recalls(exported: Exported, kept: Path) -> dict[str, np.ndarray]:
    """Recall@CUTOFF of each user on validation and test, by our metric, of the lists in ``kept``; checks them first.

    NaN for a user without a positive there. Raises ValueError for lists that are of another shape, hold an item twice
    or one that had to be left out.
    """
    lists = np.load(kept)
    found = arrays(exported.folder)
    wanted = (len(HIDDEN), *found["shape"][:1], CUTOFF)
    if lists.shape != wanted:
        raise ValueError(f"lists of shape {lists.shape}, expected {wanted}")
    values = {}
    for ranked, (part, hidden) in zip(lists, HIDDEN.items(), strict=True):
        check(ranked, matrix(found, hidden), part)
        values[part] = recall_at(ranked, getattr(exported.parts, part), CUTOFF)
    return values


def check(ranked: np.ndarray, hidden: Any, part: str) -> None:
    """Raises ValueError for an item of ``ranked`` ``[U, n]`` that ``hidden`` ``[U, V]`` holds, unknown or doubled."""
    users, places = np.nonzero(ranked >= 0)
    items = ranked[users, places]
    if items.max(initial=-1) >= hidden.shape[1] or ranked.min(initial=0) < -1:
        raise ValueError(f"refused: a list for {part} holds an item that is not in the catalogue")
    seen = np.asarray(hidden[users, items]).ravel() > 0
    if seen.any():
        raise ValueError(f"refused: {seen.sum()} items in the lists for {part} were rated before, such as item "
                         f"{items[seen][0]} of user {users[seen][0]}")
    if len(np.unique(users * np.int64(hidden.shape[1]) + items)) != len(items):
        raise ValueError(f"refused: a list for {part} holds an item twice")


def _interactions(dataset: Dataset, split: Split, parts: Interactions) -> Arrays:
    """Positives of training and validation, what must not be listed, the training ratings themselves."""
    pairs = {"train": parts.train, "validation": parts.validation, "rated": parts.train_rated,
             "rated_or_validation": parts.train_rated + parts.validation_rated}
    found = {f"{name}_{axis}": index.astype(np.int64) for name, one in pairs.items()
             for axis, index in zip(("users", "items"), one.nonzero(), strict=True)}
    ratings = dataset.ratings.iloc[split.train]
    rated = {f"ratings_{axis}": ratings[column].to_numpy(np.int64)
             for axis, column in (("users", "user"), ("items", "item"))}
    # Those whose validation stops our xDeepFM, so that another one can be stopped by the same.
    few = users_of(parts, most=XDeepFM.selection_users)
    return {**found, **rated, "ratings_values": ratings["rating"].to_numpy(np.float64), "few_users": few,
            "ratings_liked": (ratings["rating"].to_numpy() >= dataset.positive_threshold).astype(np.float64),
            "shape": np.array([dataset.n_users, dataset.n_items])}


def _inputs(name: str, model: str, dataset: Dataset, parts: Interactions, **more: Any) -> dict[str, Any]:
    return inputs_of(RunSpec(name, model, **more), dataset, parts)[0]


def _content(name: str, dataset: Dataset, parts: Interactions) -> Arrays:
    """Vectors of all modalities side by side ``[V, d]``, as our VBPR reads them."""
    return {"content": _inputs(name, "VBPR", dataset, parts)["content"]}


def _words(name: str, dataset: Dataset, parts: Interactions) -> Arrays:
    """Numbers of the words of each item's text ``[V, n]``, 0 where there is none, as our ConvMF reads them."""
    return {"words": _inputs(name, "ConvMF", dataset, parts)["sentences"].words.reshape(dataset.n_items, -1)}


def _triples(name: str, dataset: Dataset, parts: Interactions) -> Arrays:
    """Triples ``[T, 3]`` and each item's entity ``[V]``, -1 where it has none."""
    modalities = tuple(name for name, entry in dataset.modalities.items() if entry.role == "knowledge")
    graph = _inputs(name, "CKE", dataset, parts, modalities=modalities)["triples"]
    if graph is None:
        raise ValueError(f"{name}: expected knowledge triples, found none; make the dataset with --knowledge")
    triples, entity_of = graph
    entities = entity_numbers(triples, entity_of, dataset.n_items)
    return {"triples": triples.rows, "entities": np.where(entities < len(triples.entities), entities, -1)}


def _fields(name: str, dataset: Dataset, parts: Interactions) -> Arrays:
    """Values of the attributes of users and of items ``[n, F, K]``, -1 padded; the id is not among them.

    Numeric attributes are left out, which none of the two MovieLens has.
    """
    found = {}
    sides = zip(("users", "items"), _inputs(name, "xDeepFM", dataset, parts)["attributes"],
                (dataset.user_fields, dataset.item_fields), strict=True)
    for side, table, kinds in sides:
        kept = [place for place, field in enumerate(table.names) if place and kinds[field] != "numeric"]
        found[side] = np.where(table.weights[:, kept] > 0, table.indices[:, kept], -1)
    return found


CONTENT: dict[str, Callable[[str, Dataset, Interactions], Arrays]] = {
    "content": _content, "words": _words, "triples": _triples, "fields": _fields,
}

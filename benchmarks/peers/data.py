"""What all libraries read: one split of one dataset, random factors, random lists; as arrays in one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from mrlm_core.config import workspace
from mrlm_core.datasets import Dataset, load_dataset
from mrlm_core.datasets.iot_shop import make_iot_shop
from mrlm_core.datasets.splits import Interactions
from mrlm_core.study.run import split_of
from mrlm_core.study.spec import RunSpec, dataset_folder

FALLBACK = "iot-shop"
FEATURE_DIM = 100  # width of the items' content vectors, as that of our text features
PARTS = ("train", "validation", "test", "train_rated", "train_negatives")


@dataclass(frozen=True)
class Shared:
    """The exported split: where it is, its sizes and, when it is not of the dataset asked for, why."""

    folder: Path
    title: str
    n_users: int
    n_items: int
    n_positives: int
    note: str


def export_split(name: str, folder: Path) -> Shared:
    """Write dataset ``name``'s split (seed 0), its items' attributes and random content vectors into ``folder``.

    Where data/``name`` is missing, the generated dataset takes its place and ``note`` says so.
    """
    dataset, note = _dataset_or_fallback(name, folder)
    _, parts = split_of(RunSpec(dataset=str(dataset.path), model="BPR-MF", seed=0), dataset)
    arrays = {f"{part}_{axis}": index.astype(np.int64) for part in PARTS
              for axis, index in zip(("users", "items"), getattr(parts, part).nonzero(), strict=True)}
    rng = np.random.default_rng(0)
    order = rng.permutation(len(arrays["train_users"]))  # the first n training positives are then a sample
    arrays |= {f"train_{axis}": arrays[f"train_{axis}"][order] for axis in ("users", "items")}
    features = rng.normal(size=(dataset.n_items, FEATURE_DIM)).astype(np.float32)
    np.savez(folder / "split.npz", shape=(dataset.n_users, dataset.n_items), features=features,
             triples=item_triples(dataset), **arrays)
    return Shared(folder, dataset.title, dataset.n_users, dataset.n_items, int(parts.train.nnz), note)


def item_triples(dataset: Dataset) -> np.ndarray:
    """Knowledge about items, ``[n, 3]``: item, attribute, value; values of all attributes are numbered through."""
    rows, first = [np.empty((0, 3), np.int64)], 0
    kinds = {name: kind for name, kind in dataset.item_fields.items() if kind != "numeric"}
    for number, name in enumerate(kinds):
        values = dataset.items[name].reset_index(drop=True).astype("string").str.split("|").explode()
        values = values[values.fillna("") != ""]
        codes = values.astype("category").cat.codes.to_numpy(np.int64)
        rows.append(np.stack([values.index.to_numpy(np.int64), np.full(len(codes), number), codes + first], axis=1))
        first += int(codes.max(initial=-1)) + 1
    return np.concatenate(rows)


def interactions(folder: Path, pairs: int | None = None) -> Interactions:
    """The exported split as our models take it, with the first ``pairs`` training positives (all).

    Its validation part is one user's, for what is timed is training.
    """
    with np.load(folder / "split.npz") as split:
        shape = tuple(map(int, split["shape"]))
        arrays = {part: (split[f"{part}_users"], split[f"{part}_items"]) for part in PARTS}
    arrays["train"] = (arrays["train"][0][:pairs], arrays["train"][1][:pairs])
    parts = {part: _matrix(*pair, shape) for part, pair in arrays.items()}
    user = np.flatnonzero(np.diff(parts["validation"].indptr))[:1]
    only = np.isin(np.arange(shape[0]), user).astype(np.float32)
    one = csr_matrix(parts["validation"].multiply(only[:, None]))
    one.eliminate_zeros()
    return Interactions(**{**parts, "validation": one}, validation_rated=one, latest_items=parts["train"].indices,
                        latest_by="item")


def export_factors(folder: Path, n_users: int, n_items: int, dim: int, n_seen: int) -> None:
    """Random factors and about ``n_seen`` items that each user has seen already."""
    rng = np.random.default_rng(1)
    users, items = (rng.normal(size=(count, dim)).astype(np.float32) for count in (n_users, n_items))
    rows, columns = np.repeat(np.arange(n_users), n_seen), rng.integers(0, n_items, n_users * n_seen)
    seen = _matrix(rows, columns, (n_users, n_items))
    np.savez(folder / "factors.npz", users=users, items=items, indptr=seen.indptr, indices=seen.indices)


def export_lists(folder: Path, n_users: int, n_items: int, depth: int, n_relevant: int) -> None:
    """Ranked lists ``[n_users, depth]`` of distinct items; 1 to ``n_relevant`` relevant items a user."""
    rng = np.random.default_rng(2)
    pool = 4 * depth  # each user's items are the first of an arithmetic progression, so that none comes twice
    start, step = rng.integers(0, n_items, n_users), rng.integers(1, max(2, n_items // pool), n_users)
    offset, stride = rng.integers(0, pool, n_users), rng.integers(1, max(2, pool // n_relevant), n_users)
    place = (offset[:, None] + stride[:, None] * np.arange(n_relevant)) % pool
    counts = rng.integers(1, n_relevant + 1, n_users)
    wanted = np.arange(n_relevant) < counts[:, None]
    rows = np.repeat(np.arange(n_users), counts)
    ranked = (start[:, None] + step[:, None] * np.arange(depth)) % n_items
    columns = ((start[:, None] + step[:, None] * place) % n_items)[wanted]
    relevant = _matrix(rows, columns, (n_users, n_items))
    np.savez(folder / "lists.npz", ranked=ranked.astype(np.int32), indptr=relevant.indptr, indices=relevant.indices,
             n_items=n_items)


def _matrix(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, ...]) -> csr_matrix:
    matrix = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _dataset_or_fallback(name: str, folder: Path) -> tuple[Dataset, str]:
    if (workspace() / "data" / name / "dataset.yml").exists():
        return load_dataset(dataset_folder(name)), ""
    make_iot_shop(folder / FALLBACK)
    note = (f"**{name} is not in data/**, so this was measured on the generated {FALLBACK} dataset, which is smaller;"
            f" make the other with `mrlm data make {name} --raw ...`.")
    print(f"  {note}", flush=True)
    return load_dataset(folder / FALLBACK), note

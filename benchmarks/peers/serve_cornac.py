"""Cornac as the driver times it: BPR, the multimodal VBPR and AMR, ranking user by user."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cornac.data import Dataset, ImageModality
from cornac.models import AMR, BPR, VBPR
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.peers.serving import Prepared, serve


def train_bpr(folder: str, dim: int, epochs: int, threads: int) -> Prepared:
    """``epochs`` epochs of BPR, plain gradient steps of single pairs by threads without locks."""
    train = _split(folder, None)

    def once() -> None:
        BPR(k=dim, max_iter=epochs, learning_rate=0.01, lambda_reg=0.01, num_threads=threads).fit(train)

    parameters = dim * train.num_users + (dim + 1) * train.num_items
    return once, {"amount": epochs * train.num_ratings, "parameters": parameters}


def train_multimodal(folder: str, name: str, dim: int, batch_size: int, pairs: int, threads: int) -> Prepared:
    """One epoch of VBPR or AMR over ``pairs`` positives with the items' content vectors."""
    torch.set_num_threads(threads)
    train = _split(folder, pairs)
    shared = {"n_epochs": 1, "batch_size": batch_size, "learning_rate": 0.003, "use_gpu": False, "verbose": False}
    model = VBPR(k=dim, k2=dim, **shared) if name == "VBPR" else AMR(k=dim, **shared)
    with FlopCounterMode(display=False) as counter:
        model.fit(train)
    learned = [value for value in vars(model).values() if isinstance(value, np.ndarray)]
    computed = [model.theta_item, getattr(model, "visual_bias", np.empty(0))]
    parameters = sum(value.size for value in learned) - sum(value.size for value in computed)
    amount = train.num_ratings
    return lambda: model.fit(train), {"amount": amount, "parameters": parameters,
                                      "mflop": counter.get_total_flops() / amount / 1e6}


def rank(folder: str, n: int, users: int, checked: int, kept: str) -> Prepared:
    """``rank`` of the first ``users`` one by one over the items they have not seen, as Cornac's evaluation does."""
    with np.load(Path(folder) / "factors.npz") as data:
        factors = {"U": data["users"], "V": data["items"]}
        indptr, indices = data["indptr"], data["indices"]
    n_users, n_items = len(factors["U"]), len(factors["V"])
    rows = np.repeat(np.arange(n_users), np.diff(indptr))
    train = _dataset(rows, indices, n_users, n_items)
    model = BPR(k=factors["U"].shape[1], use_bias=False, trainable=False, init_params=factors).fit(train)
    seen = train.csr_matrix

    def lists(count: int) -> list[np.ndarray]:
        found = []
        for user in range(count):
            unseen = np.ones(n_items, bool)
            unseen[seen.indices[seen.indptr[user] : seen.indptr[user + 1]]] = False
            found.append(model.rank(user, np.flatnonzero(unseen), k=n)[0][:n])
        return found

    np.save(kept, np.stack(lists(checked)))
    return lambda: lists(users), {"amount": users}


def _split(folder: str, pairs: int | None) -> Any:
    """The first ``pairs`` training positives of the exported split (all) with the items' content vectors."""
    with np.load(Path(folder) / "split.npz") as split:
        data = _dataset(split["train_users"][:pairs], split["train_items"][:pairs], *map(int, split["shape"]))
        data.add_modalities(item_image=ImageModality(features=split["features"]))
    return data


def _dataset(users: np.ndarray, items: np.ndarray, n_users: int, n_items: int) -> Any:
    """Cornac's Dataset with our indices as its own."""
    user_ids, item_ids = (OrderedDict((index, index) for index in range(count)) for count in (n_users, n_items))
    ratings = np.ones(len(users))
    return Dataset(n_users, n_items, user_ids, item_ids, (users, items.astype(np.int64), ratings), seed=0)


if __name__ == "__main__":
    serve({"train_bpr": train_bpr, "train_multimodal": train_multimodal, "rank": rank})

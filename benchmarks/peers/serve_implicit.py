"""implicit as the driver times it: its BPR and its ranking."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from implicit.bpr import BayesianPersonalizedRanking
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from benchmarks.peers.serving import Prepared, serve


def train_bpr(folder: str, dim: int, epochs: int, threads: int) -> Prepared:
    """``epochs`` epochs of BPR; its negatives are checked as ours are."""
    with np.load(Path(folder) / "split.npz") as split:
        rows, columns, shape = split["train_users"], split["train_items"], tuple(map(int, split["shape"]))
    train = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    parameters = dim * shape[0] + (dim + 1) * shape[1]

    def once() -> None:
        model = BayesianPersonalizedRanking(
            factors=dim, learning_rate=0.01, regularization=0.01, iterations=epochs, num_threads=threads,
            verify_negative_samples=True, use_gpu=False, random_state=0,
        )
        model.fit(train, show_progress=False)

    return once, {"amount": epochs * len(rows), "parameters": parameters}


def rank(folder: str, n: int, threads: int, checked: int, kept: str) -> Prepared:
    """``recommend`` for all users at once, seen items left out; the first ``checked`` lists go to ``kept``."""
    with np.load(Path(folder) / "factors.npz") as data:
        model = AlternatingLeastSquares(factors=data["items"].shape[1], num_threads=threads)
        model.user_factors, model.item_factors = data["users"], data["items"]
        shape = (len(model.user_factors), len(model.item_factors))
        seen = csr_matrix((np.ones(len(data["indices"]), np.float32), data["indices"], data["indptr"]), shape=shape)
    np.save(kept, model.recommend(np.arange(checked), seen[:checked], N=n)[0])
    return partial(model.recommend, np.arange(shape[0]), seen, N=n), {"amount": shape[0]}


if __name__ == "__main__":
    serve({"train_bpr": train_bpr, "rank": rank})

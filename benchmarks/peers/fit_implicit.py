"""implicit trained on the exported split."""

from __future__ import annotations

from typing import Any

from implicit.cpu.als import AlternatingLeastSquares

from benchmarks.peers.exported import arrays, matrix, timed, write_lists
from benchmarks.peers.serving import Prepared, serve


def fit(folder: str, model: str, settings: dict[str, Any], seed: int, threads: int, kept: str) -> Prepared:
    """ALS on the training positives; nothing is held out. ``settings`` are its constructor's arguments."""
    if model != "ALS":
        raise ValueError(f"implicit: expected ALS, found {model}")
    train = matrix(arrays(folder), "train")
    facts: dict[str, Any] = {"amount": int(train.nnz), "epochs": settings["iterations"]}

    def once() -> None:
        als = AlternatingLeastSquares(**settings, num_threads=threads, random_state=seed)
        with timed(facts):
            als.fit(train, show_progress=False)
        write_lists(folder, kept, lambda users: als.user_factors[users] @ als.item_factors.T)

    return once, facts


if __name__ == "__main__":
    serve({"fit": fit})

"""ranx as the driver times it: recall of many lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numba.typed import List
from ranx import Qrels, Run, evaluate

from benchmarks.peers.serving import Prepared, serve


def recall(folder: str, cutoffs: list[int], users: int, kept: str) -> Prepared:
    """Recall of the first ``users`` from arrays of (item, score), the quickest that ``evaluate`` takes."""
    ranked, relevant = _lists(folder, users)
    scores = np.broadcast_to(np.arange(ranked.shape[1], 0, -1.0), ranked.shape)
    run = np.stack([ranked.astype(np.float64), scores], axis=2)
    qrels = List([np.stack([items.astype(np.float64), np.ones(len(items))], axis=1) for items in relevant])
    return _prepared(qrels, run, cutoffs, users, kept)


def recall_of_objects(folder: str, cutoffs: list[int], users: int, kept: str) -> Prepared:
    """The same from ready-made ``Qrels`` and ``Run``, the usual way."""
    ranked, relevant = _lists(folder, users)
    names = [f"{user:07d}" for user in range(users)]  # in the order that ranx sorts them to
    qrels = Qrels({name: {str(item): 1 for item in items} for name, items in zip(names, relevant, strict=True)})
    run = Run({name: {str(item): float(ranked.shape[1] - place) for place, item in enumerate(items)}
               for name, items in zip(names, ranked, strict=True)})
    return _prepared(qrels, run, cutoffs, users, kept)


def _prepared(qrels: object, run: object, cutoffs: list[int], users: int, kept: str) -> Prepared:
    metrics = [f"recall@{cutoff}" for cutoff in cutoffs]

    def once() -> dict[str, np.ndarray]:
        return evaluate(qrels, run, metrics, return_mean=False, save_results_in_run=False)

    found = once()
    np.save(kept, np.stack([found[metric] for metric in metrics]))
    return once, {"amount": users}


def _lists(folder: str, users: int) -> tuple[np.ndarray, list[np.ndarray]]:
    with np.load(Path(folder) / "lists.npz") as data:
        indptr, indices = data["indptr"], data["indices"]
        return data["ranked"][:users], [indices[indptr[u] : indptr[u + 1]] for u in range(users)]


if __name__ == "__main__":
    serve({"recall": recall, "recall_of_objects": recall_of_objects})

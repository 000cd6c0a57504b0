"""Ours trained on the same split, by the registry as in every run of the study."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.exported import write_lists
from benchmarks.peers.serving import Prepared, serve
from mrlm_core.study.record import Stages
from mrlm_core.study.run import dataset_of, fitted
from mrlm_core.study.spec import RunSpec


def fit(
    folder: str, dataset: str, model: str, settings: dict[str, Any], seed: int, modalities: list[str] | None, kept: str,
) -> Prepared:
    """``model`` with hyperparameters ``settings``; gradient models keep their best epoch on validation Recall@20."""
    only = None if modalities is None else tuple(modalities)
    spec = RunSpec(dataset, model, seed=seed, modalities=only, hyperparameters=settings)
    facts: dict[str, Any] = {}

    def once() -> None:
        stages = Stages()
        recommender, parts, _ = fitted(spec, dataset_of(spec), stages, None)
        history = getattr(recommender, "history", None)
        training = stages.rows["training"]
        facts.update(amount=int(parts.train.nnz) * settings.get("negatives", 1), fit_seconds=training["seconds"],
                     fit_cpu_seconds=training["cpu_seconds"],
                     epochs=settings.get("epochs", 1) if history is None else history.epochs)
        write_lists(folder, kept, recommender.score)

    return once, facts


if __name__ == "__main__":
    serve({"fit": fit})

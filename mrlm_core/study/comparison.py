"""The comparison of all models on one dataset: which runs it has."""

from __future__ import annotations

from collections.abc import Sequence

from mrlm_core.baselines import registry
from mrlm_core.study.spec import RunSpec


def comparison(dataset: str, preset: str, seeds: int, models: Sequence[str] = ()) -> list[RunSpec]:
    """Every model of the registry, or ``models``, and MRLM with permuted clusters, on ``seeds`` splits each.

    Seed s draws the split and starts the training, so that the spread over seeds holds both.
    """
    chosen = [registry.row(name).name for name in models] or list(registry.names())
    variants = [(name, "own") for name in chosen] + [("MRLM", "permuted")] * ("MRLM" in chosen)
    return [
        RunSpec(dataset, name, split_seed=seed, seed=seed, preset=preset, clusters=clusters)
        for name, clusters in variants
        for seed in range(seeds)
    ]

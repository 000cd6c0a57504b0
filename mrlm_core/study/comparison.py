"""The comparison of all models on one dataset: which runs it has."""

from __future__ import annotations

from collections.abc import Sequence

from mrlm_core.baselines import registry
from mrlm_core.study.spec import RunSpec

# The method, what is left of it without modalities, its repair, and who it is to beat where training is random: chosen
# by the question, not by who did well. A release may train these several times on each split.
HEADLINE = ("MRLM", "U-GFRL", "MRLM-R", "iALS", "BPR-MF", "VBPR")
APART = 100  # between the seeds of trainings on one split: more than there will be splits


def comparison(
    dataset: str, preset: str, seeds: int, models: Sequence[str] = (), repeats: int = 1
) -> list[RunSpec]:
    """Every model of the registry, or ``models``, and MRLM with permuted clusters, on ``seeds`` splits each.

    Seed s draws the split and starts the training, so that the spread over seeds holds both. The models of ``HEADLINE``
    are trained ``repeats`` times on each split, from other starts.
    """
    chosen = [registry.row(name).name for name in models] or list(registry.names())
    variants = [(name, "own") for name in chosen] + [("MRLM", "permuted")] * ("MRLM" in chosen)
    return [
        RunSpec(dataset, name, split_seed=seed, seed=seed + APART * again, preset=preset, clusters=clusters)
        for name, clusters in variants
        for seed in range(seeds)
        for again in range(repeats if name in HEADLINE and clusters == "own" else 1)
    ]

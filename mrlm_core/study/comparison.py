"""The comparison of all models on one dataset: which runs it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mrlm_core.baselines import registry
from mrlm_core.study.key import SHARED
from mrlm_core.study.spec import RunSpec

# The method, what is left of it without modalities, its repair, and who it is to beat where training is random: chosen
# by the question, not by who did well. A release may train these several times on each split.
HEADLINE = ("MRLM", "U-GFRL", "MRLM-R", "iALS", "BPR-MF", "VBPR")
APART = 100  # between the seeds of trainings on one split: more than there will be splits


def comparison(
    dataset: str, preset: str, seeds: int, models: Sequence[str] = (), repeats: int = 1,
    settings: Mapping[str, Any] | None = None,
) -> list[RunSpec]:
    """Every model of the registry, or ``models``, and MRLM with permuted clusters, on ``seeds`` splits each.

    Seed s draws the split and starts the training, so that the spread over seeds holds both. The models of ``HEADLINE``
    are trained ``repeats`` times on each split, from other starts. ``settings`` are MRLM's, as ``fair`` has them.
    """
    chosen = [registry.row(name).name for name in models] or list(registry.names())
    variants = [(name, "own") for name in chosen] + [("MRLM", "permuted")] * ("MRLM" in chosen)
    return [
        RunSpec(dataset, name, split_seed=seed, seed=seed + APART * again, preset=preset, clusters=clusters,
                **fair(name, preset, settings or {}))
        for name, clusters in variants
        for seed in range(seeds)
        for again in range(repeats if name in HEADLINE and clusters == "own" else 1)
    ]


def fair(model: str, preset: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What of a RunSpec makes ``model`` comparable with MRLM of ``preset`` and ``settings``: those that it shares.

    They are ``settings_for``; a model that is no MRLM but has its sizes, as MRLM-R, has those of ``preset`` too.
    """
    usual = registry.row(model).defaults.get("preset", preset)
    return {"settings": settings_for(model, settings), "hyperparameters": {} if usual == preset else {"preset": preset}}


def settings_for(model: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of MRLM's ``settings`` that ``model`` is compared under: all of them where it is of MRLM's family.

    Any other model has hyperparameters of its own, but the split, the candidates and the preprocessing of MRLM, the
    length of the initial vectors with it. Raises ConfigError for a model that does not exist.
    """
    if registry.row(model).family == "mrlm":
        return dict(settings)
    return {key: value for key, value in settings.items() if key.startswith(SHARED)}

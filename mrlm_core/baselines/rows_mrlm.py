"""Rows of the method itself, its controls, and what it is fed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mrlm_core.baselines.row import Row

_MRLM_SEARCH: dict[str, Sequence[Any]] = {
    "training.learning_rate": ("float", 3e-4, 3e-3, True),
    "model.dropout": ("choice", [0.1, 0.3, 0.5]),
    "model.theta_1": ("choice", [0.35, 0.55, 0.75]),
    "training.negatives": ("choice", ["uniform", "explicit", "mixed"]),
}
_WITHOUT_THETA = {key: values for key, values in _MRLM_SEARCH.items() if key != "model.theta_1"}

ROWS: tuple[Row, ...] = (
    *(
        Row(
            name=f"Initial vectors ({measure})",
            module="mrlm_core.baselines.initial_vectors",
            cls="InitialVectors",
            inputs=("interactions", "initial_vectors"),
            defaults={"measure": measure},
            citation="lian2018xdeepfm",
            fidelity="adapted",
            adaptation="What MRLM is fed, ranked as it is: its score to beat.",
            family="deep",
        )
        for measure in ("dot", "cosine")
    ),
    Row(
        name="U-GFRL",
        module="mrlm_core.training.recommender",
        cls="MRLMRecommender",
        inputs=("interactions", "initial_vectors", "checkpoint"),
        search=_WITHOUT_THETA,
        citation="huang2019mrlm",
        family="mrlm",
    ),
    Row(
        name="MRLM",
        module="mrlm_core.training.recommender",
        cls="MRLMRecommender",
        inputs=("interactions", "initial_vectors", "clusters", "checkpoint"),
        search=_MRLM_SEARCH,
        citation="huang2019mrlm",
        family="mrlm",
    ),
)

"""Rows of the method itself, its controls, and what it is fed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mrlm_core.baselines import rows_simple, spaces
from mrlm_core.baselines.row import EVERY, Row
from mrlm_core.stopping import MOST_EPOCHS, PATIENCE

_MRLM_SEARCH: dict[str, Sequence[Any]] = {
    "training.learning_rate": ("float", 5e-4, 2e-2, True),
    "model.dropout": ("choice", [0.1, 0.3, 0.5]),
    "model.theta_1": ("choice", [0.35, 0.55, 0.75]),
    "training.negatives": ("choice", ["uniform", "explicit", "mixed"]),
}
_WITHOUT_THETA = {key: values for key, values in _MRLM_SEARCH.items() if key != "model.theta_1"}
_MRLM = Row(
    name="MRLM",
    module="mrlm_core.training.recommender",
    cls="MRLMRecommender",
    inputs=("interactions", "initial_vectors", "clusters"),
    search=_MRLM_SEARCH,
    citation="huang2019mrlm",
    family="mrlm",
    fidelity="adapted",
    adaptation="Where the paper is silent or cannot be meant literally, the defaults of chapter 10; with preset laptop "
    "vectors shorter than those of Table 2 and six times its learning rate; audio, not in the paper, weighs 0.2.",
)
_BPR_MF = next(row for row in rows_simple.ROWS if row.name == "BPR-MF")

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
    replace(
        _BPR_MF,
        name="BPR-MF with clusters",
        inputs=("interactions", "clusters"),
        # All parts of the sum move at once, so that it goes as many times as far a step.
        search={**_BPR_MF.search, "learning_rate": ("float", 2e-3, 5e-2, True)},
        adaptation="An item's vector is the sum of its own and of those of its clusters, which MRLM too is fed.",
        family="control",
    ),
    replace(
        _MRLM,
        name="MRLM (MLP trunk)",
        settings={"model.trunk": "mlp"},
        fidelity="adapted",
        adaptation="Four dense layers in place of the triplet network's convolutions, about as many parameters.",
    ),
    replace(
        _MRLM, name="U-GFRL", inputs=("interactions", "initial_vectors"), search=_WITHOUT_THETA,
        adaptation="MRLM without its modalities, and as far from the paper as that.",
    ),
    _MRLM,
    Row(
        name="MRLM-R",
        module="mrlm_core.baselines.mrlm_r",
        cls="MRLMR",
        inputs=("interactions", "initial_vectors", "clusters", "features"),
        reads=(EVERY,),
        defaults={
            "start": "factors",
            "dim": 64,
            "factor_l2": spaces.FACTOR_L2,
            "unobserved_weight": spaces.UNOBSERVED_WEIGHT,
            "frequency_exponent": spaces.FREQUENCY_EXPONENT,
            "factor_epochs": spaces.FACTOR_EPOCHS,
            "drawn": 3.0,
            "learn_start": True,
            "skip": True,
            "activation": "linear",
            "profile": True,
            "latest": 10,
            "features": True,
            "cluster_weight": 0.1,
            "objective": "softmax",
            "dropout": 0.3,
            "preset": "laptop",
            "learning_rate": 2e-4,
            "l2": 1e-3,
            "batch_size": 1024,
            "negatives": 1,
            "max_epochs": MOST_EPOCHS,
            "patience": PATIENCE,
        },
        search={
            "dim": spaces.DIMS,
            "unobserved_weight": spaces.UNOBSERVED_WEIGHTS,
            "factor_l2": spaces.FACTOR_L2S,
            "drawn": ("float", 0.3, 10.0, True),
            "learning_rate": ("float", 3e-5, 1e-3, True),
        },
        citation="huang2019mrlm",
        family="control",
        fidelity="adapted",
        adaptation="MRLM repaired, see chapter 11: initial vectors by iALS, the items' drawn to their descriptions, "
        "moved by training and in the score; linear outputs; softmax over a batch's negatives; m reads the modalities' "
        "vectors and meets the latest items.",
    ),
)

# Forms of MRLM that chapter 10 sets beside it. They are run as any row is, but no comparison of models has them.
FORMS: tuple[Row, ...] = (
    replace(
        _MRLM,
        name="MRLM (learned projection)",
        module="mrlm_core.training.projected",
        cls="ProjectedRecommender",
        adaptation="MRLM whose joined user vector ridge regression brings to the length of an item's.",
    ),
)

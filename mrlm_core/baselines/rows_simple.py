"""Rows of the simple strong recommenders that a credible study needs beside the paper's."""

from __future__ import annotations

from mrlm_core.baselines.row import EVERY, Row

_BINARY = "Trained on binarised positives: ratings below the threshold are left out."

# Defaults were chosen on the validation part of MovieLens latest-small (seed 0); searches span the ranges that
# Ferrari Dacrema et al. (2021) and Rendle et al. (2022) report as optimal for 10^3 to 10^5 items.
ROWS: tuple[Row, ...] = (
    Row(
        name="Popularity",
        module="mrlm_core.baselines.popularity",
        cls="Popularity",
        citation="ferraridacrema2021troubling",
        family="simple",
    ),
    Row(
        name="ItemKNN",
        module="mrlm_core.baselines.item_knn",
        cls="ItemKNN",
        defaults={"neighbours": 100, "shrink": 10.0, "weighting": "none"},
        search={
            "neighbours": ("int", 5, 1000),
            "shrink": ("float", 0.1, 1000.0, True),
            "weighting": ("choice", ["none", "tf-idf"]),
        },
        citation="sarwar2001itemknn",
        fidelity="adapted",
        adaptation=_BINARY + " The cosine is shrunk for items with few users.",
        family="simple",
    ),
    Row(
        name="EASE",
        module="mrlm_core.baselines.ease",
        cls="EASE",
        defaults={"l2": 100.0},
        search={"l2": ("float", 1.0, 1e4, True)},
        citation="steck2019ease",
        family="simple",
    ),
    Row(
        name="iALS",
        module="mrlm_core.baselines.ials",
        cls="IALS",
        defaults={"dim": 64, "l2": 0.01, "unobserved_weight": 0.1, "frequency_exponent": 1.0, "epochs": 10},
        search={
            "dim": ("choice", [32, 64, 128, 256]),
            "l2": ("float", 1e-3, 0.1, True),
            "unobserved_weight": ("float", 0.01, 1.0, True),
            "epochs": ("int", 5, 20),
        },
        citation="rendle2022ials",
        family="simple",
    ),
    Row(
        name="BPR-MF",
        module="mrlm_core.baselines.bpr_mf",
        cls="BPRMF",
        defaults={
            "dim": 128,
            "learning_rate": 0.003,
            "l2": 0.01,
            "batch_size": 1024,
            "negatives": 1,
            "max_epochs": 100,
            "patience": 8,
        },
        search={
            "dim": ("choice", [32, 64, 128, 256]),
            "learning_rate": ("float", 5e-4, 1e-2, True),
            "l2": ("float", 1e-4, 0.1, True),
        },
        citation="rendle2009bpr",
        fidelity="adapted",
        adaptation="Adam in batches in place of single steps, stopped early on validation Recall@20.",
        family="simple",
    ),
    Row(
        name="VBPR",
        module="mrlm_core.baselines.vbpr",
        cls="VBPR",
        inputs=("interactions", "content"),
        defaults={
            "dim": 64,
            "content_dim": 64,
            "learning_rate": 0.003,
            "l2": 0.01,
            "batch_size": 1024,
            "negatives": 1,
            "max_epochs": 100,
            "patience": 8,
        },
        search={
            "dim": ("choice", [32, 64, 128]),
            "content_dim": ("choice", [32, 64, 128]),
            "learning_rate": ("float", 5e-4, 1e-2, True),
            "l2": ("float", 1e-4, 0.1, True),
        },
        citation="he2016vbpr",
        fidelity="adapted",
        adaptation="The content of all modalities where the original has one picture's features; Adam in batches.",
        family="simple",
    ),
    Row(
        name="ItemKNN (content)",
        module="mrlm_core.baselines.item_knn",
        cls="ContentItemKNN",
        inputs=("interactions", "features"),
        reads=(EVERY,),
        defaults={"neighbours": 100, "shrink": 1.0},
        search={"neighbours": ("int", 5, 1000), "shrink": ("float", 0.1, 1000.0, True)},
        citation="ferraridacrema2021troubling",
        fidelity="adapted",
        adaptation="Cosine of the modalities' vectors, each of length 1, where the original has tags or fields.",
        family="simple",
    ),
    Row(
        name="ItemKNN (both)",
        module="mrlm_core.baselines.item_knn",
        cls="HybridItemKNN",
        inputs=("interactions", "features"),
        reads=(EVERY,),
        defaults={"neighbours": 100, "shrink": 10.0, "weighting": "none", "content_weight": 1.0},
        search={
            "neighbours": ("int", 5, 1000),
            "shrink": ("float", 0.1, 1000.0, True),
            "weighting": ("choice", ["none", "tf-idf"]),
            "content_weight": ("float", 0.05, 20.0, True),
        },
        citation="ferraridacrema2021troubling",
        fidelity="adapted",
        adaptation="The modalities' vectors, each of length 1, beside the users where the original has tags or fields.",
        family="simple",
    ),
)

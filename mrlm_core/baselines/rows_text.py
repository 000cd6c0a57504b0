"""Rows of the paper's baselines that read texts: ConvMF, NARRE, HAUP."""

from __future__ import annotations

from mrlm_core.baselines.row import Row
from mrlm_core.baselines.spaces import DIMS, LARGE_BATCHES
from mrlm_core.stopping import MOST_EPOCHS, PATIENCE

_TEXT_ONLY = (
    "There are no reviews: an item's own sentences stand in for its reviews, and the texts of a user's newest training "
    "positives, the target left out, for his. Words are learned from a random start. "
)
_LIKED_OR_NOT = "1 for a training positive, 0 for a training rating below the threshold, as models see no more of it"
_REGRESSED = f"With objective 'rating' the published squared error on what was rated: {_LIKED_OR_NOT}."
_PAIRED = (
    f"With objective 'rating' a squared error: {_LIKED_OR_NOT}, as many of the one as of the other, and without users "
    "who have none of the latter."
)
_NARRE_AND_HAUP_SEARCH = {
    "dim": DIMS,
    "word_dim": ("choice", [64, 100, 300]),
    "learning_rate": ("float", 5e-3, 5e-2, True),
    "l2": ("float", 1e-4, 2e-2, True),
    "dropout": ("choice", [0.0, 0.2, 0.5]),
    "texts": ("choice", [5, 10, 20]),
}

ROWS: tuple[Row, ...] = (
    Row(
        name="ConvMF",
        module="mrlm_core.baselines.convmf",
        cls="ConvMF",
        inputs=("interactions", "sentences"),
        needs=("text",),
        defaults={
            "dim": 50,
            "word_dim": 64,
            "filters": 50,
            "hidden": 200,
            "dropout": 0.2,
            "lambda_users": 3.0,
            "lambda_items": 1.0,
            "unobserved_weight": 0.05,
            "cnn_epochs": 5,
            "learning_rate": 0.001,
            "batch_size": 128,
            "max_epochs": 50,
            "patience": PATIENCE,
            "content_units": 64,
            "objective": "all pairs",
        },
        search={
            "dim": ("choice", [50, 100, 200]),
            "word_dim": ("choice", [64, 200]),
            "filters": ("choice", [50, 100]),
            "lambda_users": ("float", 0.1, 100.0, True),
            "lambda_items": ("float", 0.1, 100.0, True),
            "unobserved_weight": ("float", 0.003, 0.3, True),
        },
        citation="kim2016convmf",
        fidelity="adapted",
        adaptation=(
            "Least squares in turn with epochs of the text network, as published, but on positives and, weighted low, "
            "all unobserved pairs, stopped early on validation Recall@20; Adam, words from a random start, windows "
            "within sentences; as in the authors' code an item weighs by the square root of its ratings; the first "
            "vectors of the items are normal draws around the text's (with objective 'rating' around 0, as in Cornac), "
            "and the network's own weights are not penalised. "
            + _REGRESSED
        ),
        family="deep",
    ),
    Row(
        name="NARRE",
        module="mrlm_core.baselines.narre",
        cls="NARRE",
        inputs=("interactions", "sentences"),
        needs=("text",),
        defaults={
            "dim": 64,
            "word_dim": 64,
            "filters": 64,
            "attention": 32,
            "texts": 20,
            "dropout": 0.5,
            "content_units": 64,
            "objective": "bpr",
            "learning_rate": 0.02,
            "l2": 0.01,
            **LARGE_BATCHES,
            "max_epochs": MOST_EPOCHS,
            "patience": PATIENCE,
        },
        search={**_NARRE_AND_HAUP_SEARCH, "filters": ("choice", [64, 100])},
        citation="chen2018narre",
        fidelity="adapted",
        adaptation=(
            _TEXT_ONLY + "An item's sentences have no author, so its attention goes without one. BPR; the interaction "
            "is linear as the paper prints it, without the ReLU of its code, but the ids that its attention reads pass "
            "a ReLU as there. " + _PAIRED
        ),
        family="deep",
    ),
    Row(
        name="HAUP",
        module="mrlm_core.baselines.haup",
        cls="HAUP",
        inputs=("interactions", "sentences"),
        needs=("text",),
        defaults={
            "dim": 64,
            "word_dim": 64,
            "gru": 32,
            "attention": 100,
            "texts": 20,
            "dropout": 0.5,
            "content_units": 64,
            "objective": "bpr",
            "learning_rate": 0.02,
            "l2": 0.01,
            **LARGE_BATCHES,
            "max_epochs": MOST_EPOCHS,
            "patience": PATIENCE,
        },
        search={**_NARRE_AND_HAUP_SEARCH, "gru": ("choice", [32, 50, 100])},
        citation="xing2019haup",
        fidelity="adapted",
        adaptation=(
            "HAUP-like: Yang et al.'s hierarchical attention, after a summary of the original, for which no code was "
            "found; both sides share the reader of a text. BPR. " + _TEXT_ONLY + _PAIRED
        ),
        family="deep",
    ),
)

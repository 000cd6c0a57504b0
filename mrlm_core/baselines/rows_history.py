"""Rows of the paper's baselines that read attributes or histories: xDeepFM, Covington, SRSCHAN, CAMN."""

from __future__ import annotations

from mrlm_core.baselines.row import Row
from mrlm_core.baselines.spaces import DIMS, LARGE_BATCHES
from mrlm_core.stopping import MOST_EPOCHS, PATIENCE

ROWS: tuple[Row, ...] = (
    Row(
        name="xDeepFM",
        module="mrlm_core.baselines.xdeepfm",
        cls="XDeepFM",
        inputs=("interactions", "attributes"),
        defaults={
            "field_dim": 10,
            "cin_units": 32,
            "cin_layers": 2,
            "deep_units": 64,
            "deep_layers": 2,
            "content_units": 64,
            "learning_rate": 0.003,
            "l2": 0.01,
            "batch_size": 2048,
            "negatives": 4,
            "max_epochs": MOST_EPOCHS,
            "patience": PATIENCE,
        },
        search={
            "field_dim": ("choice", [10, 16, 32]),
            "cin_units": ("choice", [32, 64, 100]),
            "cin_layers": ("int", 1, 3),
            "deep_units": ("choice", [64, 128, 400]),
            "deep_layers": ("int", 1, 4),
            "learning_rate": ("float", 5e-4, 1e-2, True),
            "l2": ("float", 1e-4, 0.1, True),
        },
        citation="lian2018xdeepfm",
        fidelity="adapted",
        adaptation=(
            "Log loss of training positives and uniform negatives where the original has clicks, stopped early on "
            "validation Recall@20 of a sample of users; L2 on the fields alone, not on the layers; a smaller CIN and "
            "deep part than published by default."
        ),
        family="deep",
    ),
    Row(
        name="Covington",
        module="mrlm_core.baselines.covington",
        cls="Covington",
        inputs=("interactions", "attributes"),
        defaults={
            "dim": 64,
            "watched": 50,
            "hidden": 256,
            "temperature": 0.1,
            "dropout": 0.2,
            "full_softmax_items": 30_000,
            "sampled_items": 5_000,
            "content_units": 64,
            "learning_rate": 0.003,
            "l2": 1e-6,
            "batch_size": 1024,
            "negatives": 1,
            "max_epochs": MOST_EPOCHS,
            "patience": PATIENCE,
        },
        search={
            "dim": DIMS,
            "watched": ("choice", [20, 50, 100]),
            "hidden": ("choice", [64, 256, 1024]),
            "temperature": ("float", 0.03, 0.3, True),
            "dropout": ("choice", [0.0, 0.2, 0.5]),
            "learning_rate": ("float", 5e-4, 1e-2, True),
        },
        citation="covington2016youtube",
        fidelity="adapted",
        adaptation=(
            "The candidate generator alone; the history is the newest of the user's other training positives, as the "
            "split is random, not what he watched before; no age of an example, and as many examples of a user as he "
            "has positives, where the original takes equally many; one table of item vectors for what was watched and "
            "for what is ranked; users and items have length 1, as in public code, and one hidden layer where the "
            "original has three."
        ),
        family="deep",
    ),
    Row(
        name="SRSCHAN",
        module="mrlm_core.baselines.shan",
        cls="SHAN",
        defaults={
            "dim": 64,
            "long": 50,
            "short": 5,
            "l2_attention": 1.0,
            "content_units": 64,
            "learning_rate": 0.002,
            "l2": 0.003,
            "batch_size": 1024,
            "negatives": 1,
            "max_epochs": MOST_EPOCHS,
            "patience": PATIENCE,
        },
        search={
            "dim": DIMS,
            "long": ("choice", [20, 50]),
            "short": ("int", 1, 5),
            "l2_attention": ("float", 0.1, 10.0, True),
            "learning_rate": ("float", 5e-4, 5e-3, True),
            "l2": ("float", 3e-4, 0.03, True),
        },
        citation="ying2018shan",
        fidelity="adapted",
        adaptation=(
            "SHAN, which the paper calls SRSHAN and SRSCHAN. There are no sessions: the user's newest training "
            "positives are the short-term set, the next newest the long-term one, without the target; without "
            "timestamps both are random. Adam in batches."
        ),
        family="deep",
    ),
    Row(
        name="CAMN",
        module="mrlm_core.baselines.camn",
        cls="CAMN",
        inputs=("interactions", "sentences", "features"),
        needs=("text", "image"),
        defaults={
            "dim": 64,
            "word_dim": 64,
            "words": 50,
            "regions": 4,
            "memory": 20,
            "hops": 2,
            "dropout": 0.2,
            "content_units": 64,
            "learning_rate": 0.015,
            "l2": 0.01,
            **LARGE_BATCHES,
            "max_epochs": MOST_EPOCHS,
            "patience": PATIENCE,
        },
        search={
            "dim": DIMS,
            "word_dim": ("choice", [64, 100, 300]),
            "words": ("choice", [30, 50, 100]),
            "regions": ("choice", [1, 4, 8]),
            "memory": ("choice", [10, 20, 50]),
            "hops": ("int", 1, 3),
            "dropout": ("choice", [0.0, 0.2, 0.5]),
            "learning_rate": ("float", 4e-3, 4e-2, True),
            "l2": ("float", 1e-4, 0.1, True),
        },
        citation="ma2018camn",
        fidelity="adapted",
        adaptation=(
            "CAMN-like, built from a summary, as no code is public: an item stands for the tweet, the user's liked "
            "items, the target left out, for his posts; learned projections of one frozen picture vector stand for "
            "regions; user and item have id vectors, and the user alone asks the memory, so that all items can be "
            "ranked. BPR."
        ),
        family="deep",
    ),
)

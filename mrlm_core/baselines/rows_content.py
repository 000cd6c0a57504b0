"""Rows of the paper's baselines that read triples or features: CKE, ORAMAS, MRTA."""

from __future__ import annotations

from mrlm_core.baselines import spaces
from mrlm_core.baselines.row import Row
from mrlm_core.stopping import MOST_EPOCHS, PATIENCE

ROWS: tuple[Row, ...] = (
    Row(
        name="CKE",
        module="mrlm_core.baselines.cke",
        cls="CKE",
        inputs=("interactions", "features", "triples"),
        needs=("text", "image"),
        reads=("knowledge",),
        defaults={
            "dim": 64,
            "units": 200,
            "code_scale": 0.1,
            "triples_weight": 0.1,
            "reconstruction_weight": 0.1,
            "learning_rate": 0.003,
            "l2": 0.01,
            "batch_size": 1024,
            "negatives": 1,
            "max_epochs": MOST_EPOCHS,
            "patience": PATIENCE,
        },
        search={
            "dim": spaces.DIMS,
            "code_scale": ("float", 0.01, 1.0, True),
            "triples_weight": ("float", 0.01, 1.0, True),
            "reconstruction_weight": ("float", 0.01, 10.0, True),
            "learning_rate": ("float", 5e-4, 1e-2, True),
            "l2": ("float", 1e-4, 0.1, True),
        },
        citation="zhang2016cke",
        fidelity="adapted",
        adaptation="Autoencoders read the frozen vectors of text and image in place of words and pixels, have two "
        "layers a side, and their codes enter an item's vector at a scale that is searched; heads of triples are "
        "corrupted as well as tails; L2 on the vectors, not on the weights of relations and autoencoders; Adam in "
        "batches of ratings and triples.",
        family="deep",
    ),
    Row(
        name="ORAMAS",
        module="mrlm_core.baselines.oramas",
        cls="ORAMAS",
        inputs=("interactions", "features"),
        needs=("text",),
        reads=("audio",),
        defaults={
            "dim": 200,
            "factor_l2": spaces.FACTOR_L2,
            "unobserved_weight": spaces.UNOBSERVED_WEIGHT,
            "frequency_exponent": spaces.FREQUENCY_EXPONENT,
            "factor_epochs": spaces.FACTOR_EPOCHS,
            "units": 512,
            "dropout": 0.5,
            "true_factors_from": 0,
            "learning_rate": 0.001,
            "batch_size": 128,
            "max_epochs": MOST_EPOCHS,
            "patience": PATIENCE,
        },
        search={
            "dim": ("choice", [64, 128, 200]),
            "factor_l2": spaces.FACTOR_L2S,
            "unobserved_weight": spaces.UNOBSERVED_WEIGHTS,
            "units": ("choice", [256, 512, 1024, 2048]),
            "dropout": ("choice", [0.2, 0.5, 0.7]),
            "learning_rate": ("float", 1e-4, 3e-3, True),
        },
        citation="oramas2017",
        fidelity="adapted",
        adaptation="Frozen vectors of text and audio in place of words and spectrograms, one network trained at once; "
        "made for new items, the only ones in its test: here known items too are ranked by factors guessed from "
        "content, which is not its purpose (`true_factors_from` leaves them their own).",
        family="deep",
    ),
    Row(
        name="MRTA",
        module="mrlm_core.baselines.mrta",
        cls="MRTA",
        inputs=("interactions", "sentences", "features"),
        needs=("text",),
        reads=("audio",),
        # It weighs each modality by itself, so its "+" takes them one by one.
        others_as="features",
        defaults={"topics": 100, "neighbours": 100},
        search={"topics": ("choice", [50, 100, 200, 400]), "neighbours": ("int", 5, 1000)},
        citation="bougiatiotis2017mrta",
        fidelity="adapted",
        adaptation="Similar items were its end; here a user's list is those most like his positives. Plots in place of "
        "subtitles, no classes of sounds and no metadata; modality weights chosen on validation, 5 a modality.",
        family="deep",
    ),
)

"""Which public model stands against which of ours, and at what settings: those of both, and what only one has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any


@dataclass(frozen=True)
class Same:
    """One setting of both: its name in ours, in theirs, and its value; ``as_theirs`` where they count another way."""

    ours: str
    theirs: str
    value: Any
    as_theirs: Any = None

    @property
    def their_value(self) -> Any:
        """The value that theirs is given."""
        return self.value if self.as_theirs is None else self.as_theirs

    def __str__(self) -> str:
        theirs = "" if self.as_theirs is None else f" = {self.as_theirs:g}"
        names = self.ours if self.ours == self.theirs else f"{self.ours} / {self.theirs}"
        return f"{names} {_shown(self.value)}{theirs}"


@dataclass(frozen=True)
class Pair:
    """A model of ``library`` against one of ours.

    ``same`` are the settings of both, ``theirs_alone`` and ``ours_alone`` those without a counterpart, ``tried`` those
    of theirs that are chosen on validation (of seed 0, before the rounds) among some values, ``order`` what else their
    process is told. ``reads`` are the exported files beside the interactions, ``modalities`` those that ours is left
    with (None: all). ``random`` says whether a seed changes anything; ``apart`` what no setting makes equal.
    """

    name: str
    library: str
    theirs: str
    ours: str
    same: tuple[Same, ...]
    theirs_alone: Mapping[str, Any] = field(default_factory=dict)
    ours_alone: Mapping[str, Any] = field(default_factory=dict)
    tried: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    order: Mapping[str, Any] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    modalities: tuple[str, ...] | None = None
    random: bool = True
    apart: str = ""

    @property
    def our_settings(self) -> dict[str, Any]:
        """Hyperparameters of ours."""
        return {**{one.ours: one.value for one in self.same}, **self.ours_alone}

    def their_settings(self) -> list[dict[str, Any]]:
        """Settings of theirs, one dict for each combination of what is tried."""
        fixed = {one.theirs: one.their_value for one in self.same}
        return [{**fixed, **self.theirs_alone, **dict(zip(self.tried, values, strict=True))}
                for values in product(*self.tried.values())]


def alone(settings: Mapping[str, Any]) -> str:
    """Settings in words."""
    return ", ".join(f"{name} {_shown(value)}" for name, value in settings.items())


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def _stopped(epochs: int, patience: int) -> tuple[Same, ...]:
    """Early stopping of RecBole and ours: theirs stops when more than ``stopping_step`` epochs brought nothing."""
    return Same("max_epochs", "epochs", epochs), Same("patience", "stopping_step", patience, patience - 1)


def _als(unobserved: float, l2: float) -> tuple[Same, ...]:
    """implicit's loss is ours divided by ``unobserved``, with scores stretched by 1 + ``unobserved``: the same optimum.

    Ours: observed (1 - s)^2 + w s^2, others w s^2. Theirs: observed alpha (1 - s)^2, others s^2.
    """
    stretched = (1 + unobserved) / unobserved
    return (Same("unobserved_weight", "alpha", unobserved, stretched), Same("l2", "regularization", l2, l2 * stretched))


_ALS = Pair(
    "ALS, exact", "implicit", "ALS", "iALS",
    same=(Same("dim", "factors", 64), Same("epochs", "iterations", 15), *_als(unobserved=0.3, l2=3.0)),
    theirs_alone={"use_cg": False}, ours_alone={"frequency_exponent": 0.0}, apart="only the random start",
)
_CONVMF_SAME = (
    # Small ones: with the published sizes theirs had not ended after 50 minutes of processor time.
    Same("dim", "k", 50), Same("word_dim", "emb_dim", 32), Same("filters", "num_filters", 20),
    Same("hidden", "hidden_dim", 100), Same("dropout", "dropout_rate", 0.2, 0.8), Same("cnn_epochs", "cnn_epochs", 1),
    Same("learning_rate", "cnn_lr", 0.001), Same("batch_size", "cnn_bs", 128), Same("max_epochs", "n_epochs", 20),
)
_CONVMF_APART = (
    "theirs hands `dropout_rate` to TensorFlow as the share that is kept, and drops in its final reading of the texts"
    " too; theirs knows the rated items alone, since one without a rating makes its equations singular;"
    " windows over sentence ends; RMSProp and a sum over the batch where ours has Adam and a mean; theirs"
    " stops when its loss stands still, ours by validation"
)

_CONVMF = Pair(
    "ConvMF, liked or not", "cornac", "ConvMF", "ConvMF",
    same=(*_CONVMF_SAME, Same("lambda_users", "lambda_u", 1.0), Same("lambda_items", "lambda_v", 100.0)),
    ours_alone={"objective": "rating", "patience": 5}, order={"values": "liked"}, reads=("words",),
    apart="both regress 1 for a liked and 0 for another training rating, since positives alone would all be 1; "
          + _CONVMF_APART,
)

PAIRS: tuple[Pair, ...] = (  # the cheap ones first
    Pair(
        "EASE", "recbole", "EASE", "EASE", same=(Same("l2", "reg_weight", 100.0),), random=False,
        apart="theirs inverts in float32, ours in float64",
    ),
    Pair(
        "ItemKNN", "recbole", "ItemKNN", "ItemKNN",
        same=(Same("neighbours", "k", 100), Same("shrink", "shrink", 10.0)),
        theirs_alone={"knn_method": "item"}, ours_alone={"weighting": "none"}, random=False,
        apart="which of equally near neighbours is kept",
    ),
    _ALS,
    replace(_ALS, name="ALS, conjugate gradient", theirs_alone={"use_cg": True},
            apart="theirs takes three steps of conjugate gradient towards each solution, which is its default"),
    Pair(
        "BPR", "recbole", "BPR", "BPR-MF",
        same=(Same("dim", "embedding_size", 64), Same("negatives", "sample_num", 1), *_stopped(300, 15)),
        theirs_alone={"learning_rate": 0.003, "train_batch_size": 2048, "weight_decay": 0.0},
        ours_alone={"learning_rate": 0.05, "l2": 0.01},
        apart="theirs takes Adam in batches, ours single gradient steps with item biases; start: theirs by Xavier, ours"
              " normal with deviation 0.1",
    ),
    Pair(
        "BPR", "cornac", "BPR", "BPR-MF",
        same=(Same("dim", "k", 64), Same("l2", "lambda_reg", 0.01), Same("learning_rate", "learning_rate", 0.05)),
        ours_alone={"negatives": 5, "max_epochs": 200, "patience": 15}, tried={"max_iter": (50, 100, 200)},
        apart="theirs draws positives with replacement and, seeded, steps from one thread; theirs runs all its"
              " epochs, ours keeps the best on validation, at which it looks every five passes",
    ),
    Pair(
        "VBPR", "cornac", "VBPR", "VBPR",
        same=(Same("dim", "k", 64), Same("content_dim", "k2", 64), Same("l2", "lambda_w", 0.01)),
        theirs_alone={"lambda_b": 0.01, "lambda_e": 0.0, "learning_rate": 0.003, "batch_size": 1024},
        ours_alone={"learning_rate": 0.1, "shared_rate": 0.03, "shared_l2": 0.001,
                    "negatives": 1, "max_epochs": 300, "patience": 30},
        tried={"n_epochs": (10, 20, 50, 100)}, reads=("content",),
        apart="theirs takes Adam in batches, ours single gradient steps; a negative item's bias is penalised a tenth in"
              " theirs; start: theirs by Xavier, ours normal, smaller for the content;"
              " theirs runs all its epochs, ours keeps the best on validation",
    ),
    Pair(
        "CKE", "recbole", "CKE", "CKE",
        same=(Same("dim", "embedding_size", 64), Same("learning_rate", "learning_rate", 0.003),
              Same("batch_size", "train_batch_size", 2048), Same("negatives", "sample_num", 1), *_stopped(300, 20)),
        theirs_alone={"kg_embedding_size": 64, "reg_weights": [0.01, 0.01]},
        ours_alone={"triples_weight": 1.0, "l2": 0.01},
        reads=("triples",), modalities=("knowledge",),
        apart="theirs has no text and no pictures, so ours is left without them; theirs corrupts tails, ours heads too;"
              " theirs scales what the triples' loss compares to length 1 and penalises norms, ours squares",
    ),
    Pair(
        "xDeepFM", "recbole", "xDeepFM", "xDeepFM",
        # Small batches: theirs trains twice as fast by 128 as by 2,048, and still for half an hour on MovieLens 1M.
        same=(Same("field_dim", "embedding_size", 10), Same("learning_rate", "learning_rate", 0.001),
              Same("batch_size", "train_batch_size", 128), Same("negatives", "sample_num", 1),
              Same("l2", "reg_weight", 0.0), *_stopped(60, 5)),
        theirs_alone={"cin_layer_size": [32, 32], "direct": True, "mlp_hidden_size": [64, 64], "dropout_prob": 0.0},
        ours_alone={"cin_units": 32, "cin_layers": 2, "deep_units": 64, "deep_layers": 2},
        order={"few_users": True}, reads=("fields",),
        apart="the same layers under other names; theirs has a ReLU in the CIN and batches without normalisation, and"
              " could drop units and penalise the layers' norms where ours penalises the embeddings' squares: both are"
              " left without; both are stopped by the validation of the same sample of users",
    ),
    _CONVMF,
    replace(
        _CONVMF, name="ConvMF, ratings", same=_CONVMF_SAME, theirs_alone={"lambda_u": 1.0, "lambda_v": 100.0},
        ours_alone={"objective": "all pairs", "lambda_users": 3.0, "lambda_items": 1.0, "unobserved_weight": 0.05,
                    "patience": 5},
        order={"values": "values"},
        apart="theirs regresses the training ratings themselves, as published, ours as in our tables all pairs, which"
              " theirs cannot; items start around 0 in theirs, around what the text gives in ours; " + _CONVMF_APART,
    ),
)

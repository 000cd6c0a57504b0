"""Every model of the tables: where it lives, what it needs, its hyperparameters and how faithful it is."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mrlm_core.errors import ConfigError, problem


@dataclass(frozen=True)
class Row:
    """One model.

    ``inputs`` are what ``fit`` takes: "interactions", "initial_vectors", "clusters", "features", "checkpoint" (a folder
    to save progress in). ``defaults`` are the constructor's arguments, their only home. ``search`` maps a
    hyperparameter to ("float", low, high, log), ("int", low, high) or ("choice", values). ``citation`` is a key of the
    bibliography; ``fidelity`` "faithful", or "adapted" with one sentence of ``adaptation``; ``family`` "simple",
    "deep" or "mrlm".
    """

    name: str
    module: str
    cls: str
    inputs: tuple[str, ...]
    defaults: Mapping[str, Any]
    search: Mapping[str, Sequence[Any]]
    citation: str
    fidelity: str
    adaptation: str
    family: str


def names() -> tuple[str, ...]:
    """The models' names in the order of the tables."""
    return tuple(_ROWS)


def row(name: str) -> Row:
    """The row of ``name``; raises ConfigError with the nearest name when there is none."""
    if name not in _ROWS:
        raise ConfigError(problem("model", "a name of the registry", repr(name), _nearest(name, _ROWS)))
    return _ROWS[name]


def build(name: str, hyperparameters: Mapping[str, Any] | None = None) -> Any:
    """The model ``name``, not yet fitted, with ``hyperparameters`` in place of its defaults.

    Raises ConfigError for an unknown model or hyperparameter or an impossible value.
    """
    entry, changed = row(name), dict(hyperparameters or {})
    # MRLM's hyperparameters are settings of the config, which checks them itself.
    if entry.family != "mrlm":
        for key, value in changed.items():
            _check(f"{name} hyperparameter {key!r}", key, value, entry.defaults)
    model = getattr(importlib.import_module(entry.module), entry.cls)
    return model(**{**entry.defaults, **changed})


def _check(where: str, key: str, value: Any, defaults: Mapping[str, Any]) -> None:
    if key not in defaults:
        raise ConfigError(problem(where, "a hyperparameter of this model", "an unknown name", _nearest(key, defaults)))
    default = defaults[key]
    kinds = (int, float) if isinstance(default, float) else (type(default),)
    if not isinstance(value, kinds) or isinstance(value, bool) != isinstance(default, bool):
        raise ConfigError(problem(where, f"a value like {default!r}", repr(value), "Correct its type."))
    if isinstance(value, (int, float)) and not 0 <= value < float("inf"):
        raise ConfigError(problem(where, "a number that is not negative", repr(value), "Correct it."))
    if isinstance(default, int) and value < 1:
        raise ConfigError(problem(where, "a whole number of at least 1", repr(value), "Correct it."))


def _nearest(name: str, known: Iterable[str]) -> str:
    candidates = list(known)
    close = difflib.get_close_matches(str(name), candidates, n=1) or difflib.get_close_matches(
        str(name).lower(), [candidate.lower() for candidate in candidates], n=1
    )
    if close:
        return f"Did you mean {next(c for c in candidates if c.lower() == close[0].lower())!r}?"
    return f"Known: {', '.join(candidates)}." if candidates else "There are none."


_MRLM_SEARCH: dict[str, Sequence[Any]] = {
    "training.learning_rate": ("float", 3e-4, 3e-3, True),
    "model.dropout": ("choice", [0.1, 0.3, 0.5]),
    "model.theta_1": ("choice", [0.35, 0.55, 0.75]),
    "training.negatives": ("choice", ["uniform", "explicit", "mixed"]),
}
_WITHOUT_THETA = {key: values for key, values in _MRLM_SEARCH.items() if key != "model.theta_1"}
_BINARY = "Trained on binarised positives: ratings below the threshold are left out."

# Defaults were chosen on the validation part of MovieLens latest-small (seed 0); searches span the ranges that
# Ferrari Dacrema et al. (2021) and Rendle et al. (2022) report as optimal for 10^3 to 10^5 items.
_ROWS: dict[str, Row] = {
    entry.name: entry
    for entry in (
        Row(
            name="Popularity",
            module="mrlm_core.baselines.popularity",
            cls="Popularity",
            inputs=("interactions",),
            defaults={},
            search={},
            citation="ferraridacrema2021troubling",
            fidelity="faithful",
            adaptation="",
            family="simple",
        ),
        Row(
            name="ItemKNN",
            module="mrlm_core.baselines.item_knn",
            cls="ItemKNN",
            inputs=("interactions",),
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
            inputs=("interactions",),
            defaults={"l2": 100.0},
            search={"l2": ("float", 1.0, 1e4, True)},
            citation="steck2019ease",
            fidelity="faithful",
            adaptation="",
            family="simple",
        ),
        Row(
            name="iALS",
            module="mrlm_core.baselines.ials",
            cls="IALS",
            inputs=("interactions",),
            defaults={"dim": 64, "l2": 0.01, "unobserved_weight": 0.1, "frequency_exponent": 1.0, "epochs": 10},
            search={
                "dim": ("choice", [32, 64, 128, 256]),
                "l2": ("float", 1e-3, 0.1, True),
                "unobserved_weight": ("float", 0.01, 1.0, True),
                "epochs": ("int", 5, 20),
            },
            citation="rendle2022ials",
            fidelity="faithful",
            adaptation="",
            family="simple",
        ),
        Row(
            name="BPR-MF",
            module="mrlm_core.baselines.bpr_mf",
            cls="BPRMF",
            inputs=("interactions",),
            defaults={
                "dim": 128,
                "learning_rate": 0.003,
                "l2": 0.01,
                "batch_size": 1024,
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
        *(
            Row(
                name=f"Initial vectors ({measure})",
                module="mrlm_core.baselines.initial_vectors",
                cls="InitialVectors",
                inputs=("interactions", "initial_vectors"),
                defaults={"measure": measure},
                search={},
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
            defaults={},
            search=_WITHOUT_THETA,
            citation="huang2019mrlm",
            fidelity="faithful",
            adaptation="",
            family="mrlm",
        ),
        Row(
            name="MRLM",
            module="mrlm_core.training.recommender",
            cls="MRLMRecommender",
            inputs=("interactions", "initial_vectors", "clusters", "checkpoint"),
            defaults={},
            search=_MRLM_SEARCH,
            citation="huang2019mrlm",
            fidelity="faithful",
            adaptation="",
            family="mrlm",
        ),
    )
}

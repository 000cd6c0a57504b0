"""Table 2 of the paper and the study's protocol, as frozen dataclasses; the only home of their constants.

A G and two digits, here and in docstrings, is a row of data/paper/gaps.yml: what the paper leaves open or has wrong.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrlm_core.errors import ConfigError, nearest, problem
from mrlm_core.model_config import MODEL_CHOICES, ModelConfig
from mrlm_core.preprocessing_config import (
    CLUSTER_COUNTS,
    CLUSTERINGS,
    FRAME_ENCODERS,
    INITIAL_VECTORS,
    READ_OUTS,
    PreprocessingConfig,
)
from mrlm_core.stopping import MOST_EPOCHS, PATIENCE

NEGATIVE_ARMS = ("uniform", "explicit", "mixed", "popularity")
SCHEDULES = ("joint", "sequential")
SPLITS = ("over-all", "within-user", "by-time")
CANDIDATES = ("catalogue", "rated")
PREFERENCE_FORMS = ("blockwise", "tiled", "global-only", "multimodal-only", "literal")
OPTIMIZERS = ("auto", "adam", "row-adam")

_CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class TrainingConfig:
    """Optimisation of MRLM (Table 2, row "Optimizer") and its stopping rule."""

    batch_size: int = 128  # B
    learning_rate: float = 0.001
    optimizer: str = "auto"  # "row-adam" where an identity head is sampled, else "adam"; G25
    max_epochs: int = MOST_EPOCHS  # G25
    patience: int = PATIENCE  # G45
    negatives: str = "uniform"  # G15
    triplets_per_positive: int = 1  # G41
    schedule: str = "joint"  # "sequential": GFRL first, then MFRL on the frozen global vectors


@dataclass(frozen=True)
class PreferenceConfig:
    """How the vectors become a preference score, and the grid that validation chooses from."""

    form: str = "blockwise"  # G12
    global_weights: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)  # w; G12
    latest_counts: tuple[int, ...] = (1, 5, 20)  # L; G14


@dataclass(frozen=True)
class ProtocolConfig:
    """Split, cutoffs and the metric that selects (§4.1)."""

    split: str = "over-all"  # G19
    train_ratio: float = 0.7  # G19, G33
    validation_ratio: float = 0.2  # G19
    candidates: str = "catalogue"  # what the evaluation may list; epochs and settings are chosen on all of it; G18
    cutoffs: tuple[int, ...] = (10, 20, 50, 100)  # N
    selection_cutoff: int = 20  # G45
    selection_users: int = 20_000  # beyond so many with a validation positive, a sample chooses epoch and preference


@dataclass(frozen=True)
class StudyConfig:
    """Everything that a run depends on besides its dataset, model name and seed."""

    preset: str
    model: ModelConfig = field(default_factory=ModelConfig)
    preprocessing: PreprocessingConfig = field(default_factory=PreprocessingConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    preference: PreferenceConfig = field(default_factory=PreferenceConfig)
    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)


PRESETS: dict[str, dict[str, Any]] = {
    # The paper's datasets have more described items than the exact clustering takes; G22.
    "paper": {"preprocessing.clustering": "nystrom"},
    "paper-bookcrossing": {
        "preprocessing.clustering": "nystrom",
        "model.embedding_dim": 200,
        "model.global_dim": 250,
        "model.lambda_1": 0.5,
        "model.theta_1": 0.5,
        "model.modality_weights": {"text": 0.6, "image": 0.4},
        "training.batch_size": 64,
    },
    "laptop": {
        "model.embedding_dim": 64,
        "model.global_dim": 128,
        "model.multimodal_dim": 64,
        "model.verification_units": 64,
        "preprocessing.transformer_dim": 64,
        "preprocessing.transformer_tokens": 500_000,
        "preprocessing.cin_layers": (16, 16),
        "preprocessing.dnn_layers": (64,),
        # On validation, one training each: on iot-shop the best of 0.003, 0.006 and 0.01, sooner than 0.003; on
        # MovieLens latest-small above 0.01. Table 2's 0.001 was below 0.003 on both.
        "training.learning_rate": 0.006,
    },
    "tiny": {
        "model.embedding_dim": 16,
        "model.trunk_channels": (6, 8, 8, 4),
        "model.global_dim": 24,
        "model.verification_units": 8,
        "model.siamese_channels": (4, 6),
        "model.multimodal_dim": 16,
        "preprocessing.cin_layers": (8, 8),
        "preprocessing.dnn_layers": (16,),
        "preprocessing.initial_epochs": 3,
        "preprocessing.field_dim": 8,
        "preprocessing.initial_batch_size": 256,
        "preprocessing.knowledge_epochs": 10,
        "preprocessing.ecnn_hidden": 16,
        "preprocessing.ecnn_epochs": 3,
        "preprocessing.ecnn_folds": 2,
        "preprocessing.text_dim": 16,
        "preprocessing.transformer_dim": 16,
        "preprocessing.transformer_layers": 1,
        "preprocessing.transformer_heads": 2,
        "preprocessing.transformer_batch": 1024,
        "preprocessing.transformer_tokens": 50_000,
        "preprocessing.knowledge_dim": 8,
        "preprocessing.transg_epochs": 6,
        "preprocessing.transg_settling_epochs": 2,
        "preprocessing.cluster_counts": {name: 6 for name in CLUSTER_COUNTS},
        "training.batch_size": 32,
        "training.max_epochs": 3,
        "training.patience": 2,
    },
}


def preset(name: str, overrides: Mapping[str, Any] | None = None) -> StudyConfig:
    """The named preset, with dotted settings such as ``{"model.dropout": 0.2}`` changed.

    Raises ConfigError for a preset, key or value that does not exist.
    """
    if name not in PRESETS:
        raise ConfigError(problem("preset", f"one of {sorted(PRESETS)}", repr(name), nearest(name, PRESETS)))
    config = with_settings(StudyConfig(preset=name), PRESETS[name])
    return with_settings(config, overrides or {})


def with_settings(config: StudyConfig, settings: Mapping[str, Any]) -> StudyConfig:
    """A copy of ``config`` with dotted settings changed; raises ConfigError for an unknown key or bad value."""
    known = settings_of(config)
    for key, value in settings.items():
        if key not in known:
            raise ConfigError(
                problem(f"setting {key!r}", "a setting of the config", "an unknown name", nearest(key, known))
            )
        section, name = key.split(".", 1)
        changed = dataclasses.replace(getattr(config, section), **{name: _coerce(key, value, known[key])})
        config = dataclasses.replace(config, **{section: changed})
    _check(config)
    return config


def settings_of(config: StudyConfig) -> dict[str, Any]:
    """Every setting of ``config`` by its dotted name."""
    sections = [f.name for f in dataclasses.fields(config) if f.name != "preset"]
    return {
        f"{section}.{f.name}": getattr(getattr(config, section), f.name)
        for section in sections
        for f in dataclasses.fields(getattr(config, section))
    }


def workspace() -> Path:
    """Where data/, runs/, artefacts/ and book/ are: $MRLM_WORKSPACE, else the checkout, else this folder."""
    if "MRLM_WORKSPACE" in os.environ:
        return Path(os.environ["MRLM_WORKSPACE"])
    return _CHECKOUT if (_CHECKOUT / "notebooks").is_dir() else Path.cwd()


def keras_backend() -> str:
    """Name of the backend that Keras computes on here, as KERAS_BACKEND or its own file says; does not load Keras."""
    if "KERAS_BACKEND" in os.environ:
        return os.environ["KERAS_BACKEND"]
    written = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "keras.json"
    return json.loads(written.read_text(encoding="utf-8"))["backend"] if written.exists() else "tensorflow"


def source_folder(name: str, holding: str) -> Path:
    """The folder ``name`` with files like ``holding``, of the workspace or else of the checkout of this package.

    Raises ConfigError when neither has one.
    """
    for root in (workspace(), _CHECKOUT):
        if any((root / name).glob(holding)):
            return root / name
    raise ConfigError(
        problem(f"folder {name}/ with {holding}", "in the workspace or the checkout", "neither",
                "Run inside a checkout of the study, or set MRLM_WORKSPACE to one.")
    )


def _coerce(key: str, value: Any, old: Any) -> Any:
    """``value`` with the type of the setting's present value; JSON and notebooks hand lists for tuples."""
    if isinstance(old, tuple) and isinstance(value, (list, tuple)):
        return tuple(_coerce(key, item, old[0]) for item in value)
    if isinstance(old, Mapping) and isinstance(value, Mapping):
        like = next(iter(old.values()), "")  # an empty mapping is one of names
        return {name: _coerce(key, item, like) for name, item in value.items()}
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is type(old):
        return value
    expected = f"a value like {old!r} ({type(old).__name__})"
    raise ConfigError(problem(f"setting {key!r}", expected, repr(value), "Correct its type."))


def _check(config: StudyConfig) -> None:
    m, t, p, protocol = config.model, config.training, config.preference, config.protocol
    for name, allowed in MODEL_CHOICES.items():
        _choice(f"model.{name}", getattr(m, name), allowed)
    _choice("preprocessing.clustering", config.preprocessing.clustering, CLUSTERINGS)
    _choice("preprocessing.initial", config.preprocessing.initial, INITIAL_VECTORS)
    _choice("preprocessing.read_out", config.preprocessing.read_out, READ_OUTS)
    _choice("preprocessing.frame_encoder", config.preprocessing.frame_encoder, FRAME_ENCODERS)
    _choice("training.optimizer", t.optimizer, OPTIMIZERS)
    _choice("training.negatives", t.negatives, NEGATIVE_ARMS)
    _choice("training.schedule", t.schedule, SCHEDULES)
    _choice("protocol.split", protocol.split, SPLITS)
    _choice("protocol.candidates", protocol.candidates, CANDIDATES)
    _choice("preference.form", p.form, PREFERENCE_FORMS)
    for key, value in settings_of(config).items():
        numbers = value if isinstance(value, tuple) else (value,)
        # Without latest items the literal form is the cosine of g_u and m_v; the others would be left with nothing.
        least = 0 if key == "preference.latest_counts" and p.form == "literal" else 1
        if any(type(number) is int and number < least for number in numbers):
            raise ConfigError(problem(f"setting {key!r}", f"{least} or more", repr(value), "Correct it."))
    _between("model.theta_1", m.theta_1, 0, 1)
    _between("model.dropout", m.dropout, 0, 0.99)
    _between("preprocessing.ecnn_dropout", config.preprocessing.ecnn_dropout, 0, 0.99)
    _between("preprocessing.ecnn_validation", config.preprocessing.ecnn_validation, 0.01, 0.8)
    _between("preprocessing.ecnn_folds", config.preprocessing.ecnn_folds, 2, 20)
    for w in (m.lambda_1, m.lambda_2, *p.global_weights):
        _between("model.lambda_1, model.lambda_2, preference.global_weights", w, 0, 1)
    _between("model.lambda_1 + model.lambda_2", m.lambda_1 + m.lambda_2, 0, 1)
    for ratio in (protocol.train_ratio, protocol.validation_ratio):
        _between("protocol.train_ratio, protocol.validation_ratio", ratio, 0, 1)
    _between("protocol.train_ratio + protocol.validation_ratio", protocol.train_ratio + protocol.validation_ratio, 0, 1)
    if protocol.selection_cutoff not in protocol.cutoffs:
        raise ConfigError(
            problem("protocol.selection_cutoff", f"one of the cutoffs {protocol.cutoffs}",
                    str(protocol.selection_cutoff), "Add it to protocol.cutoffs.")
        )


def _choice(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(problem(f"setting {key!r}", f"one of {allowed}", repr(value), nearest(value, allowed)))


def _between(key: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(problem(f"setting {key!r}", f"a value in [{low}, {high}]", str(value), "Correct it."))

"""From a dataset's modality to its auxiliary feature vectors: one table says which encoders serve which kind."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrlm_core.cache import file_hash
from mrlm_core.errors import ConfigError, DatasetError, problem
from mrlm_core.preprocessing.vectors import Features, standardise
from mrlm_core.preprocessing_config import PreprocessingConfig

if TYPE_CHECKING:
    from mrlm_core.datasets import Dataset

Encoder = Callable[..., Features]


@dataclass(frozen=True)
class EncoderRow:
    """One encoder: its code, the settings that it reads, and what it asks for beyond dataset, modality and seed.

    ``needs`` are keyword arguments: ``weights`` (a file or None), ``target`` (features of the dataset's first text
    modality, to learn from), ``scratch`` (a folder that outlives a killed run, or None).
    """

    module: str  # of mrlm_core.preprocessing; loads only when the encoder is chosen
    function: str
    settings: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    installed: str = ""  # function of the module: the settings -> weights that an installed package carries, or None

    def load(self) -> Encoder:
        """The function; media libraries and TensorFlow load with it."""
        encoder: Encoder = getattr(importlib.import_module(self.module), self.function)
        return encoder

    def installed_weights(self, config: PreprocessingConfig) -> Path | None:
        """Weights that need no choice, because an installed package carries them; None where there are none."""
        if not self.installed:
            return None
        found: Path | None = getattr(importlib.import_module(self.module), self.installed)(config)
        return found


def _row(
    module: str, function: str, settings: tuple[str, ...] = (), needs: tuple[str, ...] = (), installed: str = ""
) -> EncoderRow:
    return EncoderRow(f"mrlm_core.preprocessing.{module}", function, settings, needs, installed)


_FRAMES = ("video_frames", "frame_encoder", "picture_batch")
_ECNN = ("ecnn_hidden", "ecnn_dropout", "ecnn_temperature", "ecnn_batch_size", "ecnn_learning_rate",
         "ecnn_weight_decay", "ecnn_epochs", "ecnn_patience", "ecnn_folds", "ecnn_validation")
_TRANSE = _row("knowledge", "encode_knowledge", ("knowledge_dim", "knowledge_epochs"))
_TRANSFORMER = tuple(f"transformer_{name}" for name in ("dim", "layers", "heads", "vocabulary", "window", "batch",
                                                        "tokens"))
_TRANSG = _row("transg", "encode_transg", (
    "knowledge_dim", "knowledge_epochs", "transg_components", "transg_start", "transg_crp_factor", "transg_scale",
    "transg_negatives", "transg_margin", "transg_epochs", "transg_learning_rate",
    "transg_settling_epochs",
))

ENCODERS: dict[str, dict[str, EncoderRow]] = {  # modality kind -> encoder name -> row; "light" where none is chosen
    "text": {
        "light": _row("text", "encode_text", ("text_dim",)),
        "transformer": _row("transformer", "encode_text", _TRANSFORMER),
        "pretrained": _row("pretrained", "encode_text", ("text_model",), ("weights",), "installed_weights"),
    },
    "image": {
        "light": _row("image", "encode_image"),
        "squeezenet": _row("networks", "encode_squeezenet", ("picture_batch",), ("weights", "scratch")),
        "resnet50": _row("networks", "encode_resnet50", ("picture_batch",), ("weights", "scratch")),
    },
    "video": {
        "light": _row("video", "encode_video", ("video_frames",)),
        "frame-mean": _row("ecnn", "encode_frame_mean", _FRAMES, ("weights", "scratch")),
        "ecnn": _row("ecnn", "encode_ecnn", (*_FRAMES, *_ECNN), ("weights", "target", "scratch")),
    },
    "audio": {"light": _row("audio", "encode_audio")},
    "knowledge": {"light": _TRANSE, "transe": _TRANSE, "transg": _TRANSG},
    "features": {"light": _row("features", "ready_made")},
}


@dataclass(frozen=True)
class Choice:
    """The encoder of one modality, as the settings, dataset.yml or the default name it."""

    name: str
    row: EncoderRow
    weights: Path | None
    target: str | None  # modality to learn from, where the encoder asks for one

    def inputs(self, config: PreprocessingConfig) -> dict[str, Any]:
        """What besides the dataset and the code decides the vectors: name, settings read, hash of the weights."""
        settings = {name: getattr(config, name) for name in self.row.settings}
        weights = {"weights": file_hash(self.weights)} if self.weights else {}
        return {"encoder": self.name, **settings, **weights}


def choose(dataset: Dataset, modality: str, config: PreprocessingConfig) -> Choice:
    """Which encoder serves ``modality``: of ``config.encoders``, else of dataset.yml, else the light one.

    Raises DatasetError when the dataset has no such modality, ConfigError for a name, kind or file that is none.
    Gap G42.
    """
    for name in (modality, *config.encoders, *config.weights):
        if name not in dataset.modalities:
            known = ", ".join(dataset.modalities) or "none"
            raise DatasetError(problem(f"modality {name!r}", f"one of {dataset.name}: {known}", "another name",
                                       "Correct the name or describe it in dataset.yml."))
    entry = dataset.modalities[modality]
    if entry.kind not in ENCODERS:
        raise ConfigError(problem(f"modality {modality!r}", f"a kind among {', '.join(ENCODERS)}", repr(entry.kind),
                                  "Correct its kind in dataset.yml."))
    name = config.encoders.get(modality) or entry.extra.get("encoder") or "light"
    rows = ENCODERS[entry.kind]
    if name not in rows:
        raise ConfigError(problem(f"encoder of modality {modality!r}", f"one for {entry.kind}: {', '.join(rows)}",
                                  repr(name), "Correct preprocessing.encoders or `encoder:` in dataset.yml."))
    row = rows[name]
    weights = _weights(dataset, modality, config)
    if weights and "weights" not in row.needs:
        raise ConfigError(problem(f"weights of modality {modality!r}", f"none, for encoder {name!r} has none",
                                  str(weights), "Leave them out or choose another encoder."))
    weights = weights or row.installed_weights(config)
    return Choice(name, row, weights, _text_of(dataset, modality, name) if "target" in row.needs else None)


def encode(
    dataset: Dataset, modality: str, config: PreprocessingConfig, seed: int, *,
    target: Features | None = None, scratch: Path | None = None,
) -> Features:
    """The vectors of every item for ``modality``; same seed, same bytes.

    ``target`` and ``scratch`` spare an encoder that needs them (see EncoderRow) what was done before. Raises what
    ``choose`` and the encoder raise, and DatasetError when none of the items can be described.
    """
    choice = choose(dataset, modality, config)
    if choice.target is not None and target is None:
        target = encode(dataset, choice.target, config, seed)
    given = {"weights": choice.weights, "target": target, "scratch": scratch}
    features = choice.row.load()(dataset, modality, config, seed, **{name: given[name] for name in choice.row.needs})
    if not features.mask.any():
        found = "; ".join(features.notes)
        raise DatasetError(problem(f"modality {modality!r} of {dataset.name}", "at least one describable item", found,
                                   "Repair its files or leave the modality out of dataset.yml."))
    return features


def _weights(dataset: Dataset, modality: str, config: PreprocessingConfig) -> Path | None:
    """The file that ``config.weights`` or dataset.yml names, looked for in the dataset's folder, then from here."""
    given = config.weights.get(modality) or dataset.modalities[modality].extra.get("weights")
    if not given:
        return None
    places = [Path(dataset.path) / given, Path(given).expanduser()]
    for place in places:
        if place.exists():
            return place
    raise ConfigError(problem(f"weights of modality {modality!r}", f"a file or folder {given}",
                              f"none at {' nor '.join(dict.fromkeys(map(str, places)))}",
                              "Correct preprocessing.weights or `weights:` in dataset.yml."))


def _text_of(dataset: Dataset, modality: str, encoder: str) -> str:
    texts = [name for name, entry in dataset.modalities.items() if entry.kind == "text"]
    if not texts:
        raise ConfigError(problem(f"encoder {encoder!r} of modality {modality!r}", "a text modality to learn from",
                                  f"only {', '.join(dataset.modalities)}", "Add texts or choose another encoder."))
    return texts[0]


def ready_made(dataset: Dataset, modality: str, config: PreprocessingConfig, seed: int) -> Features:
    """Features that the dataset brings, each column by its ranks on the scale of a normal variable.

    Published features come in any unit and with tails that would leave a mean and a deviation meaningless; ranks keep
    the order and bound the tails. Constant columns become 0.
    """
    import numpy as np
    from sklearn.preprocessing import QuantileTransformer

    values, mask = dataset.features(modality)
    described = values[mask]
    varying = (described != described[:1]).any(axis=0)
    out = np.zeros(values.shape, np.float32)
    if varying.any():
        n_quantiles = min(1000, len(described))
        ranks = QuantileTransformer(n_quantiles=n_quantiles, output_distribution="normal", random_state=seed)
        out[np.ix_(mask, varying)] = standardise(ranks.fit_transform(described[:, varying].astype(np.float64)))
    constant = int((~varying).sum())
    notes = (f"{constant} of {values.shape[1]} columns constant, now 0",) if constant else ()
    missing = f"{int((~mask).sum())} of {len(mask)} items without a vector"
    return Features(out, mask, "ready-made, by ranks", (*notes, missing))

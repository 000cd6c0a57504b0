"""From a dataset's modality to its auxiliary feature vectors: one table says which encoder serves which kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mrlm_core.config import PreprocessingConfig
from mrlm_core.errors import ConfigError, DatasetError, problem
from mrlm_core.preprocessing.vectors import Features, standardise

if TYPE_CHECKING:
    from mrlm_core.datasets import Dataset

Encoder = Callable[["Dataset", str, PreprocessingConfig, int], Features]

__all__ = ["Features", "encode", "encoder_of", "encoders"]


def encoders() -> dict[str, Encoder]:
    """Modality kind -> encoder; the media libraries load when one runs."""
    from mrlm_core.preprocessing import audio, image, knowledge, text, video

    return {
        "text": text.encode_text,
        "image": image.encode_image,
        "video": video.encode_video,
        "audio": audio.encode_audio,
        "knowledge": knowledge.encode_knowledge,
        "features": ready_made,
    }


def encoder_of(dataset: Dataset, modality: str) -> Encoder:
    """The encoder that serves ``modality``.

    Raises DatasetError when the dataset has no such modality, ConfigError when no encoder serves its kind.
    """
    if modality not in dataset.modalities:
        known = ", ".join(dataset.modalities) or "none"
        raise DatasetError(problem(f"modality {modality!r}", f"one of {dataset.name}: {known}", "another name",
                                   "Correct the name or describe it in dataset.yml."))
    kind = dataset.modalities[modality].kind
    if kind not in encoders():
        raise ConfigError(problem(f"modality {modality!r}", f"a kind among {', '.join(encoders())}", repr(kind),
                                  "Correct its kind in dataset.yml."))
    return encoders()[kind]


def encode(dataset: Dataset, modality: str, config: PreprocessingConfig, seed: int) -> Features:
    """The vectors of every item for ``modality``; same seed, same bytes.

    Raises what ``encoder_of`` raises, and DatasetError when none of the items can be described.
    """
    features = encoder_of(dataset, modality)(dataset, modality, config, seed)
    if not features.mask.any():
        found = "; ".join(features.notes)
        raise DatasetError(problem(f"modality {modality!r} of {dataset.name}", "at least one describable item", found,
                                   "Repair its files or leave the modality out of dataset.yml."))
    return features


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

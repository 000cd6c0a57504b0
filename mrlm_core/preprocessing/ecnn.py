"""Clips to vectors: the mean of frame vectors, and an embedding of it trained to land near the item's text (ECNN).

Shapes: n items, d length of the frame vectors, t length of the text vectors, B batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from mrlm_core.errors import ConfigError, problem
from mrlm_core.preprocessing.image import describe_picture
from mrlm_core.preprocessing.networks import load_network, scaled_activations
from mrlm_core.preprocessing.streaming import encode_stream
from mrlm_core.preprocessing.vectors import Features, encode_files, note, spread, unit_rows
from mrlm_core.preprocessing.video import decode
from mrlm_core.preprocessing_config import PreprocessingConfig
from mrlm_core.training.fit import fit, seed_everything

if TYPE_CHECKING:
    from mrlm_core.datasets import Dataset

Tensor = Any
LEAST_PAIRS = 20  # clips with texts; of fewer, the parts held out would be of one or two
PENALTIES = 10.0 ** np.arange(-4, 3)  # of the ridge, for inputs of variance 1; the held-out part chooses
SAME_TEXT = 1 - 1e-4  # cosine from which two texts are one, so that neither is wrong for the other's clip
VALIDATION_LIMIT = 2000  # items that compete in the validation loss, whose cost is the square of them


def encode_frame_mean(
    dataset: Dataset, modality: str, config: PreprocessingConfig, seed: int, weights: Path | None, scratch: Path | None
) -> Features:
    """The mean of the vectors of ``config.video_frames`` frames by the encoder ``config.frame_encoder``.

    It sees what the frames show, not how they follow one another. Undecodable clips and single frames are masked and
    named in the notes. Raises ConfigError where the frame encoder lacks weights, or takes none.
    """
    encoder, frames = config.frame_encoder, config.video_frames
    if encoder == "light":
        if weights is not None:
            raise ConfigError(problem(f"weights of modality {modality!r}", "none, for frame_encoder 'light' has none",
                                      str(weights), "Leave them out or choose another preprocessing.frame_encoder."))
        return encode_files(dataset, modality, f"mean of {frames} frames by colour-layout-hog",
                            lambda content: _mean_description(decode(content, frames)[:, 0]))
    network = load_network(encoder, weights, modality)
    found = encode_stream(dataset, modality, lambda content: decode(content, frames, network.side)[:, 0],
                          network.predict, max(1, config.picture_batch // frames), scratch)
    notes = note(list(found.failed), "unreadable, masked")
    label = f"mean of {frames} frames by {network.label}"
    return spread(scaled_activations(found.rows), found.items, dataset.n_items, label, notes)


def _mean_description(frames: np.ndarray) -> dict[str, np.ndarray]:
    described = [describe_picture(frame) for frame in frames]
    return {name: np.mean([blocks[name] for blocks in described], axis=0) for name in described[0]}


def encode_ecnn(
    dataset: Dataset, modality: str, config: PreprocessingConfig, seed: int, weights: Path | None, target: Features,
    scratch: Path | None,
) -> Features:
    """The mean frame vector mapped into the space of the texts, rows of length 1, ``[V, t]``.

    After the idea of the paper's ECNN (Yang et al., whose architecture is not public): clips are embedded where their
    descriptions are. Cross-fitted: the items with clip and text fall into ``config.ecnn_folds`` parts, and each part
    goes through a map trained on the others, so that no vector repeats a text that the map has memorised. Clips
    without text get the mean over the maps. The notes say how near clips land to their own texts. Raises ConfigError
    for too few pairs.
    """
    clips = encode_frame_mean(dataset, modality, config, seed, weights, scratch)
    if not clips.mask.any():
        return clips
    pairs = np.flatnonzero(clips.mask & target.mask)
    if len(pairs) < LEAST_PAIRS:
        raise ConfigError(problem(f"encoder 'ecnn' of modality {modality!r}", f"{LEAST_PAIRS} items with clip and text",
                                  f"{len(pairs)}", "Choose frame-mean, or repair the files."))
    silent = np.flatnonzero(clips.mask & ~target.mask)
    values = np.zeros((dataset.n_items, target.values.shape[1]), np.float32)
    judged, linear = [], 0
    for parts in _folds(pairs, config, seed):
        model = train_embedding(clips.values, target.values, parts, config, seed)
        values[parts.judge] = model.embed(parts.judge)
        values[silent] += model.embed(silent)
        judged.append(_how_near(model, parts))
        linear += model.is_linear
    values[silent] = unit_rows(values[silent])
    rows = np.flatnonzero(clips.mask)
    return spread(values[rows], rows, dataset.n_items, f"ecnn from {clips.encoder} to {target.encoder}",
                  (*_failures(clips), _judgement(np.concatenate(judged), len(pairs), config.ecnn_folds),
                   f"{linear} of {config.ecnn_folds} maps stayed linear: training past the ridge did not help them"))


def _failures(clips: Features) -> tuple[str, ...]:
    return tuple(note for note in clips.notes if "unreadable" in note)


@dataclass(frozen=True)
class Parts:
    """Items with clip and text: to learn from, to stop by, and to judge by."""

    train: np.ndarray
    validation: np.ndarray
    judge: np.ndarray


def _folds(pairs: np.ndarray, config: PreprocessingConfig, seed: int) -> Iterator[Parts]:
    """Each item is in the judging part once; the rest is divided into training and validation."""
    order = np.random.default_rng(seed).permutation(pairs)
    for judge in np.array_split(order, config.ecnn_folds):
        rest = order[~np.isin(order, judge)]
        count = max(2, round(config.ecnn_validation * len(rest)))
        yield Parts(np.sort(rest[count:]), np.sort(rest[:count]), np.sort(judge))


class TextEmbedding(keras.Model):
    """Frame vectors into the space of texts: a linear map, and a correction by one hidden layer that starts at 0.

    Holds all ``clips`` ``[V, d]`` and ``texts`` ``[V, t]``, centred on the training part, and is called with rows.
    """

    def __init__(self, clips: np.ndarray, texts: np.ndarray, train: np.ndarray, config: PreprocessingConfig) -> None:
        super().__init__()
        centred = clips - clips[train].mean(axis=0)
        spread_ = np.sqrt((centred[train] ** 2).mean()) or 1.0
        self.clips = (centred / spread_).astype(np.float32)
        self.texts = unit_rows(texts - texts[train].mean(axis=0)).astype(np.float32)
        self.temperature = config.ecnn_temperature
        self.is_linear = True  # until training has found a correction that helps
        self.linear = keras.layers.Dense(texts.shape[1], name="linear")
        self.hidden = keras.layers.Dense(config.ecnn_hidden, activation="relu", name="hidden")
        self.dropout = keras.layers.Dropout(config.ecnn_dropout)
        self.correction = keras.layers.Dense(texts.shape[1], kernel_initializer="zeros", name="correction")
        self(np.zeros((1, 1), np.int32))

    def call(self, rows: Tensor, training: bool = False) -> dict[str, Tensor]:
        """Rows ``[B, 1]`` -> embedded clips and texts, ``[B, t]`` each, of length 1."""
        clips = ops.take(self.clips, rows[:, 0], axis=0)
        hidden = self.dropout(self.hidden(clips), training=training)
        embedded = self.linear(clips) + self.correction(hidden)
        return {"clips": ops.normalize(embedded, axis=-1), "texts": ops.take(self.texts, rows[:, 0], axis=0)}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """Contrastive loss of the batch."""
        return contrastive_loss(y_pred["clips"], y_pred["texts"], self.temperature)

    def validation_loss(self, rows: np.ndarray) -> float:
        """Contrastive loss among ``rows``, at most the first VALIDATION_LIMIT of them."""
        made = self(rows[:VALIDATION_LIMIT, None])
        return float(contrastive_loss(made["clips"], made["texts"], self.temperature))

    def embed(self, rows: np.ndarray, batch: int = 8192) -> np.ndarray:
        """Embedded clips float32 ``[len(rows), t]``."""
        starts = range(0, len(rows), batch)
        parts = [ops.convert_to_numpy(self(rows[i : i + batch, None])["clips"]) for i in starts]
        return np.concatenate(parts) if parts else np.zeros((0, self.texts.shape[1]), np.float32)


def contrastive_loss(clips: Tensor, texts: Tensor, temperature: float) -> Tensor:
    """Mean cross-entropy of finding a clip's own text among those of the batch by cosine; ``[B, t]`` each, unit rows.

    Equal texts share the probability. The form of InfoNCE (van den Oord et al. 2018).
    """
    same = ops.cast(ops.matmul(texts, ops.transpose(texts)) > SAME_TEXT, "float32")
    logits = ops.matmul(clips, ops.transpose(texts)) / temperature
    wanted = same / ops.maximum(ops.sum(same, axis=1, keepdims=True), 1)
    return ops.mean(ops.categorical_crossentropy(wanted, logits, from_logits=True))


def train_embedding(
    clips: np.ndarray, texts: np.ndarray, parts: Parts, config: PreprocessingConfig, seed: int
) -> TextEmbedding:
    """Ridge regression from ``clips`` ``[V, d]`` to ``texts`` ``[V, t]``, then gradient steps while validation gains.

    The ridge's penalty is the best by validation loss. Where no epoch beats the ridge, the ridge stays.
    """
    seed_everything(seed)
    model = TextEmbedding(clips, texts, parts.train, config)
    start = _ridge_start(model, parts)
    model.compile(optimizer=keras.optimizers.AdamW(config.ecnn_learning_rate, weight_decay=config.ecnn_weight_decay))
    ridge = model.get_weights()
    batch = min(config.ecnn_batch_size, len(parts.train))
    history = fit(
        model,
        lambda rng: rng.permutation(parts.train)[: len(parts.train) // batch * batch, None].astype(np.int32),
        lambda: -model.validation_loss(parts.validation),
        batch_size=batch, max_epochs=config.ecnn_epochs, patience=config.ecnn_patience, seed=seed, name="ecnn",
    )
    model.is_linear = history.best_score <= -start
    if model.is_linear:
        model.set_weights(ridge)
    return model


def _ridge_start(model: TextEmbedding, parts: Parts) -> float:
    """Set the linear map to the best ridge; returns its validation loss."""
    from sklearn.linear_model import Ridge

    inputs, wanted = model.clips[parts.train].astype(np.float64), model.texts[parts.train].astype(np.float64)
    best: tuple[float, list[np.ndarray]] = (np.inf, [])
    for penalty in PENALTIES * inputs.size:
        ridge = Ridge(alpha=penalty, solver="cholesky").fit(inputs, wanted)
        model.linear.set_weights([ridge.coef_.T, ridge.intercept_])
        loss = model.validation_loss(parts.validation)
        if loss < best[0]:
            best = (loss, model.linear.get_weights())
    model.linear.set_weights(best[1])
    return best[0]


def _how_near(model: TextEmbedding, parts: Parts) -> np.ndarray:
    """For each judged clip: share of the other judged texts nearer than its own, cosine with its own; and the mean
    cosine of the training clips with theirs. float64 ``[n, 3]``.
    """
    cosines = model.embed(parts.judge).astype(np.float64) @ model.texts[parts.judge].T
    own = np.diag(cosines)
    nearer = (cosines > own[:, None]).sum(axis=1) / (len(own) - 1)
    learned = (model.embed(parts.train) * model.texts[parts.train]).sum(axis=1).mean()
    return np.stack([nearer, own, np.full(len(own), learned)], axis=1)


def _judgement(judged: np.ndarray, pairs: int, folds: int) -> str:
    nearer, own, learned = judged.mean(axis=0)
    return (f"{pairs} clips with text, each mapped by what {folds} folds learned without it: {nearer:.0%} of the other "
            f"texts lie nearer than the own one (chance 50%); cosine with it {own:.2f}, while learning {learned:.2f}")

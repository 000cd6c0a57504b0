"""Clips to vectors: the mean of frame vectors, and an embedding of it trained to land near the item's text (ECNN).

Shapes: n items, d length of the frame vectors, t length of the text vectors, B batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from mrlm_core.config import PreprocessingConfig
from mrlm_core.errors import ConfigError, problem
from mrlm_core.preprocessing.image import describe_picture
from mrlm_core.preprocessing.networks import load_network, unit_roots
from mrlm_core.preprocessing.streaming import encode_stream
from mrlm_core.preprocessing.vectors import Features, encode_files, note, spread
from mrlm_core.preprocessing.video import decode
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
    return spread(unit_roots(found.rows), found.items, dataset.n_items, label, notes)


def _mean_description(frames: np.ndarray) -> dict[str, np.ndarray]:
    described = [describe_picture(frame) for frame in frames]
    return {name: np.mean([blocks[name] for blocks in described], axis=0) for name in described[0]}


def encode_ecnn(
    dataset: Dataset, modality: str, config: PreprocessingConfig, seed: int, weights: Path | None, target: Features,
    scratch: Path | None,
) -> Features:
    """The mean frame vector mapped into the space of the texts, rows of length 1, ``[V, t]``.

    After the idea of the paper's ECNN (Yang et al., whose architecture is not public): clips are embedded where their
    descriptions are. Trained on the items that have both; clips without text go through the same map. The notes say
    how near the clips of items held out of everything land to their own texts. Raises ConfigError for too few pairs.
    """
    clips = encode_frame_mean(dataset, modality, config, seed, weights, scratch)
    pairs = np.flatnonzero(clips.mask & target.mask)
    if not clips.mask.any():
        return clips
    if len(pairs) < LEAST_PAIRS:
        raise ConfigError(problem(f"encoder 'ecnn' of modality {modality!r}", f"{LEAST_PAIRS} items with clip and text",
                                  f"{len(pairs)}", "Choose frame-mean, or repair the files."))
    parts = _parts(pairs, config.ecnn_held_out, seed)
    model = train_embedding(clips.values, target.values, parts, config, seed)
    rows = np.flatnonzero(clips.mask)
    made = spread(model.embed(rows), rows, dataset.n_items, f"ecnn from {clips.encoder} to {target.encoder}")
    return replace(made, notes=(*clips.notes, *_how_near(model, made.values, parts)))


@dataclass(frozen=True)
class Parts:
    """Items with clip and text: to learn from, to stop by, and to judge by."""

    train: np.ndarray
    validation: np.ndarray
    judge: np.ndarray


def _parts(pairs: np.ndarray, held_out: float, seed: int) -> Parts:
    order = np.random.default_rng(seed).permutation(pairs)
    count = max(2, round(held_out * len(pairs) / 2))
    return Parts(np.sort(order[2 * count:]), np.sort(order[:count]), np.sort(order[count : 2 * count]))


class TextEmbedding(keras.Model):
    """Frame vectors into the space of texts: a linear map, and a correction by one hidden layer that starts at 0.

    Holds all ``clips`` ``[V, d]`` and ``texts`` ``[V, t]``, centred on the training part, and is called with rows.
    """

    def __init__(self, clips: np.ndarray, texts: np.ndarray, train: np.ndarray, config: PreprocessingConfig) -> None:
        super().__init__()
        centred = clips - clips[train].mean(axis=0)
        spread_ = np.sqrt((centred[train] ** 2).mean()) or 1.0
        self.clips = (centred / spread_).astype(np.float32)
        self.texts = _unit(texts - texts[train].mean(axis=0)).astype(np.float32)
        self.temperature = config.ecnn_temperature
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
        return np.concatenate([ops.convert_to_numpy(self(rows[i : i + batch, None])["clips"]) for i in starts])


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
    if history.best_score <= -start:
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


def _how_near(model: TextEmbedding, embedded: np.ndarray, parts: Parts) -> tuple[str, ...]:
    """Notes on the cosine with the own text and its rank among the texts of the judging part."""
    def own(rows: np.ndarray) -> float:
        return float((embedded[rows] * model.texts[rows]).sum(axis=1).mean())

    cosines = embedded[parts.judge] @ model.texts[parts.judge].T
    nearer = (cosines > np.diag(cosines)[:, None]).sum(axis=1) / (len(cosines) - 1)
    return (f"trained on {len(parts.train)} clips with text, stopped by {len(parts.validation)}",
            f"{len(parts.judge)} clips held out: {nearer.mean():.0%} of the other texts lie nearer than the own one "
            f"(chance 50%), cosine with it {own(parts.judge):.2f}, of training clips {own(parts.train):.2f}")


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)

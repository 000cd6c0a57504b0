"""ConvMF: matrix factorisation whose item vectors are drawn to what a convolution reads in their texts (Kim 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy.sparse import csr_matrix

from mrlm_core.baselines.content import ContentBlock
from mrlm_core.baselines.ials import solved
from mrlm_core.baselines.network import CUTOFF, Tensor, check_inputs, in_parts, one_of
from mrlm_core.baselines.sentences import Sentences
from mrlm_core.baselines.text_layers import SentenceReader, WordConvolution
from mrlm_core.datasets.splits import Interactions
from mrlm_core.errors import DatasetError, problem
from mrlm_core.evaluation.ranking import known_users
from mrlm_core.evaluation.selection import mean_recall, users_of
from mrlm_core.training.fit import STEPS_PER_CALL, History, fit, one_epoch, seed_everything
from mrlm_core.training.optimizer import Adam, on_tensorflow

WIDTHS = (3, 4, 5)  # Kim et al. (2016), section 5.1.4
OBJECTIVES = ("all pairs", "rating")
START = 0.05  # of the last two layers: bias and spread


class TextToVector(keras.Model):
    """Items ``[B]`` -> theta ``[B, k]``; keeps the vectors of users and items, which are solved for and not trained.

    Its loss draws theta to the items' vectors (Kim et al. 2016, Eq. 10), each item weighted by ``weight`` ``[V]``.
    """

    def __init__(self, n_users: int, sentences: Sentences, weight: np.ndarray, settings: ConvMF,
                 content: np.ndarray | None = None) -> None:
        super().__init__()
        self.reader = SentenceReader(sentences)
        self.n_items = len(sentences.words)
        # An item with nothing to read has no theta, and the network learns nothing of it.
        self.described = np.ones(self.n_items, bool) if content is not None else sentences.described
        self.weight = ops.convert_to_tensor((weight * self.described).astype(np.float32))
        sizes = (n_users, settings.dim), (self.n_items, settings.dim)
        self.users, self.items = (self.add_weight(shape=shape, initializer="zeros", trainable=False) for shape in sizes)
        self.convolution = WordConvolution(sentences.size, settings.word_dim, settings.filters, WIDTHS)
        self.hidden = _layer(settings.hidden)
        self.dropout = keras.layers.Dropout(settings.dropout)
        self.content = None if content is None else ContentBlock(content, settings.content_units)
        self.out = _layer(settings.dim)
        self(np.zeros(1, np.int32))

    def call(self, items: Tensor, training: bool = False) -> Tensor:
        """theta of ``items``: the largest responses over the whole text, two layers; content joins before the last."""
        responses = ops.max(self.reader(items, self.convolution)[0], axis=1)
        read = self.dropout(self.hidden(responses), training=training)
        if self.content is not None:
            read = ops.concatenate([read, self.content(items, training=training)], axis=1)
        return self.out(read)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """Mean over the items x of weight |v - theta|^2."""
        distance = ops.sum(ops.square(ops.take(self.items, x, axis=0) - y_pred), axis=1)
        return ops.mean(ops.take(self.weight, x, axis=0) * distance)

    def theta(self) -> np.ndarray:
        """theta of all items ``[V, k]``, zeros for those with nothing to read."""
        return in_parts(self, self.n_items) * self.described[:, None]


@dataclass(kw_only=True)
class ConvMF:
    """Users' and items' vectors by least squares, items' near theta, in turn with ``cnn_epochs`` of the text network.

    objective "all pairs": positives should score 1 and every pair 0 with ``unobserved_weight``; "rating", as published:
    only what was rated counts. ``lambda_users`` and ``lambda_items`` are the published lambda_U and lambda_V.
    """

    dim: int
    word_dim: int
    filters: int
    hidden: int
    dropout: float
    lambda_users: float
    lambda_items: float
    unobserved_weight: float
    cnn_epochs: int
    learning_rate: float
    batch_size: int
    max_epochs: int
    patience: int
    content_units: int
    objective: str

    def __post_init__(self) -> None:
        one_of("objective", self.objective, OBJECTIVES)

    def fit(
        self, interactions: Interactions, seed: int, sentences: Sentences, content: np.ndarray | None = None,
        checkpoint: Path | None = None,
    ) -> None:
        """Alternate until validation Recall@20 no longer rises; keep the best. Same seed, same scores.

        Raises what ``check_inputs`` raises, and TrainingError when the training diverges.
        """
        check_inputs(interactions, {"content": content})
        seed_everything(seed)
        self._observe(interactions)
        self.model = TextToVector(interactions.n_users, sentences, self._weight, self, content)
        self.model.compile(Adam(self.learning_rate, rows=on_tensorflow()), steps_per_execution=STEPS_PER_CALL)
        self.model.items.assign(self._start(np.random.default_rng(seed)))
        readable = np.flatnonzero(self.model.described).astype(np.int32)
        if not len(readable):
            raise DatasetError(problem("texts of the items", "a word that tells items apart", "none in any of them",
                                       "Give other texts, or leave the model out."))
        batch, users = min(self.batch_size, len(readable)), users_of(interactions)
        self.history: History = fit(
            self.model, lambda rng: self._order(readable, batch, rng),
            lambda: mean_recall(*self.factors(), interactions, CUTOFF, users=users),
            batch_size=batch, max_epochs=self.max_epochs, patience=self.patience, seed=seed, name="ConvMF",
            checkpoint=checkpoint, train_epoch=self._alternate,
        )
        self.report = {"parameters": int(sum(np.prod(v.shape) for v in self.model.weights))}

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """User ``[U, dim]`` and item ``[V, dim]`` vectors whose products are the scores."""
        return ops.convert_to_numpy(self.model.users), ops.convert_to_numpy(self.model.items)

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores float32 ``[len(users), V]``."""
        vectors, items = self.factors()
        return vectors[known_users(users, len(vectors))] @ items.T

    def _observe(self, interactions: Interactions) -> None:
        self._observed = interactions.train if self.objective == "all pairs" else liked_or_not(interactions)
        self._by_item = self._observed.T.tocsr()
        # As in the authors' code, the square root of an item's ratings, 1 on average; none is without a prior.
        weight = np.sqrt(np.maximum(np.diff(self._by_item.indptr), 1))
        self._weight = weight / weight.mean()

    def _start(self, rng: np.random.Generator) -> np.ndarray:
        """The first vectors of the items ``[V, dim]``.

        For all pairs draws of their prior around theta. Regressed on what was rated alone, an item never comes far from
        its first theta, which is much the same for all: its start is drawn around 0, Glorot's as in Cornac.
        """
        shape = self.model.items.shape
        if self.objective == "all pairs":
            return self.model.theta() + rng.normal(0, self.lambda_items**-0.5, shape)
        bound = np.sqrt(6 / sum(shape))
        return rng.uniform(-bound, bound, shape)

    def _order(self, readable: np.ndarray, batch: int, rng: np.random.Generator) -> np.ndarray:
        """The items ``[n]`` that the network learns from in an epoch."""
        order = np.concatenate([rng.permutation(readable) for _ in range(self.cnn_epochs)])
        return np.concatenate([order, rng.choice(readable, -len(order) % batch)])

    def _alternate(self, items: np.ndarray, batch_size: int) -> tuple[dict[str, float], int]:
        """Solve for users, then items; then the network learns from ``items``."""
        model, unobserved = self.model, self.unobserved_weight if self.objective == "all pairs" else 0.0
        strength = np.full(self._observed.shape[0], self.lambda_users)
        users = solved(self._observed, self.factors()[1], unobserved, strength)
        model.users.assign(users)
        model.items.assign(solved(self._by_item, users, unobserved, self.lambda_items * self._weight, model.theta()))
        return one_epoch(model, items, batch_size)


def _layer(units: int) -> keras.layers.Layer:
    """With the first values of a public version (Cornac's): theta is small then, and much the same for all items.

    From Glorot's, of which theta is as large as what it is to become, ratings take dozens of sweeps to be fitted.
    """
    spread, bias = keras.initializers.TruncatedNormal(stddev=START), keras.initializers.Constant(START)
    return keras.layers.Dense(units, "tanh", kernel_initializer=spread, bias_initializer=bias)


def liked_or_not(interactions: Interactions) -> csr_matrix:
    """What was rated in training ``[U, V]``: 1 where it is a positive, a stored 0 where below the threshold."""
    rated = (interactions.train_rated + interactions.train).tocsr()
    rated.data -= 1
    return rated

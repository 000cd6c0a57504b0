"""What all gradient baselines share: a network that scores triplets, trained by the one fit loop, and its ranking.

Shapes: B rows of a batch, U users, V items, k the length of a state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from mrlm_core.datasets.splits import Interactions
from mrlm_core.errors import ConfigError, DatasetError, problem
from mrlm_core.evaluation.ranking import known_users
from mrlm_core.evaluation.selection import mean_recall, users_of
from mrlm_core.training.fit import STEPS_PER_CALL, History, fit, one_epoch, seed_everything
from mrlm_core.training.optimizer import Adam, on_tensorflow
from mrlm_core.training.triplets import TripletSampler

Tensor = Any
NOBODY = -1  # no target to leave out of a history
CUTOFF = 20  # of the validation Recall that stops the training
ROWS_AT_ONCE = 1024  # users or items whose states are computed together when ranking
OBJECTIVES = ("bpr", "log loss", "rating")


class TripletNetwork(keras.Model, ABC):
    """Scores users with items; learns from triplets (user, positive, negative).

    A subclass gives the states of users and of items, whose inner product is the score, and reads its tables of
    parameters by ``rows``, so that those of the batch are penalised by ``l2``. It calls ``built_by_a_call`` at the end
    of its constructor.
    """

    def __init__(self, l2: float, objective: str = "bpr") -> None:
        super().__init__()
        self.l2, self.objective = l2, one_of("objective", objective, OBJECTIVES)
        self._squares: list[Tensor] = []
        self.terms = {name: keras.metrics.Mean(name=name) for name in ("ranking", "penalty")}

    @abstractmethod
    def user_states(self, users: Tensor, targets: Tensor, training: bool = False) -> Tensor:
        """States ``[B, k]`` of ``users`` ``[B]``.

        Nothing that they are made of may tell that the user liked ``targets`` ``[B]``, the positives of the batch:
        a history leaves them out. When ranking all are NOBODY.
        """

    @abstractmethod
    def item_states(self, items: Tensor, training: bool = False) -> Tensor:
        """States ``[B, k]`` of ``items`` ``[B]``."""

    def match(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores ``[B]`` of states ``[B, k]``; overridden, ``vectors`` does not hold and neither does ``factors``."""
        return ops.sum(users * items, axis=1)

    def call(self, triplets: Tensor, training: bool = False) -> dict[str, Tensor]:
        """Triplets ``[B, 3]`` -> ``positive`` and ``negative`` scores ``[B]``, mean ``size`` of the rows read."""
        self._squares = []
        users, positives, negatives = triplets[:, 0], triplets[:, 1], triplets[:, 2]
        states = self.user_states(users, positives, training=training)
        of_positives, of_negatives = ops.split(
            self.item_states(ops.concatenate([positives, negatives]), training=training), 2
        )
        return self.scores(states, of_positives, of_negatives)

    def scores(self, users: Tensor, positives: Tensor, negatives: Tensor) -> dict[str, Tensor]:
        """What ``call`` returns, of the states ``[B, k]`` of each."""
        return {"positive": self.match(users, positives), "negative": self.match(users, negatives),
                "size": self.penalty()}

    def penalty(self) -> Tensor:
        """Mean over the batch of the squared length of what ``rows`` has read."""
        squares, self._squares = self._squares, []
        return sum(squares, ops.zeros(()))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """BPR-Opt of the margins (Rendle et al. 2009), the log loss of the pairs, or the squared error where positives
        should score 1 and negatives 0 ("rating"); plus l2 / 2 of the rows read."""
        positive, negative = y_pred["positive"], y_pred["negative"]
        if self.objective == "bpr":
            loss = ops.mean(ops.softplus(negative - positive))
        elif self.objective == "rating":
            loss = ops.mean(ops.square(positive - 1)) + ops.mean(ops.square(negative))
        else:
            loss = ops.mean(ops.softplus(-positive)) + ops.mean(ops.softplus(negative))
        return self.with_penalty(loss, y_pred["size"])

    def with_penalty(self, loss: Tensor, size: Tensor) -> Tensor:
        """``loss`` plus l2 / 2 of the ``size`` of the rows read; keeps the mean of both."""
        penalty = self.l2 / 2 * size
        self.terms["ranking"].update_state(loss)
        self.terms["penalty"].update_state(penalty)
        return loss + penalty

    def table(self, n_rows: int, dim: int, name: str, deviation: float = 0.1) -> Any:
        """Parameters ``[n_rows, dim]`` to be read by ``rows``."""
        start = keras.initializers.RandomNormal(stddev=deviation)
        return self.add_weight(shape=(n_rows, dim), initializer=start, name=name)

    def rows(self, table: Any, indices: Tensor) -> Tensor:
        """Rows of a ``table``, any shape of ``indices`` with the batch first; they count in the penalty."""
        return self.penalised(ops.take(table, indices, axis=0))

    def penalised(self, found: Tensor) -> Tensor:
        """``found`` ``[B, ...]`` as it is; it counts in the penalty."""
        self._squares.append(ops.sum(ops.square(found)) / ops.cast(ops.shape(found)[0], "float32"))
        return found

    def built_by_a_call(self) -> None:
        """Make every weight now, so that their order and their random start depend on nothing later."""
        self(np.zeros((1, self.columns), np.int32))

    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """States of all users ``[U, k]``, nothing left out, and of all items ``[V, k]``."""
        users = in_parts(lambda part: self.user_states(part, np.full(len(part), NOBODY, np.int32)), self.n_users)
        items = in_parts(self.item_states, self.n_items)
        self._squares = []
        return users, items

    n_users: int
    n_items: int
    columns = 3  # of the rows that ``call`` takes


class Sampler(Protocol):
    """Draws the rows of an epoch."""

    @property
    def size(self) -> int:
        """Positives, or whatever else it draws from: no batch is larger."""

    def epoch(self, rng: np.random.Generator, batch_size: int) -> np.ndarray:
        """Rows ``[n, columns]`` int32, whole batches of them, that depend on ``rng`` alone."""


@dataclass(kw_only=True)
class GradientRecommender(ABC):
    """A recommender that is trained by the fit loop, stopped early on validation Recall@20; fields are its defaults."""

    learning_rate: float
    batch_size: int
    max_epochs: int
    patience: int

    @abstractmethod
    def network(self, interactions: Interactions, seed: int, **inputs: Any) -> Any:
        """The Keras model, not yet trained, for the inputs that the registry names; it has ``vectors()``."""

    @abstractmethod
    def sampler(self, interactions: Interactions) -> Sampler:
        """What ``self.model`` is trained on."""

    def fit(self, interactions: Interactions, seed: int, checkpoint: Path | None = None, **inputs: Any) -> None:
        """Train; same seed, same scores. With ``checkpoint`` (a folder) a killed training goes on to the same end.

        Raises DatasetError for an input that is not finite or where there is nothing to learn from, TrainingError when
        the training diverges.
        """
        check_inputs(interactions, inputs)
        seed_everything(seed)
        self.model = self.network(interactions, seed, **inputs)
        self.model.compile(self.optimizer(), steps_per_execution=STEPS_PER_CALL)
        sampler = self.sampler(interactions)
        batch = min(self.batch_size, sampler.size)
        users = users_of(interactions, most=self.selection_users)
        self.history: History = fit(
            self.model, lambda rng: sampler.epoch(rng, batch), lambda: self.validation_recall(interactions, users),
            batch_size=batch, max_epochs=self.max_epochs, patience=self.patience, seed=seed,
            name=type(self).__name__, checkpoint=checkpoint, train_epoch=self.train_epoch,
        )
        self.after_training(interactions)
        self.report = {"parameters": int(sum(np.prod(v.shape) for v in self.model.trainable_variables)),
                       "selection_users": len(users), **self.facts()}

    def optimizer(self) -> keras.optimizers.Optimizer:
        """Adam, where TensorFlow says which rows of a table a batch reached, on those alone."""
        return Adam(self.learning_rate, rows=on_tensorflow())

    def train_epoch(self, rows: np.ndarray, batch_size: int) -> tuple[dict[str, float], int]:
        """Train ``self.model`` on the rows of an epoch; the mean of each loss term and the last step."""
        return one_epoch(self.model, rows, batch_size)

    selection_users = 20_000  # at most so many choose the epoch; fewer where a score costs much

    def validation_recall(self, interactions: Interactions, users: np.ndarray) -> float:
        """Mean Recall@20 of ``users`` on validation."""
        of_users, of_items = self.model.vectors()
        return mean_recall(of_users, of_items, interactions, CUTOFF, users=users)

    def facts(self) -> dict[str, Any]:
        """What else the record should tell of this training."""
        return {}

    def after_training(self, interactions: Interactions) -> None:
        """Keep what ranking needs."""
        self._factors = self.model.vectors()

    def factors(self) -> tuple[np.ndarray, np.ndarray] | None:
        """User ``[U, k]`` and item ``[V, k]`` vectors whose products are the scores; None where there are none."""
        return self._factors

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores float32 ``[len(users), V]``."""
        return self._factors[0][known_users(users, len(self._factors[0]))] @ self._factors[1].T


@dataclass(kw_only=True)
class NetworkRecommender(GradientRecommender):
    """A recommender that is a TripletNetwork."""

    l2: float
    negatives: int  # uniform ones a positive and epoch

    def sampler(self, interactions: Interactions) -> Sampler:
        """Training positives with uniform negatives; with objective "rating" each with a rating below the threshold."""
        arm = "explicit" if self.model.objective == "rating" else "uniform"
        return TripletSampler(interactions, arm, self.negatives)


def one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    """``value`` where it is one of the ``known`` ones of hyperparameter ``name``; raises ConfigError otherwise."""
    if value not in known:
        raise ConfigError(problem(f"hyperparameter {name!r}", f"one of {known}", repr(value), "Correct its name."))
    return value


def histories(interactions: Interactions, length: int) -> np.ndarray:
    """The ``length`` newest training positives of each user, int32 ``[U, length]``, -1 padded."""
    return interactions.latest(length).astype(np.int32)


def without(history: Tensor, targets: Tensor) -> Tensor:
    """Which of ``history`` ``[B, L]`` may be read when ``targets`` ``[B]`` are to be guessed, bool ``[B, L]``."""
    return (history >= 0) & (history != targets[:, None])


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``states`` ``[B, L, k]`` where ``mask`` ``[B, L]``, ``[B, k]``; zeros where nothing is left."""
    weights = ops.cast(mask, "float32")[:, :, None]
    return ops.sum(states * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1.0)


def masked_softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis of ``logits`` where ``mask``; zeros in a row without any."""
    lowest = ops.where(mask, logits, -1e9)
    weights = ops.softmax(lowest, axis=-1)
    return ops.where(mask, weights, 0.0)


def in_parts(states: Callable[[np.ndarray], Tensor], count: int) -> np.ndarray:
    """``states`` of 0 .. count - 1, float32 ``[count, k]``, ROWS_AT_ONCE of them in memory at a time."""
    parts = (np.arange(start, min(start + ROWS_AT_ONCE, count), dtype=np.int32)
             for start in range(0, count, ROWS_AT_ONCE))
    return np.concatenate([ops.convert_to_numpy(states(part)) for part in parts]).astype(np.float32)


def check_inputs(interactions: Interactions, inputs: Mapping[str, Any]) -> None:
    """Raises DatasetError without training positives, or naming the first row of an input that is not finite."""
    if not interactions.train.nnz:
        raise DatasetError(problem("training split", "positive ratings", "none", "Lower the threshold or give more "
                                   "ratings."))
    for name, values in inputs.items():
        if isinstance(values, np.ndarray) and values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0])
            raise DatasetError(problem(f"input {name!r}, row {row}", "finite numbers", "others",
                                       "Correct the features that it is made of."))

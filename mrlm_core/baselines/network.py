"""What all gradient baselines share: a network that scores triplets, trained by the one fit loop, and its ranking.

Shapes: B rows of a batch, U users, V items, k the length of a state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from mrlm_core.datasets.splits import Interactions
from mrlm_core.errors import ConfigError, problem
from mrlm_core.evaluation.selection import mean_recall, users_of
from mrlm_core.training.fit import STEPS_PER_CALL, History, fit, seed_everything
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
        return loss + self.l2 / 2 * y_pred["size"]

    def table(self, n_rows: int, dim: int, name: str, deviation: float = 0.1) -> Any:
        """Parameters ``[n_rows, dim]`` to be read by ``rows``."""
        start = keras.initializers.RandomNormal(stddev=deviation)
        return self.add_weight(shape=(n_rows, dim), initializer=start, name=name)

    def rows(self, table: Any, indices: Tensor) -> Tensor:
        """Rows of a ``table``, any shape of ``indices`` with the batch first; they count in the penalty."""
        found = ops.take(table, indices, axis=0)
        self._squares.append(ops.sum(ops.square(found)) / ops.cast(ops.shape(indices)[0], "float32"))
        return found

    def built_by_a_call(self) -> None:
        """Make every weight now, so that their order and their random start depend on nothing later."""
        self(np.zeros((1, 3), np.int32))

    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """States of all users ``[U, k]``, nothing left out, and of all items ``[V, k]``."""
        users = in_parts(lambda part: self.user_states(part, np.full(len(part), NOBODY, np.int32)), self.n_users)
        items = in_parts(self.item_states, self.n_items)
        self._squares = []
        return users, items

    n_users: int
    n_items: int


@dataclass(kw_only=True)
class NetworkRecommender(ABC):
    """A recommender that is a TripletNetwork, stopped early on validation Recall@20; its fields are its defaults."""

    learning_rate: float
    l2: float
    batch_size: int
    negatives: int  # uniform ones a positive and epoch
    max_epochs: int
    patience: int

    @abstractmethod
    def network(self, interactions: Interactions, seed: int, **inputs: Any) -> TripletNetwork:
        """The network, not yet trained, for the inputs that the registry names."""

    def fit(self, interactions: Interactions, seed: int, checkpoint: Path | None = None, **inputs: Any) -> None:
        """Train; same seed, same scores. With ``checkpoint`` (a folder) a killed training goes on to the same end."""
        seed_everything(seed)
        self.model = self.network(interactions, seed, **inputs)
        self.model.compile(Adam(self.learning_rate, rows=on_tensorflow()), steps_per_execution=STEPS_PER_CALL)
        # Ratings are regressed on what was rated: the negatives are then those below the threshold.
        arm = "explicit" if self.model.objective == "rating" else "uniform"
        sampler = TripletSampler(interactions, arm, self.negatives)
        batch = min(self.batch_size, len(sampler.users))
        users = users_of(interactions, most=self.selection_users)
        self.history: History = fit(
            self.model, lambda rng: sampler.epoch(rng, batch), lambda: self.validation_recall(interactions, users),
            batch_size=batch, max_epochs=self.max_epochs, patience=self.patience, seed=seed,
            name=type(self).__name__, checkpoint=checkpoint,
        )
        self.after_training(interactions)
        self.report = {"parameters": int(sum(np.prod(v.shape) for v in self.model.trainable_variables)),
                       "selection_users": len(users)}

    selection_users = 20_000  # at most so many choose the epoch; fewer where a score costs much

    def validation_recall(self, interactions: Interactions, users: np.ndarray) -> float:
        """Mean Recall@20 of ``users`` on validation."""
        return mean_recall(*self.model.vectors(), interactions, CUTOFF, users=users)

    def after_training(self, interactions: Interactions) -> None:
        """Keep what ranking needs."""
        self._factors = self.model.vectors()

    def factors(self) -> tuple[np.ndarray, np.ndarray] | None:
        """User ``[U, k]`` and item ``[V, k]`` vectors whose products are the scores; None where there are none."""
        return self._factors

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores float32 ``[len(users), V]``."""
        return self._factors[0][users] @ self._factors[1].T


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


def in_parts(states_of: Callable[[np.ndarray], Tensor], count: int) -> np.ndarray:
    """``states_of`` (``[B]`` -> ``[B, k]``) the first ``count`` users or items, some at a time, ``[count, k]``."""
    parts = [np.arange(start, min(start + ROWS_AT_ONCE, count), dtype=np.int32)
             for start in range(0, count, ROWS_AT_ONCE)]
    return np.concatenate([ops.convert_to_numpy(states_of(part)) for part in parts]).astype(np.float32)

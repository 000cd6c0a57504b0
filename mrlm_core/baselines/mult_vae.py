"""Mult-VAE: a variational autoencoder of a user's items with a multinomial likelihood (Liang et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy.sparse import csr_matrix

from mrlm_core.baselines.network import GradientRecommender, Tensor, in_parts
from mrlm_core.datasets.splits import Interactions
from mrlm_core.errors import ConfigError, problem

BIAS = 0.001  # deviation of the biases at the start, as in the authors' code


class MultVAENetwork(keras.Model):
    """Users ``[B]`` -> logits ``[B, V]`` of the next item: one tanh layer to a Gaussian state, one from it (Eq. 1-3).

    The input is the user's training positives, scaled to length 1, then thinned by dropout.
    """

    def __init__(
        self, train: csr_matrix, hidden: int, latent: int, dropout: float, kl_weight: float, annealing_steps: int
    ) -> None:
        super().__init__()
        self.n_users, self.n_items = train.shape
        self.starts, self.degrees, self.positives = train.indptr[:-1], np.diff(train.indptr), train.indices
        self.latent, self.kl_weight, self.annealing_steps = latent, kl_weight, annealing_steps
        self.thinned = keras.layers.Dropout(dropout)
        self.encoder, self.state = _dense(hidden, "tanh"), _dense(2 * latent)
        self.decoder, self.logits = _dense(hidden, "tanh"), _dense(self.n_items)
        self.noise = keras.random.SeedGenerator()
        self.terms = {name: keras.metrics.Mean(name=name) for name in ("likelihood", "divergence")}
        self(np.zeros(1, np.int32))

    def bags(self, users: Tensor) -> Tensor:
        """The training positives of ``users`` ``[B]`` as zeros and ones ``[B, V]``."""
        first, count = (ops.take(ops.convert_to_tensor(table), users) for table in (self.starts, self.degrees))
        slots = ops.arange(int(self.degrees.max()), dtype="int32")
        inside = slots[None, :] < count[:, None]
        items = ops.take(ops.convert_to_tensor(self.positives), ops.where(inside, first[:, None] + slots[None, :], 0))
        rows = ops.broadcast_to(ops.arange(ops.shape(users)[0], dtype="int32")[:, None], ops.shape(items))
        places = ops.stack([ops.reshape(rows, (-1,)), ops.reshape(items, (-1,))], axis=1)
        return ops.scatter(places, ops.reshape(ops.cast(inside, "float32"), (-1,)), (ops.shape(users)[0], self.n_items))

    def encoded(self, bags: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """Mean and log variance ``[B, latent]`` of the state that ``bags`` ``[B, V]`` tell of."""
        length = ops.sqrt(ops.maximum(ops.sum(ops.square(bags), axis=1, keepdims=True), 1e-12))
        both = self.state(self.encoder(self.thinned(bags / length, training=training)))
        return both[:, : self.latent], both[:, self.latent :]

    def call(self, users: Tensor, training: bool = False) -> dict[str, Tensor]:
        """Bags and logits ``[B, V]``, mean and log variance; the state is drawn in training, else it is the mean."""
        bags = self.bags(users)
        mean, log_variance = self.encoded(bags, training=training)
        state = mean
        if training:
            state = mean + ops.exp(log_variance / 2) * keras.random.normal(ops.shape(mean), seed=self.noise)
        return {"bags": bags, "logits": self.logits(self.decoder(state)), "mean": mean, "log variance": log_variance}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """Mean of the negative multinomial log likelihood plus beta times the divergence from N(0, I) (Eq. 6)."""
        likelihood = -ops.mean(ops.sum(y_pred["bags"] * ops.log_softmax(y_pred["logits"], axis=1), axis=1))
        mean, log_variance = y_pred["mean"], y_pred["log variance"]
        divergence = ops.mean(ops.sum(ops.exp(log_variance) + ops.square(mean) - 1 - log_variance, axis=1)) / 2
        self.terms["likelihood"].update_state(likelihood)
        self.terms["divergence"].update_state(divergence)
        return likelihood + self.beta(self.optimizer.iterations) * divergence

    def beta(self, step: Tensor) -> Tensor:
        """The weight of the divergence: from 0 up to ``kl_weight``, which it has after ``annealing_steps`` (§2.2.2)."""
        return self.kl_weight * ops.minimum(ops.cast(step, "float32") / self.annealing_steps, 1.0)

    def vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """``[U, hidden + 1]`` and ``[V, hidden + 1]`` whose products are the logits: the last layer is linear."""
        users = in_parts(lambda part: self.decoder(self.encoded(self.bags(part))[0]), self.n_users)
        kernel, bias = (ops.convert_to_numpy(weight) for weight in (self.logits.kernel, self.logits.bias))
        ones = np.ones((self.n_users, 1), np.float32)
        return np.hstack([users, ones]), np.vstack([kernel, bias]).T.copy()


class UserSampler:
    """An epoch of users: each who has training positives, shuffled."""

    def __init__(self, interactions: Interactions) -> None:
        self.users = np.flatnonzero(np.diff(interactions.train.indptr)).astype(np.int32)
        self.size = len(self.users)

    def epoch(self, rng: np.random.Generator, batch_size: int) -> np.ndarray:
        """Users ``[n]``; n is rounded up to whole batches by drawing some again."""
        again = rng.choice(self.users, -len(self.users) % batch_size)
        return np.concatenate([rng.permutation(self.users), again])


@dataclass(kw_only=True)
class MultVAE(GradientRecommender):
    """Mult-VAE; a user's scores are the logits of his mean state, those of a user without positives of an empty bag."""

    hidden: int
    latent: int
    dropout: float
    kl_weight: float
    annealing_steps: int

    def __post_init__(self) -> None:
        if self.dropout >= 1:
            raise ConfigError(problem("Mult-VAE hyperparameter 'dropout'", "less than 1", f"{self.dropout}",
                                      "Keep a part of the input."))

    def network(self, interactions: Interactions, seed: int, **inputs: Any) -> MultVAENetwork:
        """A bag is a user's training positives."""
        return MultVAENetwork(interactions.train, self.hidden, self.latent, self.dropout, self.kl_weight,
                              self.annealing_steps)

    def sampler(self, interactions: Interactions) -> UserSampler:
        """A batch is one of users."""
        return UserSampler(interactions)


def _dense(units: int, activation: str | None = None) -> keras.layers.Dense:
    biases = keras.initializers.TruncatedNormal(stddev=BIAS)
    return keras.layers.Dense(units, activation=activation, bias_initializer=biases)

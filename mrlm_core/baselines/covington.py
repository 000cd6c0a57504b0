"""The YouTube candidate generator: a softmax over all items given what a user has liked (Covington et al. 2016).

Shapes: B rows of a batch, L items of a history, V items, S sampled items, k the length of an item's vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from mrlm_core.baselines.distinct import distinct
from mrlm_core.baselines.history import HistoryNetwork, HistoryRecommender
from mrlm_core.baselines.network import Tensor, histories, masked_mean, without
from mrlm_core.datasets.splits import Interactions
from mrlm_core.model.losses import unit_rows
from mrlm_core.preprocessing.field_layers import embedded
from mrlm_core.preprocessing.fields import FieldTable, without_id


class CovingtonNetwork(HistoryNetwork):
    """P(item | user) = softmax(cos(u, v_i) / temperature), u a tower over the mean of the liked items' vectors.

    The vectors read and those compared with are the same, v_i = id_i or, in a "+", [id_i ; z_i], of length 1.
    """

    def __init__(
        self, interactions: Interactions, users: FieldTable, settings: Covington, content: np.ndarray | None
    ) -> None:
        super().__init__(histories(interactions, settings.watched), interactions.n_items, settings.dim, settings.l2,
                         content, settings.content_units)
        self.temperature, self.n_sampled = settings.temperature, settings.sampled_items
        self.full = interactions.n_items <= settings.full_softmax_items
        self.attributes = without_id(users)
        if self.attributes is not None:
            self.values = self.table(self.attributes.size, settings.dim, "attributes")
        width = settings.dim + (0 if content is None else settings.content_units)
        self.tower = [keras.layers.Dense(settings.hidden, "relu"), keras.layers.Dense(width)]
        self.dropout = keras.layers.Dropout(settings.dropout)
        # Negatives are drawn as often as they are liked, and each item once more: then all can be.
        self.pool = np.concatenate([interactions.train.indices, np.arange(self.n_items)]).astype(np.int32)
        self.log_share = np.log(np.bincount(self.pool) / len(self.pool)).astype(np.float32)
        self.random = keras.random.SeedGenerator()
        self.built_by_a_call()

    def item_vectors(self, items: Tensor, training: bool = False) -> Tensor:
        """v_i."""
        return unit_rows(self.id_and_content(items, training))

    def item_states(self, items: Tensor, training: bool = False) -> Tensor:
        """v_i."""
        return self.item_vectors(items, training)

    def user_states(self, users: Tensor, targets: Tensor, training: bool = False) -> Tensor:
        """u / temperature; the target is not in the mean."""
        return self._towered(users, *self.liked(users, targets, training), training)

    def call(self, triplets: Tensor, training: bool = False) -> dict[str, Tensor]:
        """Triplets ``[B, 3]``, their negatives unread -> ``positive`` logits, ``log_sum`` of all ``[B]``, ``size``.

        Every item's vector is made once a step, for histories, positives and softmax alike.
        """
        self._squares = []
        users, positives = triplets[:, 0], triplets[:, 1]
        history = ops.take(self.past, users, axis=0)
        drawn = ops.arange(self.n_items, dtype="int32") if self.full else self.draw()
        wanted = ops.concatenate([ops.reshape(ops.maximum(history, 0), (-1,)), positives, drawn])
        found, places = (drawn, wanted) if self.full else distinct(wanted)
        made = self.item_vectors(found, training)
        count, read = ops.shape(users)[0], ops.size(history)
        liked = ops.reshape(ops.take(made, places[:read], axis=0), (count, history.shape[1], made.shape[1]))
        states = self._towered(users, liked, without(history, positives), training)
        positive = self.match(states, ops.take(made, places[read : read + count], axis=0))
        candidates = made if self.full else ops.take(made, places[read + count :], axis=0)
        logits = ops.matmul(states, ops.transpose(candidates))
        if not self.full:
            logits = self.corrected(logits, positive, positives, drawn)
        return {"positive": positive, "log_sum": ops.logsumexp(logits, axis=1), "size": self.penalty()}

    def draw(self) -> Tensor:
        """S items ``[S]``, each by its share of the pool, with replacement."""
        chosen = keras.random.randint((self.n_sampled,), 0, len(self.pool), dtype="int32", seed=self.random)
        return ops.take(ops.convert_to_tensor(self.pool), chosen)

    def corrected(self, logits: Tensor, positive: Tensor, positives: Tensor, drawn: Tensor) -> Tensor:
        """Logits ``[B, 1 + S]`` whose exponentials sum, in expectation, to those of all items.

        The positive once and as it is; a drawn item less log(S times its share), and not where it is the positive
        (Bengio & Senécal 2008). Without the correction popular items would be pushed away for being drawn often.
        """
        weighed = logits - ops.take(ops.convert_to_tensor(self.log_share), drawn) - np.log(self.n_sampled)
        others = ops.where(drawn[None] == positives[:, None], -1e9, weighed)
        return ops.concatenate([positive[:, None], others], axis=1)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """Cross entropy of the softmax, plus l2 / 2 of the rows read."""
        return self.with_penalty(ops.mean(y_pred["log_sum"] - y_pred["positive"]), y_pred["size"])

    def _towered(self, users: Tensor, liked: Tensor, readable: Tensor, training: bool) -> Tensor:
        state = masked_mean(liked, readable)
        if self.attributes is not None:
            fields = self.penalised(embedded(self.values, self.attributes, users))
            state = ops.concatenate([state, ops.reshape(fields, (-1, fields.shape[1] * fields.shape[2]))], axis=1)
        state = self.tower[0](self.dropout(state, training=training))
        return unit_rows(self.tower[1](self.dropout(state, training=training))) / self.temperature


@dataclass(kw_only=True)
class Covington(HistoryRecommender):
    """Softmax over all items; over a sample, corrected for how it was drawn, where there are many."""

    dim: int
    watched: int  # at most so many items of a history
    hidden: int
    temperature: float
    dropout: float
    full_softmax_items: int  # beyond so many the softmax is over a sample
    sampled_items: int
    content_units: int

    def network(  # type: ignore[override]
        self, interactions: Interactions, seed: int, attributes: tuple[FieldTable, FieldTable],
        content: np.ndarray | None = None,
    ) -> CovingtonNetwork:
        """``attributes`` are the field tables of users and items, of which those of users join the history."""
        return CovingtonNetwork(interactions, attributes[0], self, content)

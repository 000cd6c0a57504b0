"""xDeepFM: a pair by linear part, compressed interactions (CIN) and deep part over all fields (Lian et al. 2018).

Shapes: B rows of a batch, F fields of a side, D field_dim, H units of the first deep layer, V items.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import keras
import numpy as np
from keras import ops

from mrlm_core.baselines.content import ContentBlock
from mrlm_core.baselines.network import CUTOFF, NetworkRecommender, Tensor, TripletNetwork
from mrlm_core.datasets.splits import Interactions
from mrlm_core.evaluation.ranking import known_users
from mrlm_core.evaluation.selection import mean_recall_of
from mrlm_core.preprocessing.field_layers import CINFactors, compressed_interactions, embedded
from mrlm_core.preprocessing.fields import FieldTable

START = 0.01  # deviation of the fields' first values; with 0.1 it ranked worse than RecBole's on MovieLens 1M
USERS_AT_ONCE, ITEMS_AT_ONCE = 64, 1024  # pairs whose hidden units are computed together when ranking
Attributes = tuple[FieldTable, FieldTable]  # of users and of items


class XDeepFMNetwork(TripletNetwork):
    """Logit w_linear . a + w_deep . x_deep + w_cin . p + b of a user's and an item's fields (Eq. 15).

    A side's state ``[B, H + 1 + F D]`` is all that depends on that side alone: its share of the first deep layer, its
    linear part, its embedded fields. In a "+" z_i is one more field of the item, and its share of the deep layer.
    """

    def __init__(self, attributes: Attributes, settings: XDeepFM, content: np.ndarray | None = None) -> None:
        super().__init__(settings.l2, "log loss")
        self.sides = attributes
        self.n_users, self.n_items = (len(table.indices) for table in attributes)
        self.dim, names = settings.field_dim, ("users", "items")
        self.values = [self.table(side.size, self.dim, name, START)
                       for side, name in zip(attributes, names, strict=True)]
        self.linear = [self.table(side.size, 1, f"linear, {name}", deviation=1e-4)
                       for side, name in zip(attributes, names, strict=True)]
        self.content = None if content is None else ContentBlock(content, settings.content_units)
        if content is not None:
            self.content_field = keras.layers.Dense(self.dim, use_bias=False)
            self.content_linear = keras.layers.Dense(1, use_bias=False)
        self.cin = [keras.layers.Dense(settings.cin_units, use_bias=False) for _ in range(settings.cin_layers)]
        # The first deep layer reads both sides' fields: a share of each, the second of them with the bias.
        self.first = [keras.layers.Dense(settings.deep_units, use_bias=bias) for bias in (False, True)]
        self.deep = [keras.layers.Dense(settings.deep_units, "relu") for _ in range(settings.deep_layers - 1)]
        self.read_out = keras.layers.Dense(1)
        self.built_by_a_call()

    def user_states(self, users: Tensor, targets: Tensor, training: bool = False) -> Tensor:
        """Of the user's fields, which no interaction is among."""
        return self._state(0, users, [], [], 0.0)

    def item_states(self, items: Tensor, training: bool = False) -> Tensor:
        """Of the item's fields and, in a "+", of z_i."""
        if self.content is None:
            return self._state(1, items, [], [], 0.0)
        z = self.content(items, training=training)
        return self._state(1, items, [self.content_field(z)[:, None]], [z], self.content_linear(z))

    def match(self, users: Tensor, items: Tensor) -> Tensor:
        """The logits ``[B]``."""
        (u_first, u_linear, u_fields), (i_first, i_linear, i_fields) = self.parted(users), self.parted(items)
        pooled = compressed_interactions(ops.concatenate([u_fields, i_fields], axis=1), self.cin)
        logits = self.read_out(ops.concatenate([pooled, self.hidden(u_first + i_first)], axis=1))
        return (logits + u_linear + i_linear)[:, 0]

    def hidden(self, first: Tensor) -> Tensor:
        """Output of the deep part ``[B, H]`` from its first layer's sums."""
        state = ops.relu(first)
        for layer in self.deep:
            state = layer(state)
        return state

    def parted(self, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of a side's state its share of the first deep layer, its linear part, its fields ``[B, F, D]``."""
        units = self.first[0].units
        return state[:, :units], state[:, units : units + 1], ops.reshape(
            state[:, units + 1 :], (-1, (state.shape[1] - units - 1) // self.dim, self.dim)
        )

    def _state(self, side: int, rows: Tensor, more: list[Tensor], dense: list[Tensor], linear: Tensor) -> Tensor:
        """``more`` fields ``[B, 1, D]`` and ``dense`` vectors beside those of the table."""
        table = self.sides[side]
        # Not the weights but what they sum to: padding, of weight 0, would be penalised too.
        fields = self.penalised(embedded(self.values[side], table, rows))
        first_order = ops.sum(self.penalised(embedded(self.linear[side], table, rows)), axis=1) + linear
        flat = ops.reshape(ops.concatenate([fields, *more], axis=1), (-1, (len(table.names) + len(more)) * self.dim))
        return ops.concatenate([self.first[side](ops.concatenate([flat, *dense], axis=1)), first_order, flat], axis=1)


class PairRanking:
    """Scores of every item for some users of a trained network.

    The CIN's and the linear part are one matrix product (``CINFactors``); the deep part is computed for blocks of users
    with blocks of items, from the shares of its first layer that are there once a user and once an item.
    """

    def __init__(self, network: XDeepFMNetwork) -> None:
        self.network = network
        (self.u_first, self.u_linear, self.u_fields), (self.i_first, self.i_linear, i_fields) = (
            tuple(ops.convert_to_numpy(part) for part in network.parted(state)) for state in network.vectors()
        )
        kernel, self.bias = network.read_out.get_weights()
        pooled = len(kernel) - network.first[0].units
        self.deep_kernel = kernel[pooled:]
        self.factors = CINFactors(i_fields.shape[1], [layer.get_weights()[0] for layer in network.cin],
                                  kernel[:pooled, 0])
        self.monomials = self.factors.of_items(i_fields)

    def score(self, users: np.ndarray) -> np.ndarray:
        """Logits float32 ``[len(users), V]``."""
        count = self.network.n_items
        scores = np.empty((len(users), count), np.float32)
        for start in range(0, len(users), USERS_AT_ONCE):
            part = slice(start, start + USERS_AT_ONCE)
            own = users[part]
            scores[part] = self.factors.of_users(self.u_fields[own]) @ self.monomials.T
            scores[part] += self.u_linear[own] + self.i_linear[:, 0] + self.bias
        starts = product(range(0, len(users), USERS_AT_ONCE), range(0, count, ITEMS_AT_ONCE))
        for user, item in starts:
            part, items = slice(user, user + USERS_AT_ONCE), slice(item, item + ITEMS_AT_ONCE)
            scores[part, items] += self._deep(self.u_first[users[part]], self.i_first[items])
        return scores

    def _deep(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        sums = ops.convert_to_tensor(users)[:, None] + ops.convert_to_tensor(items)[None]
        hidden = self.network.hidden(ops.reshape(sums, (-1, sums.shape[2])))
        return ops.convert_to_numpy(ops.reshape(hidden @ self.deep_kernel, (len(users), len(items))))


@dataclass(kw_only=True)
class XDeepFM(NetworkRecommender):
    """Minimises the log loss of positives and uniform negatives + l2/2 of the fields of the batch."""

    field_dim: int
    cin_units: int
    cin_layers: int
    deep_units: int
    deep_layers: int
    content_units: int

    selection_users = 500

    def network(  # type: ignore[override]
        self, interactions: Interactions, seed: int, attributes: Attributes, content: np.ndarray | None = None
    ) -> XDeepFMNetwork:
        """``attributes`` are the field tables of users and items; ``content`` float32 ``[V, d]``."""
        return XDeepFMNetwork(attributes, self, content)

    def validation_recall(self, interactions: Interactions, users: np.ndarray) -> float:
        """Mean Recall@20 of ``users``, each pair through the network."""
        return mean_recall_of(PairRanking(self.model).score, interactions, CUTOFF, users=users)

    def after_training(self, interactions: Interactions) -> None:
        """Keep both sides' states."""
        self._ranking = PairRanking(self.model)

    def factors(self) -> Any:
        """None: the deep part does not factor."""
        return None

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores float32 ``[len(users), V]``."""
        return self._ranking.score(known_users(users, self.model.n_users))

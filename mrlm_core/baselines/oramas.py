"""ORAMAS: item factors guessed from content, for the users of a matrix factorisation (Oramas et al. 2017).

Shapes: B rows of a batch, V items, k the length of a factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from mrlm_core.baselines.content import ContentBlock, side_by_side
from mrlm_core.baselines.ials import IALS
from mrlm_core.baselines.network import GradientRecommender, Tensor, TripletNetwork
from mrlm_core.datasets.splits import Interactions
from mrlm_core.preprocessing.vectors import Features, unit_rows

CONTENT_UNITS = 128  # of the layer that takes in the further modalities of ORAMAS+


class OramasNetwork(TripletNetwork):
    """Direction of an item's factor from its content: two dense layers a modality, one linear layer over them all.

    Learns from rows of one item each. ``factors`` are the factorisation's vectors of users and of items, frozen;
    items of ``keeps`` bool ``[V]`` are ranked by their own.
    """

    columns = 1

    def __init__(
        self, contents: list[np.ndarray], factors: tuple[np.ndarray, np.ndarray], keeps: np.ndarray, model: ORAMAS,
        content: np.ndarray | None,
    ) -> None:
        super().__init__(l2=0.0)
        self.of_users, self.of_items = factors
        self.n_users, self.n_items = len(self.of_users), len(self.of_items)
        self.targets, self.contents = unit_rows(self.of_items), contents
        # Beside true factors, a guess that is a direction alone gets the mean length of those that it was learnt from.
        lengths = np.linalg.norm(self.of_items, axis=1)
        self.keeps, self.length = keeps, float(lengths[lengths > 0].mean()) if keeps.any() else 1.0
        self.towers = [
            [keras.layers.Dense(model.units, "relu"), keras.layers.Dropout(model.dropout),
             keras.layers.Dense(model.units, "relu"), keras.layers.Dropout(model.dropout)]
            for _ in contents
        ]
        self.content = None if content is None else ContentBlock(content, CONTENT_UNITS)
        self.last = keras.layers.Dense(self.of_items.shape[1])
        self.built_by_a_call()

    def call(self, rows: Tensor, training: bool = False) -> dict[str, Tensor]:
        """Items ``[B, 1]`` -> ``direction`` and ``target`` ``[B, k]``, both of length 1."""
        items = rows[:, 0]
        return {"direction": self.directions(items, training),
                "target": ops.take(ops.convert_to_tensor(self.targets), items, axis=0)}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """Mean cosine distance of the directions to those of the items' own factors; nothing is penalised."""
        return self.with_penalty(ops.mean(1.0 - self.match(y_pred["direction"], y_pred["target"])), self.penalty())

    def directions(self, items: Tensor, training: bool = False) -> Tensor:
        """Guessed factors of ``items`` ``[B]``, scaled to length 1, ``[B, k]``."""
        hidden = []
        for frozen, tower in zip(self.contents, self.towers, strict=True):
            state = ops.take(ops.convert_to_tensor(frozen), items, axis=0)
            for layer in tower:
                state = layer(state, training=training) if isinstance(layer, keras.layers.Dropout) else layer(state)
            hidden.append(state)
        if self.content is not None:
            hidden.append(self.content(items, training=training))
        return ops.normalize(self.last(ops.concatenate(hidden, axis=1)), axis=1, epsilon=1e-6)

    def user_states(self, users: Tensor, targets: Tensor, training: bool = False) -> Tensor:
        """The users' own factors."""
        return ops.take(ops.convert_to_tensor(self.of_users), users, axis=0)

    def item_states(self, items: Tensor, training: bool = False) -> Tensor:
        """Guessed factors, or where so asked the items' own."""
        own = ops.take(ops.convert_to_tensor(self.of_items), items, axis=0)
        kept = ops.take(ops.convert_to_tensor(self.keeps), items)
        return ops.where(kept[:, None], own, self.length * self.directions(items))


class ItemSampler:
    """An epoch of items, each once."""

    def __init__(self, items: np.ndarray) -> None:
        self.items, self.size = items.astype(np.int32), len(items)

    def epoch(self, rng: np.random.Generator, batch_size: int) -> np.ndarray:
        """Shuffled items ``[n, 1]``; n is rounded up to whole batches by drawing some again."""
        again = rng.choice(self.items, -self.size % batch_size)
        return np.concatenate([rng.permutation(self.items), again])[:, None]


@dataclass(kw_only=True)
class ORAMAS(GradientRecommender):
    """Factorises with ``ials.IALS``, then learns the directions of the items' factors from their content.

    An item with at least ``true_factors_from`` training positives keeps its own factor; with 0 none does, as in the
    paper, whose items were all new ones. Gap G31.
    """

    dim: int
    factor_l2: float
    unobserved_weight: float
    frequency_exponent: float
    factor_epochs: int
    units: int
    dropout: float
    true_factors_from: int

    def network(  # type: ignore[override]
        self, interactions: Interactions, seed: int, features: Mapping[str, Features], content: np.ndarray | None = None
    ) -> OramasNetwork:
        """The factorisation is computed here; an item without a modality tells so by the modality's last number."""
        factors = IALS(dim=self.dim, l2=self.factor_l2, unobserved_weight=self.unobserved_weight,
                       frequency_exponent=self.frequency_exponent, epochs=self.factor_epochs)
        factors.fit(interactions, seed)
        positives = np.bincount(interactions.train.indices, minlength=interactions.n_items)
        self._keeps = (positives >= self.true_factors_from) & (self.true_factors_from > 0)
        contents = [side_by_side({name: made}) for name, made in features.items()]
        return OramasNetwork(contents, factors.factors(), self._keeps, self, content)

    def sampler(self, interactions: Interactions) -> ItemSampler:
        """The items with a factor to learn from: those with a training positive."""
        return ItemSampler(np.unique(interactions.train.indices))

    def facts(self) -> dict[str, Any]:
        """How many items are ranked by their own factors."""
        return {"items_with_their_own_factors": int(self._keeps.sum())}

"""What models of a user's liked items share: reading his history without the target, each item's vector made once.

Shapes: B rows of a batch, L items of a history, V items, k the length of an item's vector.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from keras import ops

from mrlm_core.baselines.content import ContentBlock
from mrlm_core.baselines.distinct import once
from mrlm_core.baselines.network import NetworkRecommender, Tensor, TripletNetwork, without
from mrlm_core.datasets.splits import Interactions


class HistoryNetwork(TripletNetwork):
    """Knows each user's history ``[U, L]`` (-1 padded) and each item's vector, made of its id and, in a "+", of z_i."""

    def __init__(
        self, history: np.ndarray, n_items: int, dim: int, l2: float, content: np.ndarray | None, content_units: int
    ) -> None:
        super().__init__(l2)
        self.n_users, self.n_items = len(history), n_items
        self.past = ops.convert_to_tensor(history)  # ``history`` is Keras' own
        self.items = self.table(n_items, dim, "items")
        self.content = None if content is None else ContentBlock(content, content_units)

    @abstractmethod
    def item_vectors(self, items: Tensor, training: bool = False) -> Tensor:
        """Vectors ``[n, k]`` of ``items`` ``[n]``, as a history has them."""

    def liked(self, users: Tensor, targets: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """Vectors ``[B, L, k]`` of the histories of ``users`` and which may be read, ``[B, L]``: never the target's."""
        history = ops.take(self.past, users, axis=0)
        counted = len(self._squares)
        vectors = once(ops.maximum(history, 0), lambda items: self.item_vectors(items, training))
        self._squares = self._squares[:counted]  # an item is penalised as a candidate, not again wherever it is read
        return vectors, without(history, targets)

    def id_and_content(self, items: Tensor, training: bool = False) -> Tensor:
        """The items' own vectors, with z_i beside them in a "+"."""
        own = self.rows(self.items, items)
        return own if self.content is None else ops.concatenate([own, self.content(items, training=training)], axis=1)


class HistoryRecommender(NetworkRecommender):
    """A recommender of a HistoryNetwork."""

    def after_training(self, interactions: Interactions) -> None:
        """Keep what ranking needs, and what "newest" meant."""
        super().after_training(interactions)
        self.newest_by = interactions.latest_by

    def facts(self) -> dict[str, Any]:
        """Whether the newest items of a history are so by time, or by a seeded random order."""
        return {"newest_by": self.newest_by}

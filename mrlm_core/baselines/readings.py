"""What a batch reads of histories, each reading once.

A user's positive is mostly not among the newest items that his history holds: whatever the target, he is then read the
same. Shapes: B rows of a batch, n distinct readings of it, U users, L items of a history.
"""

from __future__ import annotations

from typing import NamedTuple

from keras import ops

from mrlm_core.baselines.distinct import distinct
from mrlm_core.baselines.network import Tensor


class Readings(NamedTuple):
    """Whose histories are read ``[n]``, which of their items ``[n, L]``, and the reading of each row ``[B]``."""

    users: Tensor
    readable: Tensor
    of_row: Tensor

    def by_row(self, found: Tensor) -> Tensor:
        """What was ``found`` of the readings, ``[n, ...]``, for the rows, ``[B, ...]``."""
        return ops.take(found, self.of_row, axis=0)


def readings(histories: Tensor, users: Tensor, targets: Tensor) -> Readings:
    """Of ``histories`` ``[U, L]`` those of ``users`` ``[B]``, -1 padded, of which ``targets`` ``[B]`` are left out."""
    length = histories.shape[1]
    is_target = ops.take(histories, users, axis=0) == targets[:, None]
    left_out = ops.where(ops.any(is_target, axis=1), ops.argmax(is_target, axis=1), length)  # L: nothing
    both = ops.cast(users, "int32") * (length + 1) + ops.cast(left_out, "int32")
    found, of_row = distinct(both)
    users, left_out = found // (length + 1), found % (length + 1)
    readable = (ops.take(histories, users, axis=0) >= 0) & (ops.arange(length)[None] != left_out[:, None])
    return Readings(users, readable, of_row)

"""Triplets with uniform negatives at the pace of BPR's compiled steps: a search for each takes as long as a step."""

from __future__ import annotations

import numpy as np
from numba import njit

from mrlm_core.datasets.splits import Interactions
from mrlm_core.training.triplets import TripletSampler

BITS_A_RATING = 16  # of the table of marks: at most one unrated item in 16 shares the bit of a rated one


class MarkedTriplets(TripletSampler):
    """Draws as TripletSampler with ``uniform`` negatives does, though other ones.

    One look into a table of marks, a bit a rated pair, tells of nearly every item that it is unrated. A marked one is
    searched among the user's ratings, and in place of one that is there another is drawn among those that are not.
    """

    def __init__(self, interactions: Interactions, triplets_per_positive: int = 1) -> None:
        super().__init__(interactions, "uniform", triplets_per_positive)
        bits = (BITS_A_RATING * len(self.rated[1]) - 1).bit_length()
        self.shift = np.uint64(64 - max(4, bits))  # a shift by all 64 bits, as of a single byte, is not defined
        self.marks = _marks(*self.rated, self.shift)

    def _negatives(self, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        items, rated = _any(rng, users, *self.rated, self.n_items, self.marks, self.shift)
        items[rated] = super()._negatives(users[rated], rng)
        return items


@njit(cache=True)
def _place(user, item, shift):  # type: ignore[no-untyped-def]
    """Byte and bit of a pair in the table of marks, by multiplication with odd constants (Knuth 1998, 6.4)."""
    mixed = (np.uint64(user) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(item)) * np.uint64(0xD1342543DE82EF95)
    return mixed >> (shift + np.uint64(3)), np.uint8((mixed >> shift) & np.uint64(7))


@njit(cache=True)
def _marks(starts, items, shift):  # type: ignore[no-untyped-def]
    """The table of marks, uint8 of 2^(64 - shift) bits, of the sorted items of each user."""
    marks = np.zeros(1 << (61 - np.int64(shift)), np.uint8)
    for user in range(len(starts) - 1):
        for item in items[starts[user] : starts[user + 1]]:
            byte, bit = _place(user, item, shift)
            marks[byte] |= np.uint8(1) << bit
    return marks


@njit(cache=True)
def _any(rng, users, starts, items, n_items, marks, shift):  # type: ignore[no-untyped-def]
    """Any item for each user, int32, and the numbers of the rows whose item is among the sorted ones of the user."""
    drawn, rated, count = np.empty(len(users), np.int32), np.empty(len(users), np.int64), 0
    for row, user in enumerate(users):
        item = np.int32(rng.random() * n_items)
        drawn[row] = item
        byte, bit = _place(user, item, shift)
        if marks[byte] >> bit & 1:
            own = items[starts[user] : starts[user + 1]]
            at = np.searchsorted(own, item)
            if at < len(own) and own[at] == item:
                rated[count], count = row, count + 1
    return drawn, rated[:count]

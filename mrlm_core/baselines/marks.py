"""Triplets with uniform negatives at the pace of BPR's compiled steps: a search for each takes as long as a step."""

from __future__ import annotations

import numpy as np
from numba import njit

from mrlm_core.datasets.grouping import row_numbers
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

    def epoch(self, rng: np.random.Generator, batch_size: int) -> np.ndarray:
        """As TripletSampler's, shuffled, drawn and written in one pass."""
        count = len(self.users) * self.repeats
        rows, rated = _epoch(rng, row_numbers(count), -count % batch_size, self.users, self.positives, *self.rated,
                             self.n_items, self.marks, self.shift)
        rows[rated, 2] = self._negatives(rows[rated, 0], rng)
        return rows


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


@njit(cache=True, nogil=True)  # while another thread trains on the epoch before
def _epoch(rng, order, more, users, positives, starts, items, n_items, marks, shift):  # type: ignore[no-untyped-def]
    """Each positive as often as ``order`` has a number of it, shuffled, and ``more`` of them again: with any item,
    int32 ``[n, 3]``; and the numbers of the rows whose item is among the sorted ones of the user."""
    count, size = len(order), len(users)
    rows, rated, found = np.empty((count + more, 3), np.int32), np.empty(count + more, np.int64), 0
    for row in range(count + more):
        if row < count:  # Fisher and Yates: any of those that are left, in whose place the next one goes
            drawn = row + np.int64(rng.random() * (count - row))
            number, order[drawn] = order[drawn] % size, order[row]
        else:
            number = np.int64(rng.random() * size)
        user, item = users[number], np.int32(rng.random() * n_items)
        rows[row, 0], rows[row, 1], rows[row, 2] = user, positives[number], item
        byte, bit = _place(user, item, shift)
        if marks[byte] >> bit & 1:
            own = items[starts[user] : starts[user + 1]]
            at = np.searchsorted(own, item)
            if at < len(own) and own[at] == item:
                rated[found], found = row, found + 1
    return rows, rated[:found]

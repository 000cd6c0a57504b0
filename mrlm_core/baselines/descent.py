"""Stochastic gradient descent on BPR-Opt by single triplets (Rendle et al. 2009; He & McAuley 2016), compiled.

Shapes: U users, V items, k length of their vectors, M modalities, C clusters of all of them, D length of an item's
content, t length of a user's taste for it.
"""

from __future__ import annotations

from math import exp, log1p

import numpy as np
from numba import njit


@njit(cache=True, fastmath={"reassoc", "contract"})  # sums of products in any order; NaN stays NaN
def descend(
    rows: np.ndarray, members: np.ndarray, content: np.ndarray, users: np.ndarray, items: np.ndarray,
    clusters: np.ndarray, tastes: np.ndarray, projection: np.ndarray, bias: np.ndarray, beta: np.ndarray,
    rate: np.float32, l2: np.float32, shared_rate: np.float32, shared_l2: np.float32,
) -> tuple[float, int]:
    """Steps through triplets ``rows`` ``[n, 3]``; changes all tables after ``content`` in place.

    ``members`` ``[V, M]`` are the rows of ``clusters`` ``[C, k]`` that an item adds to its own vector, ``content``
    ``[V, D]`` is frozen, ``tastes`` ``[U, t]``, ``projection`` E ``[D, t]``, ``bias`` ``[V]``, ``beta`` ``[D]``. E and
    beta, which every triplet moves, have a rate and a penalty of their own.
    Gives the mean of -log sigma and the steps made; stops with NaN after the first step whose margin is not a number.
    """
    total, dim, modalities = 0.0, users.shape[1], members.shape[1]
    width, tasted = content.shape[1], tastes.shape[1]
    difference, seen = np.empty(dim, np.float32), np.empty(tasted, np.float32)
    for place in range(len(rows)):
        user, positive, negative = rows[place, 0], rows[place, 1], rows[place, 2]
        margin = bias[positive] - bias[negative]
        for k in range(dim):
            difference[k] = items[positive, k] - items[negative, k]
        for m in range(modalities):
            one, other = members[positive, m], members[negative, m]
            for k in range(dim):
                difference[k] += clusters[one, k] - clusters[other, k]
        for k in range(dim):
            margin += users[user, k] * difference[k]
        seen[:] = 0.0
        for d in range(width):
            contrast = content[positive, d] - content[negative, d]
            margin += beta[d] * contrast
            for t in range(tasted):
                seen[t] += contrast * projection[d, t]
        for t in range(tasted):
            margin += tastes[user, t] * seen[t]
        if not np.isfinite(margin):
            return np.nan, place + 1
        total += log1p(exp(-abs(margin))) + max(-margin, 0.0)
        slope = np.float32(1.0 / (1.0 + exp(min(max(margin, -60.0), 60.0))))  # minus the loss' derivative
        bias[positive] += rate * (slope - l2 * bias[positive])
        bias[negative] -= rate * (slope + l2 * bias[negative])
        for d in range(width):
            push = slope * (content[positive, d] - content[negative, d])
            beta[d] += shared_rate * (push - shared_l2 * beta[d])
            for t in range(tasted):
                projection[d, t] += shared_rate * (push * tastes[user, t] - shared_l2 * projection[d, t])
        for t in range(tasted):
            tastes[user, t] += rate * (slope * seen[t] - l2 * tastes[user, t])
        for m in range(modalities):
            one, other = members[positive, m], members[negative, m]
            for k in range(dim):
                push, here, there = slope * users[user, k], clusters[one, k], clusters[other, k]  # may be one row
                clusters[one, k] += rate * (push - l2 * here)
                clusters[other, k] -= rate * (push + l2 * there)
        for k in range(dim):
            p, push = users[user, k], slope * users[user, k]
            users[user, k] += rate * (slope * difference[k] - l2 * p)
            items[positive, k] += rate * (push - l2 * items[positive, k])
            items[negative, k] -= rate * (push + l2 * items[negative, k])
    return total / len(rows), len(rows)

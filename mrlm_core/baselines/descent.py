"""Stochastic gradient descent on BPR-Opt by single triplets (Rendle et al. 2009; He & McAuley 2016), compiled.

Shapes: U users, V items, k length of their vectors, M modalities, C clusters of all of them, D length of an item's
content, t length of a user's taste for it.
"""

from __future__ import annotations

from math import exp, log

import numpy as np
from numba import njit

FAR = 60.0  # of a margin: beyond it sigma is within 1e-26 of 0 or 1
TOGETHER = 8  # losses a logarithm: exp(-FAR) to the eighth is a double still


# Sums of products in any order, but NaN stays NaN; a thread draws the next epoch meanwhile.
@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
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
    dim, modalities, width, tasted = users.shape[1], members.shape[1], content.shape[1], tastes.shape[1]
    total, product = 0.0, 1.0
    difference, seen = np.empty(dim, np.float32), np.empty(tasted, np.float32)
    for place in range(len(rows)):
        # Unsigned row numbers: a signed one might count from the end, and that test keeps loops from being vectorised.
        user, positive, negative = np.uint64(rows[place, 0]), np.uint64(rows[place, 1]), np.uint64(rows[place, 2])
        margin = bias[positive] - bias[negative]
        for k in range(dim):
            difference[k] = items[positive, k] - items[negative, k]
        for m in range(modalities):
            one, other = np.uint64(members[positive, m]), np.uint64(members[negative, m])
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
        growth = exp(min(max(margin, -FAR), FAR))
        sigma = 1.0 / (1.0 + growth)  # of -margin: minus the loss' derivative
        # -log sigma(margin) is -log(growth * sigma): one logarithm for the product of several, and what was cut off.
        product *= growth * sigma
        total += max(-FAR - margin, 0.0)
        if place % TOGETHER == 0:
            total, product = total - log(product), 1.0
        slope = np.float32(sigma)
        keep, step = np.float32(1.0) - rate * l2, rate * slope
        bias[positive] = keep * bias[positive] + step
        bias[negative] = keep * bias[negative] - step
        for d in range(width):
            push = slope * (content[positive, d] - content[negative, d])
            beta[d] += shared_rate * (push - shared_l2 * beta[d])
            for t in range(tasted):
                projection[d, t] += shared_rate * (push * tastes[user, t] - shared_l2 * projection[d, t])
        for t in range(tasted):
            tastes[user, t] = keep * tastes[user, t] + step * seen[t]
        for m in range(modalities):
            one, other = np.uint64(members[positive, m]), np.uint64(members[negative, m])
            for k in range(dim):
                here, there = clusters[one, k], clusters[other, k]  # may be one row: each is changed, not set
                clusters[one, k] += step * users[user, k] - rate * l2 * here
                clusters[other, k] -= step * users[user, k] + rate * l2 * there
        for k in range(dim):
            p, q, r = users[user, k], items[positive, k], items[negative, k]
            users[user, k] = keep * p + step * difference[k]
            items[positive, k] = keep * q + step * p
            items[negative, k] = keep * r - step * p
    return (total - log(product)) / len(rows), len(rows)

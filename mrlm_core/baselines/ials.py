"""iALS: matrix factorisation with weighted squared loss (Hu et al. 2008, as tuned by Rendle et al. 2022)."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mrlm_core.datasets.splits import Interactions
from mrlm_core.evaluation.ranking import known_users

BLOCK_NUMBERS = 2**24


class IALS:
    """Alternating exact least squares on the loss of Rendle et al. 2022, Eq. 1-4.

    Observed pairs should score 1; every pair pulls towards 0 with weight ``unobserved_weight``; ``l2`` is scaled by
    (positives + unobserved_weight * length of the other side) ** ``frequency_exponent``.
    """

    def __init__(
        self, *, dim: int, l2: float, unobserved_weight: float, frequency_exponent: float, epochs: int
    ) -> None:
        self.dim, self.l2, self.epochs = dim, l2, epochs
        self.unobserved_weight, self.frequency_exponent = unobserved_weight, frequency_exponent

    def fit(self, interactions: Interactions, seed: int) -> None:
        """Alternate ``epochs`` times from a random start."""
        rng = np.random.default_rng(seed)
        scale = 0.1 / np.sqrt(self.dim)
        self._items = rng.normal(0, scale, (interactions.n_items, self.dim)).astype(np.float32)
        items_of_users = interactions.train
        users_of_items = items_of_users.T.tocsr()
        for _ in range(self.epochs):
            self._users = self._solved(items_of_users, self._items)
            self._items = self._solved(users_of_items, self._users)

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores float32 ``[len(users), V]``; zero for a user without training positives."""
        return self._users[known_users(users, len(self._users))] @ self._items.T

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """User ``[U, dim]`` and item ``[V, dim]`` vectors whose products are the scores."""
        return self._users, self._items

    def _solved(self, positives: csr_matrix, fixed: np.ndarray) -> np.ndarray:
        degrees = np.diff(positives.indptr)
        strength = self.l2 * (degrees + self.unobserved_weight * len(fixed)) ** self.frequency_exponent
        return solved(positives, fixed, self.unobserved_weight, strength)


def solved(
    observed: csr_matrix, fixed: np.ndarray, unobserved_weight: float, strength: np.ndarray,
    prior: np.ndarray | None = None,
) -> np.ndarray:
    """The best vectors x ``[rows, dim]`` of one side against the ``fixed`` vectors f of the other.

    Each minimises the sum over its ``observed`` values of (value - x'f)^2, plus ``unobserved_weight`` times the sum
    over all f of (x'f)^2, plus its ``strength`` ``[rows]`` times |x - prior|^2, prior 0 unless given.
    """
    dim, degrees = fixed.shape[1], np.diff(observed.indptr)
    # In the eigenbasis of the part that all rows share, that part and the penalty are diagonal.
    shared, basis = np.linalg.eigh(fixed.T.astype(np.float64) @ fixed)
    diagonal = (unobserved_weight * shared + strength[:, None]).astype(np.float32)
    pull = np.zeros((len(degrees), dim), np.float32)
    found = np.zeros_like(pull)
    if prior is not None:
        pull = (strength[:, None] * (prior @ basis)).astype(np.float32)
        found = pull / diagonal  # where nothing is observed
    # One zero row at the end: what short rows are padded with.
    rotated = np.vstack([fixed @ basis, np.zeros((1, dim))]).astype(np.float32)
    # One product a row, too small for two threads of BLAS: they gain nothing, and on a busy machine each product waits
    # for the one that has no core, a hundred times as long as it takes.
    with threadpool_limits(1, "blas"):
        for rows in _blocks_of_like_degree(degrees, dim):
            slots = np.arange(degrees[rows].max())
            inside = slots < degrees[rows][:, None]
            places = np.where(inside, observed.indptr[rows][:, None] + slots, 0)
            columns = np.where(inside, observed.indices[places], len(fixed))
            found[rows] = _least_squares(rotated[columns], observed.data[places], diagonal[rows], pull[rows])
    return found @ basis.T.astype(np.float32)


def _least_squares(observed: np.ndarray, values: np.ndarray, diagonal: np.ndarray, pull: np.ndarray) -> np.ndarray:
    """(O'O + D)^-1 (O'values + pull) for each ``observed`` O ``[rows, m, dim]``, by the smaller Gram matrix."""
    transposed = observed.transpose(0, 2, 1)
    n_observed, dim = observed.shape[1:]
    if n_observed < dim:  # D^-1 (pull + O' (O D^-1 O' + I)^-1 (values - O D^-1 pull))
        scaled = observed / diagonal[:, None, :]
        gram = scaled @ transposed + np.eye(n_observed, dtype=np.float32)
        residuals = values[:, :, None] - scaled @ pull[:, :, None]
        weights = np.linalg.solve(gram, residuals)
        return pull / diagonal + (scaled.transpose(0, 2, 1) @ weights)[:, :, 0]
    gram = transposed @ observed
    gram[:, np.arange(dim), np.arange(dim)] += diagonal
    wanted = (observed * values[:, :, None]).sum(axis=1) + pull
    return np.linalg.solve(gram, wanted[:, :, None])[:, :, 0]


def _blocks_of_like_degree(degrees: np.ndarray, dim: int) -> list[np.ndarray]:
    """Rows with positives, in blocks of bounded memory; sorting by degree keeps the padding small."""
    order = np.argsort(degrees, kind="stable")
    order = order[degrees[order] > 0]
    blocks = []
    while len(order):
        # The block ends with its largest degree; shrink it until that fits.
        size = min(len(order), max(1, BLOCK_NUMBERS // (dim * dim)))
        while size > 1 and size * degrees[order[size - 1]] * dim > BLOCK_NUMBERS:
            size = size // 2
        blocks.append(order[:size])
        order = order[size:]
    return blocks

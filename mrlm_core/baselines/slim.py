"""SLIM: each item as a sparse, non-negative sum of others, by elastic net (Ning & Karypis 2011)."""

# mypy: allow-untyped-defs
from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from mrlm_core.datasets.splits import Interactions
from mrlm_core.evaluation.kernels import compiled, over_rows
from mrlm_core.evaluation.ranking import known_users

TOLERANCE = 1e-4  # a column is solved when no weight moves by more in a pass over all of them
MOST_PASSES = 500


class SLIM:
    """Column j of W minimises |x_j - X w|^2 / 2 + l2 |w|^2 / 2 + l1 |w|_1 with w >= 0 and w_j = 0 (Eq. 4).

    Solved one column at a time by coordinate descent on the Gram matrix X'X, kept sparse: an item that shares at most
    ``l1`` users with j has weight zero at the optimum, for its slope there is not below l1 less that number.
    """

    def __init__(self, *, l1: float, l2: float) -> None:
        self.l1, self.l2 = l1, l2

    def fit(self, interactions: Interactions, seed: int) -> None:
        """Solve all columns; ``seed`` changes nothing, and neither does the number of threads."""
        self._train = train = interactions.train
        gram = csr_matrix(train.T @ train)
        # Column j has its weights at the places of row j of the Gram matrix, the only ones that may not be zero.
        weights = np.zeros(gram.nnz)
        over_rows(
            solve_columns, interactions.n_items, gram.indptr, gram.indices, gram.data, gram.diagonal(),
            float(self.l1), float(self.l2), TOLERANCE, MOST_PASSES, weights,
        )
        columns = csr_matrix((weights.astype(np.float32), gram.indices, gram.indptr), shape=gram.shape)
        columns.eliminate_zeros()
        self.weights = columns.T.tocsr()
        self.report = {"weights": int(self.weights.nnz)}

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores float32 ``[len(users), V]``: X W; zero for a user without training positives."""
        users = known_users(users, self._train.shape[0])
        return (self._train[users] @ self.weights).toarray().astype(np.float32)

    def factors(self) -> None:
        """None: the scores are no product of short vectors."""
        return None


@compiled
def solve_columns(first, last, starts, others, shared, squares, l1, l2, tolerance, most_passes, weights):
    """Fill ``weights`` of columns ``first`` to ``last`` of W, at the places of the Gram matrix's rows.

    ``starts``, ``others``, ``shared`` are the Gram matrix as CSR, ``squares`` its diagonal. Passes go over the weights
    that are not zero until these rest, then over all, until those rest too. Returns -1: nothing can be wrong.
    """
    slope = np.empty(len(squares), np.float64)  # x_i'(x_j - X w) of every item i
    for column in range(first, last):
        slope[:] = 0.0
        begin, end = starts[column], starts[column + 1]
        for place in range(begin, end):
            slope[others[place]] = shared[place]
        everything = True
        for _ in range(most_passes):
            largest = 0.0
            for place in range(begin, end):
                item, old = others[place], weights[place]
                if item == column or shared[place] <= l1 or not (everything or old > 0.0):
                    continue
                new = max(0.0, (slope[item] + squares[item] * old - l1) / (squares[item] + l2))
                change = new - old
                if change != 0.0:
                    weights[place] = new
                    largest = max(largest, abs(change))
                    for other in range(starts[item], starts[item + 1]):
                        slope[others[other]] -= shared[other] * change
            if largest <= tolerance and everything:
                break
            everything = largest <= tolerance
    return -1

"""The largest entries of an item-item matrix that is never held whole: what neighbourhood models keep."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_matrix, identity

from mrlm_core.evaluation.ranking import top_n_of


def nearest(likeness: Callable[[np.ndarray], np.ndarray], n_items: int, count: int) -> csr_matrix:
    """CSR ``[V, V]``: in row i the ``count`` largest values of ``likeness([i])`` ``[1, V]`` with other items.

    Of equal ones those of the lower item index; zeros are left out.
    """
    itself = identity(n_items, np.float32, "csr")
    items, values = top_n_of(likeness, n_items, n_items, min(count, n_items), itself)
    found = items >= 0
    kept = csr_matrix((values[found], (np.nonzero(found)[0], items[found])), shape=(n_items, n_items))
    kept.eliminate_zeros()
    return kept

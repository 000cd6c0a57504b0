"""A control for MFRL (claim C31): the items' descriptions simply concatenated to the initial vectors.

Shapes: U users, V items, d_0 initial vector, d all modalities' vectors side by side.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix


def beside(
    initial: tuple[np.ndarray, np.ndarray], content: np.ndarray, train: csr_matrix
) -> tuple[np.ndarray, np.ndarray]:
    """Initial vectors ``[U, d_0]``, ``[V, d_0]`` with descriptions beside them, ``[U, 2 d_0]`` and ``[V, 2 d_0]``.

    An item's are the first d_0 principal components of ``content`` ``[V, d]`` (fewer are padded with zeros), a user's
    the mean over his positives in ``train`` ``[U, V]``; each side's are scaled to the root mean square of its initial
    vectors, so that neither half drowns the other.
    """
    users, items = initial
    described = principal(content, items.shape[1])
    counts = np.maximum(np.diff(train.indptr), 1)[:, None]
    liked = np.asarray(train @ described) / counts
    return np.hstack([users, _as_large_as(users, liked)]), np.hstack([items, _as_large_as(items, described)])


def principal(content: np.ndarray, dim: int) -> np.ndarray:
    """The first ``dim`` principal components of the rows, float32 ``[V, dim]``."""
    from sklearn.decomposition import PCA

    rank = min(dim, *content.shape)
    found = PCA(rank, svd_solver="covariance_eigh").fit_transform(content)  # exact, so there is nothing to seed
    return np.pad(found, ((0, 0), (0, dim - rank))).astype(np.float32)


def _as_large_as(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    wanted, there = (np.sqrt(np.mean(np.square(values, dtype=np.float64))) for values in (vectors, others))
    return (others * (wanted / there if there else 1.0)).astype(np.float32)

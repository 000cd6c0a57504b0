"""From a mixed kernel to clusters: leading eigenvectors, and k-means on their rows; shared by all kernel methods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DENSE_EIGEN_LIMIT = 1500  # below this many rows LAPACK is faster than Lanczos
FULL_CARE_ROWS = 20_000  # above: Nyström features in float32, restarts of k-means on a sample of so many rows


@dataclass(frozen=True)
class Options:
    """What a kernel method is told besides the kernels and the number of clusters."""

    max_iterations: int
    tolerance: float
    seed: int
    landmarks: int
    n_init: int
    rounding: str


@dataclass(frozen=True)
class Found:
    """What a method ends with."""

    labels: np.ndarray  # int32 [n]
    theta: np.ndarray  # float64 [kernels]
    objectives: list[float]  # after every iteration


def top_eigenvectors(matrix: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Eigenvectors of the ``k`` largest eigenvalues, ``[n, k]``; the start vector is fixed, so the result is too."""
    n = len(matrix)
    if n <= max(DENSE_EIGEN_LIMIT, 4 * k):
        from scipy.linalg import eigh

        return eigh(matrix, subset_by_index=(n - k, n - 1))[1]
    from scipy.sparse.linalg import eigsh

    start = np.random.default_rng(seed).standard_normal(n).astype(matrix.dtype)
    return eigsh(matrix, k=k, which="LA", v0=start, tol=1e-5)[1]


def scaled_rows(relaxed: np.ndarray, eigenvalues: np.ndarray, rounding: str) -> np.ndarray:
    """H ``[n, k]`` as ``rounding`` wants it: ``equal`` as it is, ``weighted`` by the roots of the eigenvalues."""
    return relaxed * np.sqrt(np.maximum(eigenvalues, 0)) if rounding == "weighted" else relaxed


def kmeans(rows: np.ndarray, n_clusters: int, n_init: int, seed: int) -> tuple[np.ndarray, float]:
    """k-means labels int32 ``[n]`` of ``rows`` ``[n, d]`` and the summed squared distance from the centres.

    One thread, because the order of its sums decides ties. Of many rows a sample chooses among the restarts, and the
    best of its centres start the one run over all.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        start: str | np.ndarray = "k-means++"
        if len(rows) > FULL_CARE_ROWS:
            sample = np.sort(np.random.default_rng(seed).permutation(len(rows))[:FULL_CARE_ROWS])
            start = KMeans(n_clusters, n_init=n_init, random_state=seed).fit(rows[sample]).cluster_centers_
            n_init = 1
        fitted = KMeans(n_clusters, init=start, n_init=n_init, random_state=seed).fit(rows)
    return fitted.labels_.astype(np.int32), float(fitted.inertia_)

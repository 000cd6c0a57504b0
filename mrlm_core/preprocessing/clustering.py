"""From auxiliary feature vectors to cluster ids: multiple-kernel k-means, and plain k-means (§3.1(1))."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mrlm_core.errors import ConfigError, DatasetError, problem
from mrlm_core.preprocessing import mkkm, okkc
from mrlm_core.preprocessing.kernels import DEFAULT_KERNELS, kernel_bank
from mrlm_core.preprocessing.spectral import FULL_CARE_ROWS, Found, Options, kmeans
from mrlm_core.preprocessing.vectors import Features
from mrlm_core.preprocessing_config import CLUSTERINGS

_SOLVERS = {"exact": mkkm.exact, "nystrom": mkkm.nystrom, "okkc": okkc.okkc}
_IN_MEMORY = ("exact", "okkc")  # they hold the kernel matrices


@dataclass(frozen=True)
class MultipleKernelClusters:
    """Cluster ids and the kernel mixture that gave them; unpacks as ``labels, kernel_weights, objective``."""

    labels: np.ndarray  # int32 [n]
    kernel_weights: np.ndarray  # float64 [kernels], sum 1
    kernel_names: tuple[str, ...]
    objective: float  # at the end; see the method for what it is
    objectives: tuple[float, ...]  # after every iteration
    method: str

    @property
    def n_iterations(self) -> int:
        return len(self.objectives)

    def __iter__(self) -> Iterator[np.ndarray | float]:
        return iter((self.labels, self.kernel_weights, self.objective))


def multiple_kernel_kmeans(
    features: np.ndarray,
    n_clusters: int,
    method: str = "exact",
    kernels: tuple[str, ...] = DEFAULT_KERNELS,
    seed: int = 0,
    *,
    max_iterations: int = 30,
    tolerance: float = 1e-4,
    n_init: int = 10,
    rounding: str = "weighted",
    n_landmarks: int | None = None,
    exact_limit: int = FULL_CARE_ROWS,
) -> MultipleKernelClusters:
    """Cluster the rows of ``features`` ``[n, d]`` by k-means under a learned mixture of kernels.

    Every kernel is centred and scaled to unit trace. ``"exact"`` alternates the eigenvector relaxation
    H ``[n, n_clusters]`` of ``sum_m theta_m^2 K_m`` with the closed form ``theta_m = (1/Q_m) / sum(1/Q)``,
    ``Q_m = tr K_m - tr H'K_m H`` (Gönen & Margolin 2014, a relative of the paper's fusion that needs no solver), until
    the objective ``sum_m theta_m^2 Q_m`` falls by less than ``tolerance`` of itself, then runs k-means on the rows of
    H, each of length 1. ``rounding="equal"`` takes H as it is; ``"weighted"`` first scales each eigenvector by the
    root of its eigenvalue, so that these are k-means on the best rank-k form of the mixed kernel and, where
    ``n_clusters`` is larger than the structure in the data, the surplus eigenvectors, which are noise, count for
    little. A kernel of rank below ``n_clusters`` (cosine on few columns) loses nothing and takes all weight; give more
    columns than clusters. ``"nystrom"`` does the same on each kernel's features for ``n_landmarks`` rows (default 20 a
    cluster, at least 500), memory linear in n, with the traces taken from the exact diagonal.

    ``"okkc"`` is the paper's own fusion (Yu et al. 2012): k - 1 eigenvectors of ``Omega = sum_m theta_m K_m``,
    k-means, and theta from an LS-SVM, until under 5% of the labels change; objective 1 - tr A'Omega A. ``"kmeans"``
    is no kernel method but k-means on the features as they are, for comparison (columns scaled to deviation 1 would
    lose to it by the scaling alone, where columns are components by size); objective: within-cluster share of the
    variance.

    ``exact`` and ``okkc`` hold one float32 ``[n, n]`` matrix a kernel and one for their sum: at most ``exact_limit``
    rows. ``kernels``: ``cosine``, ``rbf-s`` = exp(-|x-y|^2 / (s median^2)) with the median distance, ``poly-p`` =
    (1 + x'y / mean |x|^2)^p.

    Raises ConfigError for an impossible option, DatasetError for features that cannot be clustered. Gap G22.
    """
    _choice("clustering method", method, CLUSTERINGS, "Set preprocessing.clustering.")
    _choice("rounding", rounding, ("weighted", "equal"), "Correct it.")
    points = _checked(features, n_clusters)
    if method in _IN_MEMORY and len(points) > exact_limit:
        expected = f"at most {exact_limit} rows for the {method} method"
        remedy = "Choose preprocessing.clustering = 'nystrom', whose memory grows linearly."
        raise ConfigError(problem("clustering", expected, str(len(points)), remedy))
    landmarks = min(n_landmarks or max(500, 20 * n_clusters), len(points))
    options = Options(max_iterations, tolerance, seed, landmarks, n_init, rounding)
    if method == "kmeans":
        kernels, found = ("linear",), _plain(points, n_clusters, options)
    else:
        found = _SOLVERS[method](kernel_bank(points, kernels, seed), n_clusters, options)
    return MultipleKernelClusters(
        found.labels, found.theta, tuple(kernels), found.objectives[-1], tuple(found.objectives), method
    )


def cluster_items(
    features: Features, n_clusters: int, method: str = "exact", seed: int = 0, modality: str = ""
) -> np.ndarray:
    """Cluster id of each item, int32 ``[V]``; -1 where the item has no description of this modality.

    ``modality`` only names it in errors. Raises DatasetError when fewer items are described than there are clusters.
    Gap G20.
    """
    described = int(features.mask.sum())
    if described < n_clusters:
        raise DatasetError(
            problem(f"clustering of {modality or 'the'} features ({features.encoder})",
                    f"at least {n_clusters} described items", f"{described} of {len(features.mask)}",
                    "Lower preprocessing.cluster_counts of this modality, describe more items, or leave it out.")
        )
    labels = np.full(len(features.mask), -1, np.int32)
    labels[features.mask] = multiple_kernel_kmeans(features.values[features.mask], n_clusters, method, seed=seed).labels
    return labels


def _plain(points: np.ndarray, n_clusters: int, options: Options) -> Found:
    labels, within = kmeans(points, n_clusters, options.n_init, options.seed)
    return Found(labels, np.ones(1), [within / (len(points) * float(points.var(axis=0, dtype=np.float64).sum()))])


def _choice(where: str, value: str, allowed: tuple[str, ...], remedy: str) -> None:
    if value not in allowed:
        raise ConfigError(problem(where, " or ".join(map(repr, allowed)), repr(value), remedy))


def _checked(features: np.ndarray, n_clusters: int) -> np.ndarray:
    """``features`` as float32 without constant columns."""
    points = np.asarray(features, np.float32)
    if points.ndim != 2:
        raise DatasetError(problem("features to cluster", "an array [n, d]", f"shape {points.shape}", "Reshape it."))
    if n_clusters < 2:
        remedy = "Set preprocessing.cluster_counts of this modality."
        raise ConfigError(problem("number of clusters", "2 or more", str(n_clusters), remedy))
    bad = ~np.isfinite(points).all(axis=1)
    if bad.any():
        first = ", ".join(map(str, np.flatnonzero(bad)[:5]))
        found = f"NaN or infinity in {bad.sum()} rows, the first {first}"
        raise DatasetError(problem("features to cluster", "finite numbers", found, "Mask or repair these rows."))
    points = np.ascontiguousarray(points[:, np.ptp(points, axis=0) > 0]) if len(points) else points
    # Sorting all rows takes long where there are many, and the first ones nearly always suffice.
    if _distinct(points[:1000]) < n_clusters and (distinct := _distinct(points)) < n_clusters:
        raise DatasetError(
            problem("features to cluster", f"at least {n_clusters} different rows for {n_clusters} clusters",
                    f"{distinct} different among {len(points)}", "Ask for fewer clusters or give richer features.")
        )
    return points


def _distinct(points: np.ndarray) -> int:
    """Number of different rows."""
    return len(np.unique(points, axis=0)) if points.shape[1] else min(len(points), 1)

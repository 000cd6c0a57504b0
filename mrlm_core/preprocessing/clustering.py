"""Multiple-kernel k-means, exact and by Nyström features: from auxiliary feature vectors to cluster ids (§3.1(1))."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mrlm_core.errors import ConfigError, DatasetError, problem
from mrlm_core.preprocessing.kernels import DEFAULT_KERNELS, Kernel, kernel_bank
from mrlm_core.preprocessing.vectors import Features

DENSE_EIGEN_LIMIT = 1500  # below this many rows LAPACK is faster than Lanczos
BLOCK_BYTES = 32 * 2**20  # rows of a kernel matrix, or of Nyström features, worked on at once
NYSTROM_RANK_CUTOFF = 1e-10  # relative eigenvalue below which a landmark direction is only rounding error


@dataclass(frozen=True)
class MultipleKernelClusters:
    """Cluster ids and the kernel mixture that gave them; unpacks as ``labels, kernel_weights, objective``."""

    labels: np.ndarray  # int32 [n]
    kernel_weights: np.ndarray  # float64 [kernels], sum 1
    kernel_names: tuple[str, ...]
    objective: float  # sum_m theta_m^2 (tr K_m - tr H'K_m H) at the end
    objectives: tuple[float, ...]  # after every iteration, never rising
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
    exact_limit: int = 20_000,
) -> MultipleKernelClusters:
    """Cluster the rows of ``features`` ``[n, d]`` by k-means under a learned mixture of kernels.

    Every kernel is centred and scaled to unit trace. Alternates the eigenvector relaxation H ``[n, n_clusters]`` of
    ``sum_m theta_m^2 K_m`` with the closed form ``theta_m = (1/Q_m) / sum(1/Q)``, ``Q_m = tr K_m - tr H'K_m H``
    (Gönen & Margolin 2014, the relative of the paper's optimised kernel fusion that needs no solver), until the
    objective falls by less than ``tolerance`` of itself, then runs k-means on the rows of H, each of length 1.
    ``rounding="equal"`` takes H as it is; ``"weighted"`` first scales each eigenvector by the root of its eigenvalue,
    so that these are k-means on the best rank-k form of the mixed kernel and, where ``n_clusters`` is larger than
    the structure in the data, the surplus eigenvectors, which are noise, count for little. A kernel of rank below
    ``n_clusters`` (cosine on few columns) loses nothing and takes all weight; give more columns than clusters.

    ``method="exact"`` holds one float32 ``[n, n]`` matrix a kernel and one for their sum: at most ``exact_limit``
    rows. ``"nystrom"`` replaces each kernel by its features on ``n_landmarks`` rows (default 20 a cluster, at least
    500), memory linear in n, with the traces taken from the exact diagonal. ``kernels``: ``cosine``,
    ``rbf-s`` = exp(-|x-y|^2 / (s median^2)) with the median distance, ``poly-p`` = (1 + x'y / mean |x|^2)^p.

    Raises ConfigError for an impossible option, DatasetError for features that cannot be clustered.
    """
    _choice("clustering method", method, tuple(_SOLVERS), "Set preprocessing.clustering.")
    _choice("rounding", rounding, ("weighted", "equal"), "Correct it.")
    points = _checked(features, n_clusters)
    if method == "exact" and len(points) > exact_limit:
        expected = f"at most {exact_limit} rows for the exact method"
        remedy = "Choose preprocessing.clustering = 'nystrom', whose memory grows linearly."
        raise ConfigError(problem("clustering", expected, str(len(points)), remedy))
    landmarks = min(n_landmarks or max(500, 20 * n_clusters), len(points))
    bank = kernel_bank(points, kernels, seed)
    alternation = _Alternation(max_iterations, tolerance, seed, landmarks)
    relaxed, found = _SOLVERS[method](bank, n_clusters, alternation)
    scaled = relaxed * np.sqrt(np.maximum(found.eigenvalues, 0)) if rounding == "weighted" else relaxed
    labels = _kmeans_of_rows(scaled, n_clusters, n_init, seed)
    return MultipleKernelClusters(
        labels, found.theta, tuple(kernels), found.objectives[-1], tuple(found.objectives), method
    )


def cluster_items(
    features: Features, n_clusters: int, method: str = "exact", seed: int = 0, modality: str = ""
) -> np.ndarray:
    """Cluster id of each item, int32 ``[V]``; -1 where the item has no description of this modality.

    ``modality`` only names it in errors. Raises DatasetError when fewer items are described than there are clusters.
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
    distinct = len(np.unique(points, axis=0)) if points.shape[1] else min(len(points), 1)
    if distinct < n_clusters:
        raise DatasetError(
            problem("features to cluster", f"at least {n_clusters} different rows for {n_clusters} clusters",
                    f"{distinct} different among {len(points)}", "Ask for fewer clusters or give richer features.")
        )
    return points


@dataclass(frozen=True)
class _Optimum:
    """Where the alternation ended."""

    theta: np.ndarray  # float64 [kernels]
    eigenvalues: np.ndarray  # float64 [k], of the mixed kernel that H belongs to
    objectives: list[float]


@dataclass(frozen=True)
class _Alternation:
    """The alternating minimisation, whatever form the kernels have; all have trace 1."""

    max_iterations: int
    tolerance: float
    seed: int
    landmarks: int

    def run(
        self, n_kernels: int, relax: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    ) -> tuple[np.ndarray, _Optimum]:
        """Alternate until the objective stands still.

        ``relax(theta)`` gives H or its coordinates, and ``kept[m, j] = h_j'K_m h_j``; returns that H and the optimum.
        """
        theta = np.full(n_kernels, 1 / n_kernels)
        objectives: list[float] = []
        for _ in range(self.max_iterations):
            relaxed, kept = relax(theta)
            eigenvalues = theta**2 @ kept
            lost = np.maximum(1 - kept.sum(axis=1), 1e-12)  # Q_m; rounding may leave it below 0
            theta = (1 / lost) / (1 / lost).sum()
            objectives.append(float(theta**2 @ lost))
            if len(objectives) > 1 and objectives[-2] - objectives[-1] < self.tolerance * objectives[-2]:
                break
        return relaxed, _Optimum(theta, eigenvalues, objectives)


def _exact(bank: list[Kernel], k: int, alternation: _Alternation) -> tuple[np.ndarray, _Optimum]:
    """H ``[n, k]`` and the optimum, with every kernel matrix in memory, float32."""
    matrices = [_centred_unit_trace(kernel) for kernel in bank]
    total = np.empty_like(matrices[0])

    def relax(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        for rows in _blocks(len(total), total[0].nbytes):
            np.multiply(matrices[0][rows], np.float32(theta[0] ** 2), out=total[rows])
            for matrix, weight in zip(matrices[1:], theta[1:], strict=True):
                total[rows] += matrix[rows] * np.float32(weight**2)
        relaxed = _top_eigenvectors(total, k, alternation.seed)
        kept = [np.einsum("ij,ij->j", relaxed, matrix @ relaxed, dtype=np.float64) for matrix in matrices]
        return relaxed, np.array(kept)

    return alternation.run(len(bank), relax)


def _centred_unit_trace(kernel: Kernel) -> np.ndarray:
    n = len(kernel.points)
    matrix, means = np.empty((n, n), np.float32), np.empty(n)
    for rows in _blocks(n, 4 * n):
        matrix[rows] = kernel.between(kernel.points[rows], kernel.points)
        means[rows] = matrix[rows].mean(axis=1, dtype=np.float64)
    scale = np.float32(1 / (kernel.diagonal_sum() - means.sum()))
    shift = (means - means.mean()).astype(np.float32)
    for rows in _blocks(n, 4 * n):
        matrix[rows] -= means[rows, None].astype(np.float32)
        matrix[rows] -= shift
        matrix[rows] *= scale
    return matrix


def _top_eigenvectors(matrix: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Eigenvectors of the ``k`` largest eigenvalues, ``[n, k]``; the start vector is fixed, so the result is too."""
    n = len(matrix)
    if n <= max(DENSE_EIGEN_LIMIT, 4 * k):
        from scipy.linalg import eigh

        return eigh(matrix, subset_by_index=(n - k, n - 1))[1]
    from scipy.sparse.linalg import eigsh

    start = np.random.default_rng(seed).standard_normal(n).astype(matrix.dtype)
    return eigsh(matrix, k=k, which="LA", v0=start, tol=1e-5)[1]


def _nystrom(bank: list[Kernel], k: int, alternation: _Alternation) -> tuple[np.ndarray, _Optimum]:
    """As ``_exact``, each kernel replaced by its Nyström features; only their Gram matrix takes part in the loop.

    The features Phi_m ``[n, rank_m]`` are made block by block twice: for the Gram matrix and for the final H.
    Traces are the exact diagonal less the mean: the approximated ones over-weight narrow kernels, which lose trace.
    """
    n = len(bank[0].points)
    landmarks = _landmark_rows(bank[0].points, alternation.landmarks, alternation.seed)
    maps = [_landmark_map(kernel, landmarks) for kernel in bank]
    ends = np.cumsum([0] + [projection.shape[1] for projection in maps])
    parts = [slice(a, b) for a, b in itertools.pairwise(ends)]
    sums, gram = np.zeros(ends[-1]), np.zeros((ends[-1], ends[-1]))
    for rows in _blocks(n, 8 * ends[-1]):
        block = _nystrom_features(bank, maps, landmarks, rows)
        sums += block.sum(axis=0)
        gram += block.T @ block
    means = sums / n
    traces = [kernel.diagonal_sum() - n * means[part] @ means[part] for kernel, part in zip(bank, parts, strict=True)]
    sizes = [projection.shape[1] for projection in maps]
    scale = np.repeat(np.array(traces) ** -0.5, sizes)
    gram -= n * np.outer(means, means)
    gram *= scale[:, None] * scale

    def relax(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates W ``[features, k]`` of H = Phi W, so that h_j'K_m h_j = |Phi_m'Phi w_j|^2."""
        weights = np.repeat(theta, sizes)
        mixed = gram * weights[:, None] * weights
        basis = _top_eigenvectors(mixed, k, alternation.seed)
        eigenvalues = np.einsum("ij,ij->j", basis, mixed @ basis)
        coordinates = weights[:, None] * basis / np.sqrt(np.maximum(eigenvalues, 1e-300))
        inner = gram @ coordinates
        return coordinates, np.array([(inner[part] ** 2).sum(axis=0) for part in parts])

    coordinates, optimum = alternation.run(len(bank), relax)
    coordinates = scale[:, None] * coordinates
    relaxed = [_nystrom_features(bank, maps, landmarks, rows) @ coordinates for rows in _blocks(n, 8 * ends[-1])]
    return np.concatenate(relaxed) - means @ coordinates, optimum


def _landmark_rows(points: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Rows chosen by k-means++ seeding among at most 20,000."""
    from sklearn.cluster import kmeans_plusplus

    rows = np.sort(np.random.default_rng(seed).permutation(len(points))[:20_000])
    return rows[kmeans_plusplus(points[rows], min(count, len(rows)), random_state=seed, n_local_trials=1)[1]]


def _landmark_map(kernel: Kernel, landmarks: np.ndarray) -> np.ndarray:
    """K_mm^(-1/2) on the directions that rounding leaves, ``[landmarks, rank]``, float64."""
    chosen = kernel.points[landmarks].astype(np.float64)
    values, vectors = np.linalg.eigh(kernel.between(chosen, chosen))
    real = values > NYSTROM_RANK_CUTOFF * values[-1]
    return vectors[:, real] / np.sqrt(values[real])


def _nystrom_features(bank: list[Kernel], maps: list[np.ndarray], landmarks: np.ndarray, rows: slice) -> np.ndarray:
    """``[rows, features]``: every kernel's features side by side, not centred, float64."""
    return np.concatenate([
        kernel.between(kernel.points[rows].astype(np.float64), kernel.points[landmarks].astype(np.float64)) @ to
        for kernel, to in zip(bank, maps, strict=True)
    ], axis=1)


def _blocks(n: int, row_bytes: int) -> Iterator[slice]:
    step = max(1, BLOCK_BYTES // int(row_bytes))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def _kmeans_of_rows(relaxed: np.ndarray, n_clusters: int, n_init: int, seed: int) -> np.ndarray:
    """k-means labels of the row-normalised H; one thread, because the order of its sums decides ties."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    norms = np.linalg.norm(relaxed, axis=1, keepdims=True)
    rows = relaxed / np.where(norms > 0, norms, 1)
    with threadpool_limits(1):
        return KMeans(n_clusters, n_init=n_init, random_state=seed).fit(rows).labels_.astype(np.int32)


_SOLVERS = {"exact": _exact, "nystrom": _nystrom}

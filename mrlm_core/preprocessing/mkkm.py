"""Multiple-kernel k-means with closed-form weights (Gönen & Margolin 2014), exact and by Nyström features."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from mrlm_core.preprocessing.kernels import Kernel, blocks, centred_unit_trace, kept_by, kernels_between, mix
from mrlm_core.preprocessing.spectral import (
    FULL_CARE_ROWS,
    Found,
    Options,
    kmeans,
    scaled_rows,
    top_eigenvectors,
)
from mrlm_core.preprocessing.vectors import unit_rows

# Relative eigenvalue below which a landmark direction is only rounding error; float32 features blur more of them.
RANK_CUTOFF: dict[type, float] = {np.float64: 1e-10, np.float32: 1e-6}

Relax = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def exact(bank: list[Kernel], k: int, options: Options) -> Found:
    """With every kernel matrix in memory, float32."""
    matrices = [centred_unit_trace(kernel) for kernel in bank]
    total = np.empty_like(matrices[0])

    def relax(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        relaxed = top_eigenvectors(mix(matrices, theta**2, total), k, options.seed)
        return relaxed, kept_by(matrices, relaxed)

    relaxed, eigenvalues, theta, objectives = _alternate(len(bank), relax, options)
    return _rounded(relaxed, eigenvalues, theta, objectives, options)


def nystrom(bank: list[Kernel], k: int, options: Options) -> Found:
    """As ``exact``, each kernel replaced by its Nyström features; only their Gram matrix takes part in the loop.

    The features Phi_m ``[n, rank_m]`` are made block by block twice: for the Gram matrix and for the final H.
    Traces are the exact diagonal less the mean: the approximated ones over-weight narrow kernels, which lose trace.
    So the objective is in the units of the exact one, and not below it at the same H and theta, for the approximated
    matrix keeps no more of any H.
    """
    n = len(bank[0].points)
    dtype = np.float64 if n <= FULL_CARE_ROWS else np.float32
    landmarks = _landmark_rows(bank[0].points, options.landmarks, options.seed)
    maps = [_landmark_map(kernel, landmarks, dtype) for kernel in bank]
    sizes = [projection.shape[1] for projection in maps]
    parts = [slice(a, b) for a, b in itertools.pairwise(np.cumsum([0, *sizes]))]
    sums, gram = np.zeros(sum(sizes)), np.zeros((sum(sizes), sum(sizes)))
    for rows in blocks(n, 8 * sum(sizes)):
        block = _features(bank, maps, landmarks, rows, dtype)
        sums += block.sum(axis=0, dtype=np.float64)
        gram += block.T @ block
    means = sums / n
    traces = [kernel.diagonal_sum() - n * means[part] @ means[part] for kernel, part in zip(bank, parts, strict=True)]
    scale = np.repeat(np.array(traces) ** -0.5, sizes)
    gram -= n * np.outer(means, means)
    gram *= scale[:, None] * scale
    relax = _relax_features(gram, parts, k, options)
    coordinates, eigenvalues, theta, objectives = _alternate(len(bank), relax, options)
    coordinates = scale[:, None] * coordinates
    to, shift = coordinates.astype(dtype), (means @ coordinates).astype(dtype)
    relaxed = [_features(bank, maps, landmarks, rows, dtype) @ to for rows in blocks(n, 8 * sum(sizes))]
    return _rounded(np.concatenate(relaxed) - shift, eigenvalues, theta, objectives, options)


def _relax_features(gram: np.ndarray, parts: list[slice], k: int, options: Options) -> Relax:
    sizes = [part.stop - part.start for part in parts]

    def relax(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates W ``[features, k]`` of H = Phi W, so that h_j'K_m h_j = |Phi_m'Phi w_j|^2."""
        weights = np.repeat(theta, sizes)
        mixed = gram * weights[:, None] * weights
        basis = top_eigenvectors(mixed, k, options.seed)
        eigenvalues = np.einsum("ij,ij->j", basis, mixed @ basis)
        coordinates = weights[:, None] * basis / np.sqrt(np.maximum(eigenvalues, 1e-300))
        inner = gram @ coordinates
        return coordinates, np.array([(inner[part] ** 2).sum(axis=0) for part in parts])

    return relax


def _alternate(
    n_kernels: int, relax: Relax, options: Options
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[float]]:
    """Alternate until the objective stands still, whatever form the kernels have; all have trace 1.

    ``relax(theta)`` gives H or its coordinates, and ``kept[m, j] = h_j'K_m h_j``. Returns that H, the eigenvalues
    ``[k]`` that belong to it, theta and the objectives.
    """
    theta = np.full(n_kernels, 1 / n_kernels)
    objectives: list[float] = []
    for _ in range(options.max_iterations):
        relaxed, kept = relax(theta)
        eigenvalues = theta**2 @ kept
        lost = np.maximum(1 - kept.sum(axis=1), 1e-12)  # Q_m; rounding may leave it below 0
        theta = (1 / lost) / (1 / lost).sum()
        objectives.append(float(theta**2 @ lost))
        if len(objectives) > 1 and objectives[-2] - objectives[-1] < options.tolerance * objectives[-2]:
            break
    return relaxed, eigenvalues, theta, objectives


def _rounded(
    relaxed: np.ndarray, eigenvalues: np.ndarray, theta: np.ndarray, objectives: list[float], options: Options
) -> Found:
    rows = unit_rows(scaled_rows(relaxed, eigenvalues, options.rounding))
    return Found(kmeans(rows, relaxed.shape[1], options.n_init, options.seed)[0], theta, objectives)


def _landmark_rows(points: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Rows chosen by k-means++ seeding among a sample."""
    from sklearn.cluster import kmeans_plusplus

    rows = np.sort(np.random.default_rng(seed).permutation(len(points))[:FULL_CARE_ROWS])
    return rows[kmeans_plusplus(points[rows], min(count, len(rows)), random_state=seed, n_local_trials=1)[1]]


def _landmark_map(kernel: Kernel, landmarks: np.ndarray, dtype: type) -> np.ndarray:
    """K_mm^(-1/2) on the directions that rounding leaves, ``[landmarks, rank]``, solved in float64."""
    chosen = kernel.points[landmarks].astype(np.float64)
    values, vectors = np.linalg.eigh(kernel.between(chosen, chosen))
    real = values > RANK_CUTOFF[dtype] * values[-1]
    return (vectors[:, real] / np.sqrt(values[real])).astype(dtype)


def _features(
    bank: list[Kernel], maps: list[np.ndarray], landmarks: np.ndarray, rows: slice, dtype: type
) -> np.ndarray:
    """``[rows, features]``: every kernel's features side by side, not centred."""
    values = kernels_between(bank, rows, landmarks, dtype)
    return np.concatenate([value @ to for value, to in zip(values, maps, strict=True)], axis=1)

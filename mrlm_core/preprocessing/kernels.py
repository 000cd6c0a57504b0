"""The kernels that clustering mixes, evaluated block by block on one modality's vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mrlm_core.errors import ConfigError, problem
from mrlm_core.preprocessing.vectors import unit_rows

DEFAULT_KERNELS = ("cosine", "rbf-0.5", "rbf-1", "rbf-2", "rbf-4", "poly-2")
BLOCK_BYTES = 32 * 2**20  # rows of a kernel matrix, or of Nyström features, worked on at once


@dataclass(frozen=True)
class Kernel:
    """A kernel over fixed points; ``points`` are scaled so that the family needs only its ``parameter``."""

    family: str
    parameter: float
    points: np.ndarray

    def between(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Kernel values ``[len(left), len(right)]`` in the points' precision."""
        return self.of_base(self.base(left, right))

    def base(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """What all kernels of the family share: squared distances, or inner products."""
        values = left @ right.T
        if self.family == "rbf":
            values *= -2
            values += np.einsum("ij,ij->i", left, left)[:, None]
            values += np.einsum("ij,ij->i", right, right)
            np.maximum(values, 0, out=values)
        return values

    def of_base(self, base: np.ndarray) -> np.ndarray:
        """Kernel values from what the family shares, which is left as it is."""
        if self.family == "rbf":
            values = base * (-1 / self.parameter)
            return np.exp(values, out=values)
        if self.family == "poly":
            values = base + 1
            return np.power(values, self.parameter, out=values)
        return base

    def diagonal_sum(self) -> float:
        """Sum of k(x, x) over all points, exactly."""
        if self.family == "rbf":
            return float(len(self.points))
        squares = np.einsum("ij,ij->i", self.points, self.points).astype(np.float64)
        return float(squares.sum() if self.family == "cosine" else ((1 + squares) ** self.parameter).sum())


def kernel_bank(points: np.ndarray, names: tuple[str, ...], seed: int) -> list[Kernel]:
    """The named kernels over ``points``; raises ConfigError for a name that is none."""
    centred = points - points.mean(axis=0, dtype=np.float64).astype(np.float32)
    scaled = {  # one array a family, shared by its kernels
        "cosine": unit_rows(points),
        "rbf": centred / np.float32(_median_distance(centred, seed)),
        "poly": centred / np.float32(_root_mean_square(centred)),
    }
    bank = []
    for name in names:
        family, _, parameter = name.partition("-")
        try:
            value = float(parameter) if family != "cosine" else 1.0
        except ValueError:
            value = -1.0
        if family not in scaled or value <= 0 or (family == "cosine" and parameter):
            raise ConfigError(problem("kernel", "'cosine', 'rbf-<s>' or 'poly-<p>'", repr(name), "Correct its name."))
        bank.append(Kernel(family, value, scaled[family]))
    if not bank:
        raise ConfigError(problem("kernels", "at least one", "none", f"The default is {DEFAULT_KERNELS}."))
    return bank


def kernels_between(bank: Sequence[Kernel], rows: slice, columns: np.ndarray, dtype: type) -> Iterator[np.ndarray]:
    """For each kernel in turn its values ``[rows, columns]``; neighbours of one family share what they can."""
    family, base = "", np.empty(0)
    for kernel in bank:
        if kernel.family != family:
            family = kernel.family
            base = kernel.base(kernel.points[rows].astype(dtype), kernel.points[columns].astype(dtype))
        yield kernel.of_base(base)


def centred_unit_trace(kernel: Kernel) -> np.ndarray:
    """The kernel's matrix ``[n, n]``, float32, centred and scaled to trace 1."""
    n = len(kernel.points)
    matrix, means = np.empty((n, n), np.float32), np.empty(n)
    for rows in blocks(n, 4 * n):
        matrix[rows] = kernel.between(kernel.points[rows], kernel.points)
        means[rows] = matrix[rows].mean(axis=1, dtype=np.float64)
    scale = np.float32(1 / (kernel.diagonal_sum() - means.sum()))
    shift = (means - means.mean()).astype(np.float32)
    for rows in blocks(n, 4 * n):
        matrix[rows] -= means[rows, None].astype(np.float32)
        matrix[rows] -= shift
        matrix[rows] *= scale
    return matrix


def mix(matrices: Sequence[np.ndarray], weights: np.ndarray, out: np.ndarray) -> np.ndarray:
    """The weighted sum of ``matrices`` ``[n, n]``, written into ``out``."""
    for rows in blocks(len(out), out[0].nbytes):
        np.multiply(matrices[0][rows], np.float32(weights[0]), out=out[rows])
        for matrix, weight in zip(matrices[1:], weights[1:], strict=True):
            out[rows] += matrix[rows] * np.float32(weight)
    return out


def kept_by(matrices: Sequence[np.ndarray], relaxed: np.ndarray) -> np.ndarray:
    """``h_j'K_m h_j`` for the columns of H ``[n, k]``: float64 ``[kernels, k]``."""
    return np.array([np.einsum("ij,ij->j", relaxed, matrix @ relaxed, dtype=np.float64) for matrix in matrices])


def blocks(n: int, row_bytes: int) -> Iterator[slice]:
    """Slices that cover ``n`` rows, each of about BLOCK_BYTES."""
    step = max(1, BLOCK_BYTES // int(row_bytes))
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def _root_mean_square(points: np.ndarray) -> float:
    """Root of the mean squared length of the rows; in blocks, for a float64 copy of all of them is large."""
    squares = [(points[rows].astype(np.float64) ** 2).sum(axis=1) for rows in blocks(len(points), 8 * points[0].size)]
    return float(np.sqrt(np.concatenate(squares).mean()))


def _median_distance(points: np.ndarray, seed: int) -> float:
    """Median distance of different rows, from at most 1,000 of them."""
    from scipy.spatial.distance import pdist

    rows = np.random.default_rng(seed).permutation(len(points))[:1000]
    distances = pdist(points[rows].astype(np.float64))
    # A few outliers among many equal rows can all fall outside the sample.
    return float(np.median(distances[distances > 0])) if (distances > 0).any() else float(points.std()) or 1.0

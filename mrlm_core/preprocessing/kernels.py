"""The kernels that clustering mixes, evaluated block by block on one modality's vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrlm_core.errors import ConfigError, problem

DEFAULT_KERNELS = ("cosine", "rbf-0.5", "rbf-1", "rbf-2", "rbf-4", "poly-2")


@dataclass(frozen=True)
class Kernel:
    """A kernel over fixed points; ``points`` are scaled so that the family needs only its ``parameter``."""

    family: str
    parameter: float
    points: np.ndarray

    def between(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Kernel values ``[len(left), len(right)]`` in the points' precision."""
        values = left @ right.T
        if self.family == "rbf":
            values *= -2
            values += np.einsum("ij,ij->i", left, left)[:, None]
            values += np.einsum("ij,ij->i", right, right)
            np.maximum(values, 0, out=values)
            values *= -1 / self.parameter
            np.exp(values, out=values)
        elif self.family == "poly":
            values += 1
            np.power(values, self.parameter, out=values)
        return values

    def diagonal_sum(self) -> float:
        """Sum of k(x, x) over all points, exactly."""
        squares = np.einsum("ij,ij->i", self.points, self.points).astype(np.float64)
        if self.family == "rbf":
            return float(len(squares))
        return float(squares.sum() if self.family == "cosine" else ((1 + squares) ** self.parameter).sum())


def kernel_bank(points: np.ndarray, names: tuple[str, ...], seed: int) -> list[Kernel]:
    """The named kernels over ``points``; raises ConfigError for a name that is none."""
    centred = points - points.mean(axis=0, dtype=np.float64).astype(np.float32)
    norms = np.linalg.norm(points, axis=1, keepdims=True)
    scaled = {  # one array a family, shared by its kernels
        "cosine": points / np.where(norms > 0, norms, 1),
        "rbf": centred / np.float32(_median_distance(centred, seed)),
        "poly": centred / np.float32(np.sqrt((centred.astype(np.float64) ** 2).sum(axis=1).mean())),
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


def _median_distance(points: np.ndarray, seed: int) -> float:
    """Median distance of different rows, from at most 1,000 of them."""
    from scipy.spatial.distance import pdist

    rows = np.random.default_rng(seed).permutation(len(points))[:1000]
    distances = pdist(points[rows].astype(np.float64))
    # A few outliers among many equal rows can all fall outside the sample.
    return float(np.median(distances[distances > 0])) if (distances > 0).any() else float(points.std()) or 1.0

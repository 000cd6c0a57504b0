"""OKKC, the kernel fusion that the paper cites: kernel coefficients from an LS-SVM (Yu et al., TPAMI 34(5), 2012)."""

from __future__ import annotations

import numpy as np

from mrlm_core.preprocessing.kernels import Kernel, centred_unit_trace, kept_by, mix
from mrlm_core.preprocessing.spectral import Found, Options, kmeans, scaled_rows, top_eigenvectors

LABEL_CHANGE = 0.05  # the alternation stops when a smaller share of the labels changes (Yu et al.)
LAMBDA = 1.0  # of the LS-SVM, for kernels scaled to trace n, that is to a mean diagonal of 1
GAP = 5e-4  # between the two bounds of the semi-infinite programme, relative
MAX_CUTS = 100


def okkc(bank: list[Kernel], k: int, options: Options) -> Found:
    """Alternate clusters and kernel coefficients theta, theta >= 0 with sum 1, Omega = sum_m theta_m K_m.

    Clusters: k-means on the leading k - 1 eigenvectors A of Omega. Coefficients: those with which an LS-SVM tells
    these clusters apart best. The objective, 1 - tr A'Omega A, is what A loses; the regularised second step need not
    lower it.
    """
    matrices = [centred_unit_trace(kernel) for kernel in bank]
    total = np.empty_like(matrices[0])
    theta = np.full(len(bank), 1 / len(bank))
    labels, objectives = np.full(len(total), -1, np.int32), []
    for step in range(options.max_iterations):
        if step:
            theta = ls_svm_coefficients(matrices, labels, total)
        relaxed = top_eigenvectors(mix(matrices, theta, total), k - 1, options.seed)
        eigenvalues = theta @ kept_by(matrices, relaxed)
        objectives.append(float(1 - eigenvalues.sum()))
        before = labels
        rows = scaled_rows(relaxed, eigenvalues, options.rounding)
        labels = kmeans(rows, k, options.n_init, options.seed)[0]
        if step and share_changed(before, labels) < LABEL_CHANGE:
            break
    return Found(labels, theta, objectives)


def ls_svm_coefficients(matrices: list[np.ndarray], labels: np.ndarray, workspace: np.ndarray) -> np.ndarray:
    """The theta ``[kernels]`` on the simplex that maximises ``min_B sum_m theta_m f_m(B)``, B = (beta_1, .., beta_k).

    ``f_m(B) = sum_q beta_q'beta_q / (4 lambda) + beta_q'G_m beta_q / 4 - beta_q'y_q``, with y_q the labels of one
    cluster against the rest, +1 and -1, and 1'beta_q = 0: a semi-infinite programme, solved by cutting planes. Each
    theta gives B by Cholesky, each B bounds the optimum from above by a linear function of theta, and a linear
    programme over all of these gives the next theta. As a bound every B will do, so float32 systems cost nothing but a
    little of its tightness. ``matrices``: centred, of trace 1, and G_m = n K_m; ``workspace`` ``[n, n]`` is
    overwritten. Raises RuntimeError when the bounds do not meet.
    """
    from scipy.linalg import cho_factor, cho_solve

    n = len(labels)
    # G_m 1 = 0, so the constraint 1'beta = 0 comes down to centring the targets.
    targets = 2.0 * (labels[:, None] == np.unique(labels))
    targets -= targets.mean(axis=0)
    unit = (targets**2).sum()
    theta, cuts = np.full(len(matrices), 1 / len(matrices)), []
    best, best_theta = -np.inf, theta
    for _ in range(MAX_CUTS):
        mix(matrices, n * theta, workspace)
        workspace.flat[:: n + 1] += np.float32(1 / LAMBDA)
        factor = cho_factor(workspace.T, overwrite_a=True, check_finite=False)  # symmetric; .T is Fortran's order
        beta = 2 * cho_solve(factor, targets.astype(np.float32), check_finite=False)
        shared = (beta.astype(np.float64) ** 2).sum() / (4 * LAMBDA) - (beta * targets).sum()
        cuts.append((shared + n / 4 * kept_by(matrices, beta).sum(axis=1)) / unit)
        attained = float(theta @ cuts[-1])
        if attained > best:
            best, best_theta = attained, theta
        theta, bound = _best_below(np.array(cuts))
        if bound - best <= GAP * abs(best):
            return best_theta
    raise RuntimeError(f"OKKC: bounds {best:.6g} and {bound:.6g} still apart after {MAX_CUTS} cutting planes")


def _best_below(cuts: np.ndarray) -> tuple[np.ndarray, float]:
    """The theta on the simplex with the largest ``u <= cuts @ theta``, and u; ``cuts`` ``[cuts, kernels]``."""
    from scipy.optimize import linprog

    n_cuts, n_kernels = cuts.shape
    solved = linprog(
        c=np.append(np.zeros(n_kernels), -1.0),
        A_ub=np.hstack([-cuts, np.ones((n_cuts, 1))]), b_ub=np.zeros(n_cuts),
        A_eq=np.append(np.ones(n_kernels), 0.0)[None], b_eq=[1.0],
        bounds=[(0, None)] * n_kernels + [(None, None)], method="highs",
    )  # fmt: skip
    if solved.status:
        raise RuntimeError(f"OKKC: the linear programme ended with {solved.message}")
    return solved.x[:-1], float(solved.x[-1])


def share_changed(one: np.ndarray, other: np.ndarray) -> float:
    """Share of rows whose cluster differs, under the naming of clusters that makes it least."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics.cluster import contingency_matrix

    table = contingency_matrix(one, other)
    return 1 - table[linear_sum_assignment(table, maximize=True)].sum() / len(one)

"""How far Nyström, and other methods, may stand in for exact multiple-kernel k-means: the agreement protocol."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from mrlm_core.errors import ConfigError, problem
from mrlm_core.preprocessing.clustering import MultipleKernelClusters, multiple_kernel_kmeans
from mrlm_core.preprocessing.kernels import DEFAULT_KERNELS, centred_unit_trace, kernel_bank

LANDMARKS = (125, 250, 500, 1000)


def agreement(
    features: np.ndarray,
    n_clusters: int,
    landmarks: Sequence[int] = LANDMARKS,
    others: Sequence[str] = (),
    alone: Sequence[str] = (),
    seeds: int = 5,
    kernels: tuple[str, ...] = DEFAULT_KERNELS,
) -> pd.DataFrame:
    """Hold other ways to cluster the ``[n, d]`` rows against exact multiple-kernel k-means.

    They are Nyström at each number of ``landmarks``, the methods ``others``, and exact with one of the kernels
    ``alone``, which shows what several add.

    Two exact clusterings that differ in their seed alone set the scale: the first row is the mean of all pairs of
    ``seeds``. Columns: ``ARI`` with exact (mean over its seeds); ``accepted``, ARI >= mean - 2 standard deviations of
    the pairs'; ``objective gap``, the method's objective above the exact one, relative (traces are exact in both, so
    the two are comparable); ``loss gap``, the same of the clusters themselves, measured under the exact kernels mixed
    by the exact weights; ``weights apart``, |theta - theta*|_1; ``smallest share`` of the items in a cluster. NaN
    where a method has no such quantity. Raises ConfigError for fewer than 2 seeds, and what clustering raises.
    """
    if seeds < 2:
        raise ConfigError(problem("seeds of exact clustering", "2 or more", str(seeds), "Their spread is the scale."))
    exact = [multiple_kernel_kmeans(features, n_clusters, "exact", kernels, seed) for seed in range(seeds)]
    found = {f"nystrom, {count} landmarks": multiple_kernel_kmeans(features, n_clusters, "nystrom", kernels,
                                                                    n_landmarks=count)
             for count in landmarks if count <= len(features)}
    found |= {method: multiple_kernel_kmeans(features, n_clusters, method, kernels) for method in others}
    found |= {f"{name} alone": multiple_kernel_kmeans(features, n_clusters, "exact", (name,)) for name in alone}
    pairs = np.array([adjusted_rand_score(a.labels, b.labels) for a, b in itertools.combinations(exact, 2)])
    losses = label_losses(features, [result.labels for result in (*exact, *found.values())], exact[0])
    usual = losses[:seeds].mean()
    rows = {"exact, other seeds": {
        "ARI": pairs.mean(), "sd": pairs.std(ddof=1) if len(pairs) > 1 else 0.0, "accepted": True,
        "objective gap": 0.0, "loss gap": np.ptp(losses[:seeds]) / usual, "weights apart": 0.0,
        "smallest share": min(_smallest_share(result) for result in exact),
    }}  # fmt: skip
    bar = pairs.mean() - 2 * rows["exact, other seeds"]["sd"]
    for (name, result), loss in zip(found.items(), losses[seeds:], strict=True):
        rows[name] = _against(exact, result, bar) | {"loss gap": loss / usual - 1}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("clustering")


def label_losses(
    features: np.ndarray, labellings: Sequence[np.ndarray], mixture: MultipleKernelClusters, seed: int = 0
) -> np.ndarray:
    """``sum_m theta_m^2 (1 - sum_c 1_c'K_m 1_c / n_c)`` of each labelling, with the kernels and theta of ``mixture``.

    What k-means loses in the mixed kernel when each of the ``[n, d]`` rows is replaced by the mean of its cluster;
    unlike the relaxed objectives it compares clusters of any origin. One ``[n, n]`` matrix at a time.
    """
    members = [(labels[:, None] == np.unique(labels)).astype(np.float32) for labels in labellings]
    losses = np.zeros(len(members))
    bank = kernel_bank(np.asarray(features, np.float32), mixture.kernel_names, seed)
    for kernel, weight in zip(bank, mixture.kernel_weights, strict=True):
        matrix = centred_unit_trace(kernel)
        kept = [(np.einsum("ic,ic->c", one, matrix @ one, dtype=np.float64) / one.sum(axis=0)).sum() for one in members]
        losses += weight**2 * (1 - np.array(kept))
    return losses


def _against(exact: Sequence[MultipleKernelClusters], result: MultipleKernelClusters, bar: float) -> dict[str, object]:
    ari = float(np.mean([adjusted_rand_score(one.labels, result.labels) for one in exact]))
    gap, apart = np.nan, np.nan
    if result.method == "nystrom":  # the others minimise something else, and their weights enter otherwise
        gap = result.objective / exact[0].objective - 1
        apart = np.abs(result.kernel_weights - exact[0].kernel_weights).sum()
    return {"ARI": ari, "sd": np.nan, "accepted": ari >= bar, "objective gap": gap, "weights apart": apart,
            "smallest share": _smallest_share(result)}


def _smallest_share(result: MultipleKernelClusters) -> float:
    counts = np.unique(result.labels, return_counts=True)[1]
    return float(counts.min() / counts.sum())

import numpy as np
import pytest

from mrlm_core.errors import ConfigError
from mrlm_core.preprocessing.agreement import agreement, label_losses
from mrlm_core.preprocessing.clustering import multiple_kernel_kmeans
from mrlm_core.preprocessing.kernels import kernel_bank

KERNELS = ("cosine", "rbf-1", "rbf-2")


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(0)
    labels = rng.integers(6, size=240)
    return (0.8 * rng.normal(size=(6, 15))[labels] + rng.normal(size=(240, 15))).astype(np.float32)


@pytest.fixture(scope="module")
def table(points):
    return agreement(points, 6, landmarks=(12, 240, 500), others=("okkc", "kmeans"), alone=("cosine",), seeds=3,
                     kernels=KERNELS)


def test_every_row_as_landmark_is_accepted_and_few_landmarks_lie_farther_off(table):
    assert list(table.index) == ["exact, other seeds", "nystrom, 12 landmarks", "nystrom, 240 landmarks", "okkc",
                                 "kmeans", "cosine alone"]
    few, all_rows = table.loc["nystrom, 12 landmarks"], table.loc["nystrom, 240 landmarks"]
    assert all_rows["accepted"]
    assert abs(all_rows["objective gap"]) < 1e-3
    assert all_rows["weights apart"] < 1e-3
    assert few["objective gap"] > 0.05
    assert few["weights apart"] > all_rows["weights apart"]
    assert few["ARI"] < all_rows["ARI"]


def test_accepted_follows_from_the_spread_of_the_seeds(table):
    seeds = table.loc["exact, other seeds"]
    bar = seeds["ARI"] - 2 * seeds["sd"]
    assert list(table["accepted"][1:]) == list(table["ARI"][1:] >= bar)


def test_other_methods_have_clusters_to_compare_but_no_common_objective(table):
    for method in ("okkc", "kmeans", "cosine alone"):
        assert np.isnan(table.loc[method, ["objective gap", "weights apart"]].to_numpy(float)).all()
        assert np.isfinite(table.loc[method, ["ARI", "loss gap", "smallest share"]].to_numpy(float)).all()
    assert table["smallest share"].between(0.01, 1 / 6).all()


def test_loss_is_the_distance_from_the_cluster_means_in_the_mixed_kernel(points):
    mixture = multiple_kernel_kmeans(points, 6, kernels=KERNELS)
    centring = np.eye(240) - 1 / 240
    expected = 0
    for kernel, weight in zip(kernel_bank(points, KERNELS, seed=0), mixture.kernel_weights, strict=True):
        matrix = centring @ kernel.between(kernel.points, kernel.points).astype(float) @ centring
        values, vectors = np.linalg.eigh(matrix / np.trace(matrix))
        rows = vectors * np.sqrt(np.maximum(values, 0))  # the kernel's own space
        means = np.array([rows[mixture.labels == label].mean(axis=0) for label in range(6)])
        expected += weight**2 * ((rows - means[mixture.labels]) ** 2).sum()
    loss, one_cluster = label_losses(points, [mixture.labels, np.zeros(240, int)], mixture)
    assert loss == pytest.approx(expected, rel=1e-4)
    assert loss >= mixture.objective  # the relaxation is a lower bound
    assert one_cluster == pytest.approx((mixture.kernel_weights**2).sum(), rel=1e-4)


def test_one_seed_has_no_spread(points):
    with pytest.raises(ConfigError, match="2 or more"):
        agreement(points, 6, seeds=1)

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from mrlm_core.errors import ConfigError, DatasetError
from mrlm_core.preprocessing.clustering import cluster_items, multiple_kernel_kmeans
from mrlm_core.preprocessing.kernels import DEFAULT_KERNELS, kernel_bank
from mrlm_core.preprocessing.vectors import Features
from mrlm_core.preprocessing_config import CLUSTERINGS

METHODS = ("exact", "nystrom")


def blobs(n=200, k=4, d=12, separation=3.0, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(k, size=n)
    return separation * rng.normal(size=(k, d))[labels] + rng.normal(size=(n, d)), labels


def cluster(features, k, method="exact", **options):
    options = {"n_landmarks": 30} | options if method == "nystrom" else options
    return multiple_kernel_kmeans(features, k, method, **options)


@pytest.mark.parametrize("rounding", ["weighted", "equal"])
@pytest.mark.parametrize("method", METHODS)
def test_recovers_planted_blobs(method, rounding):
    points, planted = blobs()
    labels, weights, objective = cluster(points, 4, method, rounding=rounding)
    assert labels.dtype == np.int32
    assert adjusted_rand_score(planted, labels) > 0.9
    assert weights.sum() == pytest.approx(1)
    assert (weights > 0).all()
    assert len(weights) == len(DEFAULT_KERNELS)
    assert 0 < objective < 1


@pytest.mark.parametrize("method", METHODS)
def test_objective_never_rises_and_is_what_it_says(method):
    points, _ = blobs(separation=0.7)
    found = cluster(points, 4, method, tolerance=1e-9, max_iterations=8)
    assert found.n_iterations > 2
    assert (np.diff(found.objectives) <= 1e-7).all()
    assert found.objective == found.objectives[-1]


def test_exact_weights_satisfy_the_closed_form():
    # An independent float64 computation: from the returned weights, one more alternation must change nothing.
    points, _ = blobs(n=150, separation=0.7)
    found = cluster(points, 4, tolerance=1e-12, max_iterations=50)
    matrices = []
    for kernel in kernel_bank(points.astype(np.float32), DEFAULT_KERNELS, seed=0):
        matrix = kernel.between(kernel.points, kernel.points).astype(np.float64)
        centring = np.eye(len(matrix)) - 1 / len(matrix)
        matrix = centring @ matrix @ centring
        matrices.append(matrix / np.trace(matrix))
    mixed = sum(w**2 * matrix for w, matrix in zip(found.kernel_weights, matrices, strict=True))
    top = np.linalg.eigh(mixed)[1][:, -4:]
    lost = np.array([1 - np.trace(top.T @ matrix @ top) for matrix in matrices])
    np.testing.assert_allclose(found.kernel_weights, (1 / lost) / (1 / lost).sum(), atol=1e-4)
    assert found.objective == pytest.approx(1 / (1 / lost).sum(), abs=1e-5)


def test_kernels_are_what_their_names_say():
    points = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    cosine, rbf, poly = kernel_bank(points, ("cosine", "rbf-2", "poly-3"), seed=0)
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    median = np.median(distances[np.triu_indices(9, 1)])
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    centred = points - points.mean(axis=0)
    expected = [
        (cosine, unit @ unit.T),
        (rbf, np.exp(-(distances**2) / (2 * median**2))),
        (poly, (1 + centred @ centred.T / (centred**2).sum(axis=1).mean()) ** 3),
    ]
    for kernel, matrix in expected:
        np.testing.assert_allclose(kernel.between(kernel.points, kernel.points), matrix, rtol=2e-4, atol=2e-5)
        assert kernel.diagonal_sum() == pytest.approx(np.trace(matrix), rel=1e-4)


def test_nystrom_with_every_row_as_landmark_is_exact():
    points, _ = blobs(n=80, separation=1.2)
    exact, approximate = cluster(points, 4), cluster(points, 4, "nystrom", n_landmarks=80)
    np.testing.assert_allclose(approximate.kernel_weights, exact.kernel_weights, atol=2e-3)
    assert approximate.objective == pytest.approx(exact.objective, rel=2e-3)
    assert adjusted_rand_score(exact.labels, approximate.labels) > 0.95


def test_nystrom_in_blocks_gives_the_same_as_in_one(monkeypatch):
    points, _ = blobs()
    whole = cluster(points, 4, "nystrom")
    monkeypatch.setattr("mrlm_core.preprocessing.kernels.BLOCK_BYTES", 60_000)
    parts = cluster(points, 4, "nystrom")
    np.testing.assert_allclose(parts.kernel_weights, whole.kernel_weights, rtol=1e-6)
    assert adjusted_rand_score(parts.labels, whole.labels) == 1


def test_lanczos_and_dense_eigenvectors_agree(monkeypatch):
    points, _ = blobs()
    dense = cluster(points, 4)
    monkeypatch.setattr("mrlm_core.preprocessing.spectral.DENSE_EIGEN_LIMIT", 0)
    lanczos = cluster(points, 4)
    np.testing.assert_allclose(lanczos.kernel_weights, dense.kernel_weights, atol=1e-4)
    assert adjusted_rand_score(lanczos.labels, dense.labels) == 1


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_same_seed_same_labels_and_row_order_does_not_matter(method):
    points, _ = blobs()
    first, second = cluster(points, 4, method, seed=3), cluster(points, 4, method, seed=3)
    np.testing.assert_array_equal(first.labels, second.labels)
    assert first.objectives == second.objectives
    order = np.random.default_rng(1).permutation(len(points))
    shuffled = cluster(points[order], 4, method, seed=3)
    assert adjusted_rand_score(first.labels[order], shuffled.labels) > 0.97


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_noise_columns_and_constant_columns_do_not_break_it(method):
    points, planted = blobs()
    noise = np.random.default_rng(7).normal(size=(len(points), 6))
    constant = np.full((len(points), 2), 1e6)
    found = cluster(np.hstack([points, noise, constant]), 4, method)
    assert adjusted_rand_score(planted, found.labels) > 0.9


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_equal_rows_share_a_cluster(method):
    points, planted = blobs(n=30)
    labels = cluster(np.repeat(points, 8, axis=0), 4, method).labels.reshape(30, 8)
    assert (labels == labels[:, :1]).all()
    assert adjusted_rand_score(planted, labels[:, 0]) > 0.9


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_as_many_clusters_as_different_rows(method):
    points, _ = blobs(n=6)
    labels = cluster(np.repeat(points, 20, axis=0), 6, method).labels.reshape(6, 20)
    assert (labels == labels[:, :1]).all()


@pytest.mark.parametrize("method", METHODS)
def test_float32_and_one_start_over_all_rows_give_nearly_the_same(monkeypatch, method):
    # What is done above FULL_CARE_ROWS, at a size where both can be had.
    points, planted = blobs(n=600, separation=1.5)
    careful = cluster(points, 4, method, n_landmarks=60)
    for module in ("spectral", "mkkm"):
        monkeypatch.setattr(f"mrlm_core.preprocessing.{module}.FULL_CARE_ROWS", 599)
    quick = cluster(points, 4, method, n_landmarks=60)
    np.testing.assert_allclose(quick.kernel_weights, careful.kernel_weights, atol=5e-3)
    assert adjusted_rand_score(careful.labels, quick.labels) > 0.97
    assert adjusted_rand_score(planted, quick.labels) > 0.9


def test_plain_kmeans_is_what_scikit_learn_gives():
    points, _ = blobs(separation=0.7)
    found = cluster(points, 4, "kmeans")
    fitted = KMeans(4, n_init=10, random_state=0).fit(points)
    assert adjusted_rand_score(fitted.labels_, found.labels) > 0.95
    assert found.objective == pytest.approx(fitted.inertia_ / ((points - points.mean(axis=0)) ** 2).sum(), rel=1e-3)
    assert found.kernel_names == ("linear",)


def test_a_kernel_that_sees_only_noise_gets_little_weight():
    points, planted = blobs()
    # So narrow that every point is alone: almost the identity matrix.
    found = cluster(points, 4, kernels=("cosine", "rbf-1", "rbf-0.001"))
    assert found.kernel_weights[2] < 0.1
    assert adjusted_rand_score(planted, found.labels) > 0.9


def test_weighted_rounding_forgives_more_clusters_than_structure():
    points, planted = blobs(n=300)

    def purity(labels):
        return sum(np.bincount(planted[labels == c]).max() for c in np.unique(labels)) / len(planted)

    assert purity(cluster(points, 16).labels) > 0.97


@pytest.mark.parametrize(
    ("change", "options", "error", "says"),
    [
        (lambda x: np.where(np.arange(len(x))[:, None] == 5, np.nan, x), {}, DatasetError, "rows, the first 5"),
        (lambda x: np.where(np.arange(len(x))[:, None] == 5, np.inf, x), {}, DatasetError, "rows, the first 5"),
        (lambda x: x[:3], {}, DatasetError, "3 different among 3"),
        (lambda x: x[:0], {}, DatasetError, "0 different among 0"),
        (lambda x: np.ones_like(x), {}, DatasetError, "1 different among 200"),
        (lambda x: np.repeat(x[:2], 50, axis=0), {}, DatasetError, "2 different among 100"),
        (lambda x: x[:, 0], {}, DatasetError, "an array"),
        (lambda x: x, {"n_clusters": 1}, ConfigError, "2 or more"),
        (lambda x: x, {"method": "nistrom"}, ConfigError, "'exact' or 'nystrom' or 'okkc' or 'kmeans'"),
        (lambda x: x, {"rounding": "none"}, ConfigError, "'weighted' or 'equal'"),
        (lambda x: x, {"kernels": ("gauss",)}, ConfigError, "gauss"),
        (lambda x: x, {"kernels": ("rbf-0",)}, ConfigError, "rbf-0"),
        (lambda x: x, {"kernels": ()}, ConfigError, "at least one"),
        (lambda x: x, {"exact_limit": 100}, ConfigError, "nystrom"),
        (lambda x: x, {"exact_limit": 100, "method": "okkc"}, ConfigError, "rows for the okkc method"),
        (lambda x: np.full_like(x, np.nan), {}, DatasetError, "NaN or infinity in 200 rows"),
        (lambda x: x[:3], {"method": "kmeans"}, DatasetError, "3 different among 3"),
        # Equal rows first, the different ones beyond what is looked at first.
        (lambda x: np.concatenate([np.repeat(x[:1], 1500, axis=0), x[:2]]), {}, DatasetError, "2 different among 1502"),
    ],
)
def test_what_cannot_be_clustered_is_said(change, options, error, says):
    points, _ = blobs()
    with pytest.raises(error, match=says):
        multiple_kernel_kmeans(change(points), **({"n_clusters": 4} | options))


def test_many_equal_rows_before_the_different_ones_are_no_error():
    points, _ = blobs(n=40)
    labels = cluster(np.concatenate([np.repeat(points[:1], 1500, axis=0), points]), 4, "kmeans").labels
    assert len(np.unique(labels)) == 4


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_cluster_items_leaves_undescribed_items_out(method):
    points, planted = blobs()
    mask = np.ones(len(points), bool)
    mask[::5] = False
    features = Features(np.where(mask[:, None], points, 0).astype(np.float32), mask, "test", ())
    ids = cluster_items(features, 4, method, seed=0)
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(ids == -1, ~mask)
    assert adjusted_rand_score(planted[mask], ids[mask]) > 0.9


@pytest.mark.parametrize("described", [0, 3])
def test_fewer_described_items_than_clusters_names_the_modality(described):
    mask = np.arange(50) < described
    features = Features(np.zeros((50, 2), np.float32), mask, "test", ())
    says = rf"image features.*at least 4 described items, found {described} of 50"
    with pytest.raises(DatasetError, match=says):
        cluster_items(features, 4, modality="image")

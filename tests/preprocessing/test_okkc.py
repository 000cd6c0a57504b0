import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import adjusted_rand_score

from mrlm_core.preprocessing import okkc
from mrlm_core.preprocessing.clustering import multiple_kernel_kmeans
from mrlm_core.preprocessing.kernels import centred_unit_trace, kernel_bank

NOISE = "rbf-0.001"  # so narrow that every row is alone: the identity matrix


def blobs(n=120, k=3, d=10, separation=2.0, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(k, size=n)
    return (separation * rng.normal(size=(k, d))[labels] + rng.normal(size=(n, d))).astype(np.float32), labels


@pytest.mark.parametrize("rounding", ["weighted", "equal"])
def test_planted_clusters_are_found_and_the_good_kernel_has_the_weight(rounding):
    points, planted = blobs(n=200)
    found = multiple_kernel_kmeans(points, 3, "okkc", ("rbf-1", NOISE), rounding=rounding)
    assert adjusted_rand_score(planted, found.labels) > 0.95
    assert found.kernel_weights[0] > 0.95
    assert found.kernel_weights.sum() == pytest.approx(1)
    assert 0 < found.objective < found.objectives[0] < 1


def direct(matrices, labels):
    """The coefficients from the bordered LS-SVM systems in float64 and a general solver over the simplex."""
    n = len(labels)
    targets = np.where(labels[:, None] == np.unique(labels), 1.0, -1.0)

    def loss(theta):
        system = np.zeros((n + 1, n + 1))
        system[1:, 1:] = n * np.tensordot(theta, matrices, 1) + np.eye(n) / okkc.LAMBDA
        system[0, 1:] = system[1:, 0] = 1
        solved = np.linalg.solve(system, np.vstack([np.zeros(targets.shape[1]), targets]))
        return (solved[1:] * targets).sum() / n

    start = np.full(len(matrices), 1 / len(matrices))
    simplex = {"type": "eq", "fun": lambda theta: theta.sum() - 1}
    found = minimize(loss, start, bounds=[(0, 1)] * len(start), constraints=simplex, options={"ftol": 1e-12})
    return found.x, loss


@pytest.mark.parametrize("names", [("cosine", "rbf-1", "poly-2"), ("rbf-4", NOISE), ("cosine", "rbf-0.5", NOISE)])
def test_coefficients_are_those_of_a_direct_solve(monkeypatch, names):
    monkeypatch.setattr(okkc, "GAP", 1e-6)
    points, planted = blobs(n=60, separation=0.6)
    matrices = [centred_unit_trace(kernel) for kernel in kernel_bank(points, names, seed=0)]
    theta = okkc.ls_svm_coefficients(matrices, planted, np.empty_like(matrices[0]))
    expected, loss = direct(np.array(matrices, np.float64), planted)
    assert loss(theta) <= loss(expected) * (1 + 1e-5)
    np.testing.assert_allclose(theta, expected, atol=0.02)


def test_a_mixture_is_found_where_each_kernel_sees_half_of_the_clusters(monkeypatch):
    # Four clusters, each factor in columns of its own: neither kernel alone separates them.
    rng = np.random.default_rng(0)
    left, right = rng.integers(2, size=(2, 100))
    views = [(2.0 * side[:, None] + rng.normal(size=(100, 5))).astype(np.float32) for side in (left, right)]
    matrices = [centred_unit_trace(kernel_bank(view, ("rbf-1",), seed=0)[0]) for view in views]
    theta = okkc.ls_svm_coefficients(matrices, 2 * left + right, np.empty_like(matrices[0]))
    assert 0.3 < theta[0] < 0.7
    np.testing.assert_allclose(theta, direct(np.array(matrices, np.float64), 2 * left + right)[0], atol=0.05)


def test_share_changed_does_not_mind_the_names_of_clusters():
    one = np.array([0, 0, 1, 1, 2, 2])
    assert okkc.share_changed(one, np.array([2, 2, 0, 0, 1, 1])) == 0
    assert okkc.share_changed(one, np.array([2, 2, 0, 0, 1, 0])) == pytest.approx(1 / 6)


def test_bounds_that_do_not_meet_are_an_error(monkeypatch):
    monkeypatch.setattr(okkc, "MAX_CUTS", 1)
    points, planted = blobs(separation=0.6)
    matrices = [centred_unit_trace(kernel) for kernel in kernel_bank(points, ("cosine", "rbf-0.5", NOISE), seed=0)]
    with pytest.raises(RuntimeError, match="still apart after 1 cutting planes"):
        okkc.ls_svm_coefficients(matrices, planted, np.empty_like(matrices[0]))

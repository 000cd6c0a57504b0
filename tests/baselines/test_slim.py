"""SLIM against scikit-learn's elastic net and against the conditions of its optimum."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import ElasticNet

from mrlm_core.baselines import slim
from mrlm_core.baselines.registry import build
from mrlm_core.datasets.splits import interactions, random_split
from mrlm_core.evaluation import kernels

USERS, ITEMS = 61, 48  # of the fixture ``planted``
SETTINGS = [{"l1": 1.0, "l2": 5.0}, {"l1": 0.05, "l2": 0.5}, {"l1": 0.0, "l2": 2.0}, {"l1": 3.0, "l2": 0.0}]


@pytest.fixture
def exactly(monkeypatch):
    monkeypatch.setattr(slim, "TOLERANCE", 1e-9)
    monkeypatch.setattr(slim, "MOST_PASSES", 100_000)


@pytest.fixture(scope="module")
def noisy():
    """No blocks: many items share few users, so that the elastic net has something to choose."""
    rng = np.random.default_rng(8)
    user, item = np.nonzero(rng.random((70, 30)) < 0.05 + 0.4 * rng.random(30))
    ratings = pd.DataFrame({"user": user, "item": item, "rating": 5})
    return interactions(ratings, 71, 31, 4, random_split(len(ratings), 0.8, 0.1, seed=0), seed=0)


def fitted(data, settings):
    model = build("SLIM", settings)
    model.fit(data, seed=0)
    return model


@pytest.mark.parametrize("settings", SETTINGS[:2])
def test_each_column_is_scikit_learns_elastic_net(noisy, exactly, settings):
    weights = fitted(noisy, settings).weights.toarray()
    train = noisy.train.toarray().astype(np.float64)
    n_users, strength = len(train), settings["l1"] + settings["l2"]
    for item in range(train.shape[1]):
        others = train.copy()
        others[:, item] = 0
        net = ElasticNet(alpha=strength / n_users, l1_ratio=settings["l1"] / strength, positive=True,
                         fit_intercept=False, tol=1e-10, max_iter=100_000).fit(others, train[:, item])
        np.testing.assert_allclose(weights[:, item], net.coef_, atol=1e-4)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("data", ["noisy", "planted"])
def test_every_weight_meets_the_conditions_of_the_optimum(data, exactly, settings, request):
    data = request.getfixturevalue(data)
    weights = fitted(data, settings).weights.toarray().astype(np.float64)
    train = data.train.toarray().astype(np.float64)
    slope = -train.T @ (train - train @ weights) + settings["l2"] * weights + settings["l1"]
    off = ~np.eye(len(slope), dtype=bool)
    assert (weights >= 0).all()
    assert (np.diag(weights) == 0).all()
    assert np.abs(slope[(weights > 0) & off]).max() < 1e-3, "where a weight is positive the objective is flat"
    assert slope[(weights == 0) & off].min() > -1e-3, "where it is zero the objective rises"
    assert 0 < (weights > 0).sum() < off.sum()


def test_the_shipped_tolerance_reaches_the_objective(noisy, monkeypatch):
    train = noisy.train.toarray().astype(np.float64)

    def objective(weights):
        return ((train - train @ weights) ** 2).sum() / 2 + 1.0 * (weights**2).sum() / 2 + 0.5 * weights.sum()

    settings = {"l1": 0.5, "l2": 1.0}
    shipped = objective(fitted(noisy, settings).weights.toarray())
    monkeypatch.setattr(slim, "TOLERANCE", 1e-12)
    best = objective(fitted(noisy, settings).weights.toarray())
    assert best <= shipped + 1e-4
    assert shipped == pytest.approx(best, rel=1e-4)


def test_the_number_of_threads_changes_nothing(planted, monkeypatch):
    alone = fitted(planted, SETTINGS[0]).weights
    monkeypatch.setattr(kernels.config, "NUMBA_NUM_THREADS", 7)
    shared = fitted(planted, SETTINGS[0]).weights
    np.testing.assert_array_equal(alone.toarray(), shared.toarray())


def test_a_strong_l1_leaves_no_weight(planted):
    assert fitted(planted, {"l1": float(USERS)}).weights.nnz == 0

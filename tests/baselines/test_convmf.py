"""ConvMF's equations against plain NumPy: least squares, the text network's loss, the start, items without a text."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from keras import ops
from threadpoolctl import threadpool_info, threadpool_limits

from mrlm_core.baselines import convmf, ials
from mrlm_core.baselines.convmf import OBJECTIVES, TextToVector, liked_or_not
from mrlm_core.baselines.ials import solved
from mrlm_core.baselines.registry import build
from mrlm_core.baselines.sentences import PADDING
from mrlm_core.errors import DatasetError

USERS, ITEMS = 61, 48  # of the fixture ``planted``
BARE = ITEMS - 1
SMALL = {"dim": 4, "word_dim": 3, "filters": 2, "hidden": 5}


def array(tensor):
    return ops.convert_to_numpy(tensor)


def test_convmf_refuses_texts_that_tell_nothing(planted, described):
    nothing = replace(described["sentences"], words=np.full_like(described["sentences"].words, PADDING))
    with pytest.raises(DatasetError, match="texts of the items: expected a word that tells items apart"):
        build("ConvMF", SMALL).fit(planted, seed=0, sentences=nothing)


def test_what_was_rated_is_liked_or_not(planted):
    rated = liked_or_not(planted)
    assert rated.nnz == planted.train_rated.nnz
    np.testing.assert_array_equal(rated.toarray(), planted.train.toarray())


@pytest.mark.parametrize("dim", [3, 40])
def test_least_squares_with_a_prior_equal_the_plain_version(planted, dim):
    """Rows of few observations and of many, some with a value of 0, one with none at all."""
    rng = np.random.default_rng(3)
    observed, fixed = liked_or_not(planted), rng.normal(size=(ITEMS, dim)).astype(np.float32)
    prior, strength = rng.normal(size=(USERS, dim)), rng.uniform(0.5, 2, USERS)
    found = solved(observed, fixed, 0.2, strength, prior)
    for user in range(USERS):
        mine = fixed[observed[[user]].indices].astype(np.float64)
        normal = mine.T @ mine + 0.2 * fixed.T @ fixed + strength[user] * np.eye(dim)
        wanted = mine.T @ observed[[user]].data + strength[user] * prior[user]
        np.testing.assert_allclose(found[user], np.linalg.solve(normal, wanted), rtol=5e-3, atol=1e-3)


def test_least_squares_leave_the_other_cores_alone(planted, monkeypatch):
    """With two threads of BLAS and a busy machine they took a hundred times as long."""
    real, threads = ials._least_squares, []

    def blas_threads():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    def watched(*given):
        threads.append(blas_threads())
        return real(*given)

    monkeypatch.setattr(ials, "_least_squares", watched)
    with threadpool_limits(2, "blas"):
        solved(planted.train, np.ones((ITEMS, 3), np.float32), 0.2, np.ones(USERS))
        assert blas_threads() == {2}
    assert threads
    assert all(found == {1} for found in threads)


def test_convmf_draws_an_undescribed_item_to_zero_and_a_cold_one_to_its_text(planted, described):
    model = build("ConvMF", {**SMALL, "max_epochs": 2, "lambda_items": 1e6})
    model.fit(planted, seed=0, sentences=described["sentences"])
    theta, items = model.model.theta(), model.factors()[1]
    assert (theta[BARE] == 0).all()
    assert np.abs(items[BARE]).max() < 1e-3
    assert np.abs(items[:BARE]).max() > 1e-2


def test_convmf_solves_after_the_network_has_learned(planted, described, monkeypatch, draw_late):
    """Also while the fit loop draws the order of the next epoch."""
    def items():
        better = count()
        monkeypatch.setattr(convmf, "mean_recall", lambda *_, **__: float(next(better)))  # so that the last one is kept
        model = build("ConvMF", {**SMALL, "max_epochs": 3})
        model.fit(planted, seed=0, sentences=described["sentences"])
        return model.factors()[1]

    ahead = items()
    draw_late()
    np.testing.assert_array_equal(ahead, items())


@pytest.fixture(params=OBJECTIVES)
def convmf_at_random(request, planted, described):
    """Not trained: users, items and all that makes theta are random."""
    settings = {"objective": request.param, "lambda_users": 3.0, "lambda_items": 0.7, "unobserved_weight": 0.2}
    model = build("ConvMF", {**SMALL, **settings})
    model._observe(planted)
    model.model, spread = TextToVector(USERS, described["sentences"], model._weight, model), np.random.default_rng(8)
    model.model.set_weights([spread.normal(0, 0.5, w.shape).astype(np.float32) for w in model.model.get_weights()])
    return model


def plain_observations(objective, planted):
    """Values ``[U, V]``, NaN where nothing was observed, and the items' weights: roots of counts, 1 on average."""
    liked, rated = planted.train.toarray() > 0, planted.train_rated.toarray() > 0
    values = np.where(liked, 1.0, np.nan) if objective == "all pairs" else np.where(rated, liked * 1.0, np.nan)
    root = np.sqrt(np.maximum((~np.isnan(values)).sum(axis=0), 1))
    assert np.ptp(root) > 0.5, "the weights must differ, else they are not tested"
    return values, root / root.mean()


def test_convmf_text_network_is_drawn_to_the_items_vectors(convmf_at_random, planted):
    """What Eq. 10 of Kim et al. (2016) leaves to the network: weight |v - theta|^2, 0 for an item without text."""
    network, items = convmf_at_random.model, np.array([4, 9, 4, BARE, 30], np.int32)
    _, weight = plain_observations(convmf_at_random.objective, planted)
    theta, vectors = network.theta(), convmf_at_random.factors()[1]
    expected = np.mean([0 if i == BARE else weight[i] * np.square(vectors[i] - theta[i]).sum() for i in items])
    np.testing.assert_allclose(array(network.compute_loss(x=items, y_pred=network(items))), expected, rtol=1e-5)


def test_convmf_solves_for_users_then_for_items_near_theta(convmf_at_random, planted, monkeypatch):
    """One sweep of the closed forms (Kim et al. 2016, Eqs. 7-8) against one linear system a row."""
    model, handed = convmf_at_random, []
    values, weight = plain_observations(model.objective, planted)
    theta, old = model.model.theta(), model.factors()[1]
    monkeypatch.setattr(convmf, "one_epoch", lambda *given: handed.append(given) or ({"loss": 0.0}, 1))
    model._alternate(np.arange(8), 4)
    assert handed[0][0] is model.model
    unobserved = 0.2 if model.objective == "all pairs" else 0.0

    def plain(seen, fixed, strength, prior):
        fixed, there = fixed.astype(np.float64), ~np.isnan(seen)
        normal = fixed[there].T @ fixed[there] + unobserved * fixed.T @ fixed + strength * np.eye(4)
        return np.linalg.solve(normal, fixed[there].T @ seen[there] + strength * prior)

    users, items = model.factors()
    np.testing.assert_allclose(users, [plain(values[u], old, 3.0, 0 * old[0]) for u in range(USERS)], 1e-3, 1e-4)
    expected = [plain(values[:, i], users, 0.7 * weight[i], theta[i]) for i in range(ITEMS)]
    np.testing.assert_allclose(items, expected, rtol=1e-3, atol=1e-4)


def test_convmf_theta_equals_the_plain_version(planted, described):
    model = build("ConvMF", {**SMALL, "max_epochs": 1})
    model.fit(planted, seed=0, sentences=described["sentences"])
    network, words = model.model, described["sentences"].words
    (hidden, bias), (out, out_bias) = (layer.get_weights() for layer in (network.hidden, network.out))
    for item in (0, 9):
        responses = array(network.convolution(words[item])).max(axis=0)
        expected = np.tanh(np.tanh(responses @ hidden + bias) @ out + out_bias)
        np.testing.assert_allclose(network.theta()[item], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("objective", "about"), [("all pairs", "theta"), ("rating", "zero")])
def test_convmf_items_start_around_their_text_or_around_zero(planted, described, objective, about):
    """Normal draws of the prior's variance, or uniform ones within Glorot's bound; the seed alone decides them."""
    model = build("ConvMF", {**SMALL, "objective": objective, "lambda_items": 4.0})
    model._observe(planted)
    model.model = TextToVector(USERS, described["sentences"], model._weight, model)
    model.model.set_weights([weight + 0.3 for weight in model.model.get_weights()])
    start = model._start(np.random.default_rng(1))
    theta, bound = model.model.theta(), np.sqrt(6 / (ITEMS + 4))
    drawn = start - theta if about == "theta" else start
    assert np.abs(theta[:BARE]).mean() > 0.2, "theta must tell the two apart"
    np.testing.assert_allclose(drawn.std(), 0.5 if about == "theta" else bound / 3**0.5, rtol=0.15)
    assert np.abs(drawn.mean()) < 0.1
    assert about == "theta" or np.abs(start).max() <= bound
    np.testing.assert_array_equal(start, model._start(np.random.default_rng(1)))

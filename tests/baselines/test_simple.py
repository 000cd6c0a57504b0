"""Each simple recommender against its own definition."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from mrlm_core.baselines.descent import descend
from mrlm_core.baselines.registry import build
from mrlm_core.datasets.splits import interactions, random_split
from mrlm_core.errors import ConfigError
from mrlm_core.evaluation.metrics import evaluate

USERS, ITEMS = 61, 48  # of the fixture ``planted``
LONELY = USERS - 1


@pytest.mark.parametrize("name", ["iALS", "BPR-MF"])
def test_another_seed_gives_other_scores(trained, name):
    assert not np.allclose(trained(name, seed=4).score(np.arange(USERS)), trained(name).score(np.arange(USERS)))


def test_popularity_counts_training_positives_only(trained, planted):
    expected = planted.train.toarray().sum(axis=0)
    np.testing.assert_array_equal(trained("Popularity").score(np.array([0, LONELY])), [expected, expected])


@pytest.mark.parametrize("weighting", ["none", "tf-idf"])
def test_item_knn_equals_its_definition(planted, weighting):
    model = build("ItemKNN", {"neighbours": 4, "shrink": 2.0, "weighting": weighting})
    model.fit(planted, seed=0)
    train = planted.train.toarray()
    weights = np.log((1 + ITEMS) / (1 + train.sum(axis=1))) if weighting == "tf-idf" else np.ones(USERS)
    columns = train * weights[:, None]
    similarity = np.zeros((ITEMS, ITEMS))
    for one in range(ITEMS):
        for other in set(range(ITEMS)) - {one}:
            a, b = columns[:, one], columns[:, other]
            similarity[one, other] = a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 2.0)
    expected = np.zeros((USERS, ITEMS))
    for item in range(ITEMS):
        nearest = np.argsort(-similarity[item])[:4]
        expected[:, item] = train[:, nearest] @ similarity[item, nearest]
    np.testing.assert_allclose(model.score(np.arange(USERS)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_items", [ITEMS, 100])
def test_ease_equals_its_closed_form_on_either_side(n_items):
    """With more users than items and with fewer: both ways of the same inverse."""
    rng = np.random.default_rng(8)
    user, item = np.nonzero(rng.random((USERS, n_items)) < 0.3)
    ratings = pd.DataFrame({"user": user, "item": item, "rating": 5})
    data = interactions(ratings, USERS, n_items, 4, random_split(len(ratings), 0.7, 0.2, seed=0), seed=0)
    model = build("EASE", {"l2": 5.0})
    model.fit(data, seed=0)
    train = data.train.toarray().astype(np.float64)
    inverse = np.linalg.inv(train.T @ train + 5 * np.eye(n_items))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    np.testing.assert_allclose(model.score(np.arange(USERS)), train @ weights, rtol=1e-3, atol=1e-5)


def test_ease_without_ridge_says_so():
    """An item that nobody likes leaves a zero row in the Gram matrix."""
    user, item = (index.ravel() for index in np.indices((30, 8)))
    ratings = pd.DataFrame({"user": user, "item": item, "rating": np.where(item == 3, 1, 5)})
    data = interactions(ratings, 30, 8, 4, random_split(len(ratings), 0.6, 0.2, seed=0), seed=0)
    with pytest.raises(ConfigError, match="l2"):
        build("EASE", {"l2": 0.0}).fit(data, seed=0)


@pytest.mark.parametrize("dim", [4, 40])
def test_ials_items_solve_their_least_squares(planted, dim):
    """Each item's vector is the exact solution given the users', whichever Gram matrix was the smaller."""
    settings = {"dim": dim, "l2": 0.02, "unobserved_weight": 0.3, "frequency_exponent": 0.7}
    model = build("iALS", {**settings, "epochs": 3})
    model.fit(planted, seed=0)
    users, items = (vectors.astype(np.float64) for vectors in model.factors())
    for item in range(ITEMS):
        mine = users[planted.train[:, [item]].nonzero()[0]]
        strength = 0.02 * (len(mine) + 0.3 * USERS) ** 0.7
        normal = mine.T @ mine + 0.3 * users.T @ users + strength * np.eye(dim)
        np.testing.assert_allclose(items[item], np.linalg.solve(normal, mine.sum(axis=0)), rtol=2e-3, atol=2e-4)


CLUSTERS = {"text": np.array([0, 1, -1, 1, 0]), "image": np.array([2, 0, 1, -1, 2])}
CONTENT = np.random.default_rng(4).normal(size=(5, 6)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "inputs"),
    [("BPR-MF", {}), ("BPR-MF with clusters", {"clusters": CLUSTERS}), ("VBPR", {"content": CONTENT})],
)
def test_bpr_steps_as_the_gradient_of_its_loss_says(name, inputs):
    """One triplet after the other: the tables move against autodifferentiation's gradient of the plain loss."""
    rng, rate, l2, shared_l2, shared_rate = np.random.default_rng(3), 0.1, 0.05, 0.02, 0.3
    shared = {"shared_l2": shared_l2, "shared_rate": shared_rate}
    more = {"content_dim": 2, **shared} if "content" in inputs else {}
    model = build(name, {"dim": 3, "learning_rate": rate, "l2": l2, **more})
    network = model.model = model.network(SimpleNamespace(n_users=4, n_items=5), 0, **inputs)
    network.compile(model.optimizer())
    for weight in network.tables.values():
        weight.assign(rng.normal(size=weight.shape))
    tables = [tf.Variable(table.astype(np.float64)) for table in network.arrays().values()]
    triplets = np.array([[0, 1, 2], [3, 4, 1], [0, 2, 3], [0, 1, 4]], np.int32)
    losses = []
    for user, positive, negative in triplets:
        with tf.GradientTape() as tape:
            users, items, clusters, tastes, projection, bias, beta = tables
            of_items = [part for place in (positive, negative) for part in
                        (items[place], bias[place], *(clusters[row] for row in network.members[place]))]
            margin = plain_score(tables, network, user, positive) - plain_score(tables, network, user, negative)
            squares = sum(tf.reduce_sum(part**2) for part in (users[user], tastes[user], *of_items))
            common = tf.reduce_sum(projection**2) + tf.reduce_sum(beta**2)
            loss = -tf.math.log_sigmoid(margin)
            whole = loss + l2 / 2 * squares + shared_l2 / 2 * common
        losses.append(float(loss))
        rates = [rate * (shared_rate if table is projection or table is beta else 1) for table in tables]
        for table, slope, share in zip(tables, tape.gradient(whole, tables), rates, strict=True):
            if slope is not None:
                table.assign_sub(share * tf.convert_to_tensor(slope))
    found, steps = model.train_epoch(triplets, 1)
    assert steps == len(triplets)
    assert found["loss"] == pytest.approx(np.mean(losses), rel=1e-6)
    for table, expected in zip(network.arrays().values(), tables, strict=True):
        np.testing.assert_allclose(table, expected.numpy(), rtol=1e-5, atol=1e-6)
    of_users, of_items = network.vectors()
    plain = [float(plain_score(tables, network, user, item)) for user in range(4) for item in range(5)]
    np.testing.assert_allclose((of_users @ of_items.T).ravel(), plain, rtol=1e-5, atol=1e-6)


def test_vbpr_starts_as_bpr_mf_with_little_of_the_content():
    model, content = build("VBPR", {"dim": 8, "content_dim": 16}), np.random.default_rng(1).normal(size=(200, 30))
    tables = model.network(SimpleNamespace(n_users=100, n_items=200), 0, content=content.astype(np.float32)).arrays()
    for name, spread in {"users": 0.1, "items": 0.1, "tastes": 0.01, "E": 0.01}.items():
        assert tables[name].std() == pytest.approx(spread, rel=0.1)
    assert not tables["bias"].any()
    assert not tables["beta"].any()


def test_the_bpr_loss_of_margins_however_far():
    """Several losses share a logarithm; far margins are cut off in sigma, not in the loss, whose mean is as plain."""
    margins = np.array([-1000, -300, -70, -61, -5, -0.5, 0, 0.5, 3, 61, 200, *np.linspace(-900, 40, 20)], np.float32)
    users, items, none = np.ones((1, 1), np.float32), np.zeros((len(margins) + 1, 1), np.float32), np.zeros((0, 0))
    items[:-1, 0] = margins
    triplets = np.array([[0, place, len(margins)] for place in range(len(margins))], np.int32)
    without = [none.astype(np.float32)] * 3
    loss, steps = descend(triplets, np.zeros((len(items), 0), np.int64), np.zeros((len(items), 0), np.float32), users,
                          items, *without, items[:, 0] * 0, np.zeros(0, np.float32), *np.zeros(4, np.float32))
    assert steps == len(margins)
    assert loss == pytest.approx(np.mean(np.logaddexp(0, -margins.astype(np.float64))), rel=1e-9)


def plain_score(tables, network, user, item):
    """p_u . (q_i + clusters of i) + theta_u . (E f_i) + beta . f_i + b_i."""
    users, items, clusters, tastes, projection, bias, beta = tables
    content = network.content[item].astype(np.float64)
    vector = items[item] + sum((clusters[row] for row in network.members[item]), tf.zeros(3, tf.float64))
    score = tf.reduce_sum(users[user] * vector) + bias[item]
    if content.size:
        score += tf.reduce_sum(tastes[user] * tf.linalg.matvec(projection, content, transpose_a=True))
        score += tf.reduce_sum(beta * content)
    return score


def test_bpr_keeps_the_epoch_that_validation_preferred():
    """On noise, validation Recall goes up and down; what is kept may only get better with more epochs."""
    rng = np.random.default_rng(9)
    user, item = np.nonzero(rng.random((50, 80)) < 0.2)
    ratings = pd.DataFrame({"user": user, "item": item, "rating": 5})
    data = interactions(ratings, 50, 80, 4, random_split(len(ratings), 0.6, 0.3, seed=0), seed=0)
    recalls = []
    for max_epochs in range(1, 13):
        model = build("BPR-MF", {"max_epochs": max_epochs, "patience": 12, "dim": 16})
        model.fit(data, seed=0)
        recalls.append(evaluate(model, data, "validation", (20,), full=False)["recall@20"].mean())
    assert (np.diff(recalls) >= 0).all()
    assert 1 < len(set(recalls)) < 12


def test_bpr_survives_a_user_who_likes_everything():
    """Such a user has no negative; waiting for one would never end."""
    user, item = (index.ravel() for index in np.indices((12, 10)))
    ratings = pd.DataFrame({"user": user, "item": item, "rating": np.where((user == 0) | (user % 2 == item % 2), 5, 1)})
    order = np.argsort(np.where(user == 0, -1, np.random.default_rng(0).random(len(user))), kind="stable")
    split = type(random_split(10, 0.5, 0.2, seed=0))(order[:80], order[80:100], order[100:])
    model = build("BPR-MF", {"max_epochs": 2})
    model.fit(interactions(ratings, 12, 10, 4, split, seed=0), seed=0)
    assert np.isfinite(model.score(np.arange(12))).all()

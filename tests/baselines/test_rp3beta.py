"""RP3beta against walks counted one by one."""

import numpy as np
import pytest

from mrlm_core.baselines.registry import build

USERS, ITEMS = 61, 48  # of the fixture ``planted``


def walks(train: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """Every walk user, item, user, another item, with its probability; popular ends marked down."""
    of_user, of_item = train.sum(axis=1), train.sum(axis=0)
    scores = np.zeros(train.shape)
    for user in range(len(train)):
        for item in np.flatnonzero(train[user]):
            for other in np.flatnonzero(train[:, item]):
                for end in set(np.flatnonzero(train[other])) - {item}:
                    p = (1 / of_user[user]) ** alpha * (1 / of_item[item]) ** alpha * (1 / of_user[other]) ** alpha
                    scores[user, end] += p / of_item[end] ** beta
    return scores


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (0.7, 0.4), (1.8, 1.0)])
def test_scores_are_the_walks_to_another_item(planted, alpha, beta):
    model = build("RP3beta", {"neighbours": ITEMS, "alpha": alpha, "beta": beta})
    model.fit(planted, seed=0)
    np.testing.assert_allclose(
        model.score(np.arange(USERS)), walks(planted.train.toarray(), alpha, beta), rtol=1e-4, atol=1e-7
    )


def test_at_alpha_one_and_beta_zero_they_are_probabilities(planted):
    """Walks that return to the item they came from are the only ones missing from one."""
    model = build("RP3beta", {"neighbours": ITEMS, "alpha": 1.0, "beta": 0.0})
    model.fit(planted, seed=0)
    train = planted.train.toarray()
    back = (train / np.maximum(train.sum(axis=1, keepdims=True), 1)).sum(axis=0) / np.maximum(train.sum(axis=0), 1)
    expected = 1 - (train @ back) / np.maximum(train.sum(axis=1), 1)
    expected[train.sum(axis=1) == 0] = 0
    np.testing.assert_allclose(model.score(np.arange(USERS)).sum(axis=1), expected, rtol=1e-4)


def test_beta_lowers_popular_items_only_by_their_degree(planted):
    """With the neighbours unbounded beta is a factor of the item, the same for every user."""
    scores = []
    for beta in (0.0, 0.5):
        model = build("RP3beta", {"neighbours": ITEMS, "alpha": 1.0, "beta": beta})
        model.fit(planted, seed=0)
        scores.append(model.score(np.arange(USERS)))
    degrees = np.bincount(planted.train.indices, minlength=ITEMS)
    np.testing.assert_allclose(scores[1], scores[0] / np.maximum(degrees, 1) ** 0.5, rtol=1e-4)


def test_the_likeliest_steps_are_kept(planted):
    model = build("RP3beta", {"neighbours": 3, "alpha": 1.0, "beta": 0.6})
    model.fit(planted, seed=0)
    train = planted.train.toarray()
    steps = (train / np.maximum(train.sum(axis=0), 1)).T @ (train / np.maximum(train.sum(axis=1, keepdims=True), 1))
    steps = steps / np.maximum(train.sum(axis=0), 1) ** 0.6
    np.fill_diagonal(steps, 0)
    kept = np.zeros_like(steps)
    for item in range(ITEMS):
        likeliest = np.argsort(-steps[item], kind="stable")[:3]
        kept[item, likeliest] = steps[item, likeliest]
    np.testing.assert_allclose(model._from_items.toarray().sum(axis=1), kept.sum(axis=1), rtol=1e-4)
    assert (np.diff(model._from_items.indptr) <= 3).all()

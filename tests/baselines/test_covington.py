"""Covington: the softmax against its definition, the sampled one against the full one, user attributes."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

from mrlm_core.baselines.network import NOBODY
from mrlm_core.baselines.registry import build
from mrlm_core.datasets.splits import interactions, random_split
from mrlm_core.evaluation.metrics import evaluate
from mrlm_core.preprocessing.fields import field_table

USERS, ITEMS = 61, 48  # of the fixture ``planted``
LONELY = USERS - 1
TRIPLETS = np.array([[3, 5, 0], [4, 9, 0], [3, 11, 0], [8, 47, 0]], np.int32)


def network_of(planted, described, seed=0, attributes=None, **hyperparameters):
    keras.utils.set_random_seed(seed)
    model = build("Covington", hyperparameters)
    return model.network(planted, seed, attributes=attributes or described["attributes"])


@pytest.fixture(scope="module")
def skewed():
    """Items liked by one in twenty up to nearly all users."""
    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((USERS, ITEMS)) < np.linspace(0.05, 0.95, ITEMS))
    ratings = pd.DataFrame({"user": user, "item": item, "rating": 5})
    return interactions(ratings, USERS, ITEMS, 4, random_split(len(ratings), 0.7, 0.2, seed=0), seed=0)


def softmax(logits):
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def states_and_vectors(network):
    users = ops.convert_to_numpy(network.user_states(TRIPLETS[:, 0], TRIPLETS[:, 1]))
    return users, ops.convert_to_numpy(network.item_vectors(np.arange(ITEMS, dtype=np.int32)))


def test_loss_is_the_cross_entropy_of_cosines_over_the_temperature(planted, described):
    network = network_of(planted, described, temperature=0.2, l2=0.0)
    users, vectors = states_and_vectors(network)
    np.testing.assert_allclose(np.linalg.norm(users, axis=1), 1 / 0.2, rtol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-4)
    expected = -np.log(softmax(users @ vectors.T)[np.arange(4), TRIPLETS[:, 1]]).mean()
    assert float(network.compute_loss(y_pred=network(TRIPLETS))) == pytest.approx(expected, rel=1e-4)


def test_the_tower_reads_the_mean_of_the_other_liked_items(planted, described):
    network = network_of(planted, described, temperature=1.0)
    _, vectors = states_and_vectors(network)
    past = ops.convert_to_numpy(network.past)
    target = past[3, 2]
    state = vectors[[item for item in past[3] if item not in (NOBODY, target)]].mean(axis=0)
    (first, bias), (second, last) = (layer.get_weights() for layer in network.tower)
    state = np.maximum(state @ first + bias, 0) @ second + last
    found = ops.convert_to_numpy(network.user_states(np.array([3]), np.array([target])))[0]
    np.testing.assert_allclose(found, state / np.linalg.norm(state), rtol=1e-3, atol=1e-4)


def test_the_sampled_softmax_estimates_sum_and_slope_of_the_full_one(skewed, described):
    """Mean over draws of the corrected sum: all items' sum; of the mass by item: their softmax, which is the slope."""
    network = network_of(skewed, described, full_softmax_items=1, sampled_items=20_000, temperature=0.5)
    assert np.ptp(network.log_share) > 1, "items must differ in how often they are drawn"
    users, vectors = states_and_vectors(network)
    full = users @ vectors.T
    positive, positives = full[np.arange(4), TRIPLETS[:, 1]], TRIPLETS[:, 1]
    total, mass = np.zeros(4), np.zeros((4, ITEMS))
    for _ in range(20):
        drawn = ops.convert_to_numpy(network.draw())
        corrected = ops.convert_to_numpy(network.corrected(full[:, drawn], positive, positives, drawn))
        total += np.exp(corrected).sum(axis=1) / 20
        weights = softmax(corrected)
        for row in range(4):
            mass[row] += np.bincount([positives[row], *drawn], weights[row], ITEMS) / 20
    np.testing.assert_allclose(total, np.exp(full).sum(axis=1), rtol=0.02)
    np.testing.assert_allclose(mass, softmax(full), rtol=0.15)
    uncorrected = softmax(full + network.log_share)
    assert np.abs(uncorrected / softmax(full) - 1).max() > 0.5, "the correction must matter"


def test_training_on_a_sample_sees_nearly_the_loss_of_all_items(skewed, described):
    whole = network_of(skewed, described)
    sampled = network_of(skewed, described, full_softmax_items=1, sampled_items=5000)
    assert whole.full
    assert not sampled.full
    sampled.set_weights(whole.get_weights())
    found, expected = (net(TRIPLETS) for net in (sampled, whole))
    np.testing.assert_allclose(*(ops.convert_to_numpy(out["positive"]) for out in (found, expected)), rtol=1e-4)
    np.testing.assert_allclose(*(ops.convert_to_numpy(out["log_sum"]) for out in (found, expected)), atol=0.1)


def test_a_sampled_softmax_learns_the_blocks_too(trained, planted):
    model = trained("Covington", full_softmax_items=1, sampled_items=20)
    assert not model.model.full
    assert evaluate(model, planted, "test", (5,))["full_auc"].mean() > 0.9


def test_attributes_of_users_reach_them_and_their_ids_do_not(planted, described):
    town = pd.DataFrame({"town": ["a"] * (USERS - 2) + ["b", "a"]})
    users = field_table(np.arange(USERS), town, {"town": "categorical"})
    network = network_of(planted, described, attributes=(users, described["attributes"][1]))
    network.past = ops.convert_to_tensor(np.full_like(ops.convert_to_numpy(network.past), NOBODY))
    everyone = np.array([0, LONELY - 1, LONELY], np.int32)
    found = ops.convert_to_numpy(network.user_states(everyone, np.full(3, NOBODY)))
    np.testing.assert_array_equal(found[0], found[2])
    assert np.abs(found[0] - found[1]).max() > 1e-4

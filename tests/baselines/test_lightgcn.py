"""LightGCN: its propagation as products with the whole adjacency matrix, its loss from the published formula."""

import keras
import numpy as np
import pytest

from mrlm_core.baselines.lightgcn import LightGCNNetwork
from mrlm_core.baselines.registry import build

USERS, ITEMS = 61, 48  # of the fixture ``planted``
LONELY = USERS - 1


def propagated(train, users, items, n_layers):
    """Eq. 7 and 8 of the paper: E_{k+1} = D^-1/2 A D^-1/2 E_k with all of A, and the mean over k."""
    adjacency = np.block([[np.zeros((USERS, USERS)), train], [train.T, np.zeros((ITEMS, ITEMS))]])
    degrees = adjacency.sum(axis=1)
    scale = np.where(degrees > 0, 1 / np.sqrt(np.maximum(degrees, 1)), 0)
    step = scale[:, None] * adjacency * scale
    layers = [np.concatenate([users, items])]
    for _ in range(n_layers):
        layers.append(step @ layers[-1])
    final = sum(layers) / (n_layers + 1)
    return final[:USERS], final[USERS:]


@pytest.fixture
def network(planted):
    keras.utils.set_random_seed(3)
    return LightGCNNetwork(planted.train, dim=6, n_layers=3, l2=0.5)


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_states_are_the_mean_over_layers_of_the_normalised_graph(planted, n_layers):
    keras.utils.set_random_seed(3)
    network = LightGCNNetwork(planted.train, dim=6, n_layers=n_layers, l2=0.0)
    start = [np.asarray(table) for table in (network.users, network.items)]
    for found, expected in zip(network.vectors(), propagated(planted.train.toarray(), *start, n_layers), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_the_loss_is_bpr_on_states_and_l2_on_the_first_vectors(planted, network):
    triplets = np.array([[0, 3, 4], [5, 2, 7], [LONELY, 0, 1]], np.int32)
    start = [np.asarray(table).astype(np.float64) for table in (network.users, network.items)]
    users, items = propagated(planted.train.toarray(), *start, 3)
    loss = 0.0
    for user, positive, negative in triplets:
        margin = users[user] @ (items[positive] - items[negative])
        first = (start[0][user] ** 2).sum() + (start[1][positive] ** 2).sum() + (start[1][negative] ** 2).sum()
        loss += np.log1p(np.exp(-margin)) + 0.5 / 2 * first
    found = network.compute_loss(x=triplets, y_pred=network(triplets))
    assert float(found) == pytest.approx(loss / 3, rel=1e-5)


def test_training_moves_all_that_the_graph_reaches(planted, network):
    """The gradient of one triplet goes through the graph, to rows that are not in the batch."""
    import tensorflow as tf

    triplets = np.array([[0, 3, 4]], np.int32)
    with tf.GradientTape() as tape:
        loss = network.compute_loss(x=triplets, y_pred=network(triplets, training=True))
    gradient = tf.convert_to_tensor(tape.gradient(loss, network.users.value)).numpy()
    neighbours = planted.train[:, [3]].nonzero()[0]
    assert len(neighbours) > 1
    assert (np.abs(gradient[neighbours]).max(axis=1) > 0).all()
    assert (gradient[LONELY] == 0).all()


def test_a_user_without_positives_keeps_his_part_of_the_start(network):
    np.testing.assert_allclose(network.vectors()[0][LONELY], np.asarray(network.users)[LONELY] / 4, rtol=1e-5)


def test_layers_reach_the_network(planted):
    model = build("LightGCN", {"layers": 2, "max_epochs": 1})
    model.fit(planted, seed=0)
    assert model.model.n_layers == 2
    assert model.report["parameters"] == (USERS + ITEMS) * model.dim

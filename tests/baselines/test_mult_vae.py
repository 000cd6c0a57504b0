"""Mult-VAE: likelihood, divergence and network written out in NumPy for one user at a time."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops
from scipy.sparse import csr_matrix

from mrlm_core.baselines.mult_vae import MultVAENetwork, UserSampler
from mrlm_core.baselines.registry import build
from mrlm_core.errors import ConfigError, DatasetError

USERS, ITEMS = 61, 48  # of the fixture ``planted``
LONELY = USERS - 1
LATENT = 5
BATCH = np.array([4, LONELY, 0, 4], np.int32)


def make(planted, dropout=0.5, seed=3):
    keras.utils.set_random_seed(seed)
    network = MultVAENetwork(planted.train, hidden=7, latent=LATENT, dropout=dropout, kl_weight=0.3, annealing_steps=10)
    network.compile(keras.optimizers.SGD(0.0))
    network.optimizer.build(network.trainable_variables)
    rng = np.random.default_rng(0)  # biases that are not small, so that their absence would show
    network.set_weights([weight + 0.3 * rng.normal(size=weight.shape) for weight in network.get_weights()])
    return network


def by_hand(network, bag):
    """State and log probabilities of one user's ``bag`` ``[V]``."""
    w = [np.asarray(v, np.float64) for layer in (network.encoder, network.state, network.decoder, network.logits)
         for v in (layer.kernel, layer.bias)]
    both = np.tanh(bag / max(np.linalg.norm(bag), 1e-6) @ w[0] + w[1]) @ w[2] + w[3]
    mean, log_variance = both[:LATENT], both[LATENT:]
    logits = np.tanh(mean @ w[4] + w[5]) @ w[6] + w[7]
    return mean, log_variance, logits, logits - np.log(np.exp(logits).sum())


def test_bags_are_the_training_positives(planted):
    np.testing.assert_array_equal(make(planted).bags(BATCH), planted.train[BATCH].toarray())


@pytest.mark.parametrize(("step", "beta"), [(0, 0.0), (5, 0.15), (10, 0.3), (99, 0.3)])
def test_loss_is_multinomial_likelihood_plus_annealed_divergence(planted, step, beta):
    network = make(planted)
    network.optimizer.iterations.assign(step)
    likelihood = divergence = 0.0
    for user in BATCH:
        bag = planted.train[[user]].toarray()[0]
        mean, log_variance, _, log_probability = by_hand(network, bag)
        likelihood -= (bag * log_probability).sum() / len(BATCH)
        for m, v in zip(mean, np.exp(log_variance), strict=True):  # of N(m, v) from N(0, 1)
            divergence += (v + m**2 - 1 - np.log(v)) / 2 / len(BATCH)
    found = network.compute_loss(x=BATCH, y_pred=network(BATCH))
    assert float(found) == pytest.approx(likelihood + beta * divergence, rel=1e-5)
    assert float(network.terms["divergence"].result()) == pytest.approx(divergence, rel=1e-5)


def test_scores_are_the_logits_of_the_mean_state(planted):
    network = make(planted)
    users, items = network.vectors()
    expected = [by_hand(network, bag)[2] for bag in planted.train.toarray()]
    np.testing.assert_allclose(users @ items.T, expected, rtol=1e-4, atol=1e-5)


def test_the_state_is_drawn_from_its_gaussian_in_training_only(planted):
    network = make(planted, dropout=0.0)
    captured = []
    network.decoder = lambda state: captured.append(ops.convert_to_numpy(state)) or ops.zeros((len(state), 7))
    made = network(np.full(20_000, 4, np.int32), training=True)
    mean, deviation = np.asarray(made["mean"])[0], np.exp(np.asarray(made["log variance"])[0] / 2)
    np.testing.assert_allclose(captured[0].mean(axis=0), mean, atol=4 * deviation.max() / 20_000**0.5)
    np.testing.assert_allclose(captured[0].std(axis=0), deviation, rtol=0.03)
    network(BATCH)
    np.testing.assert_allclose(captured[1][0], mean, rtol=1e-5)


def test_dropout_thins_the_input_in_training_only(planted):
    network = make(planted, dropout=0.5)
    bags = network.bags(BATCH)
    still = [np.asarray(network.encoded(bags)[0]) for _ in range(2)]
    moving = [np.asarray(network.encoded(bags, training=True)[0]) for _ in range(2)]
    np.testing.assert_array_equal(*still)
    assert not np.allclose(*moving)


def test_an_epoch_is_every_user_with_positives_in_whole_batches(planted):
    sampler = UserSampler(planted)
    rows = sampler.epoch(np.random.default_rng(0), 16)
    assert len(rows) == 64
    assert set(rows[:60]) == set(range(USERS)) - {LONELY}
    assert LONELY not in rows
    assert (rows != sampler.epoch(np.random.default_rng(1), 16)).any()


def test_a_killed_training_goes_on_to_the_same_bits(planted, tmp_path):
    """The annealing, dropout and noise must go on where they were too."""
    settings = {"hidden": 16, "latent": 4, "batch_size": 16, "annealing_steps": 20, "patience": 9}
    whole, half, rest = (build("Mult-VAE", {**settings, "max_epochs": epochs}) for epochs in (4, 2, 4))
    whole.fit(planted, seed=1)
    half.fit(planted, seed=1, checkpoint=tmp_path)
    rest.fit(planted, seed=1, checkpoint=tmp_path)
    assert rest.history.epochs == 4
    np.testing.assert_array_equal(rest.score(np.arange(USERS)), whole.score(np.arange(USERS)))


def test_bad_input_is_refused(planted):
    with pytest.raises(ConfigError, match="dropout"):
        build("Mult-VAE", {"dropout": 1.0})
    empty = dataclasses.replace(planted, train=csr_matrix((USERS, ITEMS), dtype=np.float32))
    with pytest.raises(DatasetError, match="training split: expected positive ratings"):
        build("Mult-VAE").fit(empty, seed=0)

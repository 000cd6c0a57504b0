"""The triplet network, the difference calculation against its literal form, the identity heads."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

from mrlm_core.config import preset
from mrlm_core.model.gfrl import (
    DifferenceCalculation,
    IdentityHead,
    TripletNetwork,
    difference_tensor,
    identity_head,
)
from mrlm_core.model.losses import cross_entropy

B, ROWS, COLUMNS, UNITS = 3, 4, 5, 6
CONFIG = preset("tiny").model


def numbers(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def difference_loop(user, item):
    """Eq. 6-7, one number at a time; beyond its border the item is zero."""
    out = np.zeros((*user.shape, 3, 3), user.dtype)
    batch, rows, columns = user.shape
    for b in range(batch):
        for i in range(rows):
            for j in range(columns):
                for p in range(3):
                    for q in range(3):
                        y, x = i + p - 1, j + q - 1
                        inside = 0 <= y < rows and 0 <= x < columns
                        out[b, i, j, p, q] = user[b, i, j] - (item[b, y, x] if inside else 0)
    return out


def built(dtype, activation=None, units=UNITS):
    layer = DifferenceCalculation(units, activation, dtype=dtype)
    layer.build((None, ROWS, COLUMNS), (None, ROWS, COLUMNS))
    layer.set_weights([numbers(ROWS, COLUMNS, 3, 3, units, seed=5), numbers(units, seed=6)])
    return layer


def literal(kernel, bias, user, item):
    """A dense layer over the flattened difference tensor."""
    difference = difference_tensor(user, item)
    flat = ops.reshape(difference, (difference.shape[0], -1))
    return ops.matmul(flat, ops.reshape(kernel, (-1, kernel.shape[-1]))) + bias


@pytest.mark.parametrize("shape", [(B, ROWS, COLUMNS), (2, 1, 1), (1, 3, 2)])
def test_difference_tensor_is_the_loop(shape):
    user, item = numbers(*shape, seed=1), numbers(*shape, seed=2)
    found = ops.convert_to_numpy(difference_tensor(user, item))
    np.testing.assert_array_equal(found, difference_loop(user, item))


def test_beyond_the_border_the_item_is_zero():
    user, item = np.full((1, 2, 2), 10.0), np.ones((1, 2, 2))
    corner = ops.convert_to_numpy(difference_tensor(user, item))[0, 0, 0]
    np.testing.assert_array_equal(corner, [[10, 10, 10], [10, 9, 9], [10, 9, 9]])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 2e-4)])
def test_difference_calculation_equals_the_literal_dense_layer(dtype, tolerance, gradients):
    layer = built(dtype)
    weigh = numbers(B, UNITS, seed=7, dtype=dtype)  # a different gradient for every output
    arrays = [
        np.asarray(layer.kernel), np.asarray(layer.bias),
        numbers(B, ROWS, COLUMNS, seed=1, dtype=dtype), numbers(B, ROWS, COLUMNS, seed=2, dtype=dtype),
    ]

    def folded(kernel, bias, user, item):
        return layer.stateless_call([kernel, bias], [], user, item)[0]

    found, expected = folded(*arrays), literal(*map(ops.convert_to_tensor, arrays))
    assert keras.backend.standardize_dtype(found.dtype) == dtype
    np.testing.assert_allclose(ops.convert_to_numpy(found), ops.convert_to_numpy(expected), rtol=0, atol=tolerance)
    pairs = zip(
        gradients(lambda *a: ops.sum(folded(*a) * weigh), *arrays),
        gradients(lambda *a: ops.sum(literal(*a) * weigh), *arrays), strict=True,
    )
    for ours, wanted in pairs:
        assert np.abs(wanted).max() > 0.1
        np.testing.assert_allclose(ours, wanted, rtol=0, atol=tolerance)


def test_difference_calculation_is_the_loop_in_numpy():
    layer = built("float64", "relu")
    user, item = numbers(B, ROWS, COLUMNS, seed=1), numbers(B, ROWS, COLUMNS, seed=2)
    kernel, bias = layer.get_weights()
    expected = np.maximum(np.einsum("bijpq,ijpqu->bu", difference_loop(user, item), kernel) + bias, 0)
    assert (expected == 0).any()
    assert (expected > 0).any()
    np.testing.assert_allclose(ops.convert_to_numpy(layer(user, item)), expected, rtol=0, atol=1e-10)


def test_the_kernel_starts_as_that_of_the_literal_dense_layer():
    """he_uniform with the flattened tensor's length as fan-in."""
    layer = DifferenceCalculation(64)
    layer.build((None, 20, 30), (None, 20, 30))
    limit = np.sqrt(6 / (9 * 20 * 30))
    largest = np.abs(ops.convert_to_numpy(layer.kernel)).max()
    assert 0.99 * limit < largest <= limit * (1 + 1e-6)


def two_user_margins(activation):
    """logit(u, v+) - logit(u, v-) of two users with the same two items."""
    layer, weights = built("float64", activation), numbers(UNITS, seed=8)
    users, items = numbers(2, ROWS, COLUMNS, seed=1), numbers(2, ROWS, COLUMNS, seed=2)

    def logit(user, item):
        return float(ops.convert_to_numpy(layer(users[user : user + 1], items[item : item + 1]))[0] @ weights)

    return [logit(user, 0) - logit(user, 1) for user in (0, 1)]


def test_as_printed_the_user_has_no_say_in_which_item_wins():
    """Affine after a difference is f(u) - g(v): the margin between two items is the same for every user."""
    first, second = two_user_margins(None)
    assert abs(first) > 0.1
    assert first == pytest.approx(second, abs=1e-10)


def test_repaired_the_user_has_a_say():
    first, second = two_user_margins("relu")
    assert abs(first - second) > 0.1


def test_triplet_network_gives_global_vectors_and_low_level_matrices():
    g, low_level = TripletNetwork(CONFIG)(numbers(B, 16, dtype="float32"))
    assert tuple(g.shape) == (B, CONFIG.global_dim)
    assert tuple(low_level.shape) == (B, CONFIG.trunk_channels[0], 8)
    assert float(ops.min(low_level)) >= 0  # after the ReLU
    assert 0 <= float(ops.min(g)) <= float(ops.max(g)) <= 1  # sigmoid


def test_the_low_level_matrix_is_the_first_block_channels_first():
    network = TripletNetwork(CONFIG)
    initial = numbers(B, 16, dtype="float32")
    _, low_level = network(initial)
    (kernel, gamma, beta, mean, variance) = network.blocks[0].get_weights()
    padded = np.pad(initial, ((0, 0), (0, 1)))  # stride 2, "same": one zero, at the end
    windows = np.stack([padded[:, 2 * j : 2 * j + 3] for j in range(8)], axis=1)
    normal = (windows @ kernel[:, 0] - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    expected = np.maximum(normal, 0).transpose(0, 2, 1)
    np.testing.assert_allclose(ops.convert_to_numpy(low_level), expected, rtol=1e-5, atol=1e-6)


def test_full_head_gives_every_logit():
    head = IdentityHead(7, sampled=False, n_candidates=3)
    g, ids = numbers(B, 4, dtype="float32"), np.array([6, 0, 3])
    logits, places = head(g, ids)
    kernel, bias = head.get_weights()
    np.testing.assert_allclose(ops.convert_to_numpy(logits), g @ kernel.T + bias, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(ops.convert_to_numpy(places), ids)


def sampled_setting(n_classes, n_candidates):
    head = IdentityHead(n_classes, sampled=True, n_candidates=n_candidates)
    g, ids = numbers(B, 4, dtype="float32"), np.array([n_classes - 1, 0, 3])
    head.build(g.shape)
    head.set_weights([numbers(n_classes, 4, seed=3), numbers(n_classes, seed=4), *head.get_weights()[2:]])
    kernel, bias = head.get_weights()[:2]
    return head, g, ids, g @ kernel.T + bias


def test_sampled_head_puts_the_true_class_first_and_masks_accidental_hits():
    head, g, ids, every = sampled_setting(n_classes=5, n_candidates=40)  # 40 draws of 5: every class is hit
    logits, places = (ops.convert_to_numpy(part) for part in head(g, ids))
    assert logits.shape == (B, 41)
    np.testing.assert_array_equal(places, 0)
    np.testing.assert_allclose(logits[:, 0], every[np.arange(B), ids], rtol=1e-5)
    masked = logits[:, 1:] < -1e8
    assert masked.any(axis=1).all()
    corrected = every - np.log(40 / 5)
    for row in range(B):
        others = np.delete(corrected[row], ids[row])
        drawn = logits[row, 1:][~masked[row]]
        assert np.abs(drawn[:, None] - others).min(axis=1).max() < 1e-5  # each one is another class's
        assert np.abs(drawn[:, None] - others).min(axis=0).max() < 1e-5  # and each other class is among them
    assert (masked.sum(axis=1) + (~masked).sum(axis=1) == 40).all()


def test_sampled_head_draws_anew_at_each_call():
    head, g, ids, _ = sampled_setting(n_classes=50, n_candidates=10)
    first, second = (ops.convert_to_numpy(head(g, ids)[0]) for _ in range(2))
    assert (first[:, 0] == second[:, 0]).all()
    assert (first[:, 1:] != second[:, 1:]).any()


def test_sampled_normaliser_is_unbiased_and_the_loss_near_the_full_one():
    head, g, ids, every = sampled_setting(n_classes=40, n_candidates=2000)
    normalisers = []
    for _ in range(20):
        logits, places = head(g, ids)
        normalisers.append(np.exp(ops.convert_to_numpy(logits)).sum(axis=1))
    np.testing.assert_allclose(np.mean(normalisers, axis=0), np.exp(every).sum(axis=1), rtol=0.03)
    sampled, full = (ops.convert_to_numpy(cross_entropy(*pair)) for pair in ((logits, places), (every, ids)))
    np.testing.assert_allclose(sampled, full, atol=0.15)


@pytest.mark.parametrize(
    ("choice", "n_classes", "sampled"),
    [("auto", 50, False), ("auto", 51, True), ("full", 51, False), ("sampled", 50, True)],
)
def test_the_config_chooses_the_head(choice, n_classes, sampled):
    config = dataclasses.replace(CONFIG, identity_head=choice, identity_full_limit=50)
    assert identity_head(n_classes, config, "head").sampled is sampled


def test_never_more_candidates_than_classes():
    config = dataclasses.replace(CONFIG, identity_head="sampled", sampled_candidates=1000)
    assert identity_head(30, config, "head").n_candidates == 30

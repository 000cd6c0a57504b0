"""SHAN: both attention levels against a plain version."""

import numpy as np
import pytest
from keras import ops

from mrlm_core.baselines import registry
from mrlm_core.baselines.network import NOBODY

SHORT = registry.row("SRSCHAN").defaults["short"]
LONELY = 60  # of the fixture ``planted``


def attention(items, user, kernel, bias):
    """Ying et al. 2018, Eqs. 1-3: the weighted sum of ``items``, one weight at a time."""
    logits = np.array([user @ np.maximum(item @ kernel + bias, 0) for item in items])
    weights = np.exp(logits - logits.max())
    return sum(weight * item for weight, item in zip(weights / weights.sum(), items, strict=True))


def plain(network, user, target):
    past, items, users = (ops.convert_to_numpy(part) for part in (network.past, network.items, network.users))
    short, long = ([item for item in part if item not in (NOBODY, target)]
                   for part in (past[user, :SHORT], past[user, SHORT:]))
    read = [items[item] for item in short]
    if long:
        read.append(attention(items[long], users[user], *network.long_term.hidden.get_weights()))
    return attention(read, users[user], *network.both.hidden.get_weights()) if read else np.zeros(items.shape[1])


def test_both_levels_equal_their_plain_version(trained):
    network = trained("SRSCHAN").model
    past = ops.convert_to_numpy(network.past)
    short_and_long = [(3, past[3, 0]), (4, past[4, 6]), (5, NOBODY), (LONELY, NOBODY)]
    users, targets = (np.array(column, np.int32) for column in zip(*short_and_long, strict=True))
    found = ops.convert_to_numpy(network.user_states(users, targets))
    for row, (user, target) in enumerate(short_and_long):
        np.testing.assert_allclose(found[row], plain(network, user, target), rtol=1e-4, atol=1e-5)


def test_attention_weighs_items_unequally_once_trained(trained):
    network = trained("SRSCHAN").model
    past = ops.convert_to_numpy(network.past)
    items = ops.convert_to_numpy(network.items)[past[3, SHORT : SHORT + 4]]
    own = ops.convert_to_numpy(network.users)[3]
    pooled = attention(items, own, *network.long_term.hidden.get_weights())
    assert np.abs(pooled - items.mean(axis=0)).max() > 1e-3


def test_few_items_are_all_short_term(trained, planted):
    """A user with nothing in the long-term set is read from the short-term one alone, without a zero vector in it."""
    network = trained("SRSCHAN").model
    kept = network.past
    past = ops.convert_to_numpy(kept).copy()
    past[3, SHORT:] = NOBODY
    network.past = ops.convert_to_tensor(past)
    found = ops.convert_to_numpy(network.user_states(np.array([3]), np.array([NOBODY])))[0]
    expected = plain(network, 3, NOBODY)
    network.past = kept
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_weights_of_the_attentions_are_penalised(trained):
    network = trained("SRSCHAN").model
    out = network(np.array([[3, 5, 7]], np.int32))
    before = float(network.compute_loss(y_pred=out))
    squares = sum((layer.hidden.get_weights()[0] ** 2).sum() for layer in (network.long_term, network.both))
    kept, network.l2_attention = network.l2_attention, 0.0
    without = float(network.compute_loss(y_pred=out))
    network.l2_attention = kept
    assert before - without == pytest.approx(kept / 2 * squares, rel=1e-3)

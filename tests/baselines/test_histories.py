"""Models that read what a user has liked: the item to be guessed is never among it, in training or elsewhere."""

import numpy as np
import pytest
from keras import ops

from mrlm_core.baselines import registry
from mrlm_core.baselines.distinct import once
from mrlm_core.baselines.network import NOBODY

MODELS = [name + plus for name in ("Covington", "SRSCHAN", "CAMN") for plus in ("", "+")]
USERS, ITEMS = 61, 48  # of the fixture ``planted``


@pytest.fixture(params=MODELS)
def network(request, trained):
    model = trained(request.param).model
    past = model.past
    yield model
    model.past = past


def a_liked_item(network, place):
    """All users that have a ``place``-th newest item, and that item of each."""
    past = ops.convert_to_numpy(network.past)
    users = np.flatnonzero(past[:, place] >= 0).astype(np.int32)
    return users, past[users, place]


def states(network, users, targets):
    return ops.convert_to_numpy(network.user_states(users, targets))


def erase(network, users, place):
    past = ops.convert_to_numpy(network.past).copy()
    past[users, place] = NOBODY
    network.past = ops.convert_to_tensor(past)


@pytest.mark.parametrize("place", [0, 6])  # of SHAN's short-term and of its long-term set
def test_a_user_is_read_as_if_the_target_were_not_in_his_history(network, place):
    users, targets = a_liked_item(network, place)
    nobody = np.full_like(targets, NOBODY)
    left_out, whole = states(network, users, targets), states(network, users, nobody)
    erase(network, users, place)
    np.testing.assert_allclose(states(network, users, nobody), left_out, rtol=1e-5, atol=1e-6)
    assert np.abs(left_out - whole).max(axis=1).min() > 1e-5, "the history must matter, else nothing was tested"


def test_training_scores_are_the_same_with_and_without_the_target_in_the_history(network):
    users, targets = a_liked_item(network, 1)
    triplets = np.stack([users, targets, (targets + 1) % ITEMS], axis=1).astype(np.int32)
    before = network(triplets)
    erase(network, users, 1)
    after = network(triplets)
    for name in before:
        if name != "size":
            np.testing.assert_allclose(*map(ops.convert_to_numpy, (after[name], before[name])), rtol=1e-4, atol=1e-5)


def test_the_targets_own_vector_does_not_reach_the_user(network):
    users, targets = a_liked_item(network, 0)
    user, target = users[:1], targets[:1]
    kept = ops.convert_to_numpy(network.items).copy()
    before = states(network, user, target), states(network, user, np.array([NOBODY]))
    changed = kept.copy()
    changed[target] += 1.0
    network.items.assign(changed)
    after = states(network, user, target), states(network, user, np.array([NOBODY]))
    network.items.assign(kept)
    np.testing.assert_array_equal(after[0], before[0])
    assert np.abs(after[1] - before[1]).max() > 1e-4


def test_an_item_is_penalised_as_a_candidate_and_not_wherever_it_is_read(trained):
    network = trained("SRSCHAN").model
    triplets = np.array([[3, 5, 7], [4, 9, 8]], np.int32)
    users, items = ops.convert_to_numpy(network.users), ops.convert_to_numpy(network.items)
    size = float(network(triplets)["size"])
    # Users are rows of one part, positives and negatives together of another.
    assert size == pytest.approx((users[[3, 4]] ** 2).sum() / 2 + (items[[5, 9, 7, 8]] ** 2).sum() / 4, rel=1e-4)


def test_the_record_says_what_newest_meant(trained, planted):
    assert planted.latest_by == "random order, seeded"  # the planted ratings have no timestamps
    short = registry.row("SRSCHAN").defaults["short"]
    assert trained("SRSCHAN").report["short_term"] == f"{short} items by random order, seeded"
    for name in ("Covington", "CAMN"):
        assert trained(name).report["newest_by"] == "random order, seeded"


def test_each_distinct_item_is_made_once():
    asked = []

    def squares(items):
        asked.append(ops.convert_to_numpy(items))
        return ops.cast(items, "float32")[:, None] ** 2

    indices = np.array([[4, 1, 4], [1, 1, 0]], np.int32)
    found = ops.convert_to_numpy(once(ops.convert_to_tensor(indices), squares))
    np.testing.assert_array_equal(found[..., 0], indices**2)
    assert sorted(asked[0]) == [0, 1, 4]

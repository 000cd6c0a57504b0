"""MRLM-R: its score against plain NumPy, what each switch switches, and that the target stays out of the profile."""

import numpy as np
import pytest
from keras import ops

from mrlm_core.baselines.content import side_by_side
from mrlm_core.baselines.ials import IALS
from mrlm_core.baselines.mrlm_r import RIDGE
from mrlm_core.baselines.network import NOBODY
from mrlm_core.baselines.registry import build
from mrlm_core.errors import ConfigError

SIZES = {"preset": "tiny", "dim": 8}
PRINTED = {"start": "given", "learn_start": False, "skip": False, "profile": False, "features": False,
           "objective": "bpr", "activation": "sigmoid"}
USERS, ITEMS = 61, 48  # of the fixture ``planted``


@pytest.fixture(scope="module")
def network(planted, inputs):
    """``network(**hyperparameters)``: not trained."""
    return lambda **changed: build("MRLM-R", {**SIZES, **changed}).network(planted, 0, **inputs("MRLM-R"))


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def test_the_score_is_that_of_its_three_parts(network):
    """x_u . x_v + added_g^2 g_u . g_v + added_m^2 p_u . m_v, all times the warmth; p of the mean of the latest."""
    made = network()
    made.moved[0].assign(np.random.default_rng(0).normal(size=made.moved[0].shape))
    users, items = np.array([4, 9], np.int32), np.array([7, 30], np.int32)
    (of_users, of_items), past = made.start, numpy(made.past)
    x_u, x_v = of_users[users] + numpy(made.moved[0])[users], of_items[items]
    g_u, g_v = numpy(made.trunk(x_u)[0]), numpy(made.trunk(x_v)[0])
    layer = numpy(made.of_content.kernel)
    m_v = numpy(made.siamese(g_v)) + made.content[items] @ layer
    own = [past[user][past[user] >= 0] for user in users]
    mean_x, mean_f = (np.stack([rows[liked].mean(axis=0) for liked in own]) for rows in (of_items, made.content))
    p_u = numpy(made.siamese(made.trunk(mean_x.astype(np.float32))[0])) + mean_f @ layer
    of_g, of_m = numpy(made.added) ** 2
    plain = (x_u * x_v).sum(1) + of_g * (g_u * g_v).sum(1) + of_m * (p_u * m_v).sum(1)
    states = made.user_states(users, np.full(2, NOBODY, np.int32)), made.item_states(items)
    np.testing.assert_allclose((numpy(states[0]) * numpy(states[1])).sum(1), float(made.warmth) * plain, rtol=1e-4)


def test_the_target_does_not_reach_the_profile(network):
    """Erased from the history, the target changes nothing where it is the target, and something where it is not."""
    made = network()
    past = numpy(made.past).copy()
    users = np.flatnonzero(past[:, 1] >= 0).astype(np.int32)
    targets, nobody = past[users, 1], np.full(len(users), NOBODY, np.int32)
    left_out, whole = numpy(made.user_states(users, targets)), numpy(made.user_states(users, nobody))
    past[users, 1] = NOBODY
    made.past = ops.convert_to_tensor(past)
    np.testing.assert_allclose(numpy(made.user_states(users, nobody)), left_out, rtol=1e-5, atol=1e-6)
    assert np.abs(whole - left_out).max(axis=1).min() > 1e-6, "the history must matter, else nothing was tested"


@pytest.mark.parametrize(
    ("changed", "width"),
    [({}, lambda sizes, d: d + sizes.global_dim + sizes.multimodal_dim),
     ({"profile": False}, lambda sizes, d: d + sizes.global_dim),
     ({"skip": False}, lambda sizes, d: sizes.global_dim + sizes.multimodal_dim),
     (PRINTED, lambda sizes, d: sizes.global_dim)],
)
def test_parts_that_are_switched_off_are_not_in_the_score(network, changed, width):
    made = network(**changed)
    d = made.start[1].shape[1]
    sizes = build("MRLM-R", {**SIZES, **changed}).sizes(d)
    of_users, of_items = made.vectors()
    assert of_users.shape == (USERS, width(sizes, d))
    assert of_items.shape == (ITEMS, width(sizes, d))


def test_the_start_is_as_given_until_it_is_learned(network, inputs, trained):
    given = inputs("MRLM-R")["initial_vectors"][1]
    np.testing.assert_array_equal(network(start="given").start[1], given)
    assert network().start[1].shape[1] == SIZES["dim"]
    fixed, moved = (trained("MRLM-R", **SIZES, learn_start=learned).model.moved[1] for learned in (False, True))
    assert not numpy(fixed).any()
    assert numpy(moved).any()


def test_factors_are_drawn_to_what_a_regression_on_the_descriptions_gives(planted, inputs, network):
    """Plain version, item by item: argmin of the loss of iALS with drawn l2 |v - B'f|^2 in place of l2 |v|^2."""
    settings = {**SIZES, "dim": 5, "drawn": 2.0}
    users, items = network(**{**settings, "drawn": 0.0}).start
    factors = IALS(dim=5, **{ours: build("MRLM-R", settings).__dict__[name] for ours, name in (
        ("l2", "factor_l2"), ("unobserved_weight", "unobserved_weight"), ("frequency_exponent", "frequency_exponent"),
        ("epochs", "factor_epochs"))})
    factors.fit(planted, 0)
    np.testing.assert_array_equal(items, factors.factors()[1])
    content = side_by_side(inputs("MRLM-R")["features"]).astype(np.float64)
    liked = planted.train.toarray()
    counts = liked.sum(axis=0)
    told = content @ np.linalg.solve(
        (content * counts[:, None]).T @ content + RIDGE * counts.mean() * np.eye(content.shape[1]),
        (content * counts[:, None]).T @ items)
    shared = factors.unobserved_weight * users.T @ users
    drawn = network(**settings).start[1]
    for item in range(ITEMS):
        own = users[liked[:, item] > 0]
        size = len(own) + factors.unobserved_weight * USERS
        strength = 2.0 * factors.l2 * size**factors.frequency_exponent
        expected = np.linalg.solve(own.T @ own + shared + strength * np.eye(5), own.sum(axis=0) + strength * told[item])
        np.testing.assert_allclose(drawn[item], expected, rtol=2e-3, atol=2e-4)
    assert np.abs(drawn - items).max() > 1e-3


def test_without_descriptions_nothing_is_drawn(planted, inputs):
    bare = {**inputs("MRLM-R"), "features": {}}
    made, plain = (build("MRLM-R", {**SIZES, "drawn": drawn}).network(planted, 0, **bare) for drawn in (3.0, 0.0))
    np.testing.assert_array_equal(made.start[1], plain.start[1])


def test_softmax_is_over_all_negatives_of_the_batch(network):
    made = network(cluster_weight=0.0)
    triplets = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.int32)
    found = made(triplets)
    of_users, of_items = made.user_states(triplets[:, 0], triplets[:, 1]), made.item_states(triplets[:, 2])
    against = numpy(of_users) @ numpy(of_items).T
    positive = numpy(found["positive"])
    logits = np.hstack([positive[:, None], against]).astype(np.float64)
    expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - positive)
    made.l2 = 0.0
    assert float(made.compute_loss(y_pred=found)) == pytest.approx(expected, rel=1e-4)


def test_an_item_without_a_modality_adds_nothing_to_its_loss(network, inputs):
    clusters = inputs("MRLM-R")["clusters"]
    bare = np.flatnonzero(clusters["text"] < 0)[0]
    made = network(l2=0.0, cluster_weight=1.0, objective="bpr")
    found = made(np.array([[1, bare, bare]], np.int32))
    ranking = float(ops.mean(ops.softplus(found["negative"] - found["positive"])))
    assert float(made.compute_loss(y_pred=found)) == pytest.approx(ranking, rel=1e-5)


@pytest.mark.parametrize("wrong", [{"start": "random"}, {"objective": "hinge"}])
def test_an_unknown_choice_says_which_there_are(network, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        network(**wrong)

"""xDeepFM as a recommender: a pair's logit in plain NumPy, ranking of all pairs against it, what is penalised."""

import numpy as np
import pandas as pd
import pytest
from keras import ops

from mrlm_core.baselines import xdeepfm
from mrlm_core.baselines.registry import build
from mrlm_core.evaluation.selection import mean_recall_of, users_of
from mrlm_core.preprocessing.fields import field_table

USERS, ITEMS = 61, 48  # of the fixture ``planted``


@pytest.fixture
def attributes(described):
    """Users with a town and likes, so that both sides have fields besides their ids, one of several values."""
    people = pd.DataFrame({"town": [f"t{user % 4}" for user in range(USERS)], "likes": ["x|y", "y", ""] * 20 + ["x"]})
    kinds = {"town": "categorical", "likes": "multi"}
    return field_table(np.arange(USERS), people, kinds), described["attributes"][1]


@pytest.fixture
def network(planted, attributes):
    """Not trained, all weights random: none of its parts may vanish, as the linear one nearly does at the start."""
    model = build("xDeepFM", {"cin_units": 3, "deep_units": 4, "field_dim": 5})
    made = model.network(planted, 0, attributes=attributes)
    rng = np.random.default_rng(0)
    for weight in made.trainable_variables:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return made


def embedded(values, table, member):
    return [sum(weight * values[place] for weight, place in zip(weights, places, strict=True))
            for places, weights in zip(table.indices[member], table.weights[member], strict=True)]


def plain_cin(base, kernels):
    """Lian et al. 2018, Eq. 6: every pair of a map and a field, multiplied along D."""
    state, pooled = base, []
    for flat in kernels:
        kernel = flat.reshape(len(state), len(base), -1)
        state = [sum(kernel[i, j, h] * state[i] * base[j] for i in range(len(state)) for j in range(len(base)))
                 for h in range(kernel.shape[2])]
        pooled += [chart.sum() for chart in state]
    return pooled


def plain_logit(network, user, item):
    """Eq. 15 of one pair."""
    fields, linear, sums = [], 0.0, 0.0
    for side, member in enumerate((user, item)):
        table = network.sides[side]
        own = embedded(ops.convert_to_numpy(network.values[side]), table, member)
        linear += sum(embedded(ops.convert_to_numpy(network.linear[side]), table, member))[0]
        kernel, *bias = network.first[side].get_weights()
        sums = sums + np.concatenate(own) @ kernel + sum(bias)
        fields += own
    hidden = np.maximum(sums, 0)
    for layer in network.deep:
        kernel, bias = layer.get_weights()
        hidden = np.maximum(hidden @ kernel + bias, 0)
    pooled = plain_cin(fields, [layer.get_weights()[0] for layer in network.cin])
    kernel, bias = network.read_out.get_weights()
    return linear + (np.concatenate([pooled, hidden]) @ kernel + bias)[0]


def test_a_pair_scores_by_linear_part_cin_and_deep_part(network):
    triplets = np.array([[0, 5, 7], [USERS - 1, ITEMS - 1, 0]], np.int32)
    out = network(triplets)
    for name, column in (("positive", 1), ("negative", 2)):
        expected = [plain_logit(network, triplet[0], triplet[column]) for triplet in triplets]
        assert np.ptp(expected) > 0.1
        np.testing.assert_allclose(ops.convert_to_numpy(out[name]), expected, rtol=1e-3, atol=1e-4)


def test_ranking_gives_each_pair_the_logit_of_training(network, monkeypatch):
    """In blocks that fit neither the users nor the items."""
    monkeypatch.setattr(xdeepfm, "USERS_AT_ONCE", 7)
    monkeypatch.setattr(xdeepfm, "ITEMS_AT_ONCE", 13)
    users, items = np.indices((USERS, ITEMS)).reshape(2, -1).astype(np.int32)
    expected = ops.convert_to_numpy(network(np.stack([users, items, items], axis=1))["positive"])
    shuffled = np.random.default_rng(0).permutation(USERS)
    found = xdeepfm.PairRanking(network).score(shuffled)
    np.testing.assert_allclose(found, expected.reshape(USERS, ITEMS)[shuffled], rtol=1e-3, atol=1e-3)


def test_so_it_does_with_content(trained):
    model = trained("xDeepFM+")
    users, items = np.indices((USERS, ITEMS)).reshape(2, -1).astype(np.int32)
    out = model.model(np.stack([users, items, items], axis=1))
    np.testing.assert_allclose(model.score(np.arange(USERS)).ravel(), ops.convert_to_numpy(out["positive"]),
                               rtol=1e-3, atol=1e-3)


def test_content_is_a_field_and_reaches_the_deep_part(trained):
    plain, content = trained("xDeepFM").model, trained("xDeepFM+").model
    assert content.cin[0].kernel.shape[0] == (plain.cin[0].kernel.shape[0] ** 0.5 + 1) ** 2
    units = content.content.dense.units
    assert content.first[1].kernel.shape[0] == plain.first[1].kernel.shape[0] + content.dim + units


def test_its_loss_is_the_log_loss_of_positives_and_of_negatives(network):
    """-log sigma of a positive's logit, -log(1 - sigma) of a negative's, each as their mean; and the penalty."""
    out = network(np.array([[2, 5, 7], [4, 9, 8], [USERS - 1, 0, 3]], np.int32))
    positive, negative = (ops.convert_to_numpy(out[key]).astype(np.float64) for key in ("positive", "negative"))
    of_positives = -np.log(1 / (1 + np.exp(-positive))).mean()
    of_negatives = -np.log(1 - 1 / (1 + np.exp(-negative))).mean()
    assert min(of_positives, of_negatives) > 0.01
    expected = of_positives + of_negatives + network.l2 / 2 * float(out["size"])
    assert float(network.compute_loss(y_pred=out)) == pytest.approx(expected, rel=1e-5)


def test_what_is_penalised_are_the_fields_and_not_the_padding(network):
    triplets = np.array([[2, 5, 7], [4, 9, 8]], np.int32)
    expected = 0.0
    for side, members in ((0, [2, 4]), (1, [5, 9, 7, 8])):
        for values in (network.values[side], network.linear[side]):
            read = [embedded(ops.convert_to_numpy(values), network.sides[side], member) for member in members]
            expected += np.square(read).sum() / len(members)
    assert float(network(triplets)["size"]) == pytest.approx(expected, rel=1e-4)


def test_training_is_stopped_by_the_recall_of_the_scores_of_a_sample(trained, planted, monkeypatch):
    model = trained("xDeepFM")
    everyone = users_of(planted)
    assert model.report["selection_users"] == len(everyone) <= model.selection_users
    recall = mean_recall_of(model.score, planted, 20, users=everyone)
    assert model.history.best_score == pytest.approx(recall)
    monkeypatch.setattr(xdeepfm.XDeepFM, "selection_users", 9)
    assert trained("xDeepFM", again=True, max_epochs=2).report["selection_users"] == 9


def test_its_scores_are_no_product_of_vectors(trained):
    assert trained("xDeepFM").factors() is None

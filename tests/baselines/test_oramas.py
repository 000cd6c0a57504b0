"""ORAMAS: cosine to the factors of the factorisation, items without text, items that keep their own factors."""

import numpy as np
import pytest
from keras import ops

from mrlm_core.baselines.ials import IALS
from mrlm_core.baselines.oramas import ItemSampler
from mrlm_core.baselines.registry import build, row

ITEMS, BARE = 48, 47  # of the fixture ``planted``: the last item has no text
SMALL = {"dim": 6, "units": 12, "max_epochs": 3, "batch_size": 16}


@pytest.fixture(scope="module")
def text(described):
    return {"text": described["features"]["text"]}


@pytest.fixture(scope="module")
def factors(planted):
    defaults = row("ORAMAS").defaults
    model = IALS(dim=6, l2=defaults["factor_l2"], unobserved_weight=defaults["unobserved_weight"],
                 frequency_exponent=defaults["frequency_exponent"], epochs=defaults["factor_epochs"])
    model.fit(planted, seed=1)
    return model.factors()


@pytest.fixture(scope="module")
def fitted(planted, text):
    model = build("ORAMAS", SMALL)
    model.fit(planted, seed=1, features=text)
    return model


def directions_by_hand(network, values):
    """Two dense layers with ReLU, a linear one, length 1; the last number of ``values`` says "no text"."""
    (w1, b1), (w2, b2) = (layer.get_weights() for layer in network.towers[0][::2])
    w3, b3 = network.last.get_weights()
    last = np.maximum(np.maximum(values @ w1 + b1, 0) @ w2 + b2, 0) @ w3 + b3
    return last / np.linalg.norm(last, axis=1, keepdims=True)


def test_items_are_directions_from_text_and_users_their_own_factors(fitted, text, factors):
    made = text["text"]
    lengths = np.linalg.norm(made.values, axis=1, keepdims=True)
    values = np.concatenate([made.values / np.where(lengths > 0, lengths, 1), ~made.mask[:, None]], axis=1)
    users, items = fitted.factors()
    np.testing.assert_allclose(items, directions_by_hand(fitted.model, values), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(users, factors[0])


def test_the_loss_is_the_mean_cosine_distance_to_the_items_factors(fitted, factors):
    items = np.array([4, 9, 30])
    found = fitted.model(items[:, None].astype(np.int32))
    guessed, own = fitted.factors()[1][items], factors[1][items]
    cosines = [a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for a, b in zip(guessed, own, strict=True)]
    assert float(fitted.model.compute_loss(y_pred=found)) == pytest.approx(1 - np.mean(cosines), abs=1e-5)


def test_training_brings_the_directions_nearer(planted, text, fitted):
    items = np.unique(planted.train.indices)[:, None].astype(np.int32)

    def loss(model):
        return float(model.model.compute_loss(y_pred=model.model(items)))

    longer = build("ORAMAS", {**SMALL, "max_epochs": 30, "patience": 30})
    longer.fit(planted, seed=1, features=text)
    assert loss(longer) < loss(fitted)


def test_an_item_without_text_is_ranked_by_what_its_lack_says(fitted):
    items = fitted.factors()[1]
    assert np.linalg.norm(items[BARE]) == pytest.approx(1, abs=1e-4)
    nothing = np.zeros((1, 9), np.float32)
    nothing[0, -1] = 1
    np.testing.assert_allclose(items[BARE], directions_by_hand(fitted.model, nothing)[0], rtol=1e-4, atol=1e-5)


def test_items_with_enough_positives_keep_their_own_factors(planted, text, factors):
    positives = np.bincount(planted.train.indices, minlength=ITEMS)
    enough = int(np.median(positives))
    model = build("ORAMAS", {**SMALL, "true_factors_from": enough})
    model.fit(planted, seed=1, features=text)
    kept, items = positives >= enough, model.factors()[1]
    assert 0 < kept.sum() < ITEMS
    assert model.report["items_with_their_own_factors"] == kept.sum()
    np.testing.assert_allclose(items[kept], factors[1][kept], rtol=1e-6)
    typical = np.linalg.norm(factors[1], axis=1).mean()
    np.testing.assert_allclose(np.linalg.norm(items[~kept], axis=1), typical, rtol=1e-3)


def test_by_default_none_does(fitted):
    assert fitted.report["items_with_their_own_factors"] == 0


def test_only_items_with_training_positives_are_learnt_from():
    sampler = ItemSampler(np.array([2, 5, 7]))
    rows = sampler.epoch(np.random.default_rng(0), 4)
    assert rows.shape == (4, 1)
    assert rows.dtype == np.int32
    assert set(rows.ravel()) == {2, 5, 7}


def test_content_of_the_plus_version_meets_the_text_before_the_last_layer(planted, text):
    content = np.eye(ITEMS, 7, dtype=np.float32)
    model = build("ORAMAS+", SMALL)
    model.fit(planted, seed=1, features=text, content=content)
    hidden = SMALL["units"]
    kernel, _ = model.model.last.get_weights()
    assert len(kernel) == hidden + model.model.content.dense.units
    before = ops.convert_to_numpy(model.model.directions(np.array([3])))
    kernel[hidden:] = 0
    model.model.last.set_weights([kernel, model.model.last.get_weights()[1]])
    assert not np.allclose(before, ops.convert_to_numpy(model.model.directions(np.array([3]))))

"""What a "+" version reads besides reaches what it ranks by: an item's content moves that item, all else held equal."""

from itertools import count

import keras
import numpy as np
import pytest
from keras import ops

from mrlm_core.baselines import mrta
from mrlm_core.baselines.convmf import TextToVector
from mrlm_core.baselines.registry import build, names
from mrlm_core.preprocessing.vectors import Features

USERS, ITEMS = 61, 48  # of the fixture ``planted``
ITEM, OTHER = 5, 6  # of two blocks, so that they are described differently
PLUS = [name for name in names() if name.endswith("+")]


@pytest.fixture
def states(planted, inputs):
    """``states(name, content)``: a network that is not trained, what users' states it has, and the items' states."""

    def made(name, content):
        keras.utils.set_random_seed(7)
        model, given = build(name), {**inputs(name), "content": content}
        if name != "ConvMF+":
            network = model.network(planted, 0, **given)
            return network, *network.vectors()
        model._observe(planted)  # its users and items are solved for, near theta, which is what it reads
        network = TextToVector(USERS, given["sentences"], model._weight, model, content)
        return network, np.zeros((USERS, 1)), network.theta()

    return made


def moved(before, after):
    """Numbers of the rows that differ."""
    return np.flatnonzero(np.abs(after - before).max(axis=1) > 1e-4).tolist()


def test_the_paper_has_ten():
    assert len(PLUS) == 10


@pytest.mark.parametrize("name", [name for name in PLUS if name != "MRTA+"])
def test_an_items_content_moves_its_state_and_the_users_who_are_read_by_it(states, inputs, name):
    content = inputs(name)["content"]
    changed = content.copy()
    changed[ITEM] = content[OTHER]
    (network, users, items), (again, users_after, items_after) = states(name, content), states(name, changed)
    for one, other in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert moved(items, items_after) == [ITEM]
    past = ops.convert_to_numpy(network.past) if hasattr(network, "past") else np.zeros((USERS, 0))
    assert moved(users, users_after) == np.flatnonzero((past == ITEM).any(axis=1)).tolist()


@pytest.mark.parametrize("role", ["image", "video", "audio", "knowledge"])
def test_an_items_vector_of_any_modality_moves_its_scores_in_mrta(planted, inputs, role, monkeypatch):
    """Which reads them one by one, each with the last weight that was tried."""
    shares = np.random.default_rng(1).random((ITEMS, 3)).astype(np.float32)
    monkeypatch.setattr(mrta, "topic_shares", lambda *_: shares)

    def scores(features):
        better = count()
        monkeypatch.setattr(mrta, "mean_recall_of", lambda *_, **__: next(better))
        model = build("MRTA+")
        model.fit(planted, seed=0, sentences=inputs("MRTA+")["sentences"], features=features)
        return model.score(np.arange(USERS))

    features = inputs("MRTA+")["features"]
    values = features[role].values.copy()
    values[ITEM] = values[OTHER]
    changed = {**features, role: Features(values, features[role].mask, "changed", ())}
    before, after = scores(features), scores(changed)
    assert ITEM in moved(before.T, after.T)
    np.testing.assert_array_equal(before, scores(features))

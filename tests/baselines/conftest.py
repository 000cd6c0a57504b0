"""Planted data for every model: blocks of users like blocks of items, and what describes an item tells its block."""

from itertools import count

import numpy as np
import pandas as pd
import pytest

from mrlm_core.baselines.content import side_by_side
from mrlm_core.baselines.registry import build, row
from mrlm_core.baselines.sentences import sentences_of
from mrlm_core.datasets.splits import interactions, random_split
from mrlm_core.preprocessing.fields import field_table
from mrlm_core.preprocessing.triples import number_triples
from mrlm_core.preprocessing.vectors import Features
from mrlm_core.training import fit as fit_loop

USERS, ITEMS, BLOCKS = 61, 48, 3
LONELY = USERS - 1  # rates nothing in training
BARE = ITEMS - 1  # has no text, no picture, nothing
ROLES = ("text", "image", "video", "audio", "knowledge")
MOST_EPOCHS = {"max_epochs": 60, "batch_size": 128, "patience": 5}
TINY_MRLM = {"preset_name": "tiny", "training.max_epochs": 8, "training.batch_size": 128, "model.embedding_dim": 4}


@pytest.fixture(scope="session")
def planted():
    """A checkerboard: users like the items of their own block, dislike some of the others; one user is new."""
    rng = np.random.default_rng(0)
    user, item = (index.ravel() for index in np.indices((USERS - 1, ITEMS)))
    alike = user % BLOCKS == item % BLOCKS
    seen = alike | (rng.random(len(user)) < 0.1)
    ratings = pd.DataFrame({"user": user, "item": item, "rating": np.where(alike, 5, 1)})[seen]
    split = random_split(len(ratings), 0.6, 0.1, seed=1)
    return interactions(ratings, USERS, ITEMS, 4, split, seed=0)


@pytest.fixture(scope="session")
def described():
    """Every input of the registry but the interactions, by name; ``features`` of all roles."""
    rng = np.random.default_rng(5)
    block, mask = np.arange(ITEMS) % BLOCKS, np.arange(ITEMS) != BARE
    features = {}
    for role in ROLES:
        values = np.eye(BLOCKS, 8)[block] + 0.1 * rng.normal(size=(ITEMS, 8))
        features[role] = Features(np.where(mask[:, None], values, 0).astype(np.float32), mask, "planted", ())
    words = np.array([[f"word{b}x{n}" for n in range(6)] for b in range(BLOCKS)])
    texts = {item: ". ".join(" ".join(rng.choice(words[block[item]], 4)) for _ in range(3)) for item in range(BARE)}
    triples = pd.DataFrame({"head": [f"item{i}" for i in range(BARE)], "relation": "kind",
                            "tail": [f"kind{b}" for b in block[:BARE]]})
    items = pd.DataFrame({"kind": [f"k{b}" for b in block]})
    return {
        "features": features, "sentences": sentences_of(texts, ITEMS),
        "triples": (number_triples(triples), {item: f"item{item}" for item in range(BARE)}),
        "attributes": (field_table(np.arange(USERS), pd.DataFrame(index=range(USERS)), {}),
                       field_table(np.arange(ITEMS), items, {"kind": "categorical"})),
        "clusters": {"text": np.where(mask, block, -1)},
        "initial_vectors": (np.eye(BLOCKS, 4, dtype=np.float32)[np.arange(USERS) % BLOCKS],
                            np.eye(BLOCKS, 4, dtype=np.float32)[block]),
    }


def inputs_for(name, described):
    """What the registry row ``name`` takes of ``described``; content is every role that it does not read itself."""
    entry = row(name)
    own = {role: made for role, made in described["features"].items() if entry.takes_vectors(role)}
    rest = {role: made for role, made in described["features"].items() if not entry.takes(role)}
    found = {**described, "features": own, "content": side_by_side(rest) if rest else None}
    return {key: found[key] for key in entry.inputs if key not in ("interactions", "checkpoint")}


@pytest.fixture(scope="session")
def inputs(described):
    """``inputs(name)``: what ``fit`` of that row takes besides the interactions."""
    return lambda name: inputs_for(name, described)


@pytest.fixture
def draw_late(monkeypatch):
    """``draw_late()``: from here on the fit loop draws an epoch when it is asked for, not while another is trained."""
    def late(sample_epoch, seed, first=0):
        return (sample_epoch(np.random.default_rng([seed, epoch])) for epoch in count(first))

    return lambda: monkeypatch.setattr(fit_loop, "drawn_ahead", late)


@pytest.fixture(scope="session")
def trained(planted, described):
    """``trained(name, seed)``: the model of a registry row fitted to the planted data, with a short training."""
    kept = {}

    def fit(name, seed=3, again=False, **hyperparameters):
        key = (name, seed, again, *sorted(hyperparameters.items()))
        if key not in kept:
            short = {key: value for key, value in MOST_EPOCHS.items() if key in row(name).defaults}
            if row(name).family == "mrlm":  # whose hyperparameters are settings of the config
                short = TINY_MRLM  # the initial vectors tell the blocks: training has but to keep them apart
            kept[key] = build(name, {**short, **hyperparameters})
            kept[key].fit(planted, seed=seed, **inputs_for(name, described))
        return kept[key]

    return fit

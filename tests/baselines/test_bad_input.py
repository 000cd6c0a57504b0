"""What no model may do with bad input: crash, go on with numbers that are none, or answer for someone else."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest

from mrlm_core.baselines.registry import build, names, row
from mrlm_core.datasets.splits import interactions, random_split
from mrlm_core.errors import DatasetError
from mrlm_core.training import recommender
from mrlm_core.training.fit import TrainingError

USERS, ITEMS = 61, 48  # of the fixture ``planted``
TINY_MRLM = {"preset_name": "tiny", "training.batch_size": 1024, "model.embedding_dim": 4}
BASELINES = [name for name in names() if row(name).family != "mrlm"]
SAMPLERS = ("BPR-MF", "Mult-VAE", "CKE", "ORAMAS")  # one model of each way to draw an epoch for the shared fit loop
BY_GRADIENT = [name for name in BASELINES if "learning_rate" in row(name).defaults]


@pytest.mark.parametrize("users", [[USERS], [-1], [0, 5, USERS + 900]])
@pytest.mark.parametrize("name", names())
def test_users_out_of_range_are_refused(trained, name, users):
    with pytest.raises(IndexError, match=f"users to score: expected indices from 0 to {USERS - 1}, found"):
        trained(name).score(np.array(users))


@pytest.mark.parametrize("name", names())
def test_no_user_gives_no_row(trained, name):
    assert trained(name).score(np.array([], np.int64)).shape == (0, ITEMS)


@pytest.mark.parametrize(("column", "index"), [("user", 7), ("user", -1), ("item", 9), ("item", 2**40)])
def test_ratings_of_ids_out_of_range_are_refused(column, index):
    ratings = pd.DataFrame({"user": np.arange(60) % 7, "item": np.arange(60) % 9, "rating": 5.0})
    ratings.loc[11, column] = index
    with pytest.raises(DatasetError, match=rf"column '{column}': expected indices from 0 to .*{index}"):
        interactions(ratings, 7, 9, 4, random_split(60, 0.6, 0.2, seed=0), seed=0)


@pytest.mark.parametrize("name", [name for name in BASELINES if "content" in row(name).inputs])
def test_content_that_is_no_number_is_refused_by_row(planted, inputs, name):
    given = {key: value.copy() if key == "content" else value for key, value in inputs(name).items()}
    given["content"][5, 2] = np.nan
    with pytest.raises(DatasetError, match="input 'content', row 5"):
        build(name).fit(planted, seed=0, **given)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_diverging_training_names_step_and_term_and_keeps_the_last_good_checkpoint(planted, inputs, name, tmp_path,
                                                                                     draw_late):
    """The first epoch learns; in the second, drawn once the first is kept, the learning rate becomes absurd."""
    draw_late()
    short = {key: value for key, value in {"batch_size": 32, "patience": 9}.items() if key in row(name).defaults}
    broken, kept = build(name, {**short, "max_epochs": 4}), []
    real = broken.sampler

    def sampler(data):
        made = real(data)
        draw = made.epoch

        def epoch(rng, batch_size):
            if (tmp_path / "state.npz").exists():
                kept.append((tmp_path / "state.npz").read_bytes())
                broken.model.optimizer.learning_rate = 1e38
            return draw(rng, batch_size)

        made.epoch = epoch
        return made

    broken.sampler = sampler
    with pytest.raises(TrainingError, match=rf"{type(broken).__name__}, epoch 2, step \d+: .*found \['.*not a number"):
        broken.fit(planted, seed=0, checkpoint=tmp_path, **inputs(name))
    assert kept == [(tmp_path / "state.npz").read_bytes()]
    with np.load(tmp_path / "state.npz") as state:
        assert len(json.loads(str(state["history"]))["rows"]) == 1
    again = build(name, {**short, "max_epochs": 2})
    again.fit(planted, seed=0, checkpoint=tmp_path, **inputs(name))
    assert again.history.epochs == 2
    assert np.isfinite(again.score(np.arange(USERS))).all()


def no_numbers(*layers):
    for weight in (weight for layer in layers for weight in layer.weights):
        weight.assign(np.full(weight.shape, np.nan))


# Model, the one term of its loss that is broken, and how.
TERMS = [
    ("MRLM", "loss_g3", lambda network: no_numbers(network.verifier)),
    ("MRLM", "loss_m_text", lambda network: no_numbers(network.classifiers)),
    ("MRLM-R", "modalities", lambda network: no_numbers(*network.classifiers.heads.values())),
    ("Mult-VAE", "likelihood", lambda network: no_numbers(network.logits)),
    ("CKE", "reconstruction", lambda network: no_numbers(*(one.decoder[1] for one in network.modalities))),
    ("CKE", "triples", lambda network: network.projections.assign(np.full(network.projections.shape, np.nan))),
    ("SRSCHAN", "attention", lambda network: setattr(network, "l2_attention", np.inf)),
    ("Covington", "ranking", lambda network: no_numbers(*network.tower)),
    ("ORAMAS", "ranking", lambda network: no_numbers(network.last)),
]


@pytest.mark.parametrize(("name", "term", "spoil"), TERMS)
def test_the_one_term_that_is_no_number_is_named(planted, inputs, name, term, spoil, monkeypatch):
    """In an epoch of one step: the next would break them all. The sum of the terms, "loss", is broken with any."""
    if name == "MRLM":
        model = build(name, TINY_MRLM)
        maker, attribute = recommender, "MRLM"
    else:
        small = {"preset": "tiny", "dim": 8} if name == "MRLM-R" else {}
        model = build(name, {**small, "batch_size": 1024})
        maker, attribute = model, "network"
    real = getattr(maker, attribute)

    def spoilt(*given, **named):
        network = real(*given, **named)
        spoil(network)
        return network

    monkeypatch.setattr(maker, attribute, spoilt)
    with pytest.raises(TrainingError, match=r"epoch 1, step \d+: ") as raised:
        model.fit(planted, seed=0, **inputs(name))
    named = re.search(r"found \[(.*)\] not a number", str(raised.value)).group(1)
    assert set(named.split(", ")) == {"'loss'", f"'{term}'"}


@pytest.mark.parametrize("name", BASELINES)
def test_data_without_any_training_positive_is_scored_or_refused(planted, inputs, name):
    """Where nothing can be learned: all scores alike, or an error that says what is missing."""
    nothing = planted.train[:0].__class__((USERS, ITEMS), dtype=np.float32)
    empty = dataclasses.replace(planted, train=nothing, train_rated=nothing, latest_items=np.zeros(0, np.int32))
    model = build(name)
    if name in BY_GRADIENT:
        with pytest.raises(DatasetError, match="training split: expected"):
            model.fit(empty, seed=0, **inputs(name))
    else:
        model.fit(empty, seed=0, **inputs(name))
        assert np.isfinite(model.score(np.arange(USERS))).all()

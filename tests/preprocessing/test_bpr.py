"""Initial vectors by BPR-MF: the loss by its formula, planted blocks, and what they depend on."""

import dataclasses

import numpy as np
import pytest
from keras import ops

from mrlm_core.config import preset
from mrlm_core.preprocessing.bpr import BPR, train_bpr
from mrlm_core.preprocessing.initial_features import cosine_recall


def trained(planted, seed=0, **changes):
    dataset, parts, *_ = planted
    config = preset("tiny", {"preprocessing.initial_learning_rate": 0.02,
                             **{f"preprocessing.{name}": value for name, value in changes.items()}})
    return train_bpr(dataset, parts, 16, config.preprocessing, seed)


def test_the_loss_is_bpr_opt():
    """Rendle et al. 2009, BPR-Opt: -ln sigma(x_uij), and the weight decay of what the triplet uses."""
    model = BPR(3, 4, 5, l2=0.1)
    users, items = model.vectors()
    triplets = np.array([[0, 1, 2], [2, 3, 0]], np.int32)
    expected = 0.0
    for user, positive, negative in triplets:
        margin = users[user] @ items[positive] - users[user] @ items[negative]
        squares = sum((rows**2).sum() for rows in (users[user], items[positive], items[negative]))
        expected += (-np.log(1 / (1 + np.exp(-margin))) + 0.1 / 2 * squares) / len(triplets)
    assert float(ops.convert_to_numpy(model.compute_loss(y_pred=model(triplets)))) == pytest.approx(expected, rel=1e-4)


def test_vectors_find_the_blocks_by_cosine_and_the_best_epoch_is_kept(planted):
    _, parts, of_users, of_items = planted
    made = trained(planted, initial_epochs=15, initial_patience=15)
    users, items = made["users"], made["items"]
    assert (users.shape, items.shape) == ((len(of_users), 16), (len(of_items), 16))
    assert cosine_recall(users, items, parts) == pytest.approx(made["history"].max())
    assert made["history"].max() > 0.8  # chance is 20 of about 112


def test_vectors_follow_the_seed_and_the_training_positives_alone(planted):
    dataset, parts, *_ = planted
    first = trained(planted, initial_epochs=1)
    other = dataclasses.replace(parts, validation=parts.validation[::-1], validation_rated=parts.validation[::-1])
    again = trained((dataset, other), initial_epochs=1)  # the one epoch is the best, whatever it is
    assert again["history"] != first["history"]
    np.testing.assert_array_equal(again["users"], first["users"])
    np.testing.assert_array_equal(again["items"], first["items"])
    assert (trained(planted, seed=1, initial_epochs=1)["users"] != first["users"]).any()

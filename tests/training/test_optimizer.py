"""Our Adam against Keras' own, and its row-wise form against a plain one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mrlm_core.config import preset
from mrlm_core.errors import ConfigError
from mrlm_core.model.mrlm import MRLM
from mrlm_core.training import optimizer as module
from mrlm_core.training.optimizer import Adam
from mrlm_core.training.recommender import optimizer_of

STEPS = 5


def steps(optimizer, sparse):
    """Weights after some steps on given gradients; the table's reach rows 1, 4 and 1 again."""
    rng = np.random.default_rng(0)
    table, vector = (keras.Variable(rng.normal(size=shape), dtype="float32") for shape in ((6, 3), (4,)))
    optimizer.build([table, vector])
    for _ in range(STEPS):
        rows = tf.IndexedSlices(tf.constant(rng.normal(size=(3, 3)), tf.float32), tf.constant([1, 4, 1]), (6, 3))
        gradient = rows if sparse else tf.convert_to_tensor(rows)
        optimizer.apply([gradient, tf.constant(rng.normal(size=4), tf.float32)], [table, vector])
    return np.array(table), np.array(vector)


@pytest.mark.parametrize("sparse", [False, True])
def test_it_takes_keras_steps(sparse):
    for found, expected in zip(steps(Adam(0.01), sparse), steps(keras.optimizers.Adam(0.01), False), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_by_rows_it_takes_keras_steps_on_the_rows_reached_in_every_step_and_leaves_the_others():
    start = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    table, vector = steps(Adam(0.01, rows=True), sparse=True)
    expected, expected_vector = steps(keras.optimizers.Adam(0.01), False)
    np.testing.assert_allclose(table[[1, 4]], expected[[1, 4]], rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(table[[0, 2, 3, 5]], start[[0, 2, 3, 5]])
    np.testing.assert_allclose(vector, expected_vector, rtol=1e-6, atol=1e-7)


def test_rows_rest_where_no_gradient_reaches_them():
    """After a first step on row 0 only row 1 is reached: Adam's momentum moves row 0 on, the row-wise form does not."""
    moved = {}
    for rows in (False, True):
        table, optimizer = keras.Variable(np.ones((2, 1), np.float32)), Adam(0.1, rows=rows)
        optimizer.build([table])
        for row in (0, 1):
            optimizer.apply([tf.IndexedSlices(tf.ones((1, 1)), tf.constant([row]), (2, 1))], [table])
        moved[rows] = float(np.array(table)[0, 0])
    assert moved[True] == pytest.approx(0.9, abs=1e-5)
    assert moved[False] < 0.87


def test_by_rows_is_refused_where_gradients_do_not_name_rows(monkeypatch):
    monkeypatch.setattr(module, "on_tensorflow", lambda: False)
    with pytest.raises(ConfigError, match="row-adam"):
        Adam(0.1, rows=True)


@pytest.mark.parametrize(
    ("head", "choice", "rows"),
    [("full", "auto", False), ("sampled", "auto", True), ("sampled", "adam", False), ("full", "row-adam", True)],
)
def test_the_config_chooses(head, choice, rows):
    config = preset("tiny", {"model.identity_head": head, "training.optimizer": choice})
    network = MRLM(config.model, np.zeros((4, 16)), np.zeros((5, 16)))
    assert network.sampled_heads == (("users", "items") if head == "sampled" else ())
    assert optimizer_of(network, config.training).rows is rows

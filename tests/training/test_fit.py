"""The fit loop: stopping, resuming to the same bits, and what it does with a loss that is no number."""

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from keras import ops

from mrlm_core.config import preset
from mrlm_core.model.mrlm import MRLM
from mrlm_core.training.fit import TrainingError, fit, seed_everything
from mrlm_core.training.time_limit import OutOfTime, within

USERS, ITEMS, BATCH, EPOCHS = 10, 16, 8, 4


class Pull(keras.Model):
    """One weight a column, pulled to 1; ``other`` is a second loss term."""

    def __init__(self):
        super().__init__()
        self.kernel = self.add_weight(shape=(3, 1), initializer="zeros", name="kernel")
        self.other = keras.metrics.Mean(name="other")
        self(np.zeros((1, 3), np.float32))

    def call(self, rows, training=False):
        return ops.matmul(ops.cast(rows, "float32"), self.kernel)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        self.other.update_state(ops.mean(ops.log(x[:, 0])))  # not a number below zero
        return ops.mean(ops.square(y_pred - 1.0))


def pull(scores, patience=2, rows=None, **options):
    """Train a Pull whose validation gives ``scores``; returns its weights after each epoch too."""
    model, seen, waiting = Pull(), [], iter(scores)
    model.compile(optimizer=keras.optimizers.SGD(0.01))

    def validate():
        seen.append(model.get_weights())
        return next(waiting)

    options = {"batch_size": 4, "max_epochs": len(scores), "seed": 0, "name": "pull", **options}
    history = fit(model, rows or (lambda rng: np.ones((8, 3), np.float32)), validate, patience=patience, **options)
    return model, history, seen


def test_a_limit_on_processor_time_stops_after_an_epoch_with_the_best_so_far():
    scores = [0.1, 0.3, 0.2, 0.4]
    with within(0.0), pytest.raises(OutOfTime, match=r"pull, epoch 1: expected an end within 0 s") as stopped:
        pull(scores)
    assert stopped.value.best_score == 0.1
    assert stopped.value.seconds > 0
    with within(1e6):
        assert pull(scores)[1].epochs == 4
    assert pull(scores)[1].epochs == 4, "the limit ends with its block"


def test_it_stops_when_validation_has_not_risen_and_keeps_the_best_weights():
    model, history, seen = pull([0.1, 0.3, 0.2, 0.3, 0.9])
    assert history.epochs == 4  # two epochs without a rise after the second; an equal score is no rise
    assert (history.best_epoch, history.best_score) == (2, 0.3)
    np.testing.assert_array_equal(model.get_weights()[0], seen[1][0])
    assert (seen[1][0] != seen[3][0]).all()
    assert [row["validation"] for row in history.rows] == [0.1, 0.3, 0.2, 0.3]
    assert set(history.rows[0]) == {"loss", "other", "validation", "seconds"}
    losses = [row["loss"] for row in history.rows]
    assert losses == sorted(losses, reverse=True)


def test_it_ends_at_max_epochs():
    _, history, seen = pull([0.1, 0.2, 0.3], patience=9)
    assert history.epochs == len(seen) == history.best_epoch == 3


def test_each_epoch_has_its_own_generator_which_the_seed_and_the_epoch_decide():
    draws = []

    def rows(rng):
        draws.append(rng.random())
        return np.ones((8, 3), np.float32)

    for seed in (0, 0, 1):
        pull([0.1, 0.2], rows=rows, seed=seed)
    assert draws[:3] == draws[3:6]  # one is drawn ahead
    assert len(set(draws)) == 6


def test_the_next_epoch_is_drawn_while_one_is_trained_on():
    drawn, waited = [threading.Event() for _ in range(3)], []
    numbers = iter(range(3))

    def rows(rng):
        drawn[next(numbers)].set()
        return np.ones((8, 3), np.float32)

    def train(rows, batch_size):
        waited.append(drawn[len(waited) + 1].wait(timeout=60))
        return {"loss": 0.0}, 1

    assert pull([0.1, 0.2], rows=rows, train_epoch=train)[1].epochs == 2
    assert waited == [True, True]


def test_a_sampler_that_fails_ends_the_training_with_its_own_error():
    def rows(rng):
        raise ValueError("no triplet")

    with pytest.raises(ValueError, match="no triplet"):
        pull([0.1], rows=rows)


def test_a_loss_that_is_no_number_names_its_term_and_keeps_the_last_checkpoint(tmp_path):
    epochs = iter([np.ones((8, 3), np.float32), -np.ones((8, 3), np.float32)])
    with pytest.raises(TrainingError, match=r"pull, epoch 2.*\['other'\]"):
        pull([0.1, 0.2], rows=lambda rng: next(epochs), checkpoint=tmp_path)
    with np.load(tmp_path / "state.npz") as state:
        kept = json.loads(str(state["history"]))
    assert len(kept["rows"]) == kept["best_epoch"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]


def test_a_validation_that_is_no_number_is_an_error():
    with pytest.raises(TrainingError, match="validation"):
        pull([float("nan"), 0.1])


class Killed(BaseException):
    """As Ctrl-C: not an Exception that anything could swallow."""


def train(checkpoint=None, kill_in=None, seed=0):
    """A tiny MRLM with everything random in it: dropout, sampled heads, shuffled triplets."""
    seed_everything(seed)
    config = preset("tiny", {"model.identity_head": "sampled", "model.sampled_candidates": 6}).model
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(USERS, 16)), rng.normal(size=(ITEMS, 16))
    model = MRLM(config, *vectors, {"text": rng.integers(0, 3, ITEMS).astype(np.int32)})
    model.compile(optimizer=keras.optimizers.Adam(0.01), steps_per_execution=3)
    scores = iter([0.2, 0.4, 0.3, 0.1])
    calls = []

    def triplets(rng):
        calls.append(rng)
        if len(calls) == kill_in:
            raise Killed
        return rng.integers(0, USERS, (5 * BATCH, 3), dtype=np.int32)

    if checkpoint is not None and (checkpoint / "state.npz").exists():
        scores = iter([0.3, 0.1])
    history = fit(
        model, triplets, lambda: next(scores), batch_size=BATCH, max_epochs=EPOCHS, patience=EPOCHS, seed=seed,
        name="tiny", checkpoint=checkpoint,
    )
    state = [np.asarray(v) for v in [*model.weights, *model.optimizer.variables]]
    return state, [{k: v for k, v in row.items() if k != "seconds"} for row in history.rows], history.best_epoch


@pytest.fixture(scope="module")
def uninterrupted():
    return train()


def test_a_killed_run_goes_on_to_the_same_bits(uninterrupted, tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, kill_in=3)
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]
    assert_same(train(tmp_path), uninterrupted)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(uninterrupted):
    assert_same(train(), uninterrupted)
    assert train(seed=1)[1] != uninterrupted[1]


def assert_same(found, expected):
    for one, other in zip(found[0], expected[0], strict=True):
        np.testing.assert_array_equal(one, other)
    assert found[1:] == expected[1:]
    assert len(found[1]) == EPOCHS


def test_a_finished_run_is_not_trained_again(tmp_path):
    _, first, _ = pull([0.1, 0.3], checkpoint=tmp_path)
    model, again, seen = pull([], max_epochs=2, checkpoint=tmp_path)
    assert seen == []
    assert again == first
    assert (model.get_weights()[0] != 0).all()


def test_an_epoch_ends_at_the_step_that_broke_it():
    rows = np.ones((400, 3), np.float32)
    rows[120] = -1  # in the 31st batch of four
    with pytest.raises(TrainingError, match=r"pull, epoch 1, step 31: .*\['other'\]"):
        pull([0.1], rows=lambda rng: rows)


def test_a_weight_that_only_the_last_step_broke_is_named_before_validation():
    class Overflow(keras.optimizers.SGD):
        def update_step(self, gradient, variable, learning_rate):
            variable.assign(variable + np.inf)

    model = Pull()
    model.compile(optimizer=Overflow(0.01))
    with pytest.raises(TrainingError, match=r"pull, epoch 1, step 1: .*kernel"):
        fit(model, lambda rng: np.ones((4, 3), np.float32), lambda: pytest.fail("validated"), batch_size=4,
            max_epochs=1, patience=1, seed=0, name="pull")


def test_what_other_threads_draw_does_not_reach_the_weights_of_a_run_in_a_thread():
    def weights(disturbed):
        seed_everything(3)
        first = keras.layers.Dense(4)
        if disturbed:
            random.random()
        second = keras.layers.Dense(4)
        return [np.asarray(layer(np.ones((1, 3), np.float32))) for layer in (first, second)]

    with ThreadPoolExecutor(1) as threads:
        plain, disturbed = (threads.submit(weights, whether).result() for whether in (False, True))
    np.testing.assert_array_equal(plain, disturbed)
    np.testing.assert_array_equal(plain, weights(False), "in the main thread the same seed gives the same")
    keras.utils.set_random_seed(3)
    first = keras.layers.Dense(4)(np.ones((1, 3), np.float32))
    np.testing.assert_array_equal(plain[0], first, "Keras' own way to set the seed still does")

"""The one fit loop: epochs of samples, early stopping on validation, checkpoints that resume to the same result."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.src.random import seed_generator
from tqdm.auto import tqdm

from mrlm_core.cache import atomic
from mrlm_core.errors import UserError, problem
from mrlm_core.training.time_limit import Clock

STEPS_PER_CALL = 16  # optimiser steps a compiled call; fewer returns to Python


# A generator of random numbers -> the rows of an epoch.
EpochSampler = Callable[[np.random.Generator], np.ndarray]
# Rows of an epoch and batch size -> mean of each loss term and the last step that was made.
EpochTrainer = Callable[[np.ndarray, int], tuple[dict[str, float], int]]


class TrainingError(UserError):
    """Training cannot go on: a loss term stopped being a number."""


@dataclass
class History:
    """What happened: one row an epoch (loss terms, validation score, seconds) and the best of them."""

    rows: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = -np.inf

    @property
    def epochs(self) -> int:
        return len(self.rows)


class _Seeds:
    """What Keras calls in place of the module ``random``: the generator of the thread, if it has one."""

    own = threading.local()

    def randint(self, low: int, high: int) -> int:
        return getattr(self.own, "generator", random).randint(low, high)


_SEEDS = _Seeds()


def seed_everything(seed: int) -> None:
    """Fix every random number of Keras and the backend, and demand deterministic operations."""
    keras.utils.set_random_seed(seed)
    if threading.current_thread() is not threading.main_thread():
        # Keras draws the seeds of layers from Python's one shared generator, of which the threads of a Dask worker
        # draw as well. For a run in a thread the same draws come from a generator of that thread.
        _SEEDS.own.generator = random.Random(seed)
        seed_generator.python_random = _SEEDS
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def fit(
    model: keras.Model,
    sample_epoch: EpochSampler,
    validate: Callable[[], float],
    *,
    batch_size: int,
    max_epochs: int,
    patience: int,
    seed: int,
    name: str,
    checkpoint: Path | None = None,
    train_epoch: EpochTrainer | None = None,
) -> History:
    """Train the compiled ``model`` until ``validate()`` has not risen for ``patience`` epochs; keep the best weights.

    ``sample_epoch(rng)`` gives the rows of one epoch, whole batches of them, from a generator that depends on ``seed``
    and the epoch alone; it must not read the model, which is trained meanwhile. ``train_epoch`` trains on the rows, by
    default as ``one_epoch`` does. With ``checkpoint`` (a folder) every epoch is saved and a killed run goes on from the
    last one, to the same result. Raises TrainingError when a loss term or a weight is not finite, at the latest
    STEPS_PER_CALL steps later, or there is nothing to validate on, OutOfTime as ``within`` says. Gap G25.
    """
    clock = Clock()
    history, best = History(), model.get_weights()
    train_epoch = train_epoch or partial(one_epoch, model)
    model.optimizer.build(model.trainable_variables)
    if checkpoint is not None and (checkpoint / "state.npz").exists():
        history, best = _load(checkpoint, model)
    bar = tqdm(total=max_epochs, initial=history.epochs, desc=name, unit="epoch", disable=None)
    with closing(drawn_ahead(sample_epoch, seed, history.epochs)) as epochs:
        while history.epochs < max_epochs and history.epochs - history.best_epoch < patience:
            if history.epochs:
                clock.check(f"{name}, epoch {history.epochs}", history.best_score)
            started = time.perf_counter()
            losses, step = train_epoch(next(epochs), batch_size)
            _check_finite(model, losses, f"{name}, epoch {history.epochs + 1}, step {step}")
            score = _number(validate(), f"{name}, epoch {history.epochs + 1}")
            seconds = time.perf_counter() - started
            history.rows.append({**losses, "validation": score, "seconds": seconds})
            if score > history.best_score:
                history.best_epoch, history.best_score, best = history.epochs, score, model.get_weights()
            if checkpoint is not None:
                _save(checkpoint, model, history, best)
            bar.update()
            bar.set_postfix({**{term: f"{value:.3f}" for term, value in losses.items()}, "validation": f"{score:.4f}"})
    bar.close()
    model.set_weights(best)
    return history


def drawn_ahead(sample_epoch: EpochSampler, seed: int, first: int = 0) -> Generator[np.ndarray, None, None]:
    """The rows of the epochs from number ``first`` on; while one is trained on, a thread draws the next.

    Each has a generator of its own, of ``seed`` and its number, so that it is the same whenever it is drawn.
    """
    with ThreadPoolExecutor(1, "next epoch") as thread:
        epoch, waiting = first, thread.submit(sample_epoch, np.random.default_rng([seed, first]))
        while True:
            rows, epoch = waiting.result(), epoch + 1
            waiting = thread.submit(sample_epoch, np.random.default_rng([seed, epoch]))
            yield rows


def _number(score: float, where: str) -> float:
    if np.isnan(score):
        raise TrainingError(problem(where, "a validation score", "not a number",
                                    "Check that the validation part has positive ratings."))
    return score


class _Watch(keras.callbacks.Callback):
    """Ends the epoch after a call of steps in which a loss term stopped being a number; ``step`` is the last one."""

    step = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.step = batch + 1
        if not all(np.isfinite(value) for value in (logs or {}).values()):  # means so far: once NaN, always NaN
            self.model.stop_training = True


def one_epoch(model: keras.Model, rows: np.ndarray, batch_size: int) -> tuple[dict[str, float], int]:
    """Train on ``rows``, whole batches of them, in their order; returns the mean of each loss term and the last step.

    It is the last of the epoch unless a term stopped being a number.
    """
    watch = _Watch()
    once = {"epochs": 1, "shuffle": False, "verbose": 0, "callbacks": [watch]}
    if keras.backend.backend() != "tensorflow":
        return _means(model.fit(rows, batch_size=batch_size, **once)), watch.step
    import tensorflow as tf

    # Keras' own way from arrays to batches tunes itself in a thread that the end of an epoch waits for, up to a second.
    options = tf.data.Options()
    options.autotune.enabled = False
    batches = tf.data.Dataset.from_tensor_slices(rows).batch(batch_size, drop_remainder=True).prefetch(STEPS_PER_CALL)
    return _means(model.fit(batches.with_options(options), **once)), watch.step


def _means(fitted: keras.callbacks.History) -> dict[str, float]:
    return {term: float(values[0]) for term, values in fitted.history.items()}


def _check_finite(model: keras.Model, losses: dict[str, float], where: str) -> None:
    broken = [term for term, value in losses.items() if not np.isfinite(value)]
    # The last step may have broken a weight, which no loss has seen yet.
    broken = broken or [v.path for v in model.trainable_variables if not np.isfinite(ops.convert_to_numpy(v)).all()]
    if broken:
        raise TrainingError(
            problem(where, "finite losses and weights", f"{broken} not a number",
                    "Lower the learning rate; the last good checkpoint is kept.")
        )


def _save(folder: Path, model: keras.Model, history: History, best: list[np.ndarray]) -> None:
    """One file, so that weights, optimiser and history can never disagree."""
    state: dict[str, Any] = {f"model_{i}": value for i, value in enumerate(model.get_weights())}
    state |= {f"optimizer_{i}": np.asarray(v) for i, v in enumerate(model.optimizer.variables)}
    state |= {f"seed_{i}": np.asarray(v) for i, v in enumerate(_seed_states(model))}
    state |= {f"best_{i}": value for i, value in enumerate(best)}
    summary = {"rows": history.rows, "best_epoch": history.best_epoch, "best_score": history.best_score}
    with atomic(folder / "state.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, history=np.array(json.dumps(summary)), **state)


def _load(folder: Path, model: keras.Model) -> tuple[History, list[np.ndarray]]:
    with np.load(folder / "state.npz", allow_pickle=False) as state:
        def group(name: str) -> list[np.ndarray]:
            return [state[f"{name}_{i}"] for i in range(sum(key.startswith(f"{name}_") for key in state.files))]

        history = History(**json.loads(str(state["history"])))
        model.set_weights(group("model"))
        for variable, value in zip(model.optimizer.variables, group("optimizer"), strict=True):
            variable.assign(value)
        for variable, value in zip(_seed_states(model), group("seed"), strict=True):
            variable.assign(value)
        return history, group("best")


def _seed_states(model: keras.Model) -> list[Any]:
    """Random-generator states of dropout and sampling layers; ``get_weights`` leaves them out."""
    weights = {id(v) for v in model.weights}
    metrics = {id(v) for v in model.metrics_variables}
    return [v for v in model.variables if id(v) not in weights | metrics]

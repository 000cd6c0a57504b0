"""Initial vectors of users and items (§3.1(1)(a)): one table says which choices there are, and how to judge them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mrlm_core.errors import ConfigError, nearest, problem
from mrlm_core.evaluation.selection import Part, mean_recall
from mrlm_core.preprocessing_config import PreprocessingConfig

if TYPE_CHECKING:
    from mrlm_core.datasets import Dataset
    from mrlm_core.datasets.splits import Interactions

BY_COSINE = "Recall@20 by cosine"


@dataclass(frozen=True)
class InitialRow:
    """One choice of initial vectors: its code and the settings that it reads."""

    module: str  # loads only when the choice is taken
    function: str
    settings: tuple[str, ...] = ()

    def load(self) -> Callable[..., dict[str, np.ndarray]]:
        """The function; TensorFlow loads with it where the choice needs it."""
        found: Callable[..., dict[str, np.ndarray]] = getattr(importlib.import_module(self.module), self.function)
        return found

    def inputs(self, config: PreprocessingConfig) -> dict[str, Any]:
        """What besides the split, the seed and the code decides the vectors: the choice and the settings it reads."""
        return {"initial": config.initial, **{name: getattr(config, name) for name in self.settings}}


_TRAINING = ("initial_negatives", "initial_epochs", "initial_patience", "initial_batch_size", "initial_learning_rate",
             "initial_l2")

INITIAL: dict[str, InitialRow] = {  # preprocessing.initial -> row
    "xdeepfm": InitialRow("mrlm_core.preprocessing.xdeepfm", "train_xdeepfm",
                          ("read_out", "field_dim", "cin_layers", "dnn_layers", *_TRAINING)),
    "bpr": InitialRow("mrlm_core.preprocessing.bpr", "train_bpr", _TRAINING),
    "random": InitialRow("mrlm_core.preprocessing.initial_features", "random_vectors"),
}


def choose(config: PreprocessingConfig) -> InitialRow:
    """The row that ``config.initial`` names; raises ConfigError for a name that is none. Gap G26."""
    if config.initial not in INITIAL:
        raise ConfigError(problem("preprocessing.initial", f"one of {tuple(INITIAL)}", repr(config.initial),
                                  nearest(config.initial, INITIAL)))
    return INITIAL[config.initial]


def name_of(config: PreprocessingConfig) -> str:
    """The choice as records and tables print it."""
    return f"xdeepfm, read-out {config.read_out}" if config.initial == "xdeepfm" else config.initial


def random_vectors(
    dataset: Dataset, interactions: Interactions, embedding_dim: int, config: PreprocessingConfig, seed: int
) -> dict[str, np.ndarray]:
    """Independent standard normal numbers, which know nothing: what any other choice has to beat. As ``made``."""
    rng = np.random.default_rng(seed)
    users, items = (rng.standard_normal((n, embedding_dim), np.float32)
                    for n in (interactions.n_users, interactions.n_items))
    return made(users, items, interactions)


def made(
    users: np.ndarray, items: np.ndarray, interactions: Interactions, history: Sequence[float] = (), measure: str = ""
) -> dict[str, np.ndarray]:
    """The arrays that are kept: ``users`` ``[U, d_0]``, ``items`` ``[V, d_0]``, ``history``, ``measure``, ``notes``.

    ``history`` is the validation ``measure`` an epoch, empty where nothing was trained. The notes say how the vectors
    rank alone, on validation.
    """
    trained = [f"best of {len(history)} epochs by validation {measure}: {max(history):.4f}"] if len(history) else []
    cosine, dot = cosine_recall(users, items, interactions), dot_recall(users, items, interactions)
    notes = [f"validation Recall@20 {cosine:.4f} by cosine, {dot:.4f} by inner product", *trained]
    return {"users": users, "items": items, "history": np.array(history, dtype=float), "measure": np.array(measure),
            "notes": np.array(notes)}


def cosine_recall(
    users: np.ndarray, items: np.ndarray, interactions: Interactions, part: Part = "validation"
) -> float:
    """Mean Recall@20 of ranking by the cosine of the vectors alone; the yardstick that MRLM starts from."""
    lengths = np.linalg.norm(items, axis=1, keepdims=True)
    return dot_recall(users, items / np.maximum(lengths, 1e-12), interactions, part)


def dot_recall(users: np.ndarray, items: np.ndarray, interactions: Interactions, part: Part = "validation") -> float:
    """As ``cosine_recall``, by the inner product."""
    return mean_recall(users, items, interactions, 20, part)

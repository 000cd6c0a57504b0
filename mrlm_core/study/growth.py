"""How seconds grow with size: problems of any size, their time, and the exponent on log-log axes (§3.4)."""

from __future__ import annotations

import logging
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mrlm_core.config import StudyConfig
from mrlm_core.errors import ConfigError, problem

if TYPE_CHECKING:
    from mrlm_core.model.mrlm import MRLM


PARTS = tuple(2 ** (-place / 2) for place in (4, 3, 2, 1, 0))  # of the largest size: a quarter to all of it


@dataclass(frozen=True)
class Growth:
    """``seconds ~ size ** exponent`` with the 95% interval of the exponent; infinite for fewer than three sizes."""

    exponent: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.exponent:.2f} ({self.low:.2f} to {self.high:.2f})"


def growth(sizes: Sequence[float], seconds: Sequence[float]) -> Growth:
    """Slope of log seconds over log size by least squares, with Student's interval; one value a size.

    Raises ConfigError for fewer than two different sizes, or for a value that has no logarithm. Gap G07.
    """
    from scipy import stats

    x, y = np.asarray(sizes, np.float64), np.asarray(seconds, np.float64)
    if x.shape != y.shape or len(np.unique(x)) < 2 or not ((x > 0) & (y > 0)).all():
        found = f"{x.tolist()} and {y.tolist()}"
        raise ConfigError(problem("growth", "two or more different sizes, all values positive", found, "Correct them."))
    fit = stats.linregress(np.log(x), np.log(y))
    half = stats.t.ppf(0.975, len(x) - 2) * fit.stderr if len(x) > 2 else np.inf
    return Growth(float(fit.slope), float(fit.slope - half), float(fit.slope + half))


def growth_of(seconds: Mapping[float, np.ndarray]) -> Growth:
    """``growth`` of the median timing of each size: timings of one size share what disturbed it, and count once."""
    return growth(list(seconds), [float(np.median(values)) for values in seconds.values()])


def against_count(
    config: StudyConfig, n_users: int, n_items: int, n_triplets: int, repeats: int
) -> dict[str, tuple[Growth, float]]:
    """Exponents as measured and as §3.4 counts them: an epoch by users, each with as many triplets; items' clustering.

    Sizes are ``PARTS`` of those given; clustering is by the exact method, of at most 1,000 items.
    """
    from mrlm_core.preprocessing.clustering import multiple_kernel_kmeans

    points = random_problem(config, 2, min(max(n_items, 300), 1000), 1)[0][1]
    training: dict[float, Callable[[], object]] = {}
    preparing: dict[float, Callable[[], object]] = {}
    for part in PARTS:
        users, items = int(part * n_users), int(part * len(points))
        training[users] = epoch_on_random(config, users, n_items, int(part * n_triplets))[1]
        preparing[items] = partial(multiple_kernel_kmeans, points[:items], 10, "exact")
    return {"an epoch by users": (growth_of(in_rounds(training, repeats)), 1.0),
            "clustering by items": (growth_of(in_rounds(preparing, repeats)), 2.0)}


def in_rounds(calls: Mapping[float, Callable[[], object]], repeats: int) -> dict[float, np.ndarray]:
    """Seconds of ``repeats`` calls of each size, after one untimed, all sizes in turn.

    So that what else the machine does for a while slows all sizes alike, and is not taken for growth.
    """
    for call in calls.values():
        call()
    rounds = [[elapsed(call) for call in calls.values()] for _ in range(repeats)]
    return dict(zip(calls, np.array(rounds).T, strict=True))


def seconds_of(call: Callable[[], object], repeats: int) -> np.ndarray:
    """Seconds of each of ``repeats`` calls, after one untimed."""
    call()
    return np.array([elapsed(call) for _ in range(repeats)])


def elapsed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def peak_bytes(call: Callable[[], object]) -> int:
    """The most that arrays and objects made by ``call`` take at once, after one call that does not count.

    What NumPy allocates is traced, what TensorFlow does is not.
    """
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def random_problem(
    config: StudyConfig, n_users: int, n_items: int, n_triplets: int, n_modalities: int | None = None
) -> tuple[list[np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """Random initial vectors ``[U, d_0]`` and ``[V, d_0]``, clusters of the first modalities, triplets ``[n, 3]``.

    What a step costs does not depend on what the data says, only on its sizes.
    """
    rng = np.random.default_rng(0)
    width = config.model.embedding_dim
    vectors = [rng.normal(size=(count, width)).astype(np.float32) for count in (n_users, n_items)]
    counts = list(config.preprocessing.cluster_counts.items())[:n_modalities]
    clusters = {name: np.arange(n_items, dtype=np.int32) % count for name, count in counts}
    columns = [rng.integers(0, count, n_triplets, dtype=np.int32) for count in (n_users, n_items, n_items)]
    return vectors, clusters, np.stack(columns, axis=1)


def epoch_on_random(
    config: StudyConfig, n_users: int, n_items: int, n_triplets: int, n_modalities: int | None = None
) -> tuple[MRLM, Callable[..., object]]:
    """MRLM on a random problem, and a call that trains it for one epoch as a run does, or for ``part`` of one."""
    from mrlm_core.model.mrlm import MRLM
    from mrlm_core.training.fit import STEPS_PER_CALL, one_epoch, seed_everything
    from mrlm_core.training.recommender import optimizer_of

    logging.getLogger("tensorflow").addFilter(_not_of_retracing)
    seed_everything(0)
    (users, items), clusters, triplets = random_problem(config, n_users, n_items, n_triplets, n_modalities)
    model = MRLM(config.model, users, items, clusters)
    model.compile(optimizer=optimizer_of(model, config.training), steps_per_execution=STEPS_PER_CALL)

    def epoch(part: float = 1.0) -> object:
        return one_epoch(model, triplets[: int(part * len(triplets))], config.training.batch_size)

    return model, epoch


def _not_of_retracing(record: logging.LogRecord) -> bool:
    """Whether ``record`` is none of TensorFlow's of retracing, which takes many models' first epochs for one's."""
    return "out of the last" not in str(record.msg)

"""How seconds and memory grow with size: problems of any size, what they take, exponents on log-log axes (§3.4)."""

from __future__ import annotations

import logging
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from mrlm_core.config import StudyConfig
from mrlm_core.errors import ConfigError, problem

if TYPE_CHECKING:
    from mrlm_core.model.mrlm import MRLM


PARTS = tuple(2 ** (-place / 2) for place in (4, 3, 2, 1, 0))  # of the largest size: a quarter to all of it
CLUSTERED = 4000  # random points, of which the exact method takes seconds

Calls: TypeAlias = Mapping[float, Callable[[], object]]  # what is timed, by size


@dataclass(frozen=True)
class Growth:
    """``seconds ~ size ** exponent`` with the 95% interval of the exponent; infinite for fewer than three sizes."""

    exponent: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.exponent:z.2f} ({self.low:z.2f} to {self.high:z.2f})"


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
    """``growth`` of the fastest timing of each size: what else the machine does can only add to one."""
    return growth(list(seconds), [float(np.min(values)) for values in seconds.values()])


def against_count(
    config: StudyConfig, n_users: int, n_items: int, n_triplets: int, repeats: int, clustered: int = CLUSTERED
) -> dict[str, tuple[Growth, float]]:
    """Exponents as measured and as §3.4 counts them: an epoch by users and by units a triplet, clustering by items.

    Users are ``PARTS`` of those given, each with as many triplets. Clustering is by the exact method, of ``clustered``
    random points and fewer whatever the dataset: of a few hundred the seconds are fixed cost and noise.
    """
    from mrlm_core.preprocessing.clustering import multiple_kernel_kmeans

    sizes = {int(part * n_users): int(part * n_triplets) for part in PARTS}
    by_users: Calls = {users: epoch_on_random(config, users, n_items, triplets)[1] for users, triplets in sizes.items()}
    points = random_problem(config, 2, clustered, 1)[0][1]
    by_items: Calls = {n: partial(multiple_kernel_kmeans, points[:n], 10, "exact") for n in eighth_to_all(clustered)}
    by_units = epochs_by_units(config, n_users, n_items, n_triplets)
    timed = {"an epoch by users": (by_users, 1.0), "an epoch by units of 2r + 7": (by_units, 1.0),
             "clustering by items": (by_items, 2.0)}
    return {name: (growth_of(in_rounds(calls, repeats)), counted) for name, (calls, counted) in timed.items()}


def eighth_to_all(largest: int) -> list[int]:
    """Five sizes from an eighth of ``largest`` to all of it, in equal steps on a logarithmic axis."""
    return [round(size) for size in np.geomspace(largest / 8, largest, 5)]


def epochs_by_units(config: StudyConfig, n_users: int, n_items: int, n_triplets: int) -> Calls:
    """An epoch with r modalities, from one to all of the config, by the 2r + 7 units a triplet that §3.4 counts."""
    most = len(config.preprocessing.cluster_counts)
    return {2 * r + 7: epoch_on_random(config, n_users, n_items, n_triplets, r)[1] for r in range(1, most + 1)}


def in_rounds(calls: Calls, repeats: int) -> dict[float, np.ndarray]:
    """Seconds of processor time of ``repeats`` calls of each size, after one untimed, all sizes in turn.

    So that what else the machine does hardly counts, or slows all sizes alike, and is not taken for growth.
    """
    for call in calls.values():
        call()
    rounds = [[busy(call) for call in calls.values()] for _ in range(repeats)]
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


def busy(call: Callable[[], object]) -> float:
    """Seconds of processor time of one call, of all its threads together."""
    started = time.process_time()
    call()
    return time.process_time() - started


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


def resident_mib(config: StudyConfig, problems: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """By how many MiB resident memory rises at most while MRLM is built and trained for one epoch, by name of problem.

    ``problems`` are sizes as ``epoch_on_random`` takes them. Each has a new process, which holds nothing of the others;
    what TensorFlow allocates is counted, its libraries are loaded before.
    """
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        return dict(zip(problems, pool.map(partial(_risen, config), problems.values()), strict=True))


def _risen(config: StudyConfig, sizes: Sequence[int]) -> float:
    import mrlm_core.model.mrlm
    import mrlm_core.training.recommender  # noqa: F401, so that the libraries are loaded
    from mrlm_core.study.record import Stages

    stages = Stages()
    with stages.stage("epoch"):
        epoch_on_random(config, *sizes)[1]()
    return stages.rows["epoch"]["peak_mib"] - stages.rows["epoch"]["start_mib"]


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

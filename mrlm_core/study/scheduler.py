"""The same function over many arguments: in this process, or on a Dask cluster of this machine or of many."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from mrlm_core.config import workspace
from mrlm_core.errors import ConfigError, problem

Argument = TypeVar("Argument")
Result = TypeVar("Result")

LOCAL = "local"
CONNECT_SECONDS = 30
WORKER_BYTES = 3 * 2**30  # memory set aside for a worker; those of the embedded dataset had peaks of up to 2.4 GiB
SETTINGS = {
    # Linear algebra keeps the threads it has in process: another number adds up in another order, to other last bits.
    "distributed.nanny.pre-spawn-environ": {},
    "distributed.scheduler.worker-saturation": 1.0,  # no task waits at a worker, which may die
}


@dataclass(frozen=True)
class Lost:
    """In place of a result: the workers that had the task died each time, or the data made it impossible; ``error``
    says how."""

    error: str


def each(
    function: Callable[[Argument], Result], arguments: Sequence[Argument], scheduler: str | None = None
) -> Iterator[tuple[int, Result | Lost]]:
    """(place, ``function(argument)``) of every argument, as each ends; the same results whatever the ``scheduler``.

    None runs here, one after the other. "local" starts as many workers as this machine has cores and memory for and
    stops them at the end; an address joins a Dask cluster that runs, whose workers need this environment and this
    workspace under the same path. A task whose worker dies is given to another; one that kills every worker it is
    given to is ``Lost``.
    ``arguments`` may grow while they are read, by what a result leads to: that goes before those that wait.
    What ``function`` raises is raised here, at once. Raises ConfigError for a scheduler that is not there.
    """
    if scheduler is None:
        waiting = list(range(len(arguments)))
        while waiting:
            place, length = waiting.pop(0), len(arguments)
            yield place, function(arguments[place])
            waiting[:0] = range(length, len(arguments))
        return
    with ExitStack() as stack:
        client, distributed = stack.enter_context(_client(scheduler))
        task = partial(_in_workspace, str(workspace().resolve()), function)
        # In one call: then the scheduler keeps those that wait to itself, and a worker that dies takes one task along.
        futures = client.map(task, list(arguments), pure=False)
        places = {future.key: place for place, future in enumerate(futures)}
        running = distributed.as_completed(futures)
        for future in running:
            if future.status == "error" and isinstance(future.exception(), distributed.KilledWorker):
                yield places[future.key], Lost(f"KilledWorker: {future.exception()}")
            else:
                yield places[future.key], future.result()
            more = client.map(task, list(arguments[len(places):]), pure=False, priority=1)
            places |= {one.key: place for place, one in enumerate(more, len(places))}
            running.update(more)


def _in_workspace(place: str, function: Callable[[Any], Any], argument: Any) -> Any:
    """What a worker does: its own environment names no workspace."""
    os.environ["MRLM_WORKSPACE"] = place
    return function(argument)


def check_scheduler(scheduler: str | None) -> None:
    """Raises ConfigError for what is neither None nor ``LOCAL`` nor an address; whether one answers shows later."""
    if scheduler is not None and scheduler != LOCAL and ":" not in scheduler:
        raise ConfigError(problem("scheduler", f"None, {LOCAL!r} or an address like tcp://host:8786",
                                  repr(scheduler), "Correct it."))


@contextmanager
def _client(scheduler: str) -> Iterator[tuple[Any, Any]]:
    """A client of the cluster, and Dask's library; a cluster that was started for it ends with it."""
    try:
        import distributed
    except ImportError as error:
        raise ConfigError(problem(f"scheduler {scheduler!r}", "the package `distributed`", "none installed",
                                  "Install it with: pip install -e '.[dask]'.")) from error
    check_scheduler(scheduler)
    with ExitStack() as stack:
        if scheduler == LOCAL:
            address: Any = stack.enter_context(local_cluster())
        else:
            address = scheduler
        try:
            client = stack.enter_context(distributed.Client(address, timeout=CONNECT_SECONDS))
        except (OSError, ValueError) as error:
            raise ConfigError(problem(f"scheduler {scheduler!r}", "a Dask scheduler that answers",
                                      f"{type(error).__name__}: {error}", "Start one with: dask scheduler.")) from error
        yield client, distributed


def local_cluster(workers: int | None = None) -> Any:
    """A Dask cluster of this machine: ``workers`` processes, ``workers_here()`` unless given."""
    import dask
    from distributed import LocalCluster

    with dask.config.set(SETTINGS):
        return LocalCluster(n_workers=workers or workers_here(), threads_per_worker=1, processes=True,
                            dashboard_address=":0", memory_limit=0)


def workers_here() -> int:
    """A worker for each core that this process may use, but no more than its memory has room for, and one at least."""
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    return max(1, min(CPU_COUNT, int(MEMORY_LIMIT // WORKER_BYTES)))

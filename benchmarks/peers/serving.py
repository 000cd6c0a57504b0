"""What every measured process does: it answers the driver's orders, one JSON line each.

Needs the standard library alone, since it runs in each peer's own environment.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

# What to time, and the facts that go with it.
Prepared = tuple[Callable[[], object], dict[str, Any]]
Tasks = Mapping[str, Callable[..., Prepared]]


def serve(tasks: Tasks) -> None:
    """Read ``{"task": ..., **arguments}`` lines until the input ends; prepare each new order once, run it every time.

    Answers ``{"seconds": ..., **facts}``, or ``{"error": ...}`` with what the library raised.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    prepared: dict[str, Prepared] = {}
    for line in sys.stdin:
        answers.write(json.dumps(answer(tasks, line, prepared)) + "\n")
        answers.flush()


def answer(tasks: Tasks, line: str, prepared: dict[str, Prepared]) -> dict[str, Any]:
    """The answer to one order; ``prepared`` keeps what was made for it."""
    try:
        if line not in prepared:
            order = json.loads(line)
            prepared[line] = tasks[order.pop("task")](**order)
        once, facts = prepared[line]
        started = time.perf_counter()
        once()
        return {"seconds": time.perf_counter() - started, **facts}
    except Exception as error:  # a library's failure is its result: the page shows it
        return {"error": f"{type(error).__name__}: {error}"}

"""A limit on the processor time of a training, which a search sets and the fit loop keeps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from mrlm_core.errors import UserError, problem

ENDLESS = float("inf")
_SECONDS: ContextVar[float] = ContextVar("processor seconds of a training", default=ENDLESS)


class OutOfTime(UserError):
    """A training used up its time: ``best_score`` of validation so far, ``seconds`` that it took."""

    def __init__(self, message: str, best_score: float, seconds: float) -> None:
        super().__init__(message)
        self.best_score, self.seconds = best_score, seconds


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Here a training is stopped after the first epoch that ends later than so many seconds of processor time.

    It raises OutOfTime.
    """
    before = _SECONDS.set(seconds)
    try:
        yield
    finally:
        _SECONDS.reset(before)


class Clock:
    """Processor time of this process since a training began, beside the limit that held then."""

    def __init__(self) -> None:
        self.began, self.limit = time.process_time(), _SECONDS.get()

    def check(self, where: str, best_score: float) -> None:
        """Raises OutOfTime when the time is used up."""
        spent = time.process_time() - self.began
        if spent > self.limit:
            message = problem(where, f"an end within {self.limit:.0f} s", f"{spent:.0f} s",
                              "What it had reached counts; allow more time for more.")
            raise OutOfTime(message, best_score, spent)

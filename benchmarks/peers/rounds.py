"""Cases of several libraries timed in turn, round by round, so that a busy machine slows all alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.peers.environments import Unavailable, interpreter, reason
from benchmarks.section import ROOT

THREADS = 2
OURS = "ours"
# implicit threads over users itself and asks for a BLAS of one thread.
BLAS_THREADS = {"implicit": 1}


@dataclass(frozen=True)
class Case:
    """One thing that one library is timed at; ``order`` is what its process is told."""

    name: str
    library: str
    order: dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """``seconds`` of each round, the facts its process told, or the ``error`` that left it unmeasured."""

    case: Case
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: np.ndarray = field(default_factory=lambda: np.empty(0))
    error: str = ""

    @property
    def rates(self) -> np.ndarray:
        """Units of work a second, one a round."""
        return self.facts["amount"] / self.seconds


class Library:
    """One library's process, which waits between orders."""

    def __init__(self, name: str, process: subprocess.Popen[str], errors: Any) -> None:
        self.name, self.process, self.errors = name, process, errors

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """Its answer to ``order``; one with ``error`` when it raised or died."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if line:
            return json.loads(line)
        self.errors.seek(0)
        return {"error": f"its process ended: {reason(self.errors.read())}"}


@contextmanager
def started(names: Iterable[str], kind: str = "serve") -> Iterator[tuple[dict[str, Library], dict[str, str]]]:
    """The libraries' processes by name, and why those that are missing are missing; each runs ``<kind>_<name>``."""
    with ExitStack() as stack:
        running, missing = {}, {}
        for name in names:
            try:
                python = sys.executable if name == OURS else str(interpreter(name))
            except Unavailable as error:
                missing[name] = str(error)
            else:
                running[name] = stack.enter_context(_process(name, python, f"{kind}_{name}"))
        yield running, missing


@contextmanager
def _process(name: str, python: str, module: str) -> Iterator[Library]:
    threads = {f"{kind}_NUM_THREADS": str(BLAS_THREADS.get(name, THREADS)) for kind in ("OPENBLAS", "MKL")}
    threads |= {f"{kind}_NUM_THREADS": str(THREADS) for kind in ("OMP", "NUMBA")}
    threads["OMP_WAIT_POLICY"] = "PASSIVE"  # threads that wait by spinning slow all tenfold on a busy machine
    threads |= {"TF_NUM_INTRAOP_THREADS": str(THREADS), "TF_NUM_INTEROP_THREADS": str(THREADS)}
    environment = {**os.environ, **threads, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"}
    with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryDirectory() as work:
        environment["PYTHONPATH"] = str(ROOT)
        process = subprocess.Popen(
            [python, "-W", "ignore", "-m", f"benchmarks.peers.{module}"], cwd=work, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
        )  # in a folder of its own: RecBole writes logs to where it runs
        try:
            yield Library(name, process, errors)
        except BaseException:  # it may be hours from the end of a training, which nobody waits for now
            process.kill()
            raise
        finally:
            process.communicate()


def in_rounds(cases: Sequence[Case], running: dict[str, Library], missing: dict[str, str], repeats: int
              ) -> list[Measured]:
    """Every case once untimed, then ``repeats`` rounds of all that work; those that failed come back with the error."""
    absent = {name: f"cannot be installed here: {why}" for name, why in missing.items()}
    answers: dict[str, list[dict[str, Any]]] = {}
    for turn in range(1 + repeats):
        for case in cases:
            said = answers.setdefault(case.name, [])
            if turn == 0:
                print(f"  {case.name} ...", flush=True)
            if turn == 0 or "error" not in said[-1]:
                at_hand = running.get(case.library)
                said.append(at_hand.ask(case.order) if at_hand else {"error": absent[case.library]})
    return [_measured(case, answers[case.name]) for case in cases]


def _measured(case: Case, answers: list[dict[str, Any]]) -> Measured:
    last = answers[-1]
    if "error" in last:
        return Measured(case, error=reason(last["error"]))
    facts = {name: value for name, value in last.items() if name != "seconds"}
    return Measured(case, facts, np.array([answer["seconds"] for answer in answers[1:]]))

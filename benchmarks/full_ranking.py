"""Exact top-N lists of all users over the whole catalogue against the bare matrix product; the metrics of the lists.

``python -m benchmarks.full_ranking PRESET USERS ITEMS`` measures one width in a process of its own, for its memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.compare import in_turn
from benchmarks.naive_ranking import lists_by_sort, lists_by_top_k
from benchmarks.section import ROOT, Section, Target
from mrlm_core.config import preset
from mrlm_core.datasets.splits import Interactions
from mrlm_core.evaluation import ranking
from mrlm_core.evaluation.metrics import auc_at, evaluate, recall_at
from mrlm_core.study.record import Stages

USERS, ITEMS, N = 138_493, 27_278, 100  # MovieLens-20M's counts
SEEN, RELEVANT = 144.4, 10.0  # items a user, on average
CUTOFFS = (10, 20, 50, 100)
STRETCHES = 9  # of users, ranked and multiplied in turn
MOST_TIMES, MOST_GB, MOST_SECONDS = 1.3, 2.0, 10.0

Figures = dict[str, Any]


def run(presets: tuple[str, ...] = ("laptop", "paper"), n_users: int = USERS, n_items: int = ITEMS) -> Section:
    """The full ranking's section: every preset in a process of its own."""
    return section([_in_own_process(name, n_users, n_items) for name in presets], n_users, n_items)


def section(measured: list[Figures], n_users: int, n_items: int) -> Section:
    """Tables and targets from what ``measure`` found for each width."""
    lines = [
        f"Exact top {N} of {n_items:,} items for {n_users:,} users without each one's {SEEN:.0f} seen items, ties by"
        " index. Bare: the matrix product of the scores alone, in the same blocks of users, no score looked at; the two"
        f" took turns over {STRETCHES} stretches of all users. Peak memory is the whole process's, vectors and seen"
        " items included. TensorFlow: product, scatter and `top_k`, as it was here before. Sort: a stable sort a user."
        "", "",
        "| vectors | ours, users/s | bare product, users/s | time against bare | range | all users | peak |"
        " against TensorFlow | against a sort a user |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|", *map(_row, measured), "",
        f"Metrics of these lists for all users: Recall, LibRec's AUC and LAUC at {len(CUTOFFS)} cutoffs, and the full"
        " AUC with all scores; `evaluate` scores, ranks and measures in one go.", "",
        "| vectors | list metrics | `evaluate` without full AUC | with it |", "|---|--:|--:|--:|",
        *(f"| {m['name']} | {m['lists']:.1f} s | {m['evaluate']:.1f} s | {m['full']:.1f} s |" for m in measured),
    ]
    return Section("Full ranking", lines, [target for m in measured for target in _targets(m)])


def measure(name: str, n_users: int, n_items: int) -> Figures:
    """Seconds and memory of ranking with vectors as wide as preset ``name`` folds them, in this process."""
    config = preset(name).model
    users, items, seen = problem(n_users, n_items, config.global_dim + config.multimodal_dim)
    stages = Stages()  # whose peak leaves out what making the problem took
    with stages.stage("ranking"):
        ours, bare, lists = _in_stretches(users, items, seen)
    peak = stages.rows["ranking"]["peak_mib"] / 1024
    relevant = _unseen(skewed(n_users, n_items, RELEVANT, 1), seen)
    _evaluate(users[:9], items, seen[:9], relevant[:9], True)  # compiles, where no run before has
    tall = ranking.BLOCK_SCORES // n_items  # users at a time, as the plain way had it
    return {
        "name": f"`{name}`, {users.shape[1]} wide", "n_users": n_users, "ours": ours, "bare": bare, "peak": peak,
        "top_k": _times(partial(lists_by_top_k, size=tall), users[:3_000], items, seen[:3_000]),
        "sort": _times(lists_by_sort, users[:300], items, seen[:300]),
        "lists": _seconds(partial(list_metrics, lists, relevant, n_items - np.diff(seen.indptr))),
        "evaluate": _seconds(partial(_evaluate, users, items, seen, relevant, False)),
        "full": _seconds(partial(_evaluate, users, items, seen, relevant, True)),
    }


def problem(n_users: int, n_items: int, width: int) -> tuple[np.ndarray, np.ndarray, csr_matrix]:
    """Random vectors float32 ``[U, d]``, ``[V, d]`` that lean to popular items, and the seen items ``[U, V]``."""
    rng = np.random.default_rng(0)
    users, items = (rng.standard_normal((count, width), np.float32) for count in (n_users, n_items))
    seen = skewed(n_users, n_items, SEEN, 0)
    popular = np.log1p(np.bincount(seen.indices, minlength=n_items))
    users[:, 0], items[:, 0] = np.sqrt(width), (popular - popular.mean()) / popular.std()
    return users, items, seen


def skewed(n_users: int, n_items: int, mean: float, seed: int) -> csr_matrix:
    """A 0/1 CSR ``[U, V]``, about ``mean`` items a user; few users have many, few items are with many."""
    rng = np.random.default_rng(seed)
    counts = np.minimum(rng.lognormal(np.log(mean) - 0.5, 1.0, n_users).astype(np.int64) + 1, n_items)
    places = rng.random(counts.sum(), np.float32) ** 3 * n_items
    items = np.random.default_rng(7).permutation(n_items).astype(np.int32)[places.astype(np.int32)]
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    matrix = csr_matrix((np.ones(len(items), np.float32), items, indptr), (n_users, n_items))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def list_metrics(lists: np.ndarray, relevant: csr_matrix, n_candidates: np.ndarray) -> list[np.ndarray]:
    """Recall and both AUCs at every cutoff, each by itself."""
    areas = [auc_at(lists, relevant, n, n_candidates, kind) for n in CUTOFFS for kind in ("librec", "lauc")]
    return [recall_at(lists, relevant, n) for n in CUTOFFS] + areas


def _in_stretches(users: np.ndarray, items: np.ndarray, seen: csr_matrix) -> tuple[list[float], list[float], Any]:
    """Seconds of (ours, bare) for each stretch of the users, taken in turn; and the lists of all ``[U, N]``."""
    width, n_items, n = users.shape[1], len(items), min(N, len(items))
    score, lists = ranking.inner_product(users, items), np.empty((len(users), n), np.int32)

    def rank(some: np.ndarray) -> None:
        for block in ranking.ranked_blocks(score, some, n_items, n, seen, width):
            lists[block.users] = block.items
            del block

    def product(some: np.ndarray) -> None:
        size = ranking.block_size(n_items, width)
        for start in range(0, len(some), size):
            score(some[start : start + size])

    stretches = np.array_split(np.arange(len(users)), STRETCHES)
    rank(stretches[0])
    product(stretches[0])
    seconds = [(_seconds(partial(rank, some)), _seconds(partial(product, some))) for some in stretches]
    return [pair[0] for pair in seconds], [pair[1] for pair in seconds], lists


def _evaluate(users: np.ndarray, items: np.ndarray, seen: csr_matrix, relevant: csr_matrix, full: bool) -> None:
    nothing = csr_matrix(seen.shape, dtype=np.float32)
    data = Interactions(nothing, nothing, seen, nothing, nothing, relevant, np.zeros(0, np.int32), "timestamps")
    evaluate(_Vectors((users, items)), data, "test", CUTOFFS, full=full)


class _Vectors:
    """A model that is its vectors."""

    def __init__(self, vectors: tuple[np.ndarray, np.ndarray]) -> None:
        self._vectors = vectors

    def score(self, users: np.ndarray) -> np.ndarray:
        return self._vectors[0][users] @ self._vectors[1].T

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        return self._vectors


def _unseen(relevant: csr_matrix, seen: csr_matrix) -> csr_matrix:
    left = csr_matrix(relevant - relevant.multiply(seen))
    left.eliminate_zeros()
    return left


def _times(plain: Callable[..., object], users: np.ndarray, items: np.ndarray, seen: csr_matrix) -> float:
    """How many times as fast as ``plain`` ours is, median of three in turn."""
    n, width, score = min(N, len(items)), users.shape[1], ranking.inner_product(users, items)
    ours = partial(ranking.top_n_of, score, len(users), len(items), n, seen, width)
    return float(np.median(in_turn("", "", 1, ours, partial(plain, users, items, n, seen), repeats=3).ratios))


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _in_own_process(*arguments: Any) -> Figures:
    command = [sys.executable, "-m", "benchmarks.full_ranking", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _row(m: Figures) -> str:
    ratios, ours, bare = np.divide(m["ours"], m["bare"]), sum(m["ours"]), sum(m["bare"])
    return (f"| {m['name']} | {m['n_users'] / ours:,.0f} | {m['n_users'] / bare:,.0f} | **{np.median(ratios):.2f}** |"
            f" {ratios.min():.2f} to {ratios.max():.2f} | {ours:.1f} s | {m['peak']:.2f} GiB | {m['top_k']:.1f} times |"
            f" {m['sort']:.0f} times |")


def _targets(m: Figures) -> list[Target]:
    ratio, gigabytes = float(np.median(np.divide(m["ours"], m["bare"]))), m["peak"] * 2**30 / 1e9
    product, ranked = (1e6 * sum(m[side]) / m["n_users"] for side in ("bare", "ours"))
    over = f"the product takes {product:.0f} µs a user, the rest {ranked - product:.0f} µs, mostly reading the scores"
    beyond = m["full"] - sum(m["ours"])
    return [
        Target(f"full ranking, {m['name']}: time against the bare product", f"<= {MOST_TIMES} times",
               f"{ratio:.2f} times", ratio <= MOST_TIMES, over),
        Target(f"full ranking, {m['name']}: peak memory", f"< {MOST_GB:g} GB", f"{gigabytes:.2f} GB",
               gigabytes < MOST_GB, "vectors, seen items, lists, scores of a block and TensorFlow itself"),
        Target(f"metrics of all users, {m['name']}: of the lists; full AUC and all, beyond ranking",
               f"seconds (<= {MOST_SECONDS:g} s)", f"{m['lists']:.1f} s; {beyond:.1f} s",
               max(m["lists"], beyond) <= MOST_SECONDS, "the full AUC reads all scores once for each relevant item"),
    ]


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))

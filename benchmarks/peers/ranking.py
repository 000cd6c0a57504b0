"""Ranking: users a second for top-100 lists from given factors, seen items left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.peers.data import export_factors
from benchmarks.peers.rounds import OURS, THREADS, Case, Library, in_rounds
from benchmarks.peers.tables import against, target
from benchmarks.section import Target

WHY = {
    "implicit": "both are a matrix product and a selection; ours also breaks ties by index, which theirs leaves open",
    "recbole": "both are a matrix product and `top_k`; ours also checks for NaN and breaks ties by index",
    "cornac": "theirs ranks one user at a time",
}


def measure(
    folder: Path, running: dict[str, Library], missing: dict[str, str], *, users: int = 20_000, items: int = 27_278,
    dim: int = 64, seen: int = 100, n: int = 100, one_by_one: int = 2_000, repeats: int = 5,
) -> tuple[list[str], list[Target]]:
    """The table and targets; Cornac, which ranks user by user, is timed on the first ``one_by_one``."""
    export_factors(folder, users, items, dim, seen)
    checked = min(500, users, one_by_one)
    cases = [_case(folder, name, n, checked, {"users": one_by_one} if name == "cornac" else {})
             for name in (OURS, *WHY)]
    ours, *theirs = in_rounds(cases, running, missing, repeats)
    apart = {one.case.library: worst_score(folder, one.case.library, n)
             for one in (ours, *theirs) if not one.error}
    lines = [
        "### Ranking", "",
        f"Top {n} of {items:,} items for {users:,} users from random factors {dim} wide, without about {seen} seen"
        f" items a user. The lists of the first {checked} users were compared: place by place their scores differ by at"
        f" most {max(apart.values(), default=0):.0e}, and no list has a seen item.", "",
        *against("users", [(ours, other) for other in theirs]),
    ]
    targets = [target(f"Ranking, `top_n` against {other.case.name}", ours, other, WHY[other.case.library])
               for other in theirs]
    return lines, targets


def worst_score(folder: Path, library: str, n: int) -> float:
    """How far the scores of ``library``'s kept lists are at most from the best possible ones, place by place.

    Raises AssertionError for a seen item, an item that comes twice or a difference that rounding cannot explain.
    """
    lists = np.load(folder / f"{library}.npy").astype(np.int64)
    with np.load(folder / "factors.npz") as data:
        users, items = data["users"][: len(lists)].astype(np.float64), data["items"].astype(np.float64)
        indptr = data["indptr"][: len(lists) + 1]
        indices = data["indices"][: indptr[-1]]
    seen = csr_matrix((np.ones(len(indices)), indices, indptr), shape=(len(lists), len(items))).toarray() > 0
    assert not np.take_along_axis(seen, lists, 1).any(), f"{library} lists seen items"
    assert (np.diff(np.sort(lists, axis=1), axis=1) > 0).all(), f"{library} lists an item twice"
    scores = np.where(seen, -np.inf, users @ items.T)
    best = -np.sort(-scores, axis=1)[:, :n]
    apart = float(np.abs(np.take_along_axis(scores, lists, 1) - best).max())
    assert apart < 1e-4, f"{library}'s lists are not the best: a score differs by {apart}"
    return apart


def _case(folder: Path, library: str, n: int, checked: int, own: dict[str, int]) -> Case:
    kept = {"task": "rank", "folder": str(folder), "n": n, "checked": checked, "kept": str(folder / f"{library}.npy")}
    threads = {"threads": THREADS} if library in ("implicit", "recbole") else {}
    names = {OURS: "`top_n`", "implicit": "implicit `recommend`", "recbole": "RecBole `full_sort_topk`",
             "cornac": "Cornac `rank`"}
    return Case(names[library], library, {**kept, **threads, **own})

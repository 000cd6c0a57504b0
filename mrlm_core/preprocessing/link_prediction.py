"""Link prediction: how often an embedding of triples finds the tail of a held-out triple among all entities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

BLOCK = 128  # triples scored at once: scores [128, E]

TailScores = Callable[[np.ndarray, np.ndarray], np.ndarray]  # heads [B], relations [B] -> scores [B, E], best highest


@dataclass(frozen=True)
class Hits:
    """Share of the held-out triples whose tail is among the first k of all entities, given head and relation."""

    raw: float
    filtered: float  # other tails known to be true are passed over (Bordes et al. 2013)
    by_relation: dict[int, float]  # filtered, of each relation's own triples
    tested: int
    left_out: int  # with an entity or relation that the embedding has never seen


def split_triples(triples: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(rest, held-out) of ``triples`` int ``[T, 3]``: at most ``share`` of them, at random.

    What is held out leaves each entity and relation at least one triple in the rest, as the field's benchmarks do:
    nothing can be said about an entity that was never seen.
    """
    order = np.random.default_rng(seed).permutation(len(triples))
    needed = np.zeros(len(triples), bool)
    heads, kinds, tails = triples[order].T
    _, first = np.unique(np.stack([heads, tails], axis=1).ravel(), return_index=True)
    needed[first // 2] = True
    needed[np.unique(kinds, return_index=True)[1]] = True
    held = np.sort(order[np.flatnonzero(~needed)[: int(share * len(triples))]])
    rest = np.setdiff1d(np.arange(len(triples)), held)
    return triples[rest], triples[held]


def hits_at(scores: TailScores, held_out: np.ndarray, known: np.ndarray, k: int = 10) -> Hits:
    """Hits@k of the tails of ``held_out`` int ``[n, 3]`` given head and relation; exact, in blocks of triples.

    ``known`` ``[T, 3]`` are the true triples, with or without the held-out ones. Entities that tie with the tail come
    in random order: of a tie over the k-th place the tail gets its share. Triples with a number below 0 are left out
    and counted. NaN where nothing is left.
    """
    tested = held_out[(held_out >= 0).all(axis=1)]
    tested = tested[np.argsort(tested[:, 1], kind="stable")]  # a block has few relations
    true_tails = _true_tails(np.concatenate([known[(known >= 0).all(axis=1)], tested]), tested)
    raw, filtered = np.zeros(len(tested)), np.zeros(len(tested))
    for start in range(0, len(tested), BLOCK):
        heads, kinds, tails = tested[start : start + BLOCK].T
        found = scores(heads, kinds)
        target = found[np.arange(len(tails)), tails]
        better, tied = (found > target[:, None]).sum(axis=1), (found == target[:, None]).sum(axis=1) - 1
        raw[start : start + BLOCK] = _share(better, tied, k)
        rows, others = true_tails(start, len(tails))
        values = found[rows, others]
        better -= np.bincount(rows[values > target[rows]], minlength=len(tails))
        tied -= np.bincount(rows[values == target[rows]], minlength=len(tails))
        filtered[start : start + BLOCK] = _share(better, tied, k)
    means = {int(kind): float(filtered[tested[:, 1] == kind].mean()) for kind in np.unique(tested[:, 1])}
    both = [float(hits.mean()) if len(hits) else float("nan") for hits in (raw, filtered)]
    return Hits(both[0], both[1], means, len(tested), len(held_out) - len(tested))


def frequent_tails(triples: np.ndarray, n_entities: int, n_relations: int) -> TailScores:
    """The baseline that looks at no head: an entity scores by how often ``triples`` have it as the relation's tail."""
    counts = np.zeros((n_relations, n_entities), np.float32)
    np.add.at(counts, (triples[:, 1], triples[:, 2]), 1)
    return lambda heads, relations: counts[relations]


def _true_tails(true: np.ndarray, tested: np.ndarray) -> Callable[[int, int], tuple[np.ndarray, np.ndarray]]:
    """A look-up of the other true tails of ``tested[start : start + n]``: the row, within that block, of each; they."""
    true = np.unique(true, axis=0)
    _, query = np.unique(np.concatenate([true, tested])[:, :2], axis=0, return_inverse=True)
    bounds = np.searchsorted(query[: len(true)], np.arange(query.max(initial=-1) + 2))
    queries = query[len(true) :]

    def look_up(start: int, n: int) -> tuple[np.ndarray, np.ndarray]:
        first, counts = bounds[queries[start : start + n]], np.diff(bounds)[queries[start : start + n]]
        rows = np.repeat(np.arange(n), counts)
        tails = true[np.arange(len(rows)) + np.repeat(first - np.cumsum(counts) + counts, counts), 2]
        other = tails != tested[start + rows, 2]
        return rows[other], tails[other]

    return look_up


def _share(better: np.ndarray, tied: np.ndarray, k: int) -> np.ndarray:
    """Chance that the tail is among the first k when the ``tied`` others stand in random order with it."""
    return np.clip((k - better) / (tied + 1), 0, 1)

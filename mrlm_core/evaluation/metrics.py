"""Recall@N and the readings of AUC@N, per user; several because the paper does not define its own (§4.1)."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, issparse

from mrlm_core.datasets.splits import Interactions
from mrlm_core.errors import ConfigError, DatasetError, problem
from mrlm_core.evaluation.kernels import Entries, entries, hits_along, over_rows, pairs_in_order, read_only
from mrlm_core.evaluation.ranking import inner_product, ranked_blocks

AUC_DEFINITIONS = ("librec", "lauc", "in-list")
AUC_COLUMNS = {"librec": "auc", "lauc": "lauc", "in-list": "in_list_auc"}  # librec is the nominal "AUC@N"

Relevant: TypeAlias = Sequence[Set[int]] | csr_matrix


class Scorer(Protocol):
    """What evaluation needs of a model."""

    def score(self, users: np.ndarray) -> np.ndarray: ...
    def factors(self) -> tuple[np.ndarray, np.ndarray] | None: ...


def recall_at(ranked: np.ndarray, relevant: Relevant, n: int) -> np.ndarray:
    """Share of each user's relevant items among the first ``n`` of his list (Eq. 18).

    ``ranked`` ``[users, >=n]`` item indices, best first, -1 padded; ``relevant`` a set of items a user, or a CSR
    ``[users, V]``. Returns float64 ``[users]``, NaN where a user has no relevant item. Gap G30.
    """
    ranked, relevant = _checked(ranked, relevant, n)
    return _recall(_along(ranked, relevant, (n,))[n])


def auc_at(
    ranked: np.ndarray, relevant: Relevant, n: int, n_candidates: int | np.ndarray, definition: str = "librec"
) -> np.ndarray:
    """AUC@N of each user's first ``n`` items, float64 ``[users]``; shapes as in ``recall_at``.

    ``n_candidates`` is how many items could have been listed, one number or ``[users]``. Definitions, with h hits
    among the N listed and D = candidates - N:

    - ``librec``: of the pairs (listed relevant item, irrelevant candidate) the share in the right order; 0.5
      without a hit (LibRec's AUCEvaluator, MyMediaLite's AUC).
    - ``lauc``: area under the ROC curve of the list continued by a straight line to (1, 1) (Schröder et al. 2011).
    - ``in-list``: AUC within the list alone; 0 without a hit, 1 where all of it is relevant.

    NaN where a user has no relevant item or the counts are impossible. Raises ConfigError for another definition.
    Gap G30.
    """
    ranked, relevant = _checked(ranked, relevant, n)
    return _auc(_along(ranked, relevant, (n,))[n], n_candidates, definition)


def full_auc(scores: np.ndarray, relevant: Relevant, candidates: np.ndarray) -> np.ndarray:
    """Share of (relevant, irrelevant) candidate pairs in the right order, ties counting one half.

    ``scores`` and boolean ``candidates`` ``[users, V]``. Returns float64 ``[users]``, NaN where a user has no
    relevant or no irrelevant item among the candidates. Raises ValueError for a NaN score of a candidate. Gap G30.
    """
    scores, candidates = np.asarray(scores), np.asarray(candidates, bool)
    relevant = _as_csr(relevant, scores.shape[1])
    fits = len(scores) == relevant.shape[0] and relevant.shape[1] <= scores.shape[-1]
    if scores.ndim != 2 or scores.shape != candidates.shape or not fits:
        raise ValueError(f"full_auc: scores {scores.shape}, candidates {candidates.shape} and relevant items "
                         f"{relevant.shape} do not fit")
    return _full_auc(scores, np.arange(len(scores)), entries(csr_matrix(~candidates)), entries(relevant))


def evaluate(
    model: Scorer,
    interactions: Interactions,
    part: Literal["validation", "test"],
    cutoffs: Sequence[int],
    auc_definitions: Sequence[str] = ("librec", "lauc"),
    full: bool = True,
    listed: np.ndarray | None = None,
) -> pd.DataFrame:
    """Every metric of every user with a relevant item in ``part``: full ranking of all items not rated before.

    Candidates are the catalogue minus what the user rated in training and, at test, in validation (§4.1); with
    ``listed``, item indices, those alone, and a relevant item that is none of them does not count. The index is the
    user; columns are ``recall@N``, ``auc@N`` (LibRec), ``lauc@N``, ``full_auc``; ``attrs["skipped"]`` counts the users
    left out by reason. Gap G18.
    """
    if part not in ("validation", "test"):
        raise ConfigError(problem("evaluate", "part 'validation' or 'test'", repr(part), "Name one of them."))
    relevant = _as_csr(getattr(interactions, part), interactions.n_items)
    known = interactions.train_rated + interactions.validation_rated if part == "test" else interactions.train_rated
    if listed is not None:
        model, relevant, known = _Listed(model, listed), relevant[:, listed], known[:, listed]
    users = np.flatnonzero(np.diff(relevant.indptr))
    if len(users) == 0:
        found = f"none among {interactions.n_users} users"
        remedy = "Lower the threshold or change the split."
        raise DatasetError(problem(f"{part} part", "a positive rating", found, remedy))
    lists, areas = _ranked(model, users, max(cutoffs), known, relevant if full else None)
    n_candidates = known.shape[1] - np.diff(known.indptr)[users]
    columns = _list_metrics(_along(lists, relevant, cutoffs, users), n_candidates, cutoffs, auc_definitions)
    if full:
        columns["full_auc"] = areas
    frame = pd.DataFrame(columns, index=pd.Index(users, name="user"))
    frame.attrs["skipped"] = {f"no relevant item in {part}": interactions.n_users - len(users)}
    return frame


@dataclass(frozen=True)
class _Listed:
    """``model``, whose catalogue is ``items`` alone."""

    model: Scorer
    items: np.ndarray

    def score(self, users: np.ndarray) -> np.ndarray:
        return np.asarray(self.model.score(users))[:, self.items]

    def factors(self) -> tuple[np.ndarray, np.ndarray] | None:
        vectors = self.model.factors()
        return vectors and (vectors[0], vectors[1][self.items])


def _ranked(
    model: Scorer, users: np.ndarray, n: int, known: csr_matrix, relevant: csr_matrix | None
) -> tuple[np.ndarray, np.ndarray]:
    """The first ``n`` unknown items of each of ``users`` and, where ``relevant`` is given, his full AUC."""
    factors = model.factors()
    score, width = (model.score, 0) if factors is None else (inner_product(*factors), factors[0].shape[1])
    lists, areas, start = np.empty((len(users), n), np.int32), np.empty(len(users)), 0
    seen, wanted = entries(known), None if relevant is None else entries(relevant)
    for block in ranked_blocks(score, users, known.shape[1], n, known, width):
        rows = slice(start, start := start + len(block.users))
        lists[rows] = block.items
        if wanted is not None:
            areas[rows] = _full_auc(block.scores, block.users, seen, wanted)
        del block
    return lists, areas


@dataclass(frozen=True)
class _Counts:
    """What the metrics of the first N places need, int64 ``[users]``: see ``kernels.hits_along``."""

    hits: np.ndarray
    listed: np.ndarray
    ordered: np.ndarray
    relevant: np.ndarray


def _along(
    ranked: np.ndarray, relevant: csr_matrix, cutoffs: Sequence[int], users: np.ndarray | None = None
) -> dict[int, _Counts]:
    """The counts at each cutoff; row ``users[i]`` of ``relevant``, or row i, belongs to row i of ``ranked``."""
    rising, n_relevant = np.unique(cutoffs), np.diff(relevant.indptr)
    users = np.arange(len(ranked)) if users is None else users
    ranked = read_only(np.ascontiguousarray(ranked, np.int32 if ranked.dtype == np.int32 else np.int64))
    found = [np.empty((len(ranked), len(rising)), np.int64) for _ in range(3)]
    over_rows(hits_along, len(ranked), ranked, users, entries(relevant), relevant.shape[1], rising, *found)
    hits, listed, ordered = (dict(zip(rising.tolist(), part.T, strict=True)) for part in found)
    return {n: _Counts(hits[n], listed[n], ordered[n], n_relevant[users]) for n in hits}


def _list_metrics(
    counts: dict[int, _Counts], n_candidates: np.ndarray, cutoffs: Sequence[int], definitions: Sequence[str]
) -> dict[str, np.ndarray]:
    columns = {f"recall@{n}": _recall(counts[n]) for n in cutoffs}
    for definition in definitions:
        columns |= {f"{AUC_COLUMNS[definition]}@{n}": _auc(counts[n], n_candidates, definition) for n in cutoffs}
    return columns


def _recall(counts: _Counts) -> np.ndarray:
    return _ratio(counts.hits, counts.relevant)


def _auc(counts: _Counts, n_candidates: int | np.ndarray, definition: str) -> np.ndarray:
    if definition not in AUC_DEFINITIONS:
        raise ConfigError(problem("AUC definition", f"one of {AUC_DEFINITIONS}", repr(definition), "Name one of them."))
    n_hits, length, ordered, n_relevant = counts.hits, counts.listed, counts.ordered, counts.relevant
    if definition == "in-list":
        area = np.where(n_hits == length, 1.0, _ratio(ordered, n_hits * (length - n_hits)))
        return np.where(n_relevant == 0, np.nan, np.where(n_hits == 0, 0.0, area))
    unlisted = np.asarray(n_candidates) - length
    missing = n_relevant - n_hits
    possible = (n_relevant > 0) & (missing >= 0) & (unlisted >= missing)
    if definition == "librec":
        pairs = (length + unlisted - n_hits) * n_hits
        area = np.where(pairs == 0, 0.5, _ratio(ordered + n_hits * (unlisted - missing), pairs))
    else:
        n_negatives = length + unlisted - n_relevant
        beyond = n_negatives - (length - n_hits)
        area = _ratio(ordered + beyond * (n_hits + n_relevant) / 2, n_relevant * n_negatives)
    return np.where(possible, area, np.nan)


def _full_auc(scores: np.ndarray, users: np.ndarray, seen: Entries, relevant: Entries) -> np.ndarray:
    """As ``full_auc``, the candidates being all items but those in the users' rows of ``seen``."""
    scores = read_only(np.ascontiguousarray(scores, np.float32 if scores.dtype == np.float32 else np.float64))
    twice, positives, negatives = (np.empty(len(users), np.int64) for _ in range(3))
    if over_rows(pairs_in_order, len(users), scores, users, seen, relevant, twice, positives, negatives) >= 0:
        raise ValueError("full_auc: expected a number for every candidate, found a NaN score")
    return _ratio(twice / 2, positives * negatives)


def _checked(ranked: Any, relevant: Relevant, n: int) -> tuple[np.ndarray, csr_matrix]:
    ranked = np.asarray(ranked)
    if ranked.ndim != 2 or n < 1 or ranked.shape[1] < n:
        raise ValueError(f"ranked: expected [users, at least n={n}] item indices, found shape {ranked.shape}")
    matrix = _as_csr(relevant)
    if matrix.shape[0] != len(ranked):
        raise ValueError(f"relevant: expected items of {len(ranked)} users, found {matrix.shape[0]}")
    return ranked, matrix


def _as_csr(relevant: Relevant, n_items: int | None = None) -> csr_matrix:
    """The relevant items as a CSR of ones with sorted column indices and no stored zeros."""
    if issparse(relevant):
        matrix = csr_matrix(relevant, copy=True)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        return matrix
    counts = np.fromiter((len(items) for items in relevant), np.int64, len(relevant))
    columns = np.fromiter((item for items in relevant for item in sorted(items)), np.int64, counts.sum())
    width = int(columns.max(initial=-1)) + 1 if n_items is None else n_items
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return csr_matrix((np.ones(len(columns), np.float32), columns, indptr), shape=(len(counts), width))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient as float64, NaN where the denominator is not positive."""
    denominator = np.asarray(denominator, np.float64)
    return np.divide(numerator, denominator, out=np.full(denominator.shape, np.nan), where=denominator > 0)

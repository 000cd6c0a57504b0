"""Recall@N and the readings of AUC@N, per user; several because the paper does not define its own (§4.1)."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, issparse

from mrlm_core.datasets.splits import Interactions
from mrlm_core.errors import ConfigError, DatasetError, problem
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
    ``[users, V]``. Returns float64 ``[users]``, NaN where a user has no relevant item.
    """
    ranked, relevant = _checked(ranked, relevant, n)
    return _recall(_hits(ranked[:, :n], relevant), _counts(relevant))


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
    """
    ranked, relevant = _checked(ranked, relevant, n)
    listed = ranked[:, :n]
    return _auc(_hits(listed, relevant), listed >= 0, _counts(relevant), n_candidates, definition)


def full_auc(scores: np.ndarray, relevant: Relevant, candidates: np.ndarray) -> np.ndarray:
    """Share of (relevant, irrelevant) candidate pairs in the right order, ties counting one half.

    ``scores`` and boolean ``candidates`` ``[users, V]``. Returns float64 ``[users]``, NaN where a user has no
    relevant or no irrelevant item among the candidates. Raises ValueError for a NaN score of a candidate.
    """
    scores, candidates = np.asarray(scores), np.asarray(candidates, bool)
    relevant = _as_csr(relevant, scores.shape[1])
    if scores.shape != candidates.shape or len(scores) != relevant.shape[0]:
        raise ValueError(f"full_auc: scores {scores.shape}, candidates {candidates.shape} and relevant items of "
                         f"{relevant.shape[0]} users do not fit")
    negatives = np.where(candidates, scores, np.nan)
    if np.count_nonzero(np.isnan(negatives)) > candidates.size - np.count_nonzero(candidates):
        raise ValueError("full_auc: expected a number for every candidate, found a NaN score")
    rows, items = relevant.nonzero()
    rows, items = rows[candidates[rows, items]], items[candidates[rows, items]]
    values = scores[rows, items]
    negatives[rows, items] = np.nan
    negatives.sort(axis=1)  # NaN, that is what is not a negative, goes last
    n_positives = np.bincount(rows, minlength=len(scores))
    n_negatives = candidates.sum(axis=1) - n_positives
    below = _search(negatives, rows, values, n_negatives, "left")
    not_above = _search(negatives, rows, values, n_negatives, "right")
    right = np.bincount(rows, weights=(below + not_above) / 2, minlength=len(scores))
    return _ratio(right, n_positives * n_negatives)


def evaluate(
    model: Scorer,
    interactions: Interactions,
    part: Literal["validation", "test"],
    cutoffs: Sequence[int],
    auc_definitions: Sequence[str] = ("librec", "lauc"),
    full: bool = True,
) -> pd.DataFrame:
    """Every metric of every user with a relevant item in ``part``: full ranking of all items not rated before.

    Candidates are the catalogue minus what the user rated in training and, at test, in validation (§4.1). The
    index is the user; columns are ``recall@N``, ``auc@N`` (LibRec), ``lauc@N``, ``full_auc``;
    ``attrs["skipped"]`` counts the users left out by reason.
    """
    if part not in ("validation", "test"):
        raise ConfigError(problem("evaluate", "part 'validation' or 'test'", repr(part), "Name one of them."))
    relevant = _as_csr(getattr(interactions, part), interactions.n_items)
    known = interactions.train_rated + interactions.validation_rated if part == "test" else interactions.train_rated
    users = np.flatnonzero(np.diff(relevant.indptr))
    if len(users) == 0:
        found = f"none among {interactions.n_users} users"
        remedy = "Lower the threshold or change the split."
        raise DatasetError(problem(f"{part} part", "a positive rating", found, remedy))
    factors = model.factors()
    score = model.score if factors is None else inner_product(*factors)
    parts = []
    for block in ranked_blocks(score, users, interactions.n_items, max(cutoffs), known):
        mine, seen = relevant[block.users], known[block.users]
        n_candidates = interactions.n_items - np.diff(seen.indptr)
        columns = _list_metrics(block.items, mine, n_candidates, cutoffs, auc_definitions)
        if full:
            columns["full_auc"] = full_auc(block.scores, mine, seen.toarray() == 0)
        parts.append(pd.DataFrame(columns, index=pd.Index(block.users, name="user")))
    frame = pd.concat(parts)
    frame.attrs["skipped"] = {f"no relevant item in {part}": interactions.n_users - len(users)}
    return frame


def _list_metrics(
    ranked: np.ndarray,
    relevant: csr_matrix,
    n_candidates: np.ndarray,
    cutoffs: Sequence[int],
    auc_definitions: Sequence[str],
) -> dict[str, np.ndarray]:
    hits, listed, counts = _hits(ranked, relevant), ranked >= 0, _counts(relevant)
    columns = {f"recall@{n}": _recall(hits[:, :n], counts) for n in cutoffs}
    for definition in auc_definitions:
        for n in cutoffs:
            area = _auc(hits[:, :n], listed[:, :n], counts, n_candidates, definition)
            columns[f"{AUC_COLUMNS[definition]}@{n}"] = area
    return columns


def _recall(hits: np.ndarray, n_relevant: np.ndarray) -> np.ndarray:
    return _ratio(hits.sum(axis=1), n_relevant)


def _auc(
    hits: np.ndarray, listed: np.ndarray, n_relevant: np.ndarray, n_candidates: int | np.ndarray, definition: str
) -> np.ndarray:
    if definition not in AUC_DEFINITIONS:
        raise ConfigError(problem("AUC definition", f"one of {AUC_DEFINITIONS}", repr(definition), "Name one of them."))
    n_hits, length = hits.sum(axis=1), listed.sum(axis=1)
    ordered = (np.cumsum(hits, axis=1) * (listed & ~hits)).sum(axis=1)  # pairs in the right order within the list
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


def _hits(ranked: np.ndarray, relevant: csr_matrix) -> np.ndarray:
    """Whether each listed item is relevant, bool ``[users, N]``."""
    # One number a (user, item) pair; the last column stays free, for that is where padding (-1) falls.
    width = max(int(ranked.max(initial=0)) + 1, relevant.shape[1]) + 1
    rows = np.arange(len(ranked), dtype=np.int64)
    wanted = np.repeat(rows, np.diff(relevant.indptr)) * width + relevant.indices
    asked = rows[:, None] * width + ranked
    place = np.searchsorted(wanted, asked)
    return wanted[np.minimum(place, len(wanted) - 1)] == asked if len(wanted) else np.zeros(asked.shape, bool)


def _search(
    ordered: np.ndarray, rows: np.ndarray, values: np.ndarray, lengths: np.ndarray, side: Literal["left", "right"]
) -> np.ndarray:
    """``np.searchsorted`` of each value in its own row of ``ordered``, whose first ``lengths[row]`` entries count."""
    low, high = np.zeros(len(rows), np.int64), lengths[rows].astype(np.int64)
    while (active := low < high).any():
        middle = (low + high) // 2
        entry = ordered[rows, np.minimum(middle, ordered.shape[1] - 1)]
        after = entry < values if side == "left" else entry <= values
        low, high = np.where(active & after, middle + 1, low), np.where(active & ~after, middle, high)
    return low


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


def _counts(relevant: csr_matrix) -> np.ndarray:
    return np.diff(relevant.indptr)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient as float64, NaN where the denominator is not positive."""
    denominator = np.asarray(denominator, np.float64)
    return np.divide(numerator, denominator, out=np.full(denominator.shape, np.nan), where=denominator > 0)

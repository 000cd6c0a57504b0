"""Where each test positive stands in its user's ranking: what Recall@N of any group of items is made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from mrlm_core.datasets.splits import Interactions
from mrlm_core.errors import ConfigError, problem
from mrlm_core.evaluation.metrics import Scorer
from mrlm_core.evaluation.ranking import RankedBlock, inner_product, ranked_blocks


def places(model: Scorer, interactions: Interactions, cold: np.ndarray | None = None) -> pd.DataFrame:
    """One row a test positive, by user and item; the index is the user.

    Candidates are those of ``metrics.evaluate``: all items but what the user rated in training or validation. Columns:
    ``item``; ``train_positives`` of the item; ``place``, from 1, among ``candidates`` items; for items of ``cold`` bool
    ``[V]`` the ``cold_place`` among his ``cold_candidates`` (0 for other items). So a positive counts for Recall@N
    where its place is at most N, whatever N. Raises ValueError for a NaN score.
    """
    cold = np.zeros(interactions.n_items, bool) if cold is None else cold
    known = (interactions.train_rated + interactions.validation_rated).tocsr()
    wanted = interactions.test.tocsr()
    users = np.flatnonzero(np.diff(wanted.indptr))
    factors = model.factors()
    score, width = (model.score, 0) if factors is None else (inner_product(*factors), factors[0].shape[1])
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for block in ranked_blocks(score, users, interactions.n_items, interactions.n_items, known, width):
        found.append(_places_of(block, wanted, cold))
        del block
    place, cold_place = (np.concatenate(parts) for parts in zip(*found, strict=True))
    user, item = np.repeat(users, np.diff(wanted.indptr)[users]), wanted.indices
    cold_known = known @ cold.astype(np.float32)
    return pd.DataFrame(
        {"item": item, "train_positives": np.bincount(interactions.train.indices, minlength=len(cold))[item],
         "place": place, "candidates": (interactions.n_items - np.diff(known.indptr))[user],
         "cold_place": cold_place, "cold_candidates": (cold.sum() - cold_known).astype(np.int64)[user]},
        index=pd.Index(user, name="user"),
    )


def _places_of(block: RankedBlock, wanted: csr_matrix, cold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place, and place among the cold (0 for others), of every positive of the block's users, int64 ``[positives]``."""
    listed = block.items >= 0
    ranks = np.zeros((len(block.users), len(cold) + 1), np.int64)  # one column more: the padding, -1, is the last
    among = np.zeros_like(ranks)
    np.put_along_axis(ranks, block.items, np.arange(1, block.items.shape[1] + 1)[None], axis=1)
    is_cold = cold[block.items] & listed
    np.put_along_axis(among, block.items, np.cumsum(is_cold, axis=1) * is_cold, axis=1)
    own = wanted[block.users]
    rows = np.repeat(np.arange(len(block.users)), np.diff(own.indptr))
    return ranks[rows, own.indices], among[rows, own.indices]


def recall_by(table: pd.DataFrame, groups: np.ndarray, n: int, column: str = "place") -> pd.DataFrame:
    """Recall@n of each user within each group, ``[users, groups]``; NaN where he has no positive of the group.

    ``table`` as ``places`` gives it, ``groups`` the group of each of its rows. A value is the share of the user's test
    positives of that group whose ``column`` is at most ``n`` (Eq. 18, its sums restricted to the group).
    """
    hits = pd.Series(table[column].to_numpy() <= n, dtype=np.float64)
    return hits.groupby([table.index.to_numpy(), groups]).mean().unstack().rename_axis(index="user", columns=None)


def random_recall(table: pd.DataFrame, n: int, column: str = "candidates") -> pd.Series:
    """What Recall@n of a user is in expectation when his candidates are in random order: n of so many, at most 1."""
    candidates = table.groupby(level="user")[column].first()
    return (n / candidates).clip(upper=1.0)


def bucket_names(ends: Sequence[int]) -> list[str]:
    """Names of the buckets that end at ``ends`` and of the one beyond: [0, 2] gives "0", "1-2", "3+".

    Raises ConfigError unless ``ends`` are rising whole numbers from 0.
    """
    rising = len(ends) > 0 and all(isinstance(end, int) for end in ends) and list(ends) == sorted({*ends})
    if not rising or ends[0] < 0:
        raise ConfigError(problem("buckets", "rising whole numbers from 0, the last number of each bucket", repr(ends),
                                  "For example [0, 2, 5, 10, 20]."))
    starts = [0, *(end + 1 for end in ends)]
    closed = [str(end) if start == end else f"{start}-{end}" for start, end in zip(starts, ends, strict=False)]
    return [*closed, f"{starts[-1]}+"]


def buckets_of(counts: np.ndarray, ends: Sequence[int]) -> np.ndarray:
    """The number of the bucket of each count, int64, as ``bucket_names`` lists them."""
    return np.searchsorted(np.asarray(ends), counts, side="left")

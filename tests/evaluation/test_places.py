"""Places of test positives and Recall by group, against a slow plain version and against the usual evaluation."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mrlm_core.datasets.splits import interactions, random_split
from mrlm_core.errors import ConfigError
from mrlm_core.evaluation import ranking
from mrlm_core.evaluation.metrics import evaluate
from mrlm_core.evaluation.places import bucket_names, buckets_of, places, random_recall, recall_by

USERS, ITEMS, ENDS = 50, 40, [0, 2, 5, 10]


@pytest.fixture
def parts():
    rng = np.random.default_rng(0)
    pairs = np.stack(np.meshgrid(np.arange(USERS), np.arange(ITEMS), indexing="ij"), -1).reshape(-1, 2)
    liked = rng.random(len(pairs)) < np.repeat(rng.random(USERS), ITEMS) * (pairs[:, 1] + 3) / 25
    pairs = pairs[liked]
    ratings = pd.DataFrame({"user": pairs[:, 0], "item": pairs[:, 1], "rating": rng.integers(2, 6, len(pairs))})
    return interactions(ratings, USERS, ITEMS, 4.0, random_split(len(ratings), 0.6, 0.2, 0), 0)


@pytest.fixture
def scores():
    """Of few values, so that many are tied."""
    return np.random.default_rng(1).integers(0, 6, (USERS, ITEMS)).astype(np.float32)


@pytest.fixture
def cold():
    return np.random.default_rng(2).random(ITEMS) < 0.3


def model_of(scores):
    return SimpleNamespace(factors=lambda: None, score=lambda users: scores[users])


def slow_places(scores, parts, cold):
    """(user, item, place, candidates, place among the cold or 0, cold candidates) of each test positive, one by one."""
    known = (parts.train_rated + parts.validation_rated).toarray() > 0
    rows = []
    for user in range(USERS):
        ordered = sorted((item for item in range(ITEMS) if not known[user, item]), key=lambda i: (-scores[user, i], i))
        only_cold = [item for item in ordered if cold[item]]
        for item in np.flatnonzero(parts.test[user].toarray()[0]):
            among = only_cold.index(item) + 1 if cold[item] else 0
            rows.append((user, item, ordered.index(item) + 1, len(ordered), among, len(only_cold)))
    return rows


def slow_recall(table, ends, n):
    """Recall@n by user and bucket of the item's training positives, one positive at a time."""
    found = {}
    for user, row in zip(table.index, table.to_dict("records"), strict=True):
        bucket = sum(row["train_positives"] > end for end in ends)
        hits, wanted = found.get((user, bucket), (0, 0))
        found[user, bucket] = hits + (row["place"] <= n), wanted + 1
    return {key: hits / wanted for key, (hits, wanted) in found.items()}


@pytest.mark.parametrize("block", [7 * ITEMS, 2**24])
def test_places_are_those_of_a_plain_sort_ties_and_all(parts, scores, cold, block, monkeypatch) -> None:
    monkeypatch.setattr(ranking, "BLOCK_SCORES", block)
    table = places(model_of(scores), parts, cold).reset_index()
    columns = ["user", "item", "place", "candidates", "cold_place", "cold_candidates"]
    assert [tuple(row) for row in table[columns].to_numpy()] == slow_places(scores, parts, cold)
    np.testing.assert_array_equal(table["train_positives"], parts.train.toarray().sum(axis=0)[table["item"]])


def test_models_of_vectors_are_ranked_by_their_product(parts) -> None:
    rng = np.random.default_rng(3)
    users, items = rng.normal(size=(USERS, 5)).astype(np.float32), rng.normal(size=(ITEMS, 5)).astype(np.float32)
    by_vectors = places(SimpleNamespace(factors=lambda: (users, items), score=None), parts)
    pd.testing.assert_frame_equal(by_vectors, places(model_of(users @ items.T), parts))
    assert not by_vectors[["cold_place", "cold_candidates"]].to_numpy().any()


@pytest.mark.parametrize("n", [1, 5, 20])
def test_recall_by_bucket_is_that_of_a_plain_loop(parts, scores, n) -> None:
    table = places(model_of(scores), parts)
    groups = buckets_of(table["train_positives"].to_numpy(), ENDS)
    assert len(np.unique(groups)) > 3
    found = recall_by(table, groups, n).stack().dropna()
    assert found.to_dict() == pytest.approx(slow_recall(table, ENDS, n))


@pytest.mark.parametrize("n", [1, 5, 20])
def test_one_group_of_all_gives_the_usual_recall(parts, scores, n) -> None:
    table = places(model_of(scores), parts)
    usual = evaluate(model_of(scores), parts, "test", [n])[f"recall@{n}"]
    ours = recall_by(table, np.zeros(len(table), int), n)[0]
    pd.testing.assert_series_equal(ours, usual, check_names=False, check_index_type=False)


def test_random_order_reaches_what_is_expected_of_it(parts, cold) -> None:
    rng = np.random.default_rng(4)
    tried = [places(model_of(rng.random((USERS, ITEMS)).astype(np.float32)), parts, cold) for _ in range(300)]
    for place, candidates in (("place", "candidates"), ("cold_place", "cold_candidates")):
        own = [table[table["cold_place"] > 0] for table in tried]
        means = [recall_by(table, np.zeros(len(table), int), 5, place)[0].mean() for table in own]
        expected = random_recall(own[0], 5, candidates).mean()
        assert abs(np.mean(means) - expected) < 4 * np.std(means) / np.sqrt(len(means))
    few = pd.DataFrame({"candidates": [3, 10]}, index=pd.Index([0, 1], name="user"))
    assert random_recall(few, 5).tolist() == [1.0, 0.5]


def test_every_count_is_in_the_bucket_that_names_it() -> None:
    names = bucket_names(ENDS)
    assert names == ["0", "1-2", "3-5", "6-10", "11+"]
    assert [names[b] for b in buckets_of(np.array([0, 1, 2, 3, 5, 6, 10, 11, 999]), ENDS)] == [
        "0", "1-2", "1-2", "3-5", "3-5", "6-10", "6-10", "11+", "11+"]


@pytest.mark.parametrize("ends", [[], [2, 1], [1, 1], [-1, 2], [0.5], "0"])
def test_buckets_that_are_none_are_refused(ends) -> None:
    with pytest.raises(ConfigError, match="rising whole numbers"):
        bucket_names(ends)

"""Recall and the AUC definitions against plain loops and scikit-learn."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.metrics import roc_auc_score

from mrlm_core.datasets.splits import interactions, random_split
from mrlm_core.errors import ConfigError, DatasetError
from mrlm_core.evaluation.metrics import auc_at, evaluate, full_auc, recall_at

USERS, ITEMS = 60, 30


@pytest.fixture
def lists():
    """Random lists of unequal length, one relevant item or more for all but the first two users."""
    rng = np.random.default_rng(1)
    ranked = np.argsort(rng.random((USERS, ITEMS)), axis=1)
    for user, length in enumerate(rng.integers(0, 20, USERS)):
        ranked[user, length + 10 :] = -1
    relevant = [set(np.flatnonzero(rng.random(ITEMS) < 0.2).tolist()) | {int(rng.integers(ITEMS))} for _ in ranked]
    relevant[0] = relevant[1] = set()
    return ranked, relevant


def as_csr(relevant):
    matrix = np.zeros((len(relevant), ITEMS), np.float32)
    for user, items in enumerate(relevant):
        matrix[user, list(items)] = 1
    return csr_matrix(matrix)


def librec_loop(listed, correct, n_dropped):
    """The loop of LibRec and MyMediaLite, one user."""
    hits = pairs_right = 0
    for item in listed:
        if item in correct:
            hits += 1
        else:
            pairs_right += hits
    pairs = (len(listed) + n_dropped - hits) * hits
    if pairs == 0:
        return 0.5
    return (pairs_right + hits * (n_dropped - len(correct - set(listed)))) / pairs


def lauc_loop(listed, correct, n_candidates):
    """Trapezoids under the ROC points of the list and the line from the last point to (1, 1)."""
    n_negatives = n_candidates - len(correct)
    points = [(0.0, 0.0)]
    for item in listed:
        x, y = points[-1]
        points.append((x, y + 1 / len(correct)) if item in correct else (x + 1 / n_negatives, y))
    x, y = zip(*points, (1.0, 1.0), strict=True)
    return np.trapezoid(y, x)


@pytest.mark.parametrize("n", [1, 4, 10, 30])
def test_recall_is_the_share_of_relevant_items_found(lists, n):
    ranked, relevant = lists
    expected = [
        len(wanted & set(row[:n].tolist())) / len(wanted) if wanted else np.nan
        for row, wanted in zip(ranked, relevant, strict=True)
    ]
    found = recall_at(ranked, relevant, n)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(recall_at(ranked, as_csr(relevant), n), expected)


def test_recall_grows_with_n_and_keeps_unreachable_items_in_the_denominator(lists):
    ranked, relevant = lists
    recalls = np.array([recall_at(ranked, relevant, n)[2:] for n in range(1, ITEMS + 1)])
    assert (np.diff(recalls, axis=0) >= 0).all()
    assert recalls[-1].max() > recalls[0].max()
    assert recall_at([[0, 1, -1]], [{1, 7, 8, 9}], 3).tolist() == [0.25]


def test_padding_is_never_a_hit():
    assert recall_at([[3, -1, -1], [-1, -1, -1]], [{0, 3, 4}, {4}], 3).tolist() == [1 / 3, 0.0]
    assert recall_at([[0, 1], [4, -1]], [{4}, {0}], 2).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("n", [1, 5, 10, 30])
def test_librec_equals_its_loop(lists, n):
    ranked, relevant = lists
    n_candidates = np.arange(USERS) + ITEMS
    found = auc_at(ranked, relevant, n, n_candidates)
    assert np.isnan(found[:2]).all()
    for user in range(2, USERS):
        listed = [item for item in ranked[user, :n].tolist() if item >= 0]
        expected = librec_loop(listed, relevant[user], n_candidates[user] - len(listed))
        assert found[user] == pytest.approx(expected, abs=1e-12)


def test_librec_without_a_hit_or_without_a_negative_is_one_half():
    assert auc_at([[0, 1], [2, 3]], [{5}, {2, 3}], 2, np.array([9, 2])).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("n", [1, 5, 10, 30])
def test_lauc_is_the_area_under_the_continued_curve(lists, n):
    ranked, relevant = lists
    found = auc_at(ranked, relevant, n, ITEMS, "lauc")
    assert np.isnan(found[:2]).all()
    for user in range(2, USERS):
        listed = [item for item in ranked[user, :n].tolist() if item >= 0]
        assert found[user] == pytest.approx(lauc_loop(listed, relevant[user], ITEMS), abs=1e-12)


def test_in_list_equals_scikit_learn(lists):
    ranked, relevant = lists
    found = auc_at(ranked, relevant, 10, ITEMS, "in-list")
    for user in range(2, USERS):
        is_hit = np.array([item in relevant[user] for item in ranked[user, :10].tolist()])
        expected = roc_auc_score(is_hit, -np.arange(10)) if is_hit.any() and not is_hit.all() else float(is_hit.all())
        assert found[user] == pytest.approx(expected, abs=1e-12)
    assert auc_at([[1, 2]], [{1, 2, 3}], 2, 9, "in-list").tolist() == [1.0]


def test_a_list_of_every_candidate_gives_the_full_auc(lists):
    _, relevant = lists
    scores = np.random.default_rng(3).random((USERS, ITEMS))
    ranked = np.argsort(-scores, axis=1)
    expected = full_auc(scores, relevant, np.ones_like(scores, bool))
    for definition in ("librec", "lauc", "in-list"):
        np.testing.assert_allclose(auc_at(ranked, relevant, ITEMS, ITEMS, definition), expected, atol=1e-12)


def test_impossible_counts_give_nan():
    assert np.isnan(auc_at([[0, 1, 2]], [{0}], 3, 2)).all()
    assert np.isnan(auc_at([[0, 1]], [{0, 4, 5}], 2, 3, "lauc")).all()


def test_wrong_arguments_are_named(lists):
    ranked, relevant = lists
    with pytest.raises(ConfigError, match="librec"):
        auc_at(ranked, relevant, 5, ITEMS, "libreck")
    with pytest.raises(ValueError, match="n=31"):
        recall_at(ranked, relevant, ITEMS + 1)
    with pytest.raises(ValueError, match="60 users, found 59"):
        recall_at(ranked, relevant[1:], 5)


@pytest.mark.parametrize("kind", ["continuous", "tied"])
def test_full_auc_equals_scikit_learn(lists, kind):
    _, relevant = lists
    rng = np.random.default_rng(2)
    scores = rng.standard_normal((USERS, ITEMS)) if kind == "continuous" else rng.integers(0, 3, (USERS, ITEMS))
    candidates = rng.random((USERS, ITEMS)) < 0.6
    found = full_auc(scores.astype(np.float32), relevant, candidates)
    for user in range(USERS):
        truth = as_csr(relevant)[user].toarray()[0][candidates[user]]
        expected = roc_auc_score(truth, scores[user, candidates[user]]) if 0 < truth.sum() < len(truth) else np.nan
        np.testing.assert_allclose(found[user], expected, atol=1e-12)
    np.testing.assert_array_equal(found, full_auc(scores.astype(np.float32), as_csr(relevant), candidates))


def test_full_auc_takes_infinities_and_refuses_nan():
    scores = np.array([[np.inf, 0.0, -np.inf, np.nan]])
    candidates = np.array([[True, True, True, False]])
    assert full_auc(scores, [{0}], candidates).tolist() == [1.0]
    assert full_auc(scores, [{2}], candidates).tolist() == [0.0]
    assert np.isnan(full_auc(scores, [{3}], candidates)).all()
    with pytest.raises(ValueError, match="NaN"):
        full_auc(scores, [{0}], ~candidates)


class Fixed:
    """A model that gives the scores it was given, as factors or not."""

    def __init__(self, scores, factorised=False):
        self.scores, self.factorised = scores, factorised

    def score(self, users):
        return self.scores[users]

    def factors(self):
        return (self.scores, np.eye(self.scores.shape[1], dtype=np.float32)) if self.factorised else None


@pytest.fixture
def split_ratings():
    rng = np.random.default_rng(5)
    user, item = np.nonzero(rng.random((40, 25)) < 0.4)
    ratings = pd.DataFrame({"user": user, "item": item, "rating": rng.integers(1, 6, len(user))})
    split = random_split(len(ratings), 0.6, 0.2, seed=0)
    return ratings, split, interactions(ratings, 40, 25, 4, split, seed=0)


@pytest.mark.parametrize("part", ["validation", "test"])
@pytest.mark.parametrize("factorised", [False, True])
def test_evaluate_ranks_what_the_user_had_not_rated_before(split_ratings, part, factorised):
    ratings, split, data = split_ratings
    scores = np.random.default_rng(6).standard_normal((40, 25)).astype(np.float32)
    frame = evaluate(Fixed(scores, factorised), data, part, (3, 30))
    before = split.train if part == "validation" else np.concatenate([split.train, split.validation])
    known, wanted = ratings.iloc[before], ratings.iloc[getattr(split, part)].query("rating >= 4")
    assert frame.index.tolist() == sorted(wanted["user"].unique())
    assert frame.attrs["skipped"] == {f"no relevant item in {part}": 40 - wanted["user"].nunique()}
    assert list(frame) == ["recall@3", "recall@30", "auc@3", "auc@30", "lauc@3", "lauc@30", "full_auc"]
    for user in frame.index:
        seen, relevant = set(known.query("user == @user")["item"]), set(wanted.query("user == @user")["item"])
        ranked = [item for item in np.argsort(-scores[user]).tolist() if item not in seen]
        row = frame.loc[user]
        assert row["recall@3"] == len(relevant & set(ranked[:3])) / len(relevant)
        assert row["recall@30"] == 1
        assert row["auc@3"] == pytest.approx(librec_loop(ranked[:3], relevant, len(ranked) - len(ranked[:3])))
        assert row["lauc@3"] == pytest.approx(lauc_loop(ranked[:3], relevant, len(ranked)))
        expected = roc_auc_score([item in relevant for item in ranked], scores[user, ranked])
        assert row["full_auc"] == pytest.approx(expected)


@pytest.mark.parametrize("factorised", [False, True])
def test_evaluate_lists_the_given_items_alone(split_ratings, factorised):
    _, _, data = split_ratings
    scores = np.random.default_rng(6).standard_normal((40, 25)).astype(np.float32)
    scores[:, 20:] += 10  # what may not be listed would come first
    listed = np.arange(20)
    fewer = replace(data, **{name: getattr(data, name)[:, :20] for name in
                             ("train", "train_negatives", "train_rated", "validation", "validation_rated", "test")})
    expected = evaluate(Fixed(scores[:, :20], factorised), fewer, "test", (3, 10))
    found = evaluate(Fixed(scores, factorised), data, "test", (3, 10), listed=listed)
    pd.testing.assert_frame_equal(found, expected)
    assert not found.equals(evaluate(Fixed(scores, factorised), data, "test", (3, 10)))


def test_evaluate_can_leave_the_full_auc_out_and_refuses_nonsense(split_ratings):
    ratings, split, data = split_ratings
    model = Fixed(np.zeros((40, 25), np.float32))
    assert list(evaluate(model, data, "test", (5,), ("in-list",), full=False)) == ["recall@5", "in_list_auc@5"]
    with pytest.raises(ConfigError, match="'train'"):
        evaluate(model, data, "train", (5,))
    with pytest.raises(DatasetError, match="validation part"):
        evaluate(model, interactions(ratings, 40, 25, 9, split, seed=0), "validation", (5,))

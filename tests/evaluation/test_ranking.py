"""The ranking against a plain sort: ties, exclusion, padding, blocks."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mrlm_core.evaluation import ranking
from mrlm_core.evaluation.ranking import ranked_blocks, top_n, top_n_of


def sorted_lists(scores, n, exclude=None):
    """The definition, one user at a time: sort by falling score, then by item index."""
    items = np.full((len(scores), n), -1, np.int32)
    values = np.full((len(scores), n), -np.inf, np.float32)
    for user, row in enumerate(scores):
        seen = set() if exclude is None else set(exclude[user].nonzero()[1].tolist())
        order = sorted((-score, item) for item, score in enumerate(row) if item not in seen)[:n]
        items[user, : len(order)] = [item for _, item in order]
        values[user, : len(order)] = [-score for score, _ in order]
    return items, values


@pytest.fixture
def small():
    """Integer-valued vectors: exact scores with many ties."""
    rng = np.random.default_rng(0)
    users, items = rng.integers(-2, 3, (23, 3)), rng.integers(-2, 3, (40, 3))
    exclude = csr_matrix((rng.random((23, 40)) < 0.4).astype(np.float32))
    return users.astype(np.float32), items.astype(np.float32), exclude


@pytest.mark.parametrize("n", [1, 7, 40, 55])
@pytest.mark.parametrize("excluding", [False, True])
def test_equals_a_plain_sort_with_ties_to_the_lower_index(small, n, excluding):
    users, items, exclude = small
    exclude = exclude if excluding else None
    found, scores = top_n(users, items, n, exclude)
    expected, values = sorted_lists(users @ items.T, n, exclude)
    assert found.dtype == np.int32
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(scores, values)


def test_all_ties_give_the_first_items():
    items, _ = top_n(np.ones((3, 2)), np.ones((1000, 2)), 5)
    np.testing.assert_array_equal(items, np.tile(np.arange(5), (3, 1)))


def test_blocks_do_not_change_the_result(small, monkeypatch):
    users, items, exclude = small
    whole = top_n(users, items, 9, exclude)
    monkeypatch.setattr(ranking, "BLOCK_SCORES", 3 * len(items))
    sizes = []

    def score(block):
        sizes.append(len(block))
        return users[block] @ items.T

    by_blocks = top_n_of(score, len(users), len(items), 9, exclude)
    assert max(sizes) == 3
    for found, expected in zip(by_blocks, whole, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_users_without_candidates_get_padding_only(small):
    users, items, _ = small
    exclude = np.zeros((23, 40), np.float32)
    exclude[4], exclude[5, 2:] = 1, 1
    found, scores = top_n(users, items, 3, csr_matrix(exclude))
    assert found[4].tolist() == [-1, -1, -1]
    assert np.isneginf(scores[4]).all()
    assert sorted(found[5].tolist()) == [-1, 0, 1]


def test_a_stored_zero_excludes_nothing():
    exclude = csr_matrix((np.zeros(1, np.float32), ([0], [1])), shape=(1, 3))
    assert top_n(np.ones((1, 1)), np.array([[1], [3], [2]]), 1, exclude)[0].tolist() == [[1]]


def test_some_users_only_and_scores_left_as_they_were(small):
    users, items, exclude = small
    scores = users @ items.T
    some = np.array([20, 3, 7])
    (block,) = ranked_blocks(lambda asked: scores[asked], some, len(items), 6, exclude)
    np.testing.assert_array_equal(block.items, sorted_lists(scores, 6, exclude)[0][some])
    np.testing.assert_array_equal(block.scores, scores[some])


def test_nan_names_the_user(monkeypatch):
    vectors = np.ones((9, 2))
    vectors[7, 1] = np.nan
    monkeypatch.setattr(ranking, "BLOCK_SCORES", 8)
    with pytest.raises(ValueError, match="user 7"):
        top_n(vectors, np.ones((4, 2)), 2)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"\(3, 2\) and \(4, 5\)"):
        top_n(np.ones((3, 2)), np.ones((4, 5)), 1)
    with pytest.raises(ValueError, match="expected 4 columns"):
        top_n(np.ones((3, 2)), np.ones((4, 2)), 1, csr_matrix((3, 5)))
    with pytest.raises(ValueError, match="n=0"):
        top_n(np.ones((3, 2)), np.ones((4, 2)), 0)

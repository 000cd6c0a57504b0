"""Mean Recall of vectors, as choices are made by it: counted by hand, and on a sample of the users."""

import numpy as np
import pandas as pd
import pytest

from mrlm_core.datasets.splits import interactions, random_split
from mrlm_core.evaluation.selection import mean_recall, mean_recall_of, users_of

USERS, ITEMS = 30, 40


@pytest.fixture(scope="module")
def parts():
    rng = np.random.default_rng(0)
    rows = [(user, item, rng.choice([2.0, 5.0], p=[0.3, 0.7])) for user in range(USERS)
            for item in rng.choice(ITEMS, 6, replace=False)]
    ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
    split = random_split(len(ratings), 0.6, 0.2, seed=0)
    return interactions(ratings, USERS, ITEMS, 4.0, split, seed=0)


@pytest.fixture(scope="module")
def vectors():
    return np.eye(USERS, dtype=np.float32), np.random.default_rng(2).random((ITEMS, USERS)).astype(np.float32)


def by_hand(vectors, parts, part, users, cutoff=7):
    recalls = []
    for user in users:
        relevant = set(getattr(parts, part)[user].indices)
        rated = set(parts.train_rated[user].indices)
        rated |= set(parts.validation_rated[user].indices) if part == "test" else set()
        order = [item for item in np.argsort(-vectors[1][:, user]) if item not in rated][:cutoff]
        recalls += [len(relevant & set(order)) / len(relevant)] if relevant else []
    return np.mean(recalls)


@pytest.mark.parametrize("part", ["validation", "test"])
def test_mean_recall_is_what_counting_by_hand_gives(parts, vectors, part):
    assert mean_recall(*vectors, parts, 7, part) == pytest.approx(by_hand(vectors, parts, part, range(USERS)))


@pytest.mark.parametrize("part", ["validation", "test"])
def test_scores_that_are_no_product_of_vectors_are_ranked_as_they_are(parts, vectors, part):
    """A user's row is asked for by his own number, also when only some users are ranked."""
    scores, asked = vectors[1].T, users_of(parts, part)[::2]
    found = mean_recall_of(lambda users: scores[users], parts, 7, part, users=asked)
    assert found == pytest.approx(by_hand(vectors, parts, part, asked))
    assert found != pytest.approx(mean_recall(*vectors, parts, 7, part))


def test_beyond_the_most_a_fixed_sample_of_those_with_a_positive_is_taken(parts, vectors):
    everyone = users_of(parts)
    assert everyone.tolist() == [user for user in range(USERS) if len(parts.validation[user].indices)]
    assert len(everyone) < USERS  # else the next line would test nothing
    np.testing.assert_array_equal(users_of(parts, most=len(everyone)), everyone)
    sample = users_of(parts, most=9)
    assert len(sample) == len(set(sample)) == 9
    assert set(sample) < set(everyone)
    np.testing.assert_array_equal(users_of(parts, most=9), sample)
    found = mean_recall(*vectors, parts, 7, users=sample)
    assert found == pytest.approx(by_hand(vectors, parts, "validation", sample))
    assert found != pytest.approx(mean_recall(*vectors, parts, 7))


def test_nobody_to_choose_by_is_not_a_number(parts, vectors):
    assert np.isnan(mean_recall(*vectors, parts, 7, users=np.array([], dtype=int)))

"""Negatives by a table of marks: uniform among the unrated items, and the table decides nothing."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array

from mrlm_core.baselines import marks
from mrlm_core.baselines.marks import MarkedTriplets

USERS, ITEMS = 40, 60
EPOCHS = 2000


@pytest.fixture
def parts():
    """User 0 likes all items but number 17, user 1 all of them, user 2 none; the others a tenth to nine tenths."""
    rng = np.random.default_rng(0)
    liked = rng.random((USERS, ITEMS)) < np.linspace(0.1, 0.9, USERS)[:, None]
    liked[0], liked[1], liked[2] = True, True, False
    liked[0, 17] = False
    return made(liked, liked | (rng.random((USERS, ITEMS)) < 0.05))


def made(liked, rated):
    matrices = {"train": liked, "train_rated": rated, "train_negatives": rated & ~liked}
    return SimpleNamespace(n_users=len(liked), n_items=liked.shape[1],
                           **{name: csr_matrix(values.astype(np.float32)) for name, values in matrices.items()})


def drawn(sampler, epochs):
    return np.concatenate([sampler.epoch(np.random.default_rng(seed), 1) for seed in range(epochs)])


def test_each_positive_once_and_negatives_uniform(parts):
    sampler = MarkedTriplets(parts, 1)
    triplets = drawn(sampler, EPOCHS)
    able = parts.train.toarray() > 0
    able[1] = False
    rated = parts.train_rated.toarray() > 0
    able[rated.all(axis=1)] = False
    counts = np.zeros((USERS, ITEMS))
    np.add.at(counts, (triplets[:, 0], triplets[:, 1]), 1)
    np.testing.assert_array_equal(counts, np.where(able, EPOCHS, 0))
    negatives = np.zeros((USERS, ITEMS))
    np.add.at(negatives, (triplets[:, 0], triplets[:, 2]), 1)
    assert (negatives[rated] == 0).all()
    for user in np.flatnonzero(able.any(axis=1)):
        if (free := ~rated[user]).sum() > 5:
            assert chi_square(negatives[user, free]) < 2.5


def test_any_positive_may_stand_anywhere_as_often_as_it_is_to_be_drawn(parts):
    sampler = MarkedTriplets(parts, 3)
    size = sampler.size
    numbers = {pair: number for number, pair in enumerate(zip(sampler.users, sampler.positives, strict=True))}
    places = np.zeros((2, size))  # of each positive, in the first and the second half of an epoch
    more = np.zeros(size)
    for seed in range(300):
        epoch = sampler.epoch(np.random.default_rng(seed), 3 * size - 50)[:, :2]  # a batch that leaves many to repeat
        order = np.array([numbers[tuple(pair)] for pair in epoch])
        once, again = order[: 3 * size], order[3 * size :]
        assert (np.bincount(once, minlength=size) == 3).all()
        np.add.at(places, (np.arange(3 * size) * 2 // (3 * size), once), 1)
        np.add.at(more, again, 1)
    assert chi_square(places[0]) < 1.5
    assert chi_square(more) < 1.5


def chi_square(counts):
    """Per degree of freedom: about 1 where all are equally likely."""
    return float(((counts - counts.mean()) ** 2 / counts.mean()).sum() / (len(counts) - 1))


def test_a_pair_that_shares_a_bit_with_a_rated_one_is_still_drawn(parts, monkeypatch):
    """With two bytes of marks every pair looks rated."""
    monkeypatch.setattr(marks, "BITS_A_RATING", 0)
    sampler = MarkedTriplets(parts, 3)
    assert sampler.marks.tolist() == [255, 255]
    crowded = sampler.epoch(np.random.default_rng(5), 7)
    monkeypatch.undo()
    np.testing.assert_array_equal(crowded, MarkedTriplets(parts, 3).epoch(np.random.default_rng(5), 7))


def test_an_epoch_is_whole_batches_and_the_generator_alone_decides(parts):
    sampler = MarkedTriplets(parts, 2)
    first, again, other = (sampler.epoch(np.random.default_rng(seed), 7) for seed in (1, 1, 2))
    assert first.dtype == np.int32
    assert len(first) == -(-2 * sampler.size // 7) * 7
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_marks_leave_most_unrated_pairs_free():
    rated = random_array((3000, 2000), density=0.02, format="csr", random_state=0)
    rated.data[:] = 1
    sampler = MarkedTriplets(SimpleNamespace(n_users=3000, n_items=2000, train=rated, train_rated=rated,
                                            train_negatives=rated[:0]), 1)
    share = np.unpackbits(sampler.marks).mean()
    assert 0.02 < share < 1 / marks.BITS_A_RATING + 0.001

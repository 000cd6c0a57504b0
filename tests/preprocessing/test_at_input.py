"""Descriptions beside the initial vectors: whose, how long, how large."""

import numpy as np
from scipy.sparse import csr_matrix

from mrlm_core.preprocessing.at_input import beside, principal

RNG = np.random.default_rng(0)
USERS, ITEMS, DIM = 5, 40, 6
INITIAL = RNG.normal(size=(USERS, DIM)).astype(np.float32), 3 * RNG.normal(size=(ITEMS, DIM)).astype(np.float32)
CONTENT = RNG.normal(size=(ITEMS, 20)).astype(np.float32)
TRAIN = csr_matrix((RNG.random((USERS, ITEMS)) < 0.2).astype(np.float32) * (np.arange(USERS) < 4)[:, None])


def test_the_initial_vectors_stay_and_descriptions_as_long_and_large_stand_beside_them() -> None:
    for made, initial in zip(beside(INITIAL, CONTENT, TRAIN), INITIAL, strict=True):
        assert made.shape == (len(initial), 2 * DIM)
        assert made.dtype == np.float32
        np.testing.assert_array_equal(made[:, :DIM], initial)
        np.testing.assert_allclose(*[np.sqrt((half**2).mean()) for half in (made[:, DIM:], initial)], rtol=1e-5)


def test_a_user_is_the_mean_of_what_he_liked_in_training() -> None:
    users, items = (made[:, DIM:] for made in beside(INITIAL, CONTENT, TRAIN))
    means = np.stack([items[row.indices].mean(axis=0) if row.nnz else np.zeros(DIM) for row in TRAIN])
    scale = (users * means).sum() / (means**2).sum()
    np.testing.assert_allclose(users, scale * means, atol=1e-5)
    assert not users[4].any()


def test_components_are_principal_and_missing_ones_zeros() -> None:
    found = principal(CONTENT, 4)
    centred = CONTENT - CONTENT.mean(axis=0)
    axes = np.linalg.svd(centred.astype(np.float64), full_matrices=False)[2]
    np.testing.assert_allclose(np.abs(found), np.abs(centred @ axes[:4].T), rtol=1e-3, atol=1e-4)
    assert principal(CONTENT, 25).shape == (ITEMS, 25)
    assert not principal(CONTENT, 25)[:, 20:].any()

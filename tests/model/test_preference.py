"""Each preference form against its own formula, one pair of user and item at a time."""

import numpy as np
import pytest

from mrlm_core.errors import ConfigError
from mrlm_core.model.mrlm import Representations
from mrlm_core.model.preference import Preference, fold

USERS, ITEMS, WIDE, NARROW, L = 7, 9, 5, 3, 4
LATEST = np.array([[3, 1, 8, 0, 5], [2, 4, -1, -1, -1], [7, -1, -1, -1, -1], [-1, -1, -1, -1, -1],
                   [0, 1, 2, 3, 4], [8, 7, -1, -1, -1], [6, 5, 4, 3, 2]])  # more columns than L: the newest count


@pytest.fixture
def vectors():
    rng = np.random.default_rng(4)
    return Representations(*(rng.normal(size=shape) for shape in ((USERS, WIDE), (ITEMS, WIDE), (ITEMS, NARROW))))


@pytest.fixture
def square():
    """Global and multimodal vectors of one length."""
    rng = np.random.default_rng(5)
    return Representations(*(rng.normal(size=(n, WIDE)) for n in (USERS, ITEMS, ITEMS)))


def cosine(a, b):
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def mine(user):
    return [item for item in LATEST[user, :L] if item >= 0]


def blockwise(vectors, user, item, w=0.3):
    g_user, g_item, m = vectors
    latest = [cosine(m[liked], m[item]) for liked in mine(user)]
    return w * cosine(g_user[user], g_item[item]) + (1 - w) * (np.mean(latest) if latest else 0.0)


def multimodal_only(vectors, user, item):
    m = vectors.items_multimodal
    latest = [cosine(m[liked], m[item]) for liked in mine(user)]
    return np.mean(latest) if latest else 0.0


def global_only(vectors, user, item):
    return cosine(vectors.users[user], vectors.items[item])


def tiled(vectors, user, item):
    """The user's items repeated until there are L of them (1, 2 and 4 divide L); zeros where there are none."""
    g_user, g_item, m = vectors
    repeated = mine(user) * (L // len(mine(user))) if mine(user) else []
    profile = [m[liked] for liked in repeated] or [np.zeros(m.shape[1])] * L
    assert len(profile) == L
    return cosine(np.concatenate([g_user[user], *profile]), np.concatenate([g_item[item], *[m[item]] * L]))


def literal(vectors, user, item):
    g_user, _, m = vectors
    return cosine(np.mean([g_user[user], *(m[liked] for liked in mine(user))], axis=0), m[item])


def test_the_literal_form_without_latest_items_is_the_cosine_of_user_and_item(square):
    found = product(square, Preference("literal", 0.5, 0))
    expected = [[cosine(square.users[user], square.items_multimodal[item]) for item in range(ITEMS)]
                for user in range(USERS)]
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def product(vectors, preference):
    users, items = fold(vectors, LATEST, preference)
    return users @ items.T


@pytest.mark.parametrize(
    ("form", "formula"),
    [("blockwise", blockwise), ("multimodal-only", multimodal_only), ("global-only", global_only), ("tiled", tiled)],
)
def test_the_folded_product_is_the_formula_of_each_pair(vectors, form, formula):
    expected = [[formula(vectors, user, item) for item in range(ITEMS)] for user in range(USERS)]
    found = product(vectors, Preference(form, 0.3, L))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_the_literal_form_is_its_formula_where_lengths_agree(square):
    expected = [[literal(square, user, item) for item in range(ITEMS)] for user in range(USERS)]
    found = product(square, Preference("literal", 0.5, L))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_the_literal_form_needs_equal_lengths(vectors):
    with pytest.raises(ConfigError, match="5 and 3"):
        fold(vectors, LATEST, Preference("literal"))


@pytest.mark.parametrize("form", ["blockwise", "tiled", "multimodal-only", "literal"])
def test_without_multimodal_vectors_only_the_global_form_works(vectors, form):
    u_gfrl = vectors._replace(items_multimodal=np.zeros((ITEMS, 0)))
    with pytest.raises(ConfigError, match="global-only"):
        fold(u_gfrl, LATEST, Preference(form))
    assert product(u_gfrl, Preference("global-only")).shape == (USERS, ITEMS)


def test_an_unknown_form_is_refused(vectors):
    with pytest.raises(ConfigError, match="blockwize"):
        fold(vectors, LATEST, Preference("blockwize"))


def test_the_ends_of_the_weight_rank_as_the_pure_forms(vectors):
    def ranks(*preference):
        return np.argsort(product(vectors, Preference(*preference)), axis=1)

    there = (LATEST >= 0).any(axis=1)
    np.testing.assert_array_equal(ranks("blockwise", 1.0, L), ranks("global-only"))
    np.testing.assert_array_equal(ranks("blockwise", 0.0, L)[there], ranks("multimodal-only", 0.5, L)[there])


def test_scaling_the_vectors_changes_no_cosine(vectors):
    scaled = Representations(*(7 * part for part in vectors))
    for form in ("blockwise", "tiled", "global-only", "multimodal-only"):
        np.testing.assert_allclose(product(scaled, Preference(form)), product(vectors, Preference(form)), atol=1e-12)


def test_float32_stays_float32(vectors):
    single = Representations(*(part.astype(np.float32) for part in vectors))
    for form in ("blockwise", "tiled", "global-only", "multimodal-only"):
        assert {part.dtype for part in fold(single, LATEST, Preference(form))} == {np.dtype(np.float32)}

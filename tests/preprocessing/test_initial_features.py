"""Field tables, the CIN against loops, and xDeepFM's vectors on a planted block structure."""

import dataclasses
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

from mrlm_core.config import preset
from mrlm_core.datasets.splits import interactions, random_split
from mrlm_core.preprocessing import initial_features as module
from mrlm_core.preprocessing.initial_features import XDeepFM, compressed_interactions, field_table, train_xdeepfm

IDS = np.array(["a", "b", "c", "d"])


def rows_of(table, item, name):
    """{embedding row: weight} of one field of one item, weights of 0 left out."""
    position = table.names.index(name)
    pairs = zip(table.indices[item, position].tolist(), table.weights[item, position].tolist(), strict=True)
    return {row: weight for row, weight in pairs if weight}


def test_ids_are_the_first_field():
    table = field_table(IDS, pd.DataFrame(index=IDS), {})
    assert table.names == ("id",)
    assert table.size == 4
    assert [rows_of(table, item, "id") for item in range(4)] == [{0: 1.0}, {1: 1.0}, {2: 1.0}, {3: 1.0}]


def test_categorical_values_share_a_row_and_empty_ones_have_none():
    frame = pd.DataFrame({"brand": ["x", "", "y", "x"]}, index=IDS)
    table = field_table(IDS, frame, {"brand": "categorical"})
    x, missing, y, again = (rows_of(table, item, "brand") for item in range(4))
    assert x == again
    assert len(x) == len(y) == 1
    assert x != y
    assert missing == {}
    assert table.size == 4 + 2
    assert min([*x, *y]) >= 4  # no row of the ids


def test_a_bar_divides_multi_values_only():
    frame = pd.DataFrame({"genres": ["p|q", "q", "", "p||r"], "name": ["p|q", "q", "p", "r"]}, index=IDS)
    table = field_table(IDS, frame, {"genres": "multi", "name": "categorical"})
    both, one, none, gap = (rows_of(table, item, "genres") for item in range(4))
    assert sorted(both.values()) == [0.5, 0.5]
    assert list(one.values()) == [1.0]
    assert set(one) < set(both)
    assert none == {}
    assert sorted(gap.values()) == [0.5, 0.5]  # nothing between two bars is no value
    assert len(set(both) & set(gap)) == 1
    assert table.size == 4 + 3 + 4
    assert len({*rows_of(table, 0, "name"), *rows_of(table, 1, "name")}) == 2


def test_numeric_values_weigh_one_row_and_nan_weighs_nothing():
    frame = pd.DataFrame({"price": [1.0, np.nan, 3.0, 5.0]}, index=IDS)
    table = field_table(IDS, frame, {"price": "numeric"})
    position = table.names.index("price")
    assert set(table.indices[:, position, 0]) == {4}
    deviation = np.std([1, 3, 5])
    np.testing.assert_allclose(table.weights[:, position, 0], [-2 / deviation, 0, 0, 2 / deviation], rtol=1e-6)


@pytest.mark.parametrize(("kind", "missing"), [("numeric", np.nan), ("categorical", ""), ("multi", "")])
def test_a_column_without_any_value_adds_nothing(kind, missing):
    table = field_table(IDS, pd.DataFrame({"empty": [missing] * 4}, index=IDS), {"empty": kind})
    assert [rows_of(table, item, "empty") for item in range(4)] == [{}] * 4
    assert np.isfinite(table.weights).all()


def test_a_constant_numeric_column_is_zero_not_a_division_by_zero():
    table = field_table(IDS, pd.DataFrame({"price": [2.0] * 4}, index=IDS), {"price": "numeric"})
    assert [rows_of(table, item, "price") for item in range(4)] == [{}] * 4


def test_cin_is_its_triple_sum():
    """Lian et al. 2018, Eq. 6: every pair of a map and a field, multiplied along D."""
    batch, fields, width, sizes = 2, 3, 4, (5, 2)
    layers = [keras.layers.Dense(size, use_bias=False) for size in sizes]
    base = np.random.default_rng(0).normal(size=(batch, fields, width)).astype(np.float32)
    found = ops.convert_to_numpy(compressed_interactions(ops.convert_to_tensor(base), layers))
    state, pooled = base, []
    for layer, size in zip(layers, sizes, strict=True):
        kernel = layer.get_weights()[0].reshape(state.shape[1], fields, size)
        following = np.zeros((batch, size, width))
        for h in range(size):
            for i in range(state.shape[1]):
                for j in range(fields):
                    following[:, h] += kernel[i, j, h] * state[:, i] * base[:, j]
        state = following
        pooled.append(state.sum(axis=2))
    assert found.shape == (batch, sum(sizes))
    np.testing.assert_allclose(found, np.concatenate(pooled, axis=1), rtol=1e-4, atol=1e-5)


class Forbidden:
    """A test part that cannot be looked at."""

    def __getattribute__(self, name):
        raise AssertionError(f"the test part was read: {name}")


USERS, ITEMS, BLOCKS = 40, 120, 5


@pytest.fixture(scope="module")
def planted():
    """Users like items of their own block alone; the split's test part cannot be read."""
    rng = np.random.default_rng(0)
    rows = [(user, int(item) * BLOCKS + user % BLOCKS, 5.0) for user in range(USERS)
            for item in rng.choice(ITEMS // BLOCKS, 12, replace=False)]
    ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
    parts = interactions(ratings, USERS, ITEMS, 4.0, random_split(len(rows), 0.7, 0.2, seed=0), seed=0)
    dataset = SimpleNamespace(
        user_ids=np.arange(USERS).astype(str), item_ids=np.arange(ITEMS).astype(str),
        users=pd.DataFrame(index=np.arange(USERS)), user_fields={},
        items=pd.DataFrame({"year": np.arange(ITEMS) % 7.0, "tags": ["u|v", "w"] * (ITEMS // 2)}),
        item_fields={"year": "numeric", "tags": "multi"},
    )
    return dataset, dataclasses.replace(parts, test=Forbidden())


def test_trained_vectors_find_the_blocks(planted):
    dataset, parts = planted
    config = preset("tiny", {"preprocessing.initial_epochs": 15, "preprocessing.initial_learning_rate": 0.02,
                             "preprocessing.initial_patience": 15}).preprocessing
    made = train_xdeepfm(dataset, parts, 16, config, seed=0)
    users, items = made["users"], made["items"]
    assert users.shape == (USERS, 16)
    assert items.shape == (ITEMS, 16)
    recall = module.cosine_recall(users, items, parts)
    assert recall > 0.8  # chance is 20 of about 112
    assert recall == pytest.approx(made["history"].max())
    unit_users, unit_items = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (users, items))
    cosines = unit_users @ unit_items.T
    own = np.arange(USERS)[:, None] % BLOCKS == np.arange(ITEMS) % BLOCKS
    assert cosines[own].mean() > cosines[~own].mean() + 0.5


def test_cosine_and_dot_differ_by_the_items_lengths(planted):
    _, parts = planted
    rng = np.random.default_rng(3)
    users, items = rng.normal(size=(USERS, 4)), rng.normal(size=(ITEMS, 4))
    longer = items * rng.uniform(0.1, 10, (ITEMS, 1))
    assert module.cosine_recall(users, items, parts) == module.cosine_recall(users, longer, parts)
    assert module.dot_recall(users, items, parts) != module.dot_recall(users, longer, parts)


def test_a_pair_scores_by_the_scaled_cosine_of_its_vectors(planted):
    dataset, _ = planted
    tables = [field_table(dataset.user_ids, dataset.users, {}),
              field_table(dataset.item_ids, dataset.items, dataset.item_fields)]
    keras.utils.set_random_seed(0)
    model = XDeepFM(*tables, 16, preset("tiny").preprocessing)
    users, items = model.vectors(batch_size=50)
    triplets = np.array([[0, 5, 7], [39, 119, 0]], np.int32)
    out = model(triplets)
    for name, column in (("positive", 1), ("negative", 2)):
        a, b = users[triplets[:, 0]], items[triplets[:, column]]
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        np.testing.assert_allclose(ops.convert_to_numpy(out[name]), 5.0 * cosine, rtol=1e-3, atol=1e-4)

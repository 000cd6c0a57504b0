"""Layers over fields: the CIN as an inner product of both sides against the CIN itself, fields without the id."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

from mrlm_core.preprocessing.field_layers import CINFactors, compressed_interactions, embedded
from mrlm_core.preprocessing.fields import field_table, without_id


@pytest.mark.parametrize(("users", "items", "sizes"), [(1, 1, (3,)), (1, 3, (4, 5)), (2, 2, (3, 4, 2)), (3, 1, (2,))])
def test_the_cin_of_a_pair_is_an_inner_product_of_its_sides(users, items, sizes):
    rng = np.random.default_rng(0)
    of_users, of_items = (rng.normal(size=(5, fields, 3)).astype(np.float32) for fields in (users, items))
    layers = [keras.layers.Dense(size, use_bias=False) for size in sizes]
    pairs = np.stack(np.indices((5, 5)).reshape(2, -1), axis=1)
    both = np.concatenate([of_users[pairs[:, 0]], of_items[pairs[:, 1]]], axis=1)
    pooled = ops.convert_to_numpy(compressed_interactions(ops.convert_to_tensor(both), layers))
    weights = rng.normal(size=pooled.shape[1])
    factors = CINFactors(items, [layer.get_weights()[0] for layer in layers], weights)
    found = factors.of_users(of_users) @ factors.of_items(of_items).T
    assert np.abs(pooled @ weights).max() > 0.1
    np.testing.assert_allclose(found.ravel(), pooled @ weights, rtol=1e-3, atol=1e-4)


def test_fields_without_the_id_are_embedded_as_they_were_beside_it():
    people = pd.DataFrame({"town": ["a", "b", "", "a"], "likes": ["x|y", "y", "", "z"], "age": [20.0, 30, 40, np.nan]})
    table = field_table(np.arange(4), people, {"town": "categorical", "likes": "multi", "age": "numeric"})
    rest = without_id(table)
    assert rest.names == ("town", "likes", "age")
    values = np.random.default_rng(0).normal(size=(table.size, 2)).astype(np.float32)
    rows = np.array([2, 0, 3, 1])
    whole = ops.convert_to_numpy(embedded(values, table, rows))
    assert rest.size == table.size - 4
    np.testing.assert_allclose(ops.convert_to_numpy(embedded(values[4:], rest, rows)), whole[:, 1:], rtol=1e-6)
    np.testing.assert_array_equal(whole[0, 1:3], 0)  # neither town nor likes are known


def test_an_id_alone_leaves_no_fields():
    assert without_id(field_table(np.arange(4), pd.DataFrame(index=range(4)), {})) is None

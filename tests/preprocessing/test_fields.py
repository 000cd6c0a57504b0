"""A side's id and attributes as fields: what shares an embedding row, and what a missing value weighs."""

import numpy as np
import pandas as pd
import pytest

from mrlm_core.preprocessing.fields import field_table

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

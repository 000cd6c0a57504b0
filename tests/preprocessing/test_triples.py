"""Numbers for names, corrupted triples, entity vectors to items."""

import numpy as np
import pandas as pd
import pytest

from mrlm_core.errors import DatasetError
from mrlm_core.preprocessing.triples import Corruption, keys, number_triples, spread_entities


def frame(*rows):
    return pd.DataFrame(rows, columns=["head", "relation", "tail"])


def test_names_become_numbers_in_sorted_order_and_strangers_minus_one():
    triples = number_triples(frame(("b", "r", "a"), ("c", "q", "b")))
    np.testing.assert_array_equal(triples.rows, [[1, 1, 0], [2, 0, 1]])
    numbers = triples.number(frame(("a", "q", "c"), ("a", "unknown", "c"), ("x", "r", "y")))
    np.testing.assert_array_equal(numbers, [[0, 0, 2], [0, -1, 2], [-1, 1, -1]])


@pytest.mark.parametrize("rows", [[], [("a", "r", "a")]])
def test_less_than_two_entities_is_an_error(rows):
    with pytest.raises(DatasetError, match=f"knowledge of shop.*two different entities.*{len(rows)} triples"):
        number_triples(frame(*rows), "knowledge of shop")


def test_corrupted_triples_differ_in_one_end_and_are_not_known():
    rng = np.random.default_rng(0)
    # Each head has all tails but two, so that an unfiltered draw is nearly always a known triple.
    triples = np.array([(h, 0, t) for h in range(20) for t in range(20, 40) if (t - h) % 20 > 1])
    false = Corruption(triples, 40, 1)(triples, rng)
    changed = false != triples
    assert not changed[:, 1].any()
    assert (changed.sum(axis=1) == 1).all()
    assert not np.isin(keys(false, 40, 1), keys(triples, 40, 1)).any()


def test_where_every_triple_is_true_a_draw_still_ends():
    triples = np.array([(h, 0, t) for h in range(3) for t in range(3)])
    assert Corruption(triples, 3, 1)(triples, np.random.default_rng(0)).shape == (9, 3)


def test_bernoulli_spares_the_side_with_many_partners():
    triples = np.array([(h, 0, 1000 + h % 2) for h in range(500)])  # 1 tail a head, 250 heads a tail
    for bernoulli, low, high in ((True, 0.0, 0.02), (False, 0.4, 0.6)):
        false = Corruption(triples, 1002, 1, bernoulli)(triples, np.random.default_rng(0))
        assert low <= (false[:, 0] != triples[:, 0]).mean() <= high


def test_an_items_vector_is_its_entitys_and_strangers_are_named(small):
    triples = number_triples(frame(("a", "r", "b"), ("c", "r", "b")))
    dataset = small("knowledge", 4, None)
    vectors, entities = np.array([[1.0], [2.0], [3.0]]), {0: "c", 2: "nowhere", 3: "a"}
    made = spread_entities(vectors, triples, entities, dataset, "x", ("!",))
    np.testing.assert_array_equal(made.values[:, 0], [3, 0, 0, 1])
    np.testing.assert_array_equal(made.mask, [True, False, False, True])
    assert made.encoder == "x"
    assert made.notes[:3] == ("2 triples, 3 entities, 1 relations", "!",
                              "1 items whose entity is in no triple, masked: p2")

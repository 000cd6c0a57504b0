"""The rank of held-out tails among all entities, against a plain loop."""

import numpy as np
import pytest

from mrlm_core.preprocessing import link_prediction
from mrlm_core.preprocessing.link_prediction import frequent_tails, hits_at, split_triples


def random_triples(n=300, entities=40, relations=3, seed=0):
    rng = np.random.default_rng(seed)
    return np.unique(np.stack([rng.integers(m, size=n) for m in (entities, relations, entities)], axis=1), axis=0)


def plain_hits(table, held_out, known, k):
    """Raw and filtered Hits@k, one triple and one entity at a time; scores without ties."""
    true, raw, filtered = {tuple(row) for row in known}, [], []
    for head, kind, tail in held_out:
        scores = table[head, kind]
        better = [e for e in range(len(scores)) if scores[e] > scores[tail]]
        raw.append(len(better) < k)
        filtered.append(sum((head, kind, e) not in true for e in better) < k)
    return np.mean(raw), np.mean(filtered)


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_hits_equal_a_plain_loop(monkeypatch, block):
    monkeypatch.setattr(link_prediction, "BLOCK", block)
    triples = random_triples()
    table = np.random.default_rng(1).normal(size=(40, 3, 40))
    rest, held = split_triples(triples, 0.3, 0)
    found = hits_at(lambda heads, kinds: table[heads, kinds], held, rest, k=5)
    assert (found.raw, found.filtered) == pytest.approx(plain_hits(table, held, triples, 5))
    assert found.filtered > found.raw
    assert (found.tested, found.left_out) == (len(held), 0)
    for kind, share in found.by_relation.items():
        own = held[held[:, 1] == kind]
        assert share == pytest.approx(plain_hits(table, own, triples, 5)[1])


def test_a_tie_over_the_last_place_counts_by_its_chance():
    scores = np.array([[3.0, 1.0, 1.0, 1.0, 0.0]])
    triples = np.array([[0, 0, 1]])
    flat = [hits_at(lambda heads, kinds: scores[heads], triples, triples, k).raw for k in (1, 2, 3, 4)]
    assert flat == pytest.approx([0, 1 / 3, 2 / 3, 1])
    known = np.array([[0, 0, 0], [0, 0, 2]])
    assert hits_at(lambda heads, kinds: scores[heads], triples, known, 1).filtered == pytest.approx(1 / 2)


def test_unknown_names_are_left_out_and_counted():
    table = np.random.default_rng(0).normal(size=(40, 3, 40))
    held = np.array([[0, 0, 1], [0, -1, 1], [-1, 0, 1], [2, 1, -1]])
    found = hits_at(lambda heads, kinds: table[heads, kinds], held, held, 40)
    assert (found.tested, found.left_out, found.raw) == (1, 3, 1.0)
    nothing = hits_at(lambda heads, kinds: table[heads, kinds], held[1:], held, 3)
    assert (nothing.tested, nothing.left_out) == (0, 3)
    assert np.isnan(nothing.raw)


def test_the_rest_still_has_every_entity_and_relation():
    triples = random_triples(60)
    rest, held = split_triples(triples, 0.5, 3)
    assert 0 < len(held) <= 0.5 * len(triples)
    np.testing.assert_array_equal(np.unique(np.concatenate([rest, held]), axis=0), triples)
    assert len(np.unique(np.concatenate([rest, held]), axis=0)) == len(rest) + len(held)
    for columns in ([0, 2], [1]):
        np.testing.assert_array_equal(np.unique(rest[:, columns]), np.unique(triples[:, columns]))
    np.testing.assert_array_equal(held, split_triples(triples, 0.5, 3)[1])
    assert held.tolist() != split_triples(triples, 0.5, 4)[1].tolist()
    alone = np.array([[0, 0, 1]])
    assert len(split_triples(alone, 0.5, 0)[1]) == 0


def test_the_baseline_ranks_by_frequency_in_the_relation():
    triples = np.array([[0, 0, 2], [1, 0, 2], [0, 0, 3], [0, 1, 3]])
    scores = frequent_tails(triples, 5, 2)(np.array([4, 4]), np.array([0, 1]))
    np.testing.assert_array_equal(scores, [[0, 0, 2, 1, 0], [0, 0, 0, 1, 0]])

import numpy as np

from mrlm_core.preprocessing import knowledge
from mrlm_core.preprocessing.features import encode
from mrlm_core.preprocessing.link_prediction import hits_at
from mrlm_core.preprocessing_config import PreprocessingConfig

CONFIG = PreprocessingConfig(knowledge_dim=16, knowledge_epochs=60)


def planted_graph(n_items=60, n_groups=4, seed=0):
    """Items of a group share a maker, and mostly a protocol and a place; (triples, group of each item)."""
    rng = np.random.default_rng(seed)
    group = rng.integers(n_groups, size=n_items)
    triples = [
        (f"item{i}", relation, f"{relation}{group[i] if rng.random() < 0.9 else rng.integers(n_groups)}")
        for i in range(n_items) for relation in ("maker", "protocol", "place", "chip")
    ]
    return triples, group


def test_items_of_a_group_are_near_and_strangers_masked(small):
    triples, group = planted_graph()
    features = encode(small("knowledge", 62, (triples, {i: f"item{i}" for i in range(60)})), "knowledge", CONFIG, 0)
    np.testing.assert_array_equal(features.mask, np.arange(62) < 60)
    assert features.values.shape == (62, 16)
    values = features.values[:60]
    distance = np.linalg.norm(values[:, None] - values, axis=-1) + 1e9 * np.eye(60)
    nearest = distance.argsort(axis=1)[:, :5]
    assert (group[nearest] == group[:, None]).mean() > 0.8  # chance: a quarter
    assert (np.linalg.norm(values, axis=1) <= 1 + 1e-5).all()


def test_held_out_tails_are_found_far_above_chance():
    triples, _ = planted_graph(n_items=120)
    names = {name: i for i, name in enumerate(dict.fromkeys(x for head, _, tail in triples for x in (head, tail)))}
    kinds = {"maker": 0, "protocol": 1, "place": 2, "chip": 3}
    indexed = np.array([(names[h], kinds[r], names[t]) for h, r, t in triples])
    order = np.random.default_rng(0).permutation(len(indexed))
    held, rest = indexed[order[:40]], indexed[order[40:]]
    trained = knowledge.train_transe(rest, len(names), 4, dim=16, epochs=80, seed=0)
    untrained = knowledge.train_transe(rest, len(names), 4, dim=16, epochs=0, seed=0)
    assert hits_at(trained.tail_scores, held, indexed, 3).raw > 0.6
    assert hits_at(untrained.tail_scores, held, indexed, 3).raw < 0.2


def test_tail_scores_are_minus_the_squared_distance():
    line = knowledge.TranslationEmbedding(np.array([[0.0], [1.0], [1.5], [4.0]]), np.array([[1.0]]))
    np.testing.assert_allclose(line.tail_scores(np.array([0, 1]), np.array([0, 0])),
                               [[-1, 0, -0.25, -9], [-4, -1, -0.25, -4]])


def test_same_seed_same_bytes_other_seed_other_bytes(small):
    triples, _ = planted_graph()
    entities = {i: f"item{i}" for i in range(60)}
    first, second, other = (
        encode(small("knowledge", 60, (triples, entities)), "knowledge", CONFIG, seed).values for seed in (0, 0, 1)
    )
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != other.tobytes()


def test_an_item_whose_entity_is_in_no_triple_is_masked(small):
    triples, _ = planted_graph()
    dataset = small("knowledge", 61, (triples, {0: "item0", 60: "nowhere"}))
    features = encode(dataset, "knowledge", CONFIG, 0)
    np.testing.assert_array_equal(np.flatnonzero(features.mask), [0])
    assert any("1 items whose entity is in no triple" in note and "p60" in note for note in features.notes)

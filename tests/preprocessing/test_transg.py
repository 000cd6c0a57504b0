"""TransG: its likelihood, the components it opens, and what an encoder promises."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from mrlm_core.errors import DatasetError
from mrlm_core.preprocessing.features import encode
from mrlm_core.preprocessing.link_prediction import hits_at, split_triples
from mrlm_core.preprocessing.transg import TranslationMixture, component_log_likelihoods, train_transg
from mrlm_core.preprocessing_config import PreprocessingConfig

CONFIG = PreprocessingConfig(encoders={"knowledge": "transg"}, knowledge_dim=8, knowledge_epochs=8, transg_epochs=4,
                             transg_settling_epochs=2)
MAKER, MIDDLE, PLACE, NEXT, ABOUT = range(5)
ITEMS, GROUPS = 60, 6


def two_meanings():
    """Items of a group share maker, middle and place; ``about`` means now the maker, now the place, never the middle.

    ``next`` leads from maker to middle and from middle to place: so the one translation that is nearest to both
    meanings of ``about`` leads to the middle, which is wrong.
    """
    items = np.arange(ITEMS)
    ends = [ITEMS + GROUPS * kind + items % GROUPS for kind in (MAKER, MIDDLE, PLACE)]
    parts = [(items, kind, ends[kind]) for kind in (MAKER, MIDDLE, PLACE)]
    parts += [(ends[MAKER], NEXT, ends[MIDDLE]), (ends[MIDDLE], NEXT, ends[PLACE])]
    parts += [(items, ABOUT, ends[MAKER]), (items, ABOUT, ends[PLACE])]
    return np.unique(np.concatenate([np.stack([h, np.full(ITEMS, r), t], axis=1) for h, r, t in parts]), axis=0)


@pytest.fixture(scope="module")
def trained():
    """(triples, held-out ones of the double relation, mixture of several translations, mixture of one)."""
    triples = two_meanings()
    rest, held = split_triples(triples, 0.2, 0)
    held = held[held[:, 1] == ABOUT]
    config = dataclasses.replace(CONFIG, knowledge_dim=16, knowledge_epochs=400, transg_epochs=60,
                                 transg_settling_epochs=20)
    one = dataclasses.replace(config, transg_components=1)
    return triples, held, *(train_transg(rest, ITEMS + 3 * GROUPS, 5, settings, seed=0) for settings in (config, one))


def some_mixture(seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(3), size=2).astype(np.float32)
    weights[1] = [0.3, 0, 0.7]
    return TranslationMixture(rng.normal(size=(5, 4)).astype(np.float32),
                              rng.normal(size=(2, 3, 4)).astype(np.float32), weights, scale=0.7)


def plain_likelihood(mixture, head, kind, tail):
    """pi_rm exp(-||h + u_rm - t|| / scale) of each component m."""
    away = mixture.entities[head] + mixture.means[kind] - mixture.entities[tail]
    return mixture.weights[kind] * np.exp(-np.linalg.norm(away, axis=1) / mixture.scale)


def test_the_likelihood_is_the_mixture_of_translations():
    mixture = some_mixture()
    queries = np.array([(h, r) for h in range(5) for r in range(2)])
    expected = [[plain_likelihood(mixture, h, r, t) for t in range(5)] for h, r in queries]
    found = mixture.tail_scores(*queries.T)
    np.testing.assert_allclose(found, np.log(np.sum(expected, axis=2)), rtol=1e-4)
    triples = np.array([(h, r, t) for h, r in queries for t in range(5)])
    np.testing.assert_array_equal(mixture.component_of(triples), np.reshape(expected, (-1, 3)).argmax(axis=1))


def test_a_likelihood_too_small_for_float32_keeps_its_logarithm_and_gradient():
    means, weights = tf.constant([[[30.0], [40.0]]]), tf.constant([[0.5, 0.0]])  # B = K = d = 1, M = 2
    with tf.GradientTape() as tape:
        tape.watch(means)
        logs = component_log_likelihoods(tf.constant([[[0.0]]]), means, weights, 0.1)
        total = tf.reduce_logsumexp(logs)
    np.testing.assert_allclose(total, np.log(0.5) - 300, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(total, means).numpy().ravel(), [-10, 0], rtol=1e-6)


def test_a_relation_of_two_meanings_gets_two_translations(trained):
    triples, _, several, one = trained
    assert several.n_components[ABOUT] >= 2
    assert one.n_components.tolist() == [1] * 5
    about = triples[triples[:, 1] == ABOUT]
    meaning = about[:, 2] >= ITEMS + GROUPS * PLACE
    component = several.component_of(about)
    own = [meaning[component == found].mean() for found in component]
    assert np.maximum(own, np.subtract(1, own)).mean() > 0.8  # one component would have half of each


def test_held_out_tails_of_both_meanings_are_found(trained):
    triples, held, several, _ = trained
    place = held[:, 2] >= ITEMS + GROUPS * PLACE
    for meaning in (held[place], held[~place]):
        assert hits_at(several.tail_scores, meaning, triples, 1).filtered > 0.7  # by chance 1 in 78


def test_weights_sum_to_one_and_entities_stay_in_the_unit_ball(trained):
    _, _, several, _ = trained
    np.testing.assert_allclose(several.weights.sum(axis=1), 1, rtol=1e-5)
    assert np.linalg.norm(several.entities, axis=1).max() <= 1 + 1e-5


def test_encoded_items_strangers_masked_same_seed_same_bytes(small):
    rows = [(f"p{h}", f"r{r}", f"p{t}") for h, r, t in two_meanings()]
    entities = {**{i: f"p{i}" for i in range(20)}, 21: "nowhere"}
    first, second, other = (encode(small("knowledge", 22, (rows, entities)), "knowledge", CONFIG, seed)
                            for seed in (0, 0, 1))
    assert first.values.tobytes() == second.values.tobytes()
    assert first.values.tobytes() != other.values.tobytes()
    np.testing.assert_array_equal(first.mask, np.arange(22) < 20)
    assert first.encoder == "transg"
    assert any(note.startswith("translations found: r0 ") for note in first.notes)
    assert any("no triple, masked: p21" in note for note in first.notes)


def test_few_triples_work_and_none_is_an_error(small):
    made = encode(small("knowledge", 1, ([("a", "r", "b")], {0: "a"})), "knowledge", CONFIG, 0)
    assert np.isfinite(made.values).all()
    assert made.values.any()
    with pytest.raises(DatasetError, match="two different entities"):
        encode(small("knowledge", 1, ([], {})), "knowledge", CONFIG, 0)

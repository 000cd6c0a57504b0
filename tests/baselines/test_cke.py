"""CKE: its sum of vectors, TransR's distance, the autoencoders' loss, and a dataset without a knowledge graph."""

import numpy as np
import pytest
from keras import ops

from mrlm_core.baselines.cke import NOISE, Autoencoder, TriplesToo, entity_numbers
from mrlm_core.baselines.registry import build
from mrlm_core.preprocessing.triples import keys
from mrlm_core.training.triplets import TripletSampler

ITEMS, BARE = 48, 47  # of the fixture ``planted``: the last item has no text, no picture, no entity
SMALL = {"dim": 6, "units": 10, "code_scale": 0.3, "max_epochs": 2, "batch_size": 64}


@pytest.fixture(scope="module")
def own(described):
    """Text and image as CKE takes them."""
    return {role: described["features"][role] for role in ("text", "image")}


@pytest.fixture(scope="module")
def fitted(planted, described, own):
    model = build("CKE", SMALL)
    model.fit(planted, seed=1, features=own, triples=described["triples"])
    return model


def by_hand(autoencoder, values):
    """Code and reconstruction of ``values``, layer by layer."""
    (w1, b1), (w2, b2) = (layer.get_weights() for layer in autoencoder.encoder)
    (w3, b3), (w4, b4) = (layer.get_weights() for layer in autoencoder.decoder)
    code = np.tanh(values @ w1 + b1) @ w2 + b2
    return code, np.tanh(code @ w3 + b3) @ w4 + b4


def test_transr_loss_of_triples_equals_its_definition(fitted, described):
    network, (triples, _) = fitted.model, described["triples"]
    rng = np.random.default_rng(0)
    rows = np.stack([rng.integers(0, len(triples.entities), 9), np.zeros(9, int),
                     *rng.integers(0, len(triples.entities), (3, 9))], axis=1).astype(np.int32)
    entities, relations, projections = (
        ops.convert_to_numpy(weights) for weights in (network.entities, network.relations, network.projections))

    def distance(head, relation, tail):
        moved = entities[head] @ projections[relation] + relations[relation] - entities[tail] @ projections[relation]
        return (moved**2).sum()

    expected = [np.log1p(np.exp(distance(h, r, t) - distance(fh, r, ft))) for h, r, t, fh, ft in rows]
    np.testing.assert_allclose(network.triple_losses(rows), expected, rtol=1e-5)


def test_an_item_is_the_sum_of_its_own_vector_its_entity_and_its_scaled_codes(fitted, own, described):
    network = fitted.model
    states = network.vectors()[1]
    eta, entities = ops.convert_to_numpy(network.items), ops.convert_to_numpy(network.entities)
    place = described["triples"][0].entities.get_loc("item5")
    codes = [by_hand(code, own[role].values[5] / np.linalg.norm(own[role].values[5]))[0]
             for code, role in zip(network.modalities, own, strict=True)]
    scale = SMALL["code_scale"]
    np.testing.assert_allclose(states[5], eta[5] + entities[place] + scale * sum(codes), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(states[BARE], eta[BARE], rtol=1e-6)


def test_reconstruction_is_the_squared_error_of_described_items_only():
    rng = np.random.default_rng(3)
    values, mask = rng.normal(size=(5, 4)).astype(np.float32), np.array([1, 1, 0, 1, 1], bool)
    autoencoder = Autoencoder(values, mask, units=6, dim=3)
    code, error = autoencoder(np.arange(5))
    found, again = by_hand(autoencoder, values)
    np.testing.assert_allclose(error, ((again - values) ** 2).sum(axis=1) * mask, rtol=1e-4)
    np.testing.assert_allclose(code, found * mask[:, None], rtol=1e-4, atol=1e-6)


def test_training_hides_numbers_from_the_autoencoder_but_not_from_its_target():
    values = np.ones((400, 5), np.float32)
    autoencoder = Autoencoder(values, np.ones(400), units=3, dim=2)
    seen = ops.convert_to_numpy(autoencoder.noise(values, training=True))
    assert np.mean(seen == 0) == pytest.approx(NOISE, abs=0.05)
    autoencoder(np.arange(2))
    for layer in (*autoencoder.encoder, *autoencoder.decoder):
        layer.set_weights([np.zeros_like(weights) for weights in layer.get_weights()])
    np.testing.assert_allclose(autoencoder(np.arange(400), training=True)[1], 5.0)


def test_the_joint_loss_weighs_its_terms(fitted, planted, own, described):
    network = fitted.model
    sampler = TriplesToo(TripletSampler(planted, "uniform"), described["triples"][0])
    found = network(sampler.epoch(np.random.default_rng(2), 32)[:32])
    plain = np.log1p(np.exp(found["negative"] - found["positive"])).mean() + fitted.l2 / 2 * found["size"]
    expected = plain + fitted.triples_weight * found["triples"] + fitted.reconstruction_weight * found["reconstruction"]
    assert float(network.compute_loss(y_pred=found)) == pytest.approx(float(expected), rel=1e-5)
    assert float(found["triples"]) > 0
    assert float(found["reconstruction"]) > 0


def test_the_triples_beside_the_ratings_are_true_and_corrupted_ones(planted, described):
    triples, _ = described["triples"]
    triplets = TripletSampler(planted, "uniform")
    rows = TriplesToo(triplets, triples).epoch(np.random.default_rng(4), 32)
    np.testing.assert_array_equal(rows[:, :3], triplets.epoch(np.random.default_rng(4), 32))
    sizes = len(triples.entities), len(triples.relations)
    known = keys(triples.rows, *sizes)
    true, false = rows[:, 3:6].astype(np.int64), rows[:, [6, 4, 7]].astype(np.int64)
    assert np.isin(keys(true, *sizes), known).all()
    assert not np.isin(keys(false, *sizes), known).any()
    assert ((true != false).sum(axis=1) == 1).all()


def test_without_a_knowledge_graph_it_is_left_out_and_said_so(planted, own):
    model = build("CKE", SMALL)
    model.fit(planted, seed=1, features=own, triples=None)
    assert "left out" in model.report["knowledge"]
    assert np.isfinite(model.score(np.arange(planted.n_users))).all()
    assert set(model.model(np.zeros((2, 3), np.int32))) == {"positive", "negative", "size", "reconstruction"}


def test_content_of_the_plus_version_has_a_code_of_its_own(planted, described, own):
    more = build("CKE+", SMALL)
    content = np.eye(ITEMS, 7, dtype=np.float32)
    more.fit(planted, seed=1, features=own, triples=described["triples"], content=content)
    assert len(more.model.modalities) == len(own) + 1
    code, _ = by_hand(more.model.modalities[-1], content[3])
    rest = sum(by_hand(part, made.values[3] / np.linalg.norm(made.values[3]))[0]
               for part, made in zip(more.model.modalities, own.values(), strict=False))
    eta, entities = (ops.convert_to_numpy(table)[place] for table, place in (
        (more.model.items, 3), (more.model.entities, described["triples"][0].entities.get_loc("item3"))))
    expected = eta + entities + SMALL["code_scale"] * (rest + code)
    np.testing.assert_allclose(more.factors()[1][3], expected, rtol=1e-4, atol=1e-5)


def test_an_entity_in_no_triple_counts_as_none(described):
    triples, _ = described["triples"]
    numbers = entity_numbers(triples, {0: "item3", 2: "a stranger"}, 4)
    nobody = len(triples.entities)
    assert numbers.tolist() == [triples.entities.get_loc("item3"), nobody, nobody, nobody]

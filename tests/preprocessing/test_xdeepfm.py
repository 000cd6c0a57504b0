"""xDeepFM: the CIN against loops, a pair's score against NumPy, and both read-outs on a planted block structure."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

from mrlm_core.config import preset
from mrlm_core.preprocessing.fields import field_table
from mrlm_core.preprocessing.initial_features import BY_COSINE, cosine_recall
from mrlm_core.preprocessing.xdeepfm import (
    READ_OUTS,
    PairXDeepFM,
    TwoTowerXDeepFM,
    compressed_interactions,
    train_xdeepfm,
)
from mrlm_core.preprocessing_config import READ_OUTS as NAMES

TRIPLETS = np.array([[0, 5, 7], [39, 119, 0]], np.int32)


def settings(**changes):
    return preset("tiny", {f"preprocessing.{name}": value for name, value in changes.items()}).preprocessing


def trained(planted, seed=0, **changes):
    dataset, parts, *_ = planted
    return train_xdeepfm(dataset, parts, 16, settings(initial_learning_rate=0.02, **changes), seed)


def untrained(planted, kind):
    dataset = planted[0]
    keras.utils.set_random_seed(0)
    return kind(field_table(dataset.user_ids, dataset.users, {}),
                field_table(dataset.item_ids, dataset.items, dataset.item_fields), 16, settings())


def cosines(a, b):
    return (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T


def literal_cin(base, kernels):
    """Lian et al. 2018, Eq. 6: every pair of a map and a field, multiplied along D; kernels ``[H_{k-1} m, H_k]``."""
    state, pooled = base, []
    for flat in kernels:
        kernel = flat.reshape(state.shape[1], base.shape[1], -1)
        following = np.zeros((len(base), kernel.shape[2], base.shape[2]))
        for h in range(kernel.shape[2]):
            for i in range(kernel.shape[0]):
                for j in range(kernel.shape[1]):
                    following[:, h] += kernel[i, j, h] * state[:, i] * base[:, j]
        state = following
        pooled.append(state.sum(axis=2))
    return np.concatenate(pooled, axis=1)


def test_there_is_a_model_for_each_read_out_of_the_settings():
    assert tuple(READ_OUTS) == NAMES


def test_cin_is_its_triple_sum():
    layers = [keras.layers.Dense(size, use_bias=False) for size in (5, 2)]
    base = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    found = ops.convert_to_numpy(compressed_interactions(ops.convert_to_tensor(base), layers))
    literal = literal_cin(base, [layer.get_weights()[0] for layer in layers])
    assert found.shape == literal.shape == (2, 7)
    np.testing.assert_allclose(found, literal, rtol=1e-4, atol=1e-5)


def test_read_out_d_scores_a_pair_by_the_scaled_cosine_of_its_vectors(planted):
    model = untrained(planted, TwoTowerXDeepFM)
    users, items = model.vectors(batch_size=50)
    out = model(TRIPLETS)
    for name, column in (("positive", 1), ("negative", 2)):
        cosine = np.diag(cosines(users[TRIPLETS[:, 0]], items[TRIPLETS[:, column]]))
        np.testing.assert_allclose(ops.convert_to_numpy(out[name]), 5.0 * cosine, rtol=1e-3, atol=1e-4)


def literal_pair(model, user, item):
    """Logit of a pair, vector of its user, vector of its item: Lian et al. 2018, Eq. 15, one value at a time."""
    embedding, linear = (ops.convert_to_numpy(weights) for weights in (model.embedding, model.linear))
    fields, first_order, vectors = [], 0.0, []
    for side, (table, member) in enumerate(zip(model.sides, (user, item), strict=True)):
        own = []
        for indices, weights in zip(table.indices[member], table.weights[member], strict=True):
            places = indices + (model.sides[0].size if side else 0)
            own.append(sum(weight * embedding[place] for weight, place in zip(weights, places, strict=True)))
            first_order += sum(weight * linear[place, 0] for weight, place in zip(weights, places, strict=True))
        vectors.append(np.concatenate(own) @ model.read_out[side].get_weights()[0])
        fields += own
    hidden = np.concatenate(vectors)
    for layer in model.deep:
        kernel, bias = layer.get_weights()
        hidden = np.maximum(hidden @ kernel + bias, 0)
    interactions = literal_cin(np.stack(fields)[None], [layer.get_weights()[0] for layer in model.cin])[0]
    kernel, bias = model.output_layer.get_weights()
    return first_order + (np.concatenate([interactions, hidden]) @ kernel + bias)[0], *vectors


def test_read_out_a_scores_a_pair_by_linear_part_cin_and_deep_part(planted):
    model = untrained(planted, PairXDeepFM)
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:  # none of its parts may vanish, as the linear one does at the start
        weight.assign(rng.normal(0, 0.5, weight.shape))
    users, items = model.vectors(batch_size=50)
    out = model(TRIPLETS)
    for name, column in (("positive", 1), ("negative", 2)):
        for row, triplet in enumerate(TRIPLETS):
            logit, user, item = literal_pair(model, triplet[0], triplet[column])
            np.testing.assert_allclose(float(out[name][row]), logit, rtol=1e-3)
            np.testing.assert_allclose(users[triplet[0]], user, rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(items[triplet[column]], item, rtol=1e-3, atol=1e-4)


def test_read_out_d_finds_the_blocks_and_users_lie_among_their_items(planted):
    _, parts, of_users, of_items = planted
    made = trained(planted, initial_epochs=15, initial_patience=15)
    assert made["users"].shape == (len(of_users), 16)
    assert made["items"].shape == (len(of_items), 16)
    recall = cosine_recall(made["users"], made["items"], parts)
    assert recall > 0.8  # chance is 20 of about 112
    assert recall == pytest.approx(made["history"].max())
    assert str(made["measure"]) == BY_COSINE
    found, own = cosines(made["users"], made["items"]), of_users[:, None] == of_items
    assert found[own].mean() > found[~own].mean() + 0.5


def test_read_out_a_finds_the_blocks_of_each_side(planted):
    """Nothing brings users near their items (see PairXDeepFM); those of a block share what the model learned."""
    _, _, *blocks = planted
    made = trained(planted, read_out="A", initial_epochs=10, initial_patience=10)
    assert made["history"].max() > 0.72  # chance is 0.5; a sixth of the negatives are of the user's own block
    for vectors, of_block in zip((made["users"], made["items"]), blocks, strict=True):
        found, others = cosines(vectors, vectors), ~np.eye(len(vectors), dtype=bool)
        own = of_block[:, None] == of_block
        assert found[own & others].mean() > found[~own].mean() + 0.3


@pytest.mark.parametrize("read_out", NAMES)
def test_vectors_follow_the_seed_and_the_training_positives_alone(planted, read_out):
    dataset, parts, *_ = planted
    first = trained(planted, read_out=read_out, initial_epochs=1)
    other = dataclasses.replace(parts, validation=parts.validation[::-1], validation_rated=parts.validation[::-1])
    again = trained((dataset, other), read_out=read_out, initial_epochs=1)  # the one epoch is the best, whatever it is
    assert again["history"] != first["history"]
    for side in ("users", "items"):
        np.testing.assert_array_equal(again[side], first[side])
        assert np.isfinite(first[side]).all()


def test_without_validation_positives_read_out_a_has_no_measure(planted):
    _, parts, *_ = planted
    empty = dataclasses.replace(parts, validation=parts.validation * 0)
    empty.validation.eliminate_zeros()
    assert np.isnan(untrained(planted, PairXDeepFM).validation(empty))

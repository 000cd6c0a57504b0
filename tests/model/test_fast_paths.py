"""Each compiled pass against Keras' own layers: values, gradients, statistics, and the curve of a short training."""

import dataclasses
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mrlm_core.config import preset
from mrlm_core.model.convolution import ConvolutionBlock
from mrlm_core.model.dropout import Dropout
from mrlm_core.model.gfrl import class_logits
from mrlm_core.model.losses import cross_entropy
from mrlm_core.model.mrlm import MRLM
from mrlm_core.training.optimizer import Adam

TINY = preset("tiny", {"model.dropout": 0.0, "model.identity_head": "full"}).model
SHAPES = [(4, 7, 3), (9, 5, 1), (1, 6, 2)]


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def in_graph(function, *arrays):
    """Value and gradients of ``sum(function * weights)`` inside a TensorFlow graph, where passes are compiled."""

    @tf.function
    def run(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(*tensors)
            total = tf.reduce_sum(value * tf.constant(numbers(*value.shape, seed=9)))
        return value, tape.gradient(total, tensors)

    value, gradients = run(*map(tf.constant, arrays))
    return value.numpy(), [gradient.numpy() for gradient in gradients]


def assert_equal_in_graph(ours, plain, *arrays, rtol=1e-4, atol=1e-5):
    (value, gradients), (expected, wanted) = in_graph(ours, *arrays), in_graph(plain, *arrays)
    np.testing.assert_allclose(value, expected, rtol=rtol, atol=atol)
    for found, other in zip(gradients, wanted, strict=True):
        assert np.abs(other).max() > 1e-3
        np.testing.assert_allclose(found, other, rtol=rtol, atol=atol)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_block_in_training_is_convolution_normalisation_and_relu(shape):
    block = ConvolutionBlock(5, 1, TINY)
    block.build(shape)
    weights = [w + numbers(*w.shape, seed=i) * 0.3 for i, w in enumerate(block.get_weights()[:3])]
    start = [*weights, *block.get_weights()[3:]]

    def run(call):
        block.set_weights(start)
        result = in_graph(call, numbers(*shape, seed=5))
        return result, block.get_weights()[3:]

    (value, (gradient,)), statistics = run(lambda x: block(x, training=True))
    (expected, (wanted,)), kept = run(
        lambda x: keras.ops.relu(block.normalisation(block.convolution(x), training=True)))
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-3, atol=1e-4)
    for found, other in zip(statistics, kept, strict=True):
        assert (other != start[3]).any()
        np.testing.assert_allclose(found, other, rtol=1e-4, atol=1e-6)


def test_a_block_in_inference_uses_the_moving_statistics():
    block = ConvolutionBlock(5, 2, TINY)
    x = numbers(*SHAPES[0])
    block.build(x.shape)
    block.set_weights([*block.get_weights()[:3], numbers(5, seed=1), numbers(5, seed=2) ** 2 + 0.5])
    plain = keras.ops.relu(block.normalisation(block.convolution(x), training=False))
    np.testing.assert_array_equal(block(x, training=False), plain)


@pytest.mark.parametrize("classes", [2, 7, 130])
def test_cross_entropy_is_keras(classes):
    ids = np.arange(6) % classes
    logits = numbers(6, classes) * 5
    assert_equal_in_graph(
        lambda x: cross_entropy(x, ids),
        lambda x: keras.ops.sparse_categorical_crossentropy(ids, x, from_logits=True), logits)


def test_cross_entropy_of_large_logits_is_finite():
    value, (gradient,) = in_graph(lambda x: cross_entropy(x, np.array([0, 1])), np.array([[1e4, -1e4]] * 2, np.float32))
    np.testing.assert_allclose(value, [0, 2e4])
    assert np.isfinite(gradient).all()


def test_class_logits_are_a_product_and_a_bias():
    assert_equal_in_graph(
        class_logits, lambda g, kernel, bias: tf.matmul(g, kernel, transpose_b=True) + bias,
        numbers(4, 3), numbers(6, 3, seed=1), numbers(6, seed=2))


@pytest.mark.parametrize(("rate", "width"), [(0.5, 400), (0.75, 391), (0.1, 401)])
def test_dropout_drops_at_its_rate_scales_the_rest_and_passes_gradients_where_it_passed_values(rate, width):
    keras.utils.set_random_seed(1)
    layer, x = Dropout(rate), numbers(500, width) + 10
    value, (gradient,) = in_graph(lambda t: layer(t, training=True), x)
    dropped = value == 0
    assert dropped.mean() == pytest.approx(rate, abs=0.005)
    np.testing.assert_allclose(dropped.mean(axis=0), rate, atol=0.12)  # each column, and so each place in a number
    np.testing.assert_allclose(value[~dropped], x[~dropped] / (1 - rate), rtol=1e-6)
    np.testing.assert_array_equal(gradient == 0, dropped)
    for apart in (1, 2, 15, 29):  # elements that share a random number are independent
        together = np.corrcoef(dropped[:, :-apart].ravel(), dropped[:, apart:].ravel())[0, 1]
        assert abs(together) < 0.01
    again, _ = in_graph(lambda t: layer(t, training=True), x)
    assert (again != value).any()
    np.testing.assert_array_equal(layer(x, training=False), x)


@pytest.fixture
def literal(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2]))
    sys.modules.pop("benchmarks", None)
    from benchmarks.naive import LiteralMRLM

    return LiteralMRLM


def models(literal, config, **options):
    users, items = numbers(20, config.embedding_dim), numbers(31, config.embedding_dim, seed=1)
    clusters = {name: np.arange(31, dtype=np.int32) % 3 for name in ("text", "image")}
    clusters["image"][:4] = -1
    keras.utils.set_random_seed(0)
    ours = MRLM(config, users, items, clusters)
    other = literal(config, users, items, clusters, **options)
    other.set_weights(ours.get_weights())
    return ours, other


def curve(model, optimizer, epochs=6):
    rng = np.random.default_rng(3)
    rows = np.stack([rng.integers(0, n, 160, dtype=np.int32) for n in (20, 31, 31)], axis=1)
    model.compile(optimizer=optimizer, steps_per_execution=5 if type(model) is MRLM else 1)
    logs = model.fit(rows, batch_size=32, epochs=epochs, shuffle=False, verbose=0).history
    return {term: np.array(values) for term, values in logs.items()}


@pytest.mark.parametrize("verification", ["as-printed", "repaired"])
def test_a_short_training_follows_the_literal_one(literal, verification):
    ours, plain = models(literal, dataclasses.replace(TINY, verification=verification), stacked=True)
    found, expected = curve(ours, Adam(0.003)), curve(plain, keras.optimizers.Adam(0.003))
    assert set(found) == set(expected)
    for term, values in expected.items():
        np.testing.assert_allclose(found[term], values, rtol=2e-3, atol=2e-3, err_msg=term)
    assert expected["loss"][0] - expected["loss"][-1] > 0.1
    for ours_weight, other in zip(ours.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours_weight, other, rtol=0.05, atol=0.01)


def test_the_curves_differ_when_the_learning_rate_does(literal):
    ours, plain = models(literal, TINY, stacked=True)
    found, expected = curve(ours, Adam(0.001)), curve(plain, keras.optimizers.Adam(0.003))
    assert abs(found["loss"][-1] - expected["loss"][-1]) > 0.05


def test_in_bfloat16_weights_and_losses_stay_float32_and_the_curve_stays_near(literal):
    full, _ = models(literal, TINY)
    half, _ = models(literal, dataclasses.replace(TINY, precision="bfloat16"))
    half.set_weights(full.get_weights())
    assert {w.dtype for w in half.get_weights()} == {np.dtype("float32"), np.dtype("int32")}
    out = half(np.zeros((4, 3), np.int32))
    assert keras.backend.standardize_dtype(out["item_identity"][0].dtype) == "bfloat16"  # else nothing is in 16 bits
    assert {keras.backend.standardize_dtype(t.dtype) for t in half.loss_terms(out).values()} == {"float32"}
    found, expected = curve(half, Adam(0.003)), curve(full, Adam(0.003))
    assert (found["loss"] != expected["loss"]).any()
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=0.03)


def test_bfloat16_works_with_sampled_heads_and_gives_rows_of_gradient():
    config = dataclasses.replace(TINY, precision="bfloat16", identity_head="sampled", sampled_candidates=8)
    model = MRLM(config, numbers(20, config.embedding_dim), numbers(31, config.embedding_dim, seed=1))
    with tf.GradientTape() as tape:
        loss = model.joint_loss(model.loss_terms(model(np.array([[1, 2, 3], [4, 5, 6]], np.int32), training=True)))
    gradient = tape.gradient(loss, model.item_identity.kernel.value)
    assert isinstance(gradient, tf.IndexedSlices)
    assert {2, 5, 3, 6} <= set(gradient.indices.numpy().tolist())
    assert np.isfinite(gradient.values.numpy()).all()

"""The dense control of the triplet network: its size, its layers, and that the default model is as it was."""

import keras
import numpy as np
import pytest

from mrlm_core.baselines.registry import build
from mrlm_core.config import preset
from mrlm_core.errors import ConfigError
from mrlm_core.model.dense_trunk import DenseTrunk, dense_units, trunk
from mrlm_core.model.gfrl import DifferenceCalculation, TripletNetwork
from mrlm_core.model.mrlm import MRLM

RNG = np.random.default_rng(0)


def made(config, seed=5):
    keras.utils.set_random_seed(seed)
    features = [np.random.default_rng(1).normal(size=(n, config.embedding_dim)) for n in (6, 7)]
    return MRLM(config, *features, {"text": np.arange(7) % 3})


def test_the_default_is_bit_for_bit_the_convolutions():
    config = preset("tiny").model
    assert config.trunk == "convolution"
    model, again = made(config), made(preset("tiny", {"model.trunk": "convolution"}).model)
    assert isinstance(model.trunk, TripletNetwork)
    for ours, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # The same seed must give the same start as these layers made on their own, in the order of §3.2.
    keras.utils.set_random_seed(5)
    network = TripletNetwork(config, name="triplet_network", dtype="float32")
    difference = DifferenceCalculation(config.verification_units, None, name="dcp")
    low_level = (1, config.trunk_channels[0], config.embedding_dim // config.first_stride)
    difference.build(low_level, low_level)
    network(np.zeros((1, config.embedding_dim)))
    np.testing.assert_array_equal(model.difference.get_weights()[0], difference.get_weights()[0])
    for ours, theirs in zip(model.trunk.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["paper", "laptop", "tiny"])
def test_the_dense_model_has_about_as_many_parameters(name):
    sizes = []
    for kind in ("convolution", "mlp"):
        config = preset(name, {"model.trunk": kind}).model
        model = made(config)
        layers = (model.trunk, model.difference)
        sizes.append(sum(int(np.prod(v.shape)) for layer in layers for v in layer.trainable_variables))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.05)


def test_the_dense_trunk_equals_its_layers():
    config = preset("tiny", {"model.trunk": "mlp", "model.output_activation": "linear"}).model
    network = trunk(config)
    assert isinstance(network, DenseTrunk)
    initial = RNG.normal(size=(4, config.embedding_dim)).astype(np.float32)
    g, low_level = network(initial)
    state, first = initial, None
    for block in network.blocks:
        kernel, gamma, beta, mean, variance = block.get_weights()
        state = np.maximum((state @ kernel - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0)
        first = state if first is None else first
    kernel, bias = network.fc.get_weights()
    np.testing.assert_allclose(g, state @ kernel + bias, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(low_level[:, 0], first, rtol=1e-4, atol=1e-5)
    assert tuple(low_level.shape) == (4, *network.low_level_shape) == (4, 1, dense_units(config))


def test_training_normalises_by_the_batch_and_keeps_its_statistics():
    config = preset("tiny", {"model.trunk": "mlp"}).model
    block = trunk(config).blocks[0]
    values = RNG.normal(3, 2, size=(64, config.embedding_dim)).astype(np.float32)
    outputs = block(values, training=True)
    assert abs(float(np.mean(np.asarray(outputs) == 0)) - 0.5) < 0.1
    assert np.abs(block.normalisation.moving_mean).max() > 0


def test_the_row_fixes_its_setting():
    model = build("MRLM (MLP trunk)", {"preset_name": "tiny", "model.trunk": "convolution", "model.dropout": 0.2})
    assert model.config.model.trunk == "mlp"
    assert model.config.model.dropout == 0.2


def test_another_trunk_is_refused():
    with pytest.raises(ConfigError, match=r"model\.trunk"):
        preset("tiny", {"model.trunk": "mpl"})

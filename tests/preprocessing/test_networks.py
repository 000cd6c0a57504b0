"""Image networks: weights land where they belong or the error says why; batches, resuming, masked files."""

import dataclasses
import io

import h5py
import numpy as np
import pytest
from PIL import Image, ImageDraw

from mrlm_core.errors import ConfigError
from mrlm_core.preprocessing import networks, streaming
from mrlm_core.preprocessing.features import encode
from mrlm_core.preprocessing.vectors import Unreadable
from mrlm_core.preprocessing_config import PreprocessingConfig

CONFIG = PreprocessingConfig(encoders={"image": "squeezenet"}, picture_batch=2)
LAYERS = {"conv1": (3, 3, 64)} | {
    f"fire{n}/{part}": shape
    for n, squeeze, depth in zip(range(2, 10), (16, 16, 32, 32, 48, 48, 64, 64),
                                 (64, 128, 128, 256, 256, 384, 384, 512), strict=True)
    for part, shape in (("squeeze1x1", (1, depth, squeeze)), ("expand1x1", (1, squeeze, 4 * squeeze)),
                        ("expand3x3", (3, squeeze, 4 * squeeze)))
}


def write_weights(path, layers, seed=0):
    """A file in the layout of keras-squeezenet: (side, depth, channels) by layer name, random kernels and biases."""
    rng = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in ("input_1", *layers, "drop9")]
        for name in ("input_1", "drop9"):
            file.create_group(name).attrs["weight_names"] = np.zeros(0)
        for number, (name, (side, depth, channels)) in enumerate(layers.items(), start=1):
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"uniform{number}".encode(), f"{name}_b".encode()]
            group[f"uniform{number}"] = rng.normal(0, (2 / side / side / depth) ** 0.5, (side, side, depth, channels))
            group[f"{name}_b"] = rng.normal(0, 0.1, channels)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights") / "squeezenet.h5", LAYERS)


@pytest.fixture(scope="module")
def network(weights):
    return networks.load_network("squeezenet", weights, "image")


def drawn(seed, format="PNG", size=(60, 80)):
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", size, tuple(rng.integers(256, size=3).tolist()))
    x, y = rng.integers(5, 30, size=2).tolist()
    ImageDraw.Draw(picture).ellipse((x, y, x + 25, y + 40), fill=tuple(rng.integers(256, size=3).tolist()))
    buffer = io.BytesIO()
    picture.save(buffer, format)
    return buffer.getvalue()


@pytest.fixture
def shelf(small, weights, network, tmp_path, monkeypatch):
    """Seven pictures, the second and third unreadable, an eighth item without one; and the config that reads them."""
    files = {i: (f"p{i}.jpg", drawn(i, "JPEG")) for i in range(7)}
    files[1] = ("p1.jpg", files[1][1][: len(files[1][1]) // 2])
    files[2] = ("p2.jpg", b"")
    config = dataclasses.replace(CONFIG, weights={"image": str(weights)})
    monkeypatch.setattr(networks, "load_network", lambda *given: network)  # built once for all tests
    return dataclasses.replace(small("image", 8, files), path=tmp_path), config


def by_hand(path, picture):
    """SqueezeNet's pooled fire9 of one BGR picture by TensorFlow's own operations, from the file alone."""
    import tensorflow as tf

    def conv(x, name, stride=1, padding="VALID"):
        kernel, bias = (file[name][key] for key in file[name].attrs["weight_names"])
        return tf.nn.relu(tf.nn.conv2d(x, np.asarray(kernel, "float32"), stride, padding) + np.asarray(bias, "float32"))

    with h5py.File(path) as file:
        x = conv(picture[None].astype(np.float32) - [103.939, 116.779, 123.68], "conv1", stride=2)
        for n in range(2, 10):
            if n in (2, 4, 6):
                x = tf.nn.max_pool2d(x, 3, 2, "VALID")
            squeezed = conv(x, f"fire{n}/squeeze1x1")
            x = tf.concat([conv(squeezed, f"fire{n}/expand1x1"), conv(squeezed, f"fire{n}/expand3x3", 1, "SAME")], -1)
    return np.mean(x, axis=(1, 2))[0]


def test_squeezenet_computes_what_its_authors_published(network, weights):
    picture = np.random.default_rng(0).integers(256, size=(227, 227, 3), dtype=np.uint8)
    expected = by_hand(weights, picture[..., ::-1])
    assert expected.shape == (512,)
    np.testing.assert_allclose(network.predict(picture[None])[0], expected, rtol=1e-3, atol=1e-4 * expected.max())


def test_a_batch_gives_what_one_by_one_gives(network):
    pictures = np.random.default_rng(1).integers(256, size=(5, 227, 227, 3), dtype=np.uint8)
    singles = np.concatenate([network.predict(picture[None]) for picture in pictures])
    np.testing.assert_allclose(network.predict(pictures), singles, rtol=1e-4, atol=1e-5 * singles.max())


def test_scaled_activations_are_standard_columns_of_unit_roots():
    rows = np.array([[4, 0, 1, 9], [16, 4, 0, 1], [1, 1, 1, 0]], np.float32)
    roots = np.sqrt(rows) / np.sqrt(rows.sum(axis=1, keepdims=True))
    expected = (roots - roots.mean(axis=0)) / roots.std(axis=0)
    np.testing.assert_allclose(networks.scaled_activations(rows), expected, atol=1e-5)
    np.testing.assert_allclose(networks.scaled_activations(rows * [[5], [1], [7]]), expected, atol=1e-5)
    assert not networks.scaled_activations(np.zeros((2, 3), np.float32)).any()


def test_unreadable_pictures_are_masked_and_named(shelf):
    features = encode(*shelf[:1], "image", shelf[1], 0)
    np.testing.assert_array_equal(features.mask, [True, False, False, True, True, True, True, False])
    assert features.values[features.mask].any(axis=1).all()
    assert not features.values[~features.mask].any()
    assert features.values.shape == (8, 512)
    assert any(note.startswith("2 unreadable") and "p1.jpg" in note and "p2.jpg" in note for note in features.notes)
    assert features.encoder.startswith("squeezenet, ImageNet weights squeezenet.h5 ")
    np.testing.assert_array_equal(encode(shelf[0], "image", shelf[1], 0).values, features.values)


def test_a_killed_run_goes_on_where_it_stopped_to_the_same_bytes(shelf, tmp_path, monkeypatch):
    dataset, config = shelf
    whole = encode(dataset, "image", config, 0)
    decoded, predicted = [], []
    decode, predict = networks.decode, networks.Network.predict
    monkeypatch.setattr(networks, "decode", lambda content, *how, **more: decoded.append(content)
                        or decode(content, *how, **more))

    def killed_at_third(self, pictures):
        predicted.append(len(pictures))
        if len(predicted) == 3:
            raise KeyboardInterrupt
        return predict(self, pictures)

    monkeypatch.setattr(networks.Network, "predict", killed_at_third)
    with pytest.raises(KeyboardInterrupt):
        encode(dataset, "image", config, 0, scratch=tmp_path / "scratch")
    assert len(list((tmp_path / "scratch").iterdir())) == 2  # batches of files 0-1 and 2-3
    decoded.clear()
    resumed = encode(dataset, "image", config, 0, scratch=tmp_path / "scratch")
    assert decoded == [dataset.content[i][1] for i in (4, 5, 6)]
    np.testing.assert_array_equal(resumed.values, whole.values)
    assert resumed.notes == whole.notes
    decoded.clear()
    loaded = encode(dataset, "image", config, 0, scratch=tmp_path / "scratch")
    np.testing.assert_array_equal(loaded.values, whole.values)
    assert decoded == []


def test_pictures_are_decoded_a_batch_ahead_and_no_more(small):
    decoded, seen = [], []
    files = {i: (f"p{i}.png", b"%d" % i) for i in range(20)}

    def decode(content):
        decoded.append(content)
        if content == b"7":
            raise Unreadable("seven")
        return np.full((2, 1, 1, 3), int(content), np.uint8)

    def predict(pictures):
        seen.append(len(decoded))
        return pictures.reshape(len(pictures), 3).astype(np.float32)

    made = streaming.encode_stream(small("image", 20, files), "image", decode, predict, 4, None)
    assert max(count - 4 * step for step, count in enumerate(seen)) <= 8
    np.testing.assert_array_equal(made.items, [i for i in range(20) if i != 7])
    np.testing.assert_array_equal(made.rows, np.repeat(made.items[:, None], 3, axis=1))
    assert made.failed == ("p7.png (seven)",)


@pytest.mark.parametrize(("change", "expected"), [
    ({"fire5/expand3x3": None}, r"layer 'fire5/expand3x3': expected .*\(3, 3, 32, 128\).* found no such layer"),
    ({"fire3/squeeze1x1": (1, 64, 16)}, r"layer 'fire3/squeeze1x1': expected .*128, 16.* found .*64, 16"),
    ({"conv11": (1, 512, 10)}, r"layer 'conv11': expected no such layer"),
])
def test_a_file_whose_layers_do_not_fit_names_the_layer(tmp_path, change, expected):
    layers = {name: shape for name, shape in (LAYERS | change).items() if shape}
    with pytest.raises(ConfigError, match=expected):
        networks.load_network("squeezenet", write_weights(tmp_path / "w.h5", layers), "image")


def test_the_classifier_of_a_complete_file_is_left_out(tmp_path, network):
    path = write_weights(tmp_path / "w.h5", LAYERS | {"conv10": (1, 512, 10)})
    picture = np.zeros((1, 227, 227, 3), np.uint8)
    np.testing.assert_array_equal(networks.load_network("squeezenet", path, "image").predict(picture),
                                  network.predict(picture))


def test_a_file_that_holds_no_weights_is_refused(tmp_path):
    (tmp_path / "w.h5").write_bytes(b"no weights")
    with pytest.raises(ConfigError, match=r"w\.h5: expected a Keras HDF5 file"):
        networks.load_network("squeezenet", tmp_path / "w.h5", "image")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.ones(3)
    with pytest.raises(ConfigError, match="layer_names"):
        networks.load_network("squeezenet", tmp_path / "other.h5", "image")
    path = write_weights(tmp_path / "nan.h5", LAYERS)
    with h5py.File(path, "a") as file:
        file["conv1/conv1_b"][3] = np.nan
    with pytest.raises(ConfigError, match="layer 'conv1': expected finite"):
        networks.load_network("squeezenet", path, "image")


def test_squeezenet_without_weights_names_the_ways_to_get_them(small):
    with pytest.raises(ConfigError, match=r"a file of trained weights, found none.*notop\.h5.*preprocessing\.weights"):
        encode(small("image", 1, {0: ("p0.png", drawn(0))}), "image", CONFIG, 0)


def test_resnet50_without_weights_and_network_names_the_ways_to_get_them(small, monkeypatch):
    def no_network(*args, **kwargs):
        raise Exception("URL fetch failure: no route to host")

    monkeypatch.setattr("keras.src.applications.resnet.file_utils.get_file", no_network)
    config = dataclasses.replace(CONFIG, encoders={"image": "resnet50"})
    with pytest.raises(ConfigError, match=r"no route to host.*\.keras.models.*preprocessing\.weights.*another encoder"):
        encode(small("image", 1, {0: ("p0.png", drawn(0))}), "image", config, 0)


def test_every_array_of_a_resnet50_file_lands_in_the_layer_of_its_name(tmp_path):
    model = networks.ARCHITECTURES["resnet50"].build()
    assert model.output_shape == (None, 2048)
    before = {layer.name: layer.get_weights() for layer in model.layers}
    given = {name: [array + 0.01 for array in arrays] for name, arrays in reversed(before.items())}
    networks.put_weights(model, given, tmp_path, "predictions")
    for layer in model.layers:
        for array, old in zip(layer.get_weights(), before[layer.name], strict=True):
            np.testing.assert_array_equal(array, old + 0.01)
    del given["conv2_block1_2_conv"]
    with pytest.raises(ConfigError, match="conv2_block1_2_conv"):
        networks.put_weights(model, given, tmp_path, "predictions")

"""Networks trained on ImageNet that turn pictures into vectors: ResNet-50 and SqueezeNet 1.1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from mrlm_core.cache import content_hash, file_hash
from mrlm_core.errors import ConfigError, problem
from mrlm_core.preprocessing.image import decode
from mrlm_core.preprocessing.streaming import encode_stream
from mrlm_core.preprocessing.vectors import Features, note, spread, standardise, unit_rows
from mrlm_core.preprocessing_config import PreprocessingConfig

if TYPE_CHECKING:
    from mrlm_core.datasets import Dataset

Weights = dict[str, list[np.ndarray]]  # layer name in the file -> its arrays


@dataclass(frozen=True)
class Architecture:
    """A network without its classifier, ending in the mean over the last feature map."""

    build: Callable[[], keras.Model]
    side: int  # pixels that it was published for
    classifier: str  # the layer of a complete file that is left out
    file: str  # what its authors call the file of weights
    source: str  # where a user gets it


@dataclass(frozen=True)
class Network:
    """An architecture with its weights; ``label`` names both."""

    label: str
    side: int
    model: keras.Model

    def predict(self, pictures: np.ndarray) -> np.ndarray:
        """Pooled activations float32 ``[n, d]`` of RGB pictures uint8 ``[n, side, side, 3]``; compiled once."""
        # Both networks were trained on blue-green-red pictures less ImageNet's mean colour, in the manner of Caffe.
        inputs = keras.applications.imagenet_utils.preprocess_input(pictures.astype(np.float32), mode="caffe")
        return np.asarray(self.model.predict_on_batch(inputs), np.float32)


def encode_resnet50(
    dataset: Dataset, modality: str, config: PreprocessingConfig, seed: int, weights: Path | None, scratch: Path | None
) -> Features:
    """Pictures by ResNet-50 (He et al. 2016), 2048-long; ImageNet weights from ``weights`` or downloaded by Keras.

    Raises ConfigError when there are no weights. See ``scaled_activations`` for the scale of the vectors.
    """
    return _encode(dataset, modality, config, load_network("resnet50", weights, modality), scratch)


def encode_squeezenet(
    dataset: Dataset, modality: str, config: PreprocessingConfig, seed: int, weights: Path | None, scratch: Path | None
) -> Features:
    """Pictures by SqueezeNet 1.1 (Iandola et al. 2016), 512-long; ImageNet weights from the file ``weights``.

    Raises ConfigError when there are no weights. See ``scaled_activations`` for the scale of the vectors.
    """
    return _encode(dataset, modality, config, load_network("squeezenet", weights, modality), scratch)


def _encode(
    dataset: Dataset, modality: str, config: PreprocessingConfig, network: Network, scratch: Path | None
) -> Features:
    found = encode_stream(dataset, modality, lambda content: decode(content, network.side, smooth=True)[None],
                          network.predict, config.picture_batch, scratch)
    notes = note(list(found.failed), "unreadable, masked")
    return spread(scaled_activations(found.rows), found.items, dataset.n_items, network.label, notes)


def scaled_activations(rows: np.ndarray) -> np.ndarray:
    """Signed square roots, rows brought to length 1, columns to mean 0 and deviation 1: float32 ``[n, d]``.

    Averages of rectified activations are sparse with a long tail: the root keeps a few strong channels from deciding
    every distance (Perronnin et al. 2010, power normalisation), and the length would only tell how busy a picture is.
    Standard columns let the channels that tell *these* pictures apart count as much as those all of them excite.
    """
    return standardise(unit_rows(np.sign(rows) * np.sqrt(np.abs(rows)))) if len(rows) else rows


def load_network(name: str, weights: Path | None, modality: str) -> Network:
    """The network ``name`` with trained weights, never random ones.

    Raises ConfigError when there are none, or when the file's layers are not those of the network.
    """
    architecture = ARCHITECTURES[name]
    if weights is not None:
        model = architecture.build()
        put_weights(model, read_weights(weights), weights, architecture.classifier)
        return Network(f"{name}, ImageNet weights {weights.name} {file_hash(weights)}", architecture.side, model)
    if name == "resnet50":
        model = _downloaded_resnet50(modality)
        return Network(f"{name}, ImageNet weights of Keras {content_hash(*model.get_weights())}", architecture.side,
                       model)
    raise ConfigError(problem(f"encoder {name!r} of modality {modality!r}", "a file of trained weights", "none",
                              _ways(name, modality)))


def _ways(name: str, modality: str) -> str:
    architecture = ARCHITECTURES[name]
    return (f"Get {architecture.file} from {architecture.source}, then name it in preprocessing.weights "
            f"= {{{modality!r}: <path>}} or as `weights:` of the modality in dataset.yml; or choose another encoder.")


def _downloaded_resnet50(modality: str) -> keras.Model:
    try:
        return keras.applications.ResNet50(weights="imagenet", include_top=False, pooling="avg",
                                           input_shape=(224, 224, 3))
    except Exception as error:  # Keras raises a bare Exception where the download fails, ValueError for a broken file
        remedy = ("Connect to the internet once, and Keras keeps them; or put the file below into ~/.keras/models "
                  f"($KERAS_HOME/models where that is set). {_ways('resnet50', modality)}")
        raise ConfigError(problem(f"encoder 'resnet50' of modality {modality!r}", "ImageNet weights, downloaded or by "
                                  "path", f"no path and {error}", remedy)) from error


def read_weights(path: Path) -> Weights:
    """Arrays by layer name of a Keras HDF5 file in the layout of Keras 1 and 2; raises ConfigError for any other."""
    import h5py  # type: ignore[import-untyped]

    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            names = [_text(name) for name in root.attrs["layer_names"]]
            return {name: [np.asarray(root[name][_text(key)]) for key in root[name].attrs["weight_names"]]
                    for name in names}
    except (OSError, KeyError) as error:
        raise ConfigError(problem(str(path), "a Keras HDF5 file of weights with layer names", str(error),
                                  "Get the file again or name another in preprocessing.weights.")) from error


def put_weights(model: keras.Model, weights: Weights, path: Path, classifier: str) -> None:
    """Every array of the file into the layer of its name; raises ConfigError naming the first that does not fit.

    Only the ``classifier``, which a complete file has and ``model`` has not, is left out.
    """
    layers = {_file_name(layer): layer for layer in model.layers if layer.weights}
    given = {name: arrays for name, arrays in weights.items() if arrays and name != classifier}
    for name in [*layers, *given]:
        expected = [tuple(array.shape) for array in layers[name].weights] if name in layers else "no such layer"
        found = [array.shape for array in given[name]] if name in given else "no such layer"
        if expected != found:
            raise ConfigError(problem(f"{path}, layer {name!r}", str(expected), str(found),
                                      f"The file is not one of {model.name}; name its own in preprocessing.weights."))
        if not all(np.isfinite(array).all() for array in given[name]):
            raise ConfigError(problem(f"{path}, layer {name!r}", "finite weights", "infinite or missing ones",
                                      "Get the file again."))
        layers[name].set_weights(given[name])


def _file_name(layer: keras.layers.Layer) -> str:
    return str(layer.name).replace("-", "/")  # Keras 3 forbids the slash that the file's names have


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _resnet50() -> keras.Model:
    return keras.applications.ResNet50(weights=None, include_top=False, pooling="avg", input_shape=(224, 224, 3))


def _squeezenet() -> keras.Model:
    """SqueezeNet 1.1 up to the mean over fire9, unpadded but for the 3 x 3 expansions, as in keras-squeezenet."""
    layers = keras.layers
    pictures = keras.Input((227, 227, 3))
    x = layers.Conv2D(64, 3, strides=2, activation="relu", name="conv1")(pictures)
    x = layers.MaxPooling2D(3, strides=2)(x)
    for number, squeeze in enumerate((16, 16, 32, 32, 48, 48, 64, 64), start=2):
        x = _fire(x, number, squeeze)
        if number in (3, 5):
            x = layers.MaxPooling2D(3, strides=2)(x)
    return keras.Model(pictures, layers.GlobalAveragePooling2D()(x), name="squeezenet")


def _fire(x: keras.KerasTensor, number: int, squeeze: int) -> keras.KerasTensor:
    """Fire module: 1 x 1 to ``squeeze`` channels, then 1 x 1 and 3 x 3 to four times as many each, side by side."""
    layers, name = keras.layers, f"fire{number}"
    x = layers.Conv2D(squeeze, 1, activation="relu", name=f"{name}-squeeze1x1")(x)
    left = layers.Conv2D(4 * squeeze, 1, activation="relu", name=f"{name}-expand1x1")(x)
    right = layers.Conv2D(4 * squeeze, 3, padding="same", activation="relu", name=f"{name}-expand3x3")(x)
    return layers.Concatenate()([left, right])


ARCHITECTURES = {
    "resnet50": Architecture(_resnet50, 224, "predictions", "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
                             "Keras applications (storage.googleapis.com/tensorflow/keras-applications/resnet)"),
    "squeezenet": Architecture(_squeezenet, 227, "conv10", "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5",
                               "the releases of keras-squeezenet (github.com/rcmalli/keras-squeezenet)"),
}

"""Pictures to vectors, light: colour, shape and texture descriptors."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from mrlm_core.config import PreprocessingConfig
from mrlm_core.preprocessing.vectors import Blocks, Features, Unreadable, encode_files

if TYPE_CHECKING:
    from mrlm_core.datasets import Dataset

SIDE = 64  # pixels; every picture is squeezed to this square


def encode_image(dataset: Dataset, modality: str, config: PreprocessingConfig, seed: int) -> Features:
    """Colour histogram and layout, histogram of oriented gradients, local binary patterns; equal weights.

    A light stand-in for the paper's ResNet-50: it sees colours, outlines and texture, not what is depicted. A
    picture that cannot be decoded is masked and named in the notes.
    """
    return encode_files(dataset, modality, "colour-hog-lbp", lambda content: describe_picture(decode(content)))


def decode(content: bytes) -> np.ndarray:
    """The picture as RGB, uint8 ``[SIDE, SIDE, 3]``, transparent parts white; raises Unreadable."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as file:
            file.draft("RGB", (2 * SIDE, 2 * SIDE))  # lets the JPEG decoder shrink large pictures while reading
            picture = file.convert("RGBA") if file.mode in ("P", "LA", "PA", "RGBA") else file.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Unreadable(str(error) or type(error).__name__) from error
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX))


def describe_picture(picture: np.ndarray) -> Blocks:
    """Blocks of descriptors of an RGB picture uint8 ``[SIDE, SIDE, 3]``."""
    from skimage.color import rgb2gray
    from skimage.feature import hog

    grey = rgb2gray(picture)
    return {
        "colour": colour_histogram(picture),
        "layout": _lab_layout(picture),
        "shape": hog(grey, orientations=8, pixels_per_cell=(8, 8), cells_per_block=(2, 2), block_norm="L2-Hys"),
        "texture": _texture(grey),
    }


def colour_histogram(picture: np.ndarray) -> np.ndarray:
    """Square root of the joint hue-saturation-value histogram (12 x 3 x 3), so that distances are Hellinger's."""
    from skimage.color import rgb2hsv

    pixels = rgb2hsv(picture).reshape(-1, 3)
    counts, _ = np.histogramdd(pixels, bins=(12, 3, 3), range=[(0, 1)] * 3)
    return np.sqrt(counts.ravel() / len(pixels))


def _lab_layout(picture: np.ndarray, cells: int = 4) -> np.ndarray:
    """Mean Lab colour of each of ``cells`` x ``cells`` parts of the picture."""
    from skimage.color import rgb2lab

    side = SIDE // cells
    return rgb2lab(picture).reshape(cells, side, cells, side, 3).mean(axis=(1, 3)).ravel()


def _texture(grey: np.ndarray) -> np.ndarray:
    """Square root of the histograms of uniform local binary patterns at radius 1 and 2."""
    from skimage.feature import local_binary_pattern

    levels = (grey * 255).astype(np.uint8)
    patterns = [local_binary_pattern(levels, 8, radius, "uniform") for radius in (1, 2)]
    return np.sqrt(np.concatenate([np.bincount(p.astype(int).ravel(), minlength=10) for p in patterns]) / grey.size)

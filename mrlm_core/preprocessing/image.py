"""Pictures to vectors, light: colour, layout and shape descriptors."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from mrlm_core.preprocessing.vectors import Blocks, Features, Unreadable, encode_files
from mrlm_core.preprocessing_config import PreprocessingConfig

if TYPE_CHECKING:
    from mrlm_core.datasets import Dataset

SIDE = 64  # pixels; every picture is squeezed to this square


def encode_image(dataset: Dataset, modality: str, config: PreprocessingConfig, seed: int) -> Features:
    """Colour histogram, colour layout and histogram of oriented gradients, each of the same weight.

    A light stand-in for the paper's ResNet-50: it sees colours, where they lie and outlines, not what is depicted. A
    picture that cannot be decoded is masked and named in the notes.
    """
    return encode_files(dataset, modality, "colour-layout-hog", lambda content: describe_picture(decode(content)))


def decode(content: bytes, side: int = SIDE, smooth: bool = False) -> np.ndarray:
    """The picture as RGB, uint8 ``[side, side, 3]``, transparent parts white; raises Unreadable.

    ``smooth`` interpolates where the picture is smaller than ``side``; else pixels are repeated.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as file:
            file.draft("RGB", (2 * side, 2 * side))  # lets the JPEG decoder shrink large pictures while reading
            picture = file.convert("RGBA") if file.mode in ("P", "LA", "PA", "RGBA") else file.convert("RGB")
    except UnidentifiedImageError as error:  # its text holds a memory address, which no two runs share
        raise Unreadable("not a picture") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Unreadable(str(error) or type(error).__name__) from error
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR if smooth else Image.Resampling.BOX))


def describe_picture(picture: np.ndarray) -> Blocks:
    """Blocks of descriptors of an RGB picture uint8 ``[SIDE, SIDE, 3]``."""
    from skimage.color import rgb2gray
    from skimage.feature import hog

    return {
        "colour": colour_histogram(picture),
        "layout": _lab_layout(picture),
        "shape": hog(rgb2gray(picture), orientations=8, pixels_per_cell=(16, 16), cells_per_block=(2, 2)),
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

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mrlm_core.errors import DatasetError
from mrlm_core.preprocessing import image
from mrlm_core.preprocessing.features import encode
from mrlm_core.preprocessing.vectors import Unreadable
from mrlm_core.preprocessing_config import PreprocessingConfig

CONFIG = PreprocessingConfig()


def drawn(colour, shape, format="PNG", mode="RGB", size=(80, 100)):
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    (draw.ellipse if shape == "disc" else draw.rectangle)((15, 25, 65, 75), fill=colour)
    buffer = io.BytesIO()
    picture.convert(mode).save(buffer, format)
    return buffer.getvalue()


def test_colour_and_shape_decide_who_is_near(small):
    wanted = [("red", "disc"), ("blue", "box"), ("darkred", "disc"), ("navy", "box"), ("red", "box")]
    files = {i: (f"p{i}.png", drawn(*look)) for i, look in enumerate(wanted)}
    features = encode(small("image", 6, files), "image", CONFIG, seed=0)
    distance = np.linalg.norm(features.values[:, None] - features.values, axis=-1)
    assert distance[1, 3] < distance[1, 0]
    assert distance[0, 4] < distance[0, 3]
    assert not features.mask[5]
    assert np.isfinite(features.values).all()


def test_each_format_and_mode_gives_about_the_same(small):
    plain = image.describe_picture(image.decode(drawn("red", "disc")))
    for format, mode in (("JPEG", "RGB"), ("GIF", "P"), ("PNG", "RGBA"), ("WEBP", "RGB"), ("BMP", "RGB")):
        other = image.describe_picture(image.decode(drawn("red", "disc", format, mode)))
        assert np.abs(other["layout"] - plain["layout"]).mean() < 2  # Lab units
    assert image.decode(drawn("red", "disc", "JPEG", "L")).shape == (image.SIDE, image.SIDE, 3)


def test_truncated_jpeg_and_text_named_png_are_masked_and_named(small):
    whole = drawn("red", "disc", "JPEG", size=(400, 400))
    files = {0: ("p0.png", drawn("red", "disc")), 1: ("p1.jpg", whole[: len(whole) // 2]), 2: ("p2.png", b"no picture"),
             3: ("p3.png", b""), 4: ("p4.png", drawn("blue", "box"))}
    features = encode(small("image", 5, files), "image", CONFIG, seed=0)
    np.testing.assert_array_equal(features.mask, [True, False, False, False, True])
    assert not features.values[1:4].any()
    [listed] = [note for note in features.notes if "unreadable" in note]
    assert listed.startswith("3 unreadable")
    assert all(name in listed for name in ("p1.jpg", "p2.png", "p3.png"))


def test_no_readable_picture_is_an_error(small):
    with pytest.raises(DatasetError, match=r"at least one describable item.*p0\.png"):
        encode(small("image", 2, {0: ("p0.png", b"?")}), "image", CONFIG, seed=0)


def test_a_picture_that_would_fill_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(Unreadable, match="decompression bomb"):
        image.decode(drawn("red", "disc"))

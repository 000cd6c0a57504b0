import io

import av
import numpy as np
import pytest

from mrlm_core.preprocessing import video
from mrlm_core.preprocessing.features import encode
from mrlm_core.preprocessing.vectors import Unreadable
from mrlm_core.preprocessing_config import PreprocessingConfig

CONFIG = PreprocessingConfig(video_frames=4)


def clip(right, down, frames=12, rate=12, seed=0):
    """MP4 of a textured square moving by (right, down) pixels a frame on a smooth background."""
    rng = np.random.default_rng(seed)
    square = rng.integers(0, 90, size=(20, 20, 3))
    ground = np.full((64, 64, 3), rng.integers(170, 230, size=3))
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for t in range(frames):
            picture = ground.copy()
            y, x = (np.arange(20) + 22 + round(down * t)) % 64, (np.arange(20) + 22 + round(right * t)) % 64
            picture[np.ix_(y, x)] = square
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


@pytest.mark.parametrize(("right", "down"), [(2, 0), (-2, 0), (0, 3), (0, -3), (2, 2)])
def test_flow_measures_direction_and_speed(right, down):
    pairs = video.decode(clip(right, down, frames=5), 4)
    course = video.describe_clip(pairs)["course"]
    scale = video.FLOW_SIDE / video.SIDE
    np.testing.assert_allclose(course[:2], [right * scale, down * scale], atol=0.35)


def test_clips_that_move_alike_are_near_whatever_their_colours(small):
    motions = [(2, 0), (2, 0), (-2, 0), (-2, 0), (0, 3), (0, 3)]
    files = {i: (f"p{i}.mp4", clip(*motion, seed=i)) for i, motion in enumerate(motions)}
    features = encode(small("video", 6, files), "video", CONFIG, seed=0)
    distance = np.linalg.norm(features.values[:, None] - features.values, axis=-1) + 1e9 * np.eye(6)
    np.testing.assert_array_equal(distance.argmin(axis=1), [1, 0, 3, 2, 5, 4])


def test_unreadable_and_single_frame_clips_are_masked_and_named(small):
    whole = clip(2, 0)
    files = {0: ("p0.mp4", whole), 1: ("p1.mp4", b""), 2: ("p2.mp4", whole[:200]), 3: ("p3.mp4", clip(0, 2)),
             4: ("p4.mp4", clip(1, 1, frames=1))}
    features = encode(small("video", 6, files), "video", CONFIG, seed=0)
    np.testing.assert_array_equal(features.mask, [True, False, False, True, False, False])
    [listed] = [note for note in features.notes if "unreadable" in note]
    assert all(name in listed for name in ("p1.mp4", "p2.mp4", "p4.mp4"))


def test_a_file_without_pictures_is_unreadable():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(Unreadable, match="no video stream"):
        video.decode(buffer.getvalue(), 4)


def test_long_clips_are_sampled_by_seeking(monkeypatch):
    content = clip(0.2, 0, frames=96, rate=2)  # 48 seconds
    sought = video.decode(content, 4)
    monkeypatch.setattr(video, "SEEK_FROM", 1e9)
    whole = video.decode(content, 96)
    assert sought.shape == (4, 2, video.SIDE, video.SIDE, 3)
    # Sampled at 1/8, 3/8, ... of the time; each pair holds consecutive frames.
    expected = [12, 36, 60, 84]
    nearest = [int(np.abs(whole[:, 0].astype(int) - pair[0]).mean(axis=(1, 2, 3)).argmin()) for pair in sought]
    assert np.abs(np.array(nearest) - expected).max() <= 5


def test_a_short_clip_repeats_frames():
    assert video.decode(clip(2, 0, frames=3), 8).shape[0] == 8


def test_a_clip_without_motion_is_finite():
    assert all(np.isfinite(block).all() for block in video.describe_clip(video.decode(clip(0, 0), 4)).values())

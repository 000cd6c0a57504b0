"""Clips to vectors, light: mean frame descriptors and motion descriptors."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from mrlm_core.preprocessing.image import SIDE, colour_histogram
from mrlm_core.preprocessing.vectors import Blocks, Features, Unreadable, encode_files
from mrlm_core.preprocessing_config import PreprocessingConfig

if TYPE_CHECKING:
    from mrlm_core.datasets import Dataset

SEEK_FROM = 30.0  # seconds; longer clips are read by seeking, shorter ones whole
FLOW_SIDE = 32  # pixels; motion is measured on grey frames of this size
SPEED_EDGES = (0.25, 0.75, 1.5, 3.0)  # pixels a frame at FLOW_SIDE, edges of the speed bins
DIRECTIONS = 8


def encode_video(dataset: Dataset, modality: str, config: PreprocessingConfig, seed: int) -> Features:
    """Colour and layout averaged over ``config.video_frames`` frames, and how the picture moves there.

    Motion comes from the optical flow between each sampled frame and the next: where, how fast and in which
    direction. A light stand-in for the paper's ECNN, which learns to land a clip near its item's text. A clip that
    cannot be decoded or holds fewer than two frames is masked and named in the notes.
    """
    return encode_files(
        dataset, modality, "colour-flow", lambda content: describe_clip(decode(content, config.video_frames))
    )


def decode(content: bytes, n_frames: int, side: int = SIDE) -> np.ndarray:
    """``n_frames`` evenly spaced frames, each with its successor: RGB uint8 ``[n_frames, 2, side, side, 3]``.

    A clip with fewer frames repeats some. Raises Unreadable for what PyAV cannot decode and for a single frame.
    """
    import av

    try:
        with av.open(io.BytesIO(content), mode="r") as container:
            if not container.streams.video:
                raise Unreadable("no video stream")
            stream = container.streams.video[0]
            seconds = float(container.duration or 0) / av.time_base
            pairs = _seek_pairs(container, stream, n_frames, side) if seconds > SEEK_FROM else None
            return pairs if pairs is not None else _even_pairs(list(_frames(container, stream, side)), n_frames)
    except (av.error.FFmpegError, ValueError, IndexError, EOFError) as error:
        raise Unreadable(str(error) or type(error).__name__) from error


def describe_clip(pairs: np.ndarray) -> Blocks:
    """Blocks of descriptors of frame pairs uint8 ``[n, 2, SIDE, SIDE, 3]``."""
    grey = _small_grey(pairs)
    flows = np.stack([optical_flow(first, second) for first, second in grey])
    change = np.abs(grey[:, 1] - grey[:, 0])
    return {
        "colour": np.mean([colour_histogram(first) for first in pairs[:, 0]], axis=0),
        "change": _change_map(change),
        "direction": _flow_histogram(flows, change),
        "course": _course(flows, grey, change),
    }


def optical_flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Displacement (right, down) in pixels of each pixel between two grey frames ``[h, w]``: ``[h, w, 2]``.

    Iterative Lucas-Kanade over a pyramid (Le Besnerais & Champagnat 2005), right up to about a quarter of the side.
    """
    from skimage.registration import optical_flow_ilk

    down, right = optical_flow_ilk(first, second, radius=4, num_warp=3)
    return np.clip(np.stack([right, down], axis=-1), -len(first) / 4, len(first) / 4)


def _small_grey(pairs: np.ndarray) -> np.ndarray:
    """Luma in [0, 1], ``[n, 2, FLOW_SIDE, FLOW_SIDE]``."""
    luma = pairs.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    step = SIDE // FLOW_SIDE
    return luma.reshape(-1, 2, FLOW_SIDE, step, FLOW_SIDE, step).mean(axis=(3, 5))


def _change_map(change: np.ndarray, cells: int = 4) -> np.ndarray:
    """Square root of the mean change in each of ``cells`` x ``cells`` parts of the picture."""
    side = FLOW_SIDE // cells
    return np.sqrt(change.reshape(-1, cells, side, cells, side).mean(axis=(0, 2, 4))).ravel()


def _flow_histogram(flows: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Square root of the share of the change that goes each way (directions x speeds, and standing still)."""
    speed = np.linalg.norm(flows, axis=-1)
    angle = np.arctan2(flows[..., 1], flows[..., 0]) / (2 * np.pi)
    sector = np.round(angle * DIRECTIONS).astype(int) % DIRECTIONS
    step = np.digitize(speed, SPEED_EDGES)
    bins = np.where(step > 0, (step - 1) * DIRECTIONS + sector, len(SPEED_EDGES) * DIRECTIONS)
    counts = np.bincount(bins.ravel(), change.ravel(), minlength=len(SPEED_EDGES) * DIRECTIONS + 1)
    return np.sqrt(counts / max(counts.sum(), 1e-9))


def _course(flows: np.ndarray, grey: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Mean, deviation over time and mean size of velocity, spreading and brightening of what changes."""
    y, x = np.mgrid[:FLOW_SIDE, :FLOW_SIDE].astype(np.float32)
    weight = change / np.maximum(change.sum(axis=(1, 2), keepdims=True), 1e-9)

    def mean(values: np.ndarray) -> np.ndarray:
        return (weight * values).sum(axis=(1, 2))

    right, down = mean(flows[..., 0]), mean(flows[..., 1])
    from_x, from_y = x - mean(x)[:, None, None], y - mean(y)[:, None, None]
    radius = np.sqrt(mean(from_x**2 + from_y**2)) + 1
    outward = mean(from_x * flows[..., 0] + from_y * flows[..., 1]) / radius
    brightening = FLOW_SIDE * (grey[:, 1] - grey[:, 0]).mean(axis=(1, 2))
    brightness = FLOW_SIDE * grey[:, 0].mean(axis=(1, 2))
    series = np.stack([right, down, outward, brightening])
    return np.concatenate([series.mean(axis=1), series.std(axis=1), np.abs(series).mean(axis=1), [brightness.std()]])


def _frames(container: Any, stream: Any, side: int) -> Iterator[np.ndarray]:
    for frame in container.decode(stream):
        yield frame.reformat(side, side, format="rgb24", interpolation="AREA").to_ndarray()


def _even_pairs(frames: list[np.ndarray], n_frames: int) -> np.ndarray:
    if len(frames) < 2:
        raise Unreadable(f"{len(frames)} frames")
    at = np.linspace(0, len(frames) - 2, n_frames).round().astype(int)
    stacked = np.stack(frames)
    return np.stack([stacked[at], stacked[at + 1]], axis=1)


def _seek_pairs(container: Any, stream: Any, n_frames: int, side: int) -> np.ndarray | None:
    """Pairs at evenly spaced times; None when the container does not say how long it is or cannot seek."""
    seconds = float(container.duration) / 1_000_000
    pairs = []
    for place in (np.arange(n_frames) + 0.5) / n_frames * seconds:
        container.seek(int(place * 1_000_000))
        frames: list[np.ndarray] = []
        for frame in container.decode(stream):
            if frames or (frame.time is not None and frame.time >= place):
                frames.append(frame.reformat(side, side, format="rgb24", interpolation="AREA").to_ndarray())
            if len(frames) == 2:
                break
        if len(frames) == 2:
            pairs.append(frames)
    return np.array(pairs) if len(pairs) == n_frames else None

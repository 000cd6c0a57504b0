"""The machine's limits as reached here: matrix products in float32 and bfloat16, copying memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.section import Section
from mrlm_core.study.growth import seconds_of

SIZE = 4_096


def run() -> Section:
    """GFLOP/s of square products and GB/s of a copy, best and median of the repeats."""
    rows = [
        _row(f"float32 matrix product of {SIZE:,}", "GFLOP/s", matrix_rates("float32")),
        _row(f"bfloat16 matrix product of {SIZE:,}", "GFLOP/s", matrix_rates("bfloat16")),
        _row("copy of 1 GiB (read + write)", "GB/s", copy_rates()),
    ]
    return Section("The machine's limits", ["| what | unit | best | median |", "|---|---|--:|--:|", *rows], [])


def matrix_rates(dtype: str, size: int = SIZE, repeats: int = 7) -> np.ndarray:
    """GFLOP/s of each repeat of a square matrix product by TensorFlow."""
    import tensorflow as tf

    matrix = tf.cast(tf.random.normal((size, size)), dtype)
    product: Callable[[], object] = tf.function(lambda: tf.reduce_max(tf.matmul(matrix, matrix)))
    return 2 * size**3 / seconds_of(product, repeats) / 1e9


def copy_rates(n_bytes: int = 2**30, repeats: int = 7) -> np.ndarray:
    """GB/s read plus written of each repeat of a copy by one thread."""
    source = np.ones(n_bytes // 4, np.float32)
    return 2 * n_bytes / seconds_of(partial(np.copyto, np.empty_like(source), source), repeats) / 1e9


def _row(what: str, unit: str, rates: np.ndarray) -> str:
    return f"| {what} | {unit} | {rates.max():,.1f} | {np.median(rates):,.1f} |"

"""The same measurements on whatever accelerator Keras sees: ``python -m benchmarks gpu`` (KERAS_BACKEND as you like).

Matrix rate, triplets a second by batch size at both sizes of the paper, the ranking of all users, and what an epoch of
MovieLens-20M's size would take at that rate, with device and versions. Without an accelerator it says so and measures
the processor with batches that end in minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import keras
import numpy as np

from benchmarks.section import Section
from mrlm_core.config import preset
from mrlm_core.study.growth import epoch_on_random, seconds_of
from mrlm_core.study.record import accelerators
from mrlm_core.training.fit import STEPS_PER_CALL

SIZES = {"latest-small": (610, 9_724), "20M": (138_493, 27_278)}  # users, items
BATCHES = (128, 1_024)  # the paper's network keeps about 20 MB of a triplet: 4,096 do not fit in 80 GB
PRECISIONS = ("float32", "bfloat16")
REPEATS = 3
POSITIVES = 7_000_000  # training positives of MovieLens-20M: half of its ratings, seven tenths of them


def run(
    preset_name: str = "paper", sizes: Sequence[str] = tuple(SIZES), batches: Sequence[int] = BATCHES
) -> Section:
    """The section, for the device that is there."""
    accelerated = accelerators()
    device = ", ".join(accelerated) or "CPU"
    if not accelerated:
        print(f"benchmarks.gpu: no accelerator seen; the processor is measured with batches of {batches[0]}")
        batches = batches[:1]
    rows = [row(preset_name, size, batch, precision)
            for size in sizes for batch in batches for precision in PRECISIONS]
    rates = ", ".join(f"{name} {matrix_rate(name):,.0f}" for name in PRECISIONS)
    rank_seconds = ranking_seconds(*SIZES[sizes[-1]], n_measured=20_000 if not accelerated else None)
    lines = [
        f"- device: {device}{'' if accelerated else ' (no accelerator was there)'}; Keras {keras.__version__} on"
        f" {keras.backend.backend()} {version(keras.backend.backend())}, preset {preset_name}",
        f"- matrix product of 4,096, GFLOP/s: {rates}",
        f"- ranking of all {SIZES[sizes[-1]][0]:,} users over {SIZES[sizes[-1]][1]:,} items, top 100:"
        f" {rank_seconds:,.1f} s", "",
        "| size | batch | precision | triplets/s | an epoch of MovieLens-20M, min |", "|---|--:|---|--:|--:|", *rows,
    ]
    return Section(f"Accelerator: {device}", lines, [])


def row(preset_name: str, size: str, batch: int, precision: str) -> str:
    """One line of the table, shown as soon as it is measured; a batch that does not fit in memory says so."""
    line = _row(preset_name, size, batch, precision)
    print(line, flush=True)  # each compiles for half a minute, and time on an accelerator is dear
    return line


def _row(preset_name: str, size: str, batch: int, precision: str) -> str:
    try:
        rate = triplets_a_second(preset_name, *SIZES[size], batch, precision)
    except Exception as error:  # each backend has its own class for memory that ran out
        if "RESOURCE_EXHAUSTED" not in str(error) and "OOM" not in str(error):
            raise
        return f"| {size} | {batch:,} | {precision} | out of memory | |"
    epoch = f"{POSITIVES / rate / 60:,.1f}" if size == "20M" else ""
    return f"| {size} | {batch:,} | {precision} | {rate:,.0f} | {epoch} |"


def triplets_a_second(preset_name: str, n_users: int, n_items: int, batch: int, precision: str) -> float:
    """Median of three epochs of ``STEPS_PER_CALL`` batches after one untimed."""
    head = "full" if n_users <= 20_000 else "sampled"
    config = preset(preset_name, {"training.batch_size": batch, "model.precision": precision,
                                  "model.identity_head": head})
    n_triplets = batch * STEPS_PER_CALL
    _, epoch = epoch_on_random(config, n_users, n_items, n_triplets)
    return n_triplets / float(np.median(seconds_of(epoch, REPEATS)))


def matrix_rate(dtype: str, size: int = 4_096) -> float:
    """GFLOP/s of a square product on the backend's device."""
    matrix = keras.ops.cast(keras.random.normal((size, size)), dtype)
    seconds = seconds_of(lambda: float(keras.ops.max(keras.ops.matmul(matrix, matrix))), REPEATS)
    return 2 * size**3 / float(np.median(seconds)) / 1e9


def ranking_seconds(n_users: int, n_items: int, n_measured: int | None, width: int = 550) -> float:
    """Seconds of the top 100 of all users, extrapolated from ``n_measured`` of them where given."""
    from mrlm_core.evaluation.ranking import top_n

    rng = np.random.default_rng(0)
    measured = min(n_measured or n_users, n_users)
    users, items = (rng.normal(size=(n, width)).astype(np.float32) for n in (measured, n_items))
    return float(np.median(seconds_of(lambda: top_n(users, items, 100), REPEATS))) * n_users / measured



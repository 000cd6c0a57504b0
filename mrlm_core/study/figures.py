"""Figures of the chapters: small pure functions from arrays and tables to Matplotlib figures."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

GREY = "0.75"
MARKERS = "os^Dvp*X"


def style() -> None:
    """The chapters' common look: readable sizes, light grid, colour-blind-safe palette."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", rc={"figure.dpi": 100})


def canvas(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, np.ndarray]:
    """A figure of ``width`` x ``height`` inches and its axes ``[rows * columns]``.

    It is closed for pyplot, so a notebook shows it where it is a cell's value and not once more.
    """
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), layout="constrained", squeeze=False)
    plt.close(figure)
    return figure, axes.ravel()


def rating_histogram(ratings: np.ndarray, threshold: float, title: str) -> Figure:
    """How often each rating value was given; positive values (>= ``threshold``) in another colour and hatch."""
    values, counts = np.unique(ratings, return_counts=True)
    figure, (axes,) = canvas(7, 3.8)
    width = 0.8 * (np.diff(values).min() if len(values) > 1 else 1)
    for chosen, label, colour, hatch in (
        (values < threshold, f"negative, below {threshold:g}", "C1", "//"),
        (values >= threshold, f"positive, from {threshold:g}", "C0", ""),
    ):
        axes.bar(values[chosen], counts[chosen], width, color=colour, hatch=hatch, edgecolor="white", label=label)
    axes.set(title=title, xlabel="rating", ylabel="number of ratings", xticks=values)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    axes.grid(axis="x", visible=False)
    return figure


def long_tail(counts: Mapping[str, np.ndarray], title: str) -> Figure:
    """Ratings of each user or item by rank (left), and the share of all ratings that the first ranks hold (right)."""
    figure, (by_rank, cumulative) = canvas(10, 4, 1, 2)
    for line, (name, values) in zip(("-", "--"), counts.items(), strict=False):
        ordered = np.sort(values)[::-1]
        ranks = np.arange(1, len(ordered) + 1)
        rated = ordered > 0
        by_rank.plot(ranks[rated], ordered[rated], line, label=name, linewidth=2)
        cumulative.plot(100 * ranks / len(ranks), 100 * np.cumsum(ordered) / ordered.sum(), line, linewidth=2)
    cumulative.plot([0, 100], [0, 100], ":", color="0.4", label="all alike")
    by_rank.set(xscale="log", yscale="log", xlabel="rank (log scale)", ylabel="ratings (log scale)")
    cumulative.set(xlabel="highest ranks (% of users or items)", ylabel="share of all ratings (%)")
    figure.legend(loc="outside right center", frameon=False)
    figure.suptitle(title)
    return figure


def heatmap(table: pd.DataFrame, title: str, unit: str, low: float = 0, high: float = 1, digits: int = 2) -> Figure:
    """A labelled table of numbers as coloured cells with the numbers in them; ``unit`` names the colour bar."""
    figure, (axes,) = canvas(3.2 + 0.95 * table.shape[1], 1.8 + 0.55 * table.shape[0])
    rounded = table.astype(float).round(digits) + 0.0  # adding zero turns -0.00 into 0.00
    sns.heatmap(rounded, ax=axes, vmin=low, vmax=high, cmap="cividis", annot=True, fmt=f".{digits}f",
                linewidths=0.5, cbar_kws={"label": unit})
    axes.set_title(title)
    axes.tick_params(axis="x", rotation=30)
    axes.tick_params(axis="y", rotation=0)
    return figure


def bars(table: pd.DataFrame, title: str, xlabel: str, ylabel: str) -> Figure:
    """One group of bars a row, one bar a column."""
    figure, (axes,) = canvas(4 + 0.9 * len(table), 3.8)
    rotation = 20 if max(len(str(name)) for name in table.index) > 6 else 0
    table.plot.bar(ax=axes, width=0.8, rot=rotation, color=sns.color_palette("colorblind", table.shape[1]),
                   legend=table.shape[1] > 1)
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.grid(axis="x", visible=False)
    if table.shape[1] > 1:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def picture(content: bytes) -> np.ndarray:
    """A picture file at its own size as RGB uint8 ``[height, width, 3]``."""
    from PIL import Image

    with Image.open(io.BytesIO(content)) as file:
        return np.asarray(file.convert("RGB"))


def pictures(rows: Sequence[Sequence[tuple[str, np.ndarray]]], title: str) -> Figure:
    """Rows of captioned pictures."""
    columns = max(len(row) for row in rows)
    figure, axes = canvas(max(5.0, 2.1 * columns), 0.6 + 2.4 * len(rows), len(rows), columns)
    for axis in axes:
        axis.axis("off")
    for row, places in zip(rows, axes.reshape(len(rows), columns), strict=True):
        for (caption, image), axis in zip(row, places, strict=False):
            axis.imshow(image)
            axis.set_title(_wrapped(caption), fontsize="small")
    figure.suptitle(title)
    return figure


def sound(samples: np.ndarray, rate: int, title: str) -> Figure:
    """Waveform (above) and spectrogram (below) of mono ``samples`` at ``rate`` a second."""
    figure, (wave, spectrum) = canvas(9, 4.6, 2, 1)
    seconds = np.arange(len(samples)) / rate
    wave.plot(seconds, samples, linewidth=0.6)
    wave.set(ylabel="amplitude\n(peak 1)", xlim=(0, len(samples) / rate), title=title)
    # The floor keeps digital silence from becoming minus infinity decibels.
    *_, image = spectrum.specgram(samples + 1e-6, NFFT=512, Fs=rate, noverlap=384, cmap="cividis", vmin=-120)
    spectrum.set(xlabel="time (s)", ylabel="frequency (Hz)", xlim=(0, len(samples) / rate))
    spectrum.grid(visible=False)
    figure.colorbar(image, ax=spectrum, label="power (dB/Hz)")
    return figure


def learning_curve(values: Sequence[float], references: Mapping[str, float], title: str, ylabel: str) -> Figure:
    """``values`` by epoch with the best one marked, and ``references`` as horizontal lines."""
    figure, (axes,) = canvas(8, 3.8)
    epochs = np.arange(1, len(values) + 1)
    best = int(np.argmax(values))
    axes.plot(epochs, values, "o-", label="by epoch")
    axes.plot(epochs[best], values[best], "D", markersize=11, color="C3", label=f"best, epoch {epochs[best]}")
    for line, (name, value) in zip(("--", ":", "-."), references.items(), strict=False):
        axes.axhline(value, linestyle=line, color="0.3", label=name)
    axes.set(title=title, xlabel="epoch", ylabel=ylabel)
    axes.set_ylim(bottom=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def cluster_sizes(clusters: Mapping[str, np.ndarray], title: str) -> Figure:
    """Items in each cluster of each modality, largest first; -1 (no description) is left out."""
    figure, axes = canvas(3 * len(clusters), 3.4, 1, len(clusters))
    for axis, (name, labels) in zip(axes, clusters.items(), strict=True):
        sizes = np.sort(np.bincount(labels[labels >= 0]))[::-1]
        axis.bar(np.arange(1, len(sizes) + 1), sizes)
        axis.set(title=name, xlabel="cluster, by size")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(axis="x", visible=False)
    axes[0].set_ylabel("items")
    figure.suptitle(title)
    return figure


def projection(points: np.ndarray, labels: np.ndarray, title: str, axis_name: str, shown: int = 7) -> Figure:
    """``points`` ``[n, 2]``, the ``shown`` largest clusters of ``labels`` in colours and markers, the others grey."""
    figure, (axes,) = canvas(8, 5.5)
    ids, sizes = np.unique(labels, return_counts=True)
    largest = ids[np.argsort(-sizes, kind="stable")][:shown]
    rest = ~np.isin(labels, largest)
    if rest.any():
        axes.scatter(*points[rest].T, s=12, color=GREY, label="all others")
    for place, cluster in enumerate(largest):
        axes.scatter(*points[labels == cluster].T, s=26, marker=MARKERS[place % len(MARKERS)],
                     color=sns.color_palette("colorblind", shown)[place], label=f"cluster {cluster}")
    axes.set(title=title, xlabel=f"{axis_name} 1 (no unit)", ylabel=f"{axis_name} 2 (no unit)")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def _wrapped(caption: str, width: int = 20, lines: int = 3) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(caption, width, max_lines=lines, placeholder=" ..."))


def growth(seconds: Mapping[str, Mapping[float, np.ndarray]], title: str) -> Figure:
    """Timings by size, one series a name, each size as a share of its largest; grey lines of slope 1 and 2."""
    figure, (axes,) = canvas(8, 4.4)
    for marker, (name, rows) in zip(MARKERS, seconds.items(), strict=False):
        shares = [size / max(rows) for size in sorted(rows)]
        values = [rows[size] for size in sorted(rows)]
        (line,) = axes.plot(shares, [np.min(timed) for timed in values], label=name)
        for share, timed in zip(shares, values, strict=True):
            axes.plot(np.full(len(timed), share), timed, marker, color=line.get_color(), alpha=0.6)
    low = min(min(rows) / max(rows) for rows in seconds.values())
    top = max(float(np.max(timed)) for rows in seconds.values() for timed in rows.values())
    for slope, style in ((1, "--"), (2, ":")):
        axes.plot([low, 1], [top * low**slope, top], style, color=GREY, label=f"slope {slope}")
    axes.set(title=title, xlabel="size, as a share of the largest", ylabel="seconds of processor time",
             xscale="log", yscale="log")
    halvings = range(int(np.floor(np.log2(low))), 1)  # the sizes themselves lie too close for labels
    axes.xaxis.set_major_locator(FixedLocator([2.0**power for power in halvings]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.3g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure

"""The figure of the chain from the printed method to the repaired one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mrlm_core.study.figures import canvas
from mrlm_core.study.repair import METRIC, Link
from mrlm_core.study.result_figures import LINE_STYLES


def chain_figure(links: Sequence[Link], references: Mapping[str, float], title: str) -> Figure:
    """Validation of every step from the top, each run a small point, their mean a large one.

    Filled where the step is kept; the line joins the chain. ``references`` are means of other models, drawn upright.
    """
    figure, (axes,) = canvas(9, 1.5 + 0.36 * len(links))
    heights = range(len(links), 0, -1)
    kept = [(link.validation.mean(), height) for link, height in zip(links, heights, strict=True) if link.kept]
    axes.plot(*zip(*kept, strict=True), color="C0", linewidth=1.5, zorder=1)
    for link, height in zip(links, heights, strict=True):
        axes.scatter(link.validation, [height] * len(link.validation), s=14, color="0.6", zorder=2)
        axes.scatter(link.validation.mean(), height, s=70, zorder=3, linewidths=1.6,
                     facecolors="C0" if link.kept else "white", edgecolors="C0" if link.kept else "0.4")
    for place, (name, value) in enumerate(references.items()):
        axes.axvline(value, color=f"C{place % 9 + 1}", linestyle=LINE_STYLES[place % len(LINE_STYLES)], linewidth=1.5,
                     label=f"{name} {value:.3f}")
    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.set_yticks(list(heights), labels=[link.name for link in links])
    axes.set(xlabel=f"{METRIC} on validation (large: mean over splits; filled: kept)", title=title)
    if references:
        figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure

"""The figure of the chain from the printed method to the repaired one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mrlm_core.study.figures import canvas
from mrlm_core.study.repair import METRIC, Link, fate, links_kept
from mrlm_core.study.result_figures import LINE_STYLES

# Marker, face and edge of a step by its ``fate``.
LOOKS = {"start": ("o", "C0", "C0"), "yes": ("o", "C0", "C0"), "not a choice": ("s", "C0", "C0"),
         "left behind": ("o", "white", "C0"), "replaced": ("o", "white", "C0"), "no": ("o", "white", "0.4")}


def chain_figure(links: Sequence[Link], references: Mapping[str, float], title: str) -> Figure:
    """Validation of every step from the top, each run a small point, their mean a large one.

    The line joins the chain; a point says its ``fate`` by shape and colour. ``references`` are means of other models,
    drawn upright.
    """
    figure, (axes,) = canvas(9, 1.5 + 0.36 * len(links))
    end = links_kept(links)[-1].spec
    heights = range(len(links), 0, -1)
    kept = [(link.validation.mean(), height) for link, height in zip(links, heights, strict=True) if link.kept]
    axes.plot(*zip(*kept, strict=True), color="C0", linewidth=1.5, zorder=1)
    for link, height in zip(links, heights, strict=True):
        axes.scatter(link.validation, [height] * len(link.validation), s=14, color="0.6", zorder=2)
        marker, face, edge = LOOKS[fate(link, end)]
        axes.scatter(link.validation.mean(), height, s=70, zorder=3, linewidths=1.6, marker=marker, facecolors=face,
                     edgecolors=edge)
    for place, (name, value) in enumerate(references.items()):
        axes.axvline(value, color=f"C{place % 9 + 1}", linestyle=LINE_STYLES[place % len(LINE_STYLES)], linewidth=1.5,
                     label=f"{name} {value:.3f}")
    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.set_yticks(list(heights), labels=[link.name for link in links])
    axes.set(xlabel=f"{METRIC} on validation (large: mean over splits)\nfilled: in the end; square: another model, no "
             "choice; blue ring: kept, but left behind or replaced; grey ring: not kept", title=title)
    if references:
        figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure

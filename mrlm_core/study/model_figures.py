"""Figures of what the model computes: the element-level difference (Fig. 2 of the paper) and learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mrlm_core.study.figures import canvas

FRAME = "#D55E00"  # Okabe and Ito's vermilion and blue, which colour-blind readers can tell apart
BLUE = "#0072B2"


def draw_difference(h_user: np.ndarray, h_item: np.ndarray, element: tuple[int, int]) -> Figure:
    """Fig. 2 with real numbers: the difference of a pair ``[d_2, d_3]`` each at one ``element`` (row, column).

    Above, both matrices with what takes part framed (dotted: the item's border of zeros); below, the user's element
    spread out, the item's window, and their difference as ``difference_tensor`` computes it.
    """
    from keras import ops

    from mrlm_core.model.gfrl import difference_tensor

    row, column = element
    h_user, h_item = np.asarray(h_user), np.asarray(h_item)
    difference = ops.convert_to_numpy(difference_tensor(h_user[None], h_item[None]))[0, row, column]
    spread = np.full((3, 3), h_user[row, column])
    top = float(max(h_user.max(), h_item.max()))
    figure = plt.figure(figsize=(9, 6.6), layout="constrained")
    upper, lower = (sub[0] for sub in figure.subfigures(2, 1, squeeze=False, height_ratios=(h_user.shape[0] + 2, 4.5)))
    left, right = upper.subplots(1, 2)
    _matrix(left, h_user, "low-level matrix of the user, $h_u$", top)
    _matrix(right, h_item, "low-level matrix of the item, $h_v$", top)
    _outline(left, column, row, 1)
    _outline(right, column - 1, row - 1, 3)
    rows, columns = h_user.shape
    for axes in (left, right):
        axes.set(xlabel="position", ylabel="channel", xlim=(-1.6, columns + 0.6), ylim=(rows + 0.6, -1.6))
    right.add_patch(Rectangle((-1.5, -1.5), columns + 2, rows + 2, fill=False, linestyle=":", edgecolor="0.5"))
    parts = lower.subplots(1, 3)
    _matrix(parts[0], spread, f"user's element, spread: $R_u$ at ({row}, {column})", top)
    _matrix(parts[1], spread - difference, f"minus the item's window: $R_v$ at ({row}, {column})", top)
    _matrix(parts[2], difference, "is the difference", top, diverging=True)
    for axes in parts:
        axes.set(xticks=[], yticks=[])
    plt.close(figure)
    return figure


def _matrix(axes: Axes, values: np.ndarray, title: str, top: float, diverging: bool = False) -> None:
    """``values`` as a grid of coloured cells with their numbers."""
    low = -top if diverging else 0.0
    image = axes.imshow(values, cmap="PuOr" if diverging else "Blues", vmin=low, vmax=top * (1 if diverging else 1.4))
    for (i, j), value in np.ndenumerate(values):
        dark = np.mean(image.cmap(image.norm(value))[:3]) < 0.6
        axes.text(j, i, f"{value + 0.0:.2f}", ha="center", va="center", fontsize=9, color="white" if dark else "black")
    axes.set_title(title, fontsize=10.5)
    axes.set_xticks(range(values.shape[1]))
    axes.set_yticks(range(values.shape[0]))
    axes.spines[:].set_visible(False)
    axes.grid(False)
    axes.tick_params(length=0)


def _outline(axes: Axes, column: int, row: int, size: int) -> None:
    corner = (column - 0.5, row - 0.5)
    axes.add_patch(Rectangle(corner, size, size, fill=False, edgecolor=FRAME, linewidth=2.5))


LOSS_NAMES = {
    "loss": "joint loss, Eq. 17",
    "loss_g1": "$L_{g1}$, triplets, Eq. 3",
    "loss_g2": "$L_{g2}$, identities, Eq. 5",
    "loss_g3": "$L_{g3}$, verification, Eq. 10",
}


def learning_curves(
    history: Sequence[Mapping[str, float]], best_epoch: int, cutoff: int = 20, chance: Mapping[str, float] | None = None
) -> Figure:
    """Each loss term and validation Recall by epoch, from a run record's ``history``; the kept epoch is marked.

    ``chance`` gives the value of a term for a model that guesses, drawn as a dotted line.
    """
    rows = pd.DataFrame(list(history), index=range(1, len(history) + 1))
    terms = ["validation", *LOSS_NAMES, *(name for name in history[0] if name.startswith("loss_m_"))]
    height = -(-len(terms) // 3)
    figure, panels = canvas(10, 2.5 * height, height, 3)
    for axes, term in zip(panels, terms, strict=False):
        is_recall = term == "validation"
        colour = FRAME if is_recall else BLUE
        axes.plot(rows.index, rows[term], color=colour, marker="o", markersize=3)
        axes.axvline(best_epoch, color="0.4", linestyle="--", linewidth=1)
        if chance and term in chance:
            axes.axhline(chance[term], color="black", linestyle=":", linewidth=1.3)
        axes.set_title(f"validation Recall@{cutoff}" if is_recall else _term_title(term), fontsize=10.5)
        axes.set_ylabel("Recall" if is_recall else "loss (nats)" if term not in ("loss", "loss_g1") else "loss")
        axes.xaxis.get_major_locator().set_params(integer=True)
    for axes in panels[: len(terms)][-3:]:  # the lowest of each column
        axes.set_xlabel("epoch")
    for axes in panels[len(terms) :]:
        axes.remove()
    marks = "dashed: the epoch that is kept" + ("; dotted: guessing" if chance else "")
    figure.suptitle(f"Training ({marks})", fontsize=11)
    return figure


def _term_title(term: str) -> str:
    return LOSS_NAMES.get(term, f"$L_m$ of {term.removeprefix('loss_m_')}, Eq. 15")

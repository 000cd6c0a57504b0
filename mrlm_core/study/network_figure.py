"""Fig. 1 of the paper drawn from the model: every box is a layer that was built, with its sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from mrlm_core.study.figures import canvas

if TYPE_CHECKING:
    from mrlm_core.model.mrlm import MRLM

# Okabe and Ito's palette, which colour-blind readers can tell apart; boxes use it lightened.
COLOURS = {
    "input": "#999999",
    "triplet network": "#0072B2",
    "verification": "#E69F00",
    "identity heads": "#009E73",
    "Siamese network": "#CC79A7",
    "classifiers": "#D55E00",
    "loss": "#333333",
}
BOX_WIDTH, BOX_HEIGHT, COLUMN = 1.26, 0.72, 1.5


def layer_table(model: MRLM) -> pd.DataFrame:
    """One row a layer of the built ``model``: part, layer, output shape without the batch, trainable parameters.

    Walked from the layers themselves, so that the parameters sum to all that the model trains.
    """
    config = model.config
    rows: list[tuple[str, str, tuple[int, ...], int]] = []
    shape: tuple[Any, ...] = (None, config.embedding_dim, 1)
    for index, block in enumerate(model.trunk.blocks, start=1):
        shape = block.compute_output_shape(shape)
        rows.append(("triplet network", f"conv{index}", (shape[2], shape[1]), _trainable(block)))
    rows.append(("triplet network", "FC", (model.trunk.fc.units,), _trainable(model.trunk.fc)))
    rows.append(("verification", "difference calculation", (model.difference.units,), _trainable(model.difference)))
    rows.append(("verification", "two-class layer", (model.verifier.units,), _trainable(model.verifier)))
    for side, head in (("user", model.user_identity), ("item", model.item_identity)):
        rows.append(("identity heads", side, (head.n_classes,), _trainable(head)))
    if model.modalities:
        shape = (None, model.trunk.fc.units, 1)
        for index, block in enumerate(model.siamese.blocks, start=1):
            shape = block.compute_output_shape(shape)
            rows.append(("Siamese network", f"conv{index}", (shape[2], shape[1]), _trainable(block)))
        rows.append(("Siamese network", "FC", (model.siamese.fc.units,), _trainable(model.siamese.fc)))
        for name in model.modalities:
            head = model.classifiers.heads[name]
            rows.append(("classifiers", name, (head.units,), _trainable(head)))
    return pd.DataFrame(rows, columns=["part", "layer", "output", "parameters"])


def draw_network(model: MRLM) -> Figure:
    """Fig. 1 drawn from the built ``model``: boxes of its layers with output shapes and numbers of weights."""
    table = layer_table(model)
    depth = len(model.config.trunk_channels)
    columns = depth + (3 if model.modalities else 2)
    figure, (axes,) = canvas(1.5 * columns + 0.4, 7.6)
    chart = _Chart(axes, table)
    trunk = _draw_trunk(chart, model, depth)
    gfrl = _draw_tasks(chart, model, depth, trunk)
    if model.modalities:
        _draw_mfrl(chart, model, depth, trunk["FC"], gfrl)
    total = int(table["parameters"].sum())
    name = "MRLM" if model.modalities else "U-GFRL"
    axes.set_title(f"{name} as built: {total:,} weights (w) to train; matrices are channels by positions", fontsize=11)
    axes.set_xlim(-0.75, COLUMN * (columns - 1) + 0.75)
    axes.set_ylim(-0.45 if model.modalities else 0.3, 6.5)
    axes.axis("off")
    return figure


class Place(NamedTuple):
    """Centre of a box and half its width and height."""

    x: float
    y: float
    half_width: float
    half_height: float


class _Chart:
    """Axes to draw boxes and arrows on, and the table that fills the boxes."""

    def __init__(self, axes: Axes, table: pd.DataFrame) -> None:
        self.axes = axes
        self.rows: dict[tuple[str, str], tuple[tuple[int, ...], int]] = {
            (part, layer): (output, parameters) for part, layer, output, parameters in table.to_numpy()
        }

    def box(self, x: float, y: float, text: str, part: str, height: float = BOX_HEIGHT) -> Place:
        colour, width = COLOURS[part], BOX_WIDTH
        self.axes.add_patch(
            FancyBboxPatch(
                (x - width / 2, y - height / 2), width, height, boxstyle="round,pad=0,rounding_size=0.08",
                facecolor=(*to_rgb(colour), 0.16), edgecolor=colour, linewidth=1.3,
            )
        )
        self.axes.text(x, y, text, ha="center", va="center", fontsize=9, linespacing=1.25)
        return Place(x, y, width / 2, height / 2)

    def layer(self, x: float, y: float, part: str, layer: str, title: str) -> Place:
        """The box of one row of the table."""
        output, parameters = self.rows[part, layer]
        shape = r" $\times$ ".join(f"{size:,}" for size in output)
        return self.box(x, y, f"{title}\n{shape}\n{parameters:,} w", part)

    def arrow(self, *points: tuple[float, float], label: str = "") -> None:
        """A line through ``points`` with a head at the last; ``label`` stands beside the last piece."""
        (x, y), end = points[-2], points[-1]
        if len(points) > 2:
            xs, ys = zip(*points[:-1], strict=True)
            self.axes.plot(xs, ys, color="0.35", linewidth=1.2, solid_capstyle="butt", solid_joinstyle="round")
        head = {"arrowstyle": "-|>", "color": "0.35", "shrinkA": 0, "shrinkB": 0}
        self.axes.annotate("", end, (x, y), arrowprops=head)
        if label:
            self.axes.text((x + end[0]) / 2 + 0.06, (y + end[1]) / 2, label, fontsize=9, va="center", style="italic")

    def frame(self, places: Sequence[Place], title: str, part: str) -> None:
        """A dashed frame around boxes, with a title above it."""
        left = min(place.x - place.half_width for place in places) - 0.09
        right = max(place.x + place.half_width for place in places) + 0.09
        bottom = min(place.y - place.half_height for place in places) - 0.12
        top = max(place.y + place.half_height for place in places) + 0.12
        self.axes.add_patch(
            Rectangle((left, bottom), right - left, top - bottom, fill=False, linestyle="--", edgecolor=COLOURS[part])
        )
        self.axes.text(left, top + 0.07, title, fontsize=9.5, color=COLOURS[part], va="bottom", weight="bold")


def _draw_trunk(chart: _Chart, model: MRLM, depth: int) -> dict[str, Place]:
    """Inputs, conv1 .. convN and FC along the top."""
    y = 5.6
    text = f"$u_0$, $v_0^+$, $v_0^-$\n{model.config.embedding_dim} each\n(frozen)"
    places = {"input": chart.box(0, y, text, "input")}
    for index in range(1, depth + 1):
        name = f"conv{index}"
        places[name] = chart.layer(index * COLUMN, y, "triplet network", name, name)
    places["FC"] = chart.layer((depth + 1) * COLUMN, y, "triplet network", "FC", "FC → $g$")
    for left, right in pairwise(places.values()):
        chart.arrow((left.x + left.half_width, y), (right.x - right.half_width, y))
    chart.frame(list(places.values())[1:], "Triplet network: one set of weights for u, v⁺ and v⁻", "triplet network")
    return places


def _draw_tasks(chart: _Chart, model: MRLM, depth: int, trunk: Mapping[str, Place]) -> Place:
    """The three tasks of GFRL under the trunk, each down to its loss; gives the box of L_GFRL."""
    config, conv1, fc = model.config, trunk["conv1"], trunk["FC"]
    difference = chart.layer(conv1.x, 4.05, "verification", "difference calculation", "differences")
    verifier = chart.layer(conv1.x, 2.9, "verification", "two-class layer", "like / dislike")
    user = chart.layer(fc.x - COLUMN, 2.9, "identity heads", "user", "which user?")
    item = chart.layer(fc.x, 2.9, "identity heads", "item", "which item?")
    g3 = _loss_box(chart, conv1.x, 1.7, "$L_{g3}$", "Eq. 10")
    g1 = _loss_box(chart, fc.x - 2 * COLUMN, 1.7, "$L_{g1}$", "Eq. 3")
    g2 = _loss_box(chart, fc.x - COLUMN / 2, 1.7, "$L_{g2}$", "Eq. 5")
    chart.arrow(_bottom(conv1), _top(difference), label="$h$")
    chart.arrow(_bottom(difference), _top(verifier))
    chart.arrow(_bottom(verifier), _top(g3))
    for target in (g1, user, item):  # one line out of g, then down to each
        chart.arrow(_bottom(fc), (fc.x, 4.05), (target.x, 4.05), _top(target))
    for head in (user, item):
        chart.arrow(_bottom(head), (head.x, 2.3), (g2.x, 2.3), _top(g2))
    gfrl = _loss_box(chart, g1.x, 0.6, "$L_{GFRL}$", "Eq. 11")
    weights = (config.lambda_1, config.lambda_2, 1 - config.lambda_1 - config.lambda_2)
    for part, weight in zip((g1, g2, g3), weights, strict=True):
        _weighted(chart, part, gfrl, weight)
    return gfrl


def _draw_mfrl(chart: _Chart, model: MRLM, depth: int, fc: Place, gfrl: Place) -> None:
    """The Siamese network down the right side, its classifiers, and the joint loss."""
    x = fc.x + COLUMN
    names = [f"conv{index}" for index in range(1, len(model.siamese.blocks) + 1)]
    heights = np.linspace(5.6, 3.75, len(names) + 1)
    blocks = [chart.layer(x, y, "Siamese network", name, name) for name, y in zip(names, heights[:-1], strict=True)]
    blocks.append(chart.layer(x, heights[-1], "Siamese network", "FC", "FC → $m$"))
    chart.frame(blocks, "Siamese: v⁺, v⁻", "Siamese network")
    chart.arrow((fc.x + fc.half_width, fc.y), (x - blocks[0].half_width, fc.y))
    for upper, lower in pairwise(blocks):
        chart.arrow(_bottom(upper), _top(lower))
    rows = {name: chart.rows["classifiers", name] for name in model.modalities}
    lines = [f"{name}: {output[0]}" for name, (output, _) in rows.items()]
    weights = sum(parameters for _, parameters in rows.values())
    text = "\n".join(["which cluster?", *lines, f"{weights:,} w"])
    heads = chart.box(x, 2.42, text, "classifiers", height=0.19 * (len(lines) + 2) + 0.12)
    chart.arrow(_bottom(blocks[-1]), _top(heads))
    mfrl = _loss_box(chart, x, 0.6, "$L_{MFRL}$", "Eq. 16")
    chart.arrow(_bottom(heads), _top(mfrl), label=r"$\nu$")
    joint = _loss_box(chart, (x + gfrl.x) / 2, -0.15, "$L_{MRLM}$", "Eq. 17")
    theta = model.config.theta_1
    for part, weight in ((gfrl, theta), (mfrl, 1 - theta)):
        _weighted(chart, part, joint, weight)


def _loss_box(chart: _Chart, x: float, y: float, symbol: str, equation: str) -> Place:
    return chart.box(x, y, f"{symbol}  {equation}", "loss", height=0.42)


def _weighted(chart: _Chart, part: Place, total: Place, weight: float) -> None:
    """An arrow from a loss into the sum that it belongs to, with its weight."""
    if math.isclose(part.x, total.x):
        chart.arrow(_bottom(part), _top(total), label=rf"$\times$ {weight:.2g}")
        return
    side = math.copysign(total.half_width, part.x - total.x)
    start, corner, end = _bottom(part), (part.x, total.y), (total.x + side, total.y)
    chart.arrow(start, corner, end)
    middle = ((corner[0] + end[0]) / 2, total.y + 0.05)
    chart.axes.text(*middle, rf"$\times$ {weight:.2g}", fontsize=9, ha="center", style="italic")


def _trainable(layer: Any) -> int:
    return int(sum(np.prod(variable.shape) for variable in layer.trainable_variables))


def _top(place: Place) -> tuple[float, float]:
    return place.x, place.y + place.half_height


def _bottom(place: Place) -> tuple[float, float]:
    return place.x, place.y - place.half_height

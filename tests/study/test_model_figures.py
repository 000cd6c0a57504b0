"""The figures of the model show what was built: every weight once, real sizes, the computed difference."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

from mrlm_core.config import preset
from mrlm_core.model.mrlm import MRLM
from mrlm_core.study.model_figures import draw_difference, learning_curves
from mrlm_core.study.network_figure import draw_network, layer_table


def build(clusters=True, **settings):
    config = preset("tiny", settings).model
    rng = np.random.default_rng(0)
    ids = {"text": np.array([0, 1, 2, -1, 3]), "image": np.array([0, 1, 1, 0, -1])} if clusters else None
    shape = config.embedding_dim
    return MRLM(config, rng.normal(size=(7, shape)), rng.normal(size=(5, shape)), ids)


def texts(figure):
    return "\n".join(text.get_text() for axes in figure.axes for text in axes.texts)


@pytest.mark.parametrize("clusters", [True, False])
def test_layer_table_counts_every_trained_weight_once(clusters):
    model = build(clusters)
    assert layer_table(model)["parameters"].sum() == sum(np.prod(v.shape) for v in model.trainable_variables)


def test_layer_table_gives_the_shapes_that_the_model_computes():
    model = build()
    outputs = layer_table(model).set_index(["part", "layer"])["output"]
    g, low_level = model.trunk(model.item_features)
    assert outputs["triplet network", "conv1"] == tuple(low_level.shape[1:])
    assert outputs["triplet network", "FC"] == tuple(g.shape[1:])
    assert outputs["Siamese network", "FC"] == tuple(model.siamese(g).shape[1:])
    assert outputs["identity heads", "user"] == (7,)
    assert outputs["identity heads", "item"] == (5,)
    assert outputs["classifiers", "text"] == (4,)
    assert outputs["classifiers", "image"] == (2,)


def test_network_figure_follows_the_configuration():
    small = texts(draw_network(build()))
    changed = {"model.trunk_channels": (5, 9, 9, 7), "model.global_dim": 31, "model.lambda_1": 0.7}
    other = texts(draw_network(build(**changed)))
    assert "conv1\n6 $\\times$ 8\n" in small
    assert "conv1\n5 $\\times$ 8\n" in other
    assert "$g$\n24\n" in small
    assert "$g$\n31\n" in other
    assert "$\\times$ 0.7" not in small
    assert "$\\times$ 0.7" in other


def test_network_figure_without_modalities_has_no_siamese_network():
    with_them, without = texts(draw_network(build())), texts(draw_network(build(clusters=False)))
    assert "Siamese" in with_them
    assert "text: 4" in with_them
    assert "Siamese" not in without
    assert "MFRL" not in without


def test_network_figure_boxes_hold_their_text_and_do_not_overlap():
    figure = draw_network(build())
    figure.canvas.draw()
    axes = figure.axes[0]
    boxes = [patch.get_window_extent() for patch in axes.patches if type(patch).__name__ == "FancyBboxPatch"]
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
        inside = [text for text in axes.texts if text.get_text() and box.contains(*_centre(text))]
        assert len(inside) == 1
        assert inside[0].get_window_extent().width < box.width


def _centre(text):
    extent = text.get_window_extent()
    return (extent.x0 + extent.x1) / 2, (extent.y0 + extent.y1) / 2


def test_difference_figure_shows_the_numbers_of_eq_6():
    h_user, h_item = np.arange(12.0).reshape(3, 4), np.arange(12.0).reshape(3, 4) * 2
    figure = draw_difference(h_user, h_item, (0, 3))
    spread, window, difference = (axes.images[0].get_array() for axes in figure.axes[2:])
    expected = np.array([[0, 0, 0], [4, 6, 0], [12, 14, 0]])  # zeros above and to the right of the corner
    np.testing.assert_allclose(spread, np.full((3, 3), 3.0))
    np.testing.assert_allclose(window, expected, atol=1e-6)
    np.testing.assert_allclose(difference, 3.0 - expected, atol=1e-6)


def test_learning_curves_draw_every_term_and_mark_the_kept_epoch():
    history = [
        {"loss": 3 - e, "loss_g1": -e, "loss_g2": 5 - e, "loss_g3": 1.4, "loss_m_text": 2 - e, "validation": e / 9,
         "seconds": 1.0}
        for e in range(3)
    ]
    figure = learning_curves(history, best_epoch=2, cutoff=10, chance={"loss_g3": 1.386})
    panels = {axes.get_title(): axes for axes in figure.axes}
    assert len(panels) == 6
    recall = panels["validation Recall@10"]
    np.testing.assert_allclose(recall.lines[0].get_xydata(), [[1, 0], [2, 1 / 9], [3, 2 / 9]])
    assert all(list(axes.lines[1].get_xdata()) == [2, 2] for axes in panels.values())
    guessing = [title for title, axes in panels.items() if len(axes.lines) == 3]
    assert guessing == ["$L_{g3}$, verification, Eq. 10"]

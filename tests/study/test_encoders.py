"""Encoders beside one another: what they are held against, what a table row says, a release that goes on."""

import json

import numpy as np
import pytest

from mrlm_core.config import preset
from mrlm_core.datasets import load_dataset
from mrlm_core.preprocessing.vectors import Features
from mrlm_core.study import encoders
from mrlm_core.study.encoders import Known, compare, known_of, links, neighbour_likeness, release, summary, variants

CONFIG = preset("tiny").preprocessing


@pytest.fixture
def shop(workspace):
    return load_dataset(workspace / "data" / "shop")


def test_likeness_of_neighbours_is_the_jaccard_index_counted_by_hand():
    rng = np.random.default_rng(0)
    mask, labels = rng.random(40) < 0.9, rng.random((40, 5)) < 0.4
    values = np.where(mask[:, None], rng.normal(size=(40, 3)), 0).astype(np.float32)
    rows = [i for i in range(40) if mask[i] and labels[i].any()]
    assert len(rows) < mask.sum()  # a described item of which nothing is known takes no part

    def jaccard(i, j):
        return (labels[i] & labels[j]).sum() / (labels[i] | labels[j]).sum()

    def closeness(i, j):
        return values[i] @ values[j] / np.linalg.norm(values[i]) / np.linalg.norm(values[j])

    near = [np.mean([jaccard(i, j) for j in sorted(set(rows) - {i}, key=lambda j: -closeness(i, j))[:4]]) for i in rows]
    everywhere = [jaccard(i, j) for i in rows for j in rows if i != j]
    found = neighbour_likeness(Features(values, mask, "some", ()), Known("labels", labels, False), neighbours=4)
    np.testing.assert_allclose(found, (np.mean(near), np.mean(everywhere)), rtol=1e-5)


def test_items_are_held_against_planted_levels_else_an_attribute(shop):
    planted = known_of(shop, "audio")
    assert planted.planted
    assert planted.labels.sum(axis=1).tolist() == [1] * shop.n_items
    shop.description["planted"].clear()
    rooms = known_of(shop, "audio")
    assert (rooms.name, rooms.planted) == ("rooms", False)
    first = set(shop.items["rooms"].iloc[0].split("|"))
    sharing = [bool(first & set(text.split("|"))) for text in shop.items["rooms"]]
    assert ((rooms.labels & rooms.labels[0]).any(axis=1) == sharing).all()


def test_each_variant_has_a_row_a_seed_and_one_that_cannot_run_says_why(shop, monkeypatch):
    monkeypatch.setattr(encoders, "variants", lambda kind, weights: {
        "light": {"encoder": "light", "weights": None}, "squeezenet": {"encoder": "squeezenet", "weights": None}})
    first, second, other = compare(shop, "image", CONFIG, {}, seeds=2)
    assert (first["variant"], second["seed"], other["variant"]) == ("light", 1, "squeezenet")
    assert "weights" in other["not run"]
    assert 0 <= first["of all items"] < first["likeness of neighbours"] <= 1
    assert first["ARI with the planted levels"] > 0.1
    table = summary([first, second], ["modality", "variant"])
    assert table.loc[("image", "light"), "seeds"] == 2
    assert str(table["items"].dtype) == "Int64"  # a page shows 25 items, not 25.000
    mean = (first["likeness of neighbours"] + second["likeness of neighbours"]) / 2
    assert table.loc[("image", "light"), "likeness of neighbours"] == pytest.approx(mean)


def test_frame_encoders_come_with_each_network_and_an_alias_once():
    assert list(variants("knowledge", {})) == ["light", "transg"]  # transe is the light one
    video = variants("video", {"squeezenet": "w.h5"})
    assert video["ecnn of squeezenet frames"] == {"encoder": "ecnn", "weights": "w.h5", "frame_encoder": "squeezenet"}
    assert video["frame-mean of light frames"]["weights"] is None


def test_link_prediction_has_both_embeddings_and_the_frequency_on_the_same_triples(shop):
    rows = links(shop, "knowledge", CONFIG, seeds=2)
    assert [row["method"] for row in rows] == ["frequency of the tail", "transe", "transg"] * 2
    assert len({row["held out"] for row in rows}) == 1
    assert all(0 <= row["Hits@10, raw"] <= row["Hits@10, filtered"] <= 1 for row in rows)


def test_a_killed_release_repeats_no_finished_modality_and_changed_settings_do(shop, workspace, monkeypatch):
    asked = []

    def one_row(dataset, modality, *_):
        asked.append(modality)
        if modality == "video" and asked.count("video") == 1:
            raise KeyboardInterrupt
        yield {"modality": modality, "variant": "light", "seed": 0}

    monkeypatch.setattr(encoders, "compare", one_row)
    monkeypatch.setattr(encoders, "links", lambda *_: [{"method": "transe", "seed": 0}])
    with pytest.raises(KeyboardInterrupt):
        release(shop, CONFIG, {})
    file = release(shop, CONFIG, {})
    assert asked == ["text", "image", "video", "video", "audio", "knowledge"]
    made = json.loads(file.read_text())
    assert [row["modality"] for row in made["encoders"]] == ["text", "image", "video", "audio", "knowledge"]
    assert made["commit"]
    assert made["links"] == [{"modality": "knowledge", "method": "transe", "seed": 0}]
    assert encoders.released() == {shop.name: made}
    release(shop, preset("tiny", {"preprocessing.text_dim": 9}).preprocessing, {})
    assert asked.count("text") == 2

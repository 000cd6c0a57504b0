"""Artefacts of preprocessing: made once for what they depend on, and the null controls of the clusters."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from mrlm_core.config import preset
from mrlm_core.errors import ConfigError, DatasetError
from mrlm_core.preprocessing import clustering, features, initial_features, pipeline
from mrlm_core.preprocessing.vectors import Features

CONFIG = preset("tiny").preprocessing
KINDS = {"text": "text", "image": "image", "sound": "audio"}
DATASET = SimpleNamespace(name="shop", data_hash="abc", path="shop", modalities={
    name: SimpleNamespace(kind=kind, extra={}) for name, kind in KINDS.items()
})


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Stand-ins for what computes, counting their calls; artefacts go to a folder of this test."""
    monkeypatch.setenv("MRLM_WORKSPACE", str(tmp_path))
    found = []

    def train(dataset, interactions, embedding_dim, config, seed):
        found.append("train")
        rows = np.full((2, embedding_dim), float(seed))
        return {"users": rows, "items": rows + 1, "notes": np.array(["ranks: é"])}

    def encode(dataset, modality, config, seed, target, scratch):
        found.append(f"encode {modality}")
        mask = np.array([1, 1, 1, 0], bool)
        return Features(np.eye(4, dtype=np.float32), mask, "stand-in", ("1 file unreadable: é",))

    def cluster(made, n_clusters, method="exact", seed=0, modality=""):
        found.append(f"cluster {modality} {n_clusters} {method}")
        return np.where(made.mask, np.arange(4) % n_clusters, -1).astype(np.int32)

    monkeypatch.setattr(initial_features.InitialRow, "load", lambda row: train)
    monkeypatch.setattr(features, "encode", encode)
    monkeypatch.setattr(clustering, "cluster_items", cluster)
    return found


def vectors(split="s", dim=16, config=CONFIG, seed=0, dataset=DATASET):
    return pipeline.initial_vectors(dataset, None, split, dim, config, seed)


def test_initial_vectors_are_trained_once(calls):
    (users, items), first = vectors(seed=7)
    assert (users == 7).all()
    assert (items == 8).all()
    assert first.notes == ("ranks: é",)
    assert first.encoder == "xdeepfm, read-out D"
    (again, _), second = vectors(seed=7)
    np.testing.assert_array_equal(again, users)
    assert second == first
    assert calls == ["train"]


@pytest.mark.parametrize(
    "change",
    [{"split": "t"}, {"dim": 8}, {"seed": 1}, {"dataset": SimpleNamespace(data_hash="other")},
     *({"config": dataclasses.replace(CONFIG, **changed)} for changed in
       ({"initial_l2": 0.5}, {"cin_layers": (9,)}, {"read_out": "A"}, {"initial": "bpr"}, {"initial": "random"}))],
)
def test_initial_vectors_are_trained_again_when_what_they_depend_on_changes(calls, change):
    assert vectors()[1].key != vectors(**change)[1].key
    assert calls == ["train"] * 2


def test_initial_vectors_do_not_depend_on_how_media_are_read(calls):
    other = dataclasses.replace(CONFIG, text_dim=99, cluster_counts={"text": 2}, clustering="nystrom")
    assert vectors()[1].key == vectors(config=other)[1].key


def test_every_setting_of_preprocessing_is_part_of_some_key():
    """A setting that no key holds would give stale artefacts."""
    encoders = {name for rows in features.ENCODERS.values() for row in rows.values() for name in row.settings}
    initial = {name for row in initial_features.INITIAL.values() for name in row.settings}
    read = {"initial", *initial, *encoders, "encoders", "weights", "cluster_counts", "clustering"}
    assert {f.name for f in dataclasses.fields(CONFIG)} == read


def test_settings_that_a_choice_does_not_read_leave_its_vectors_alone(calls):
    of_bpr = [vectors(config=dataclasses.replace(CONFIG, initial="bpr", read_out=name)) for name in ("A", "D")]
    assert of_bpr[0][1] == of_bpr[1][1]
    assert of_bpr[0][1].encoder == "bpr"
    assert calls == ["train"]


def test_another_kind_of_initial_vectors_is_refused(calls):
    with pytest.raises(ConfigError, match="Did you mean 'bpr'"):
        vectors(config=dataclasses.replace(CONFIG, initial="bprr"))
    assert calls == []


def test_features_come_back_as_they_were_made(calls):
    made, source = pipeline.modality_features(DATASET, "text", CONFIG)
    again, _ = pipeline.modality_features(DATASET, "text", CONFIG)
    np.testing.assert_array_equal(again.values, np.eye(4))
    np.testing.assert_array_equal(again.mask, [True, True, True, False])
    assert again.encoder == made.encoder == source.encoder == "stand-in"
    assert again.notes == source.notes == ("1 file unreadable: é",)
    assert calls == ["encode text"]


def test_clusters_follow_their_features_count_and_method(calls):
    ids, source = pipeline.modality_clusters(DATASET, "text", CONFIG)
    np.testing.assert_array_equal(ids, [0, 1, 2, -1])
    assert "stand-in" in source.encoder
    pipeline.modality_clusters(DATASET, "text", CONFIG)
    pipeline.modality_clusters(DATASET, "text", dataclasses.replace(CONFIG, cluster_counts={"text": 2}))
    pipeline.modality_clusters(DATASET, "text", dataclasses.replace(CONFIG, clustering="nystrom"))
    assert calls == ["encode text", "cluster text 6 exact", "cluster text 2 exact", "cluster text 6 nystrom"]
    pipeline.modality_clusters(DATASET, "text", dataclasses.replace(CONFIG, text_dim=3))
    assert calls[4:] == ["encode text", "cluster text 6 exact"]


def test_clusters_say_how_they_were_made(calls):
    made_by = {method: pipeline.modality_clusters(DATASET, "text", dataclasses.replace(CONFIG, clustering=method))[1]
               for method in ("exact", "kmeans")}
    assert made_by["exact"].encoder == "stand-in + exact kernel k-means"
    assert made_by["kmeans"].encoder == "stand-in + plain k-means"


def test_a_modality_without_a_cluster_count_is_refused(calls):
    with pytest.raises(ConfigError, match="sound"):
        pipeline.modality_clusters(DATASET, "sound", CONFIG)


@pytest.fixture
def clusters():
    rng = np.random.default_rng(0)
    ids = {name: rng.integers(0, 4, 400).astype(np.int32) for name in ("text", "image")}
    ids["image"][100:200] = -1
    ids["text"][300:] = -1
    return ids


def test_own_clusters_are_left_alone(clusters):
    assert pipeline.assign(clusters, "own", 0) is clusters


@pytest.mark.parametrize("assignment", ["permuted", "random"])
def test_a_null_control_keeps_who_is_described_and_breaks_the_rest(clusters, assignment):
    moved = pipeline.assign(clusters, assignment, 0)
    for name, ids in clusters.items():
        np.testing.assert_array_equal(moved[name] < 0, ids < 0)
        there = ids >= 0
        assert 0.15 < (moved[name] == ids)[there].mean() < 0.35  # 4 clusters: chance is a quarter
        assert moved[name].dtype == ids.dtype
        if assignment == "permuted":
            np.testing.assert_array_equal(np.bincount(moved[name][there]), np.bincount(ids[there]))
    for name, ids in pipeline.assign(clusters, assignment, 0).items():
        np.testing.assert_array_equal(ids, moved[name])
    assert any((pipeline.assign(clusters, assignment, 1)[name] != moved[name]).any() for name in clusters)


def test_a_permuted_item_gets_all_ids_of_one_other(clusters):
    clusters["image"][:100] = clusters["text"][:100]  # 0..99 have both, equal
    clusters["image"][200:300] = clusters["text"][200:300]
    moved = pipeline.assign(clusters, "permuted", 0)
    both = (moved["text"] >= 0) & (moved["image"] >= 0)
    assert both.sum() == 200
    np.testing.assert_array_equal(moved["text"][both], moved["image"][both])
    drawn = pipeline.assign(clusters, "random", 0)
    assert (drawn["text"][both] != drawn["image"][both]).any()


def test_a_third_control_groups_the_initial_vectors_as_finely(tmp_path, monkeypatch, clusters):
    monkeypatch.setenv("MRLM_WORKSPACE", str(tmp_path))
    group = np.random.default_rng(1).integers(0, 4, 400)
    values = (3 * np.eye(4)[group] + np.random.default_rng(2).normal(0, 0.1, (400, 4))).astype(np.float32)
    config = dataclasses.replace(CONFIG, cluster_counts={"text": 4, "image": 4}, clustering="kmeans")
    source = pipeline.Artefact("made-by-ratings", "xdeepfm", ("ranks",))
    made = pipeline.vector_clusters((values, source), clusters, config)
    for name, ids in clusters.items():
        found, artefact = made[name]
        there = ids >= 0
        np.testing.assert_array_equal(found < 0, ~there)
        assert {len(set(found[there & (group == one)])) for one in range(4)} == {1}, "the groups were not found"
        assert artefact.encoder == "initial item vectors (xdeepfm) + plain k-means"
    assert made["text"][1].key != made["image"][1].key
    other = pipeline.vector_clusters((values[::-1], dataclasses.replace(source, key="another")), clusters, config)
    assert other["text"][1].key != made["text"][1].key
    with pytest.raises(ValueError, match="vector_clusters"):
        pipeline.assign(clusters, "initial", 0)


def test_an_unknown_assignment_is_refused(clusters):
    with pytest.raises(ConfigError, match="shuffled"):
        pipeline.assign(clusters, "shuffled", 0)


def test_modalities_are_chosen_in_the_datasets_order():
    assert pipeline.chosen_modalities(DATASET, None) == ("text", "image", "sound")
    assert pipeline.chosen_modalities(DATASET, ("sound", "text")) == ("text", "sound")
    with pytest.raises(DatasetError, match="smell"):
        pipeline.chosen_modalities(DATASET, ("text", "smell"))

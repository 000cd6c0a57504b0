"""What a model takes of a dataset, and how a lack is said."""

from dataclasses import replace
from pathlib import Path

import pytest

from mrlm_core.baselines import registry
from mrlm_core.datasets import load_dataset
from mrlm_core.errors import ConfigError
from mrlm_core.study import RunSpec, run_or_load
from mrlm_core.study.inputs import as_vectors, encoded, inputs_of, missing, own
from mrlm_core.study.record import Stages
from mrlm_core.study.run import fitted, split_of

FAST = {"preprocessing.initial_epochs": 1, "preprocessing.knowledge_epochs": 2, "training.max_epochs": 1}


@pytest.fixture
def shop(workspace: Path):
    return load_dataset(workspace / "data" / "shop")


def test_a_plus_version_that_adds_nothing_says_that_it_is_the_same(shop) -> None:
    for name, modalities in (("CKE", ("text", "image")), ("ORAMAS", ("text", "audio")), ("MRTA", ("text",))):
        assert missing(registry.row(name), shop, modalities) == ""
        said = missing(registry.row(f"{name}+"), shop, modalities)
        assert said == f"the same as {name}: no modality here that it does not read"
        assert missing(registry.row(f"{name}+"), shop, (*modalities, "video")) == ""


@pytest.mark.parametrize(
    ("name", "modalities", "said"),
    [("CKE", ("text", "knowledge"), "needs image"), ("CKE+", ("video",), "needs text, image"),
     ("MRTA", ("image",), "needs text"), ("ItemKNN (content)", (), "needs a modality"),
     ("VBPR", (), "needs a modality"), ("ItemKNN", (), ""), ("ItemKNN (both)", ("video",), "")],
)
def test_a_lack_is_named(shop, name: str, modalities: tuple, said: str) -> None:
    assert missing(registry.row(name), shop, modalities) == said


@pytest.mark.parametrize(("name", "role"), [(name, role) for name in registry.names()
                                             for role in registry.row(name).needs])
def test_every_model_says_which_of_its_modalities_lacks_and_does_not_run(workspace: Path, shop, name, role) -> None:
    there = tuple(own for own, entry in shop.modalities.items() if entry.role != role)
    record = run_or_load(RunSpec("shop", name, preset="tiny", modalities=there))
    assert record.data["status"] == "not run"
    assert record.lack == f"needs {role}"
    assert not record.folder.exists(), "it is tried again when the modality is there"


def test_ready_made_vectors_have_no_words(shop) -> None:
    vectors = {**shop.modalities, "text": replace(shop.modalities["text"], kind="features")}
    without = replace(shop, modalities=vectors)
    assert missing(registry.row("MRTA"), without) == "needs text as sentences"
    assert missing(registry.row("ORAMAS"), without) == ""


def test_what_is_not_run_is_recorded_with_the_reason(workspace: Path) -> None:
    record = run_or_load(RunSpec("shop", "CKE+", preset="tiny", modalities=("text", "image", "knowledge")))
    assert record.data["status"] == "not run"
    assert record.data["error"].startswith("the same as CKE")


def test_words_and_triples_are_not_encoded_as_well(shop) -> None:
    row = registry.row("CKE")
    assert set(own(row, shop, None)) == {"text", "image", "knowledge"}
    assert set(as_vectors(row, shop, None)) == {"text", "image"}
    assert "text" not in encoded(registry.row("MRTA+"), shop, None)
    assert set(encoded(registry.row("MRTA+"), shop, None)) == set(shop.modalities) - {"text"}
    assert set(encoded(registry.row("ItemKNN (both)"), shop, None)) == set(shop.modalities)


@pytest.mark.parametrize("modalities", [None, ("text", "image")])
def test_cke_takes_the_graph_where_there_is_one(shop, modalities: tuple | None) -> None:
    spec = RunSpec("shop", "CKE", preset="tiny", modalities=modalities, hyperparameters={"max_epochs": 1})
    _, parts = split_of(spec, shop)
    inputs, _ = inputs_of(spec, shop, parts)
    assert set(inputs["features"]) == {"text", "image"}
    assert (inputs["triples"] is None) == (modalities is not None)
    model, _, _ = fitted(spec, shop, Stages(), None)
    assert ("left out" in model.report["knowledge"]) == (modalities is not None)


def test_clusters_of_the_initial_vectors_say_so_and_need_them(shop) -> None:
    spec = RunSpec("shop", "MRLM", preset="tiny", modalities=("text", "image"), settings=FAST, clusters="initial")
    _, parts = split_of(spec, shop)
    inputs, sources = inputs_of(spec, shop, parts)
    own, _ = inputs_of(replace(spec, clusters="own"), shop, parts)
    for name, ids in inputs["clusters"].items():
        assert ((ids < 0) == (own["clusters"][name] < 0)).all()
        assert (ids != own["clusters"][name]).any()
        assert sources[name]["encoder"].startswith("initial item vectors (xdeepfm")
    assert len(inputs["clusters"]) == 2
    with pytest.raises(ConfigError, match=r"'initial'.*initial vectors.*BPR-MF with clusters"):
        inputs_of(replace(spec, model="BPR-MF with clusters", settings={}), shop, parts)


def test_another_threshold_trains_other_initial_vectors(shop) -> None:
    spec = RunSpec("shop", "MRLM", preset="tiny", modalities=("text",), settings=FAST)
    _, parts = split_of(spec, shop)
    fewer = replace(parts, train_rated=parts.train)
    keys = [inputs_of(spec, shop, given)[1]["initial_vectors"]["key"] for given in (parts, parts, fewer)]
    assert keys[0] == keys[1] != keys[2]


def test_a_row_with_settings_of_its_own_runs_and_records_them(workspace: Path) -> None:
    spec = RunSpec("shop", "MRLM (MLP trunk)", preset="tiny", modalities=("text",), settings=FAST)
    record = run_or_load(spec)
    assert record.data["status"] == "done", record.data.get("error")
    assert record.label == "MRLM (MLP trunk) [text]"
    assert record.data["spec"]["settings"]["model.trunk"] == "mlp"
    assert RunSpec("shop", "MRLM", preset="tiny").config.model.trunk == "convolution"

"""Runs and records: repeatable, resumable, failures kept, mistakes refused."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrlm_core.baselines import registry
from mrlm_core.baselines.popularity import Popularity
from mrlm_core.datasets import load_dataset
from mrlm_core.errors import ConfigError, DatasetError
from mrlm_core.study import RunSpec, record, run, run_many, run_or_load
from mrlm_core.study.cold import cold_specs
from mrlm_core.study.comparison import comparison
from mrlm_core.study.key import modules_of, run_key
from mrlm_core.study.record import load_record, load_records
from mrlm_core.training import fit as fit_loop

FAST = {"training.max_epochs": 2, "preprocessing.initial_epochs": 1, "preprocessing.knowledge_epochs": 2}
MRLM = RunSpec("shop", "MRLM", preset="tiny", settings=FAST, modalities=("text", "knowledge"))


def _timeless(data: dict) -> dict:
    """A record without what time, not content, decides."""
    kept = {key: value for key, value in data.items() if key not in ("stages", "commit", "resumed")}
    kept["history"] = [{k: v for k, v in row.items() if k != "seconds"} for row in kept["history"]]
    return kept


def test_a_repeated_run_gives_the_same_record_bit_for_bit(workspace: Path) -> None:
    first = run_or_load(MRLM)
    assert first.data["status"] == "done", first.data.get("error")
    shutil.rmtree(first.folder)
    shutil.rmtree(workspace / "artefacts" / "initial_vectors")
    second = run_or_load(MRLM)
    assert json.dumps(_timeless(first.data), sort_keys=True) == json.dumps(_timeless(second.data), sort_keys=True)
    pd.testing.assert_frame_equal(first.per_user, second.per_user, check_exact=True)


@pytest.mark.parametrize("spec", [MRLM, RunSpec("shop", "BPR-MF", hyperparameters={"max_epochs": 5})], ids=str)
def test_a_killed_training_goes_on_from_its_checkpoint(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, spec: RunSpec
) -> None:
    """MRLM's and a baseline's alike, to the same record; which says that its times are of the last part alone."""
    whole = run_or_load(spec)
    shutil.rmtree(whole.folder)

    def save_and_die(*arguments: object) -> None:
        save(*arguments)
        raise KeyboardInterrupt

    save = fit_loop._save
    monkeypatch.setattr(fit_loop, "_save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        run_or_load(spec)
    monkeypatch.setattr(fit_loop, "_save", save)
    resumed = run_or_load(spec)
    assert (whole.data["resumed"], resumed.data["resumed"]) == (False, True)
    assert resumed.data["epochs"]["run"] == len(resumed.data["history"]) > 1
    assert json.dumps(_timeless(whole.data), sort_keys=True) == json.dumps(_timeless(resumed.data), sort_keys=True)


def test_a_record_is_loaded_not_run_again(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = RunSpec("shop", "Popularity", preset="tiny", seed=7)
    made = run_or_load(spec)
    monkeypatch.setattr(Popularity, "fit", lambda *_: pytest.fail("ran again"))
    assert run_or_load(spec).data == made.data


def test_record_names_everything_that_made_it(workspace: Path) -> None:
    data = run_or_load(MRLM).data
    assert set(data) >= {"spec", "spec_hash", "data_hash", "code_hash", "commit", "versions", "device", "selected_on"}
    assert data["selected_on"] == "validation recall@20"
    assert set(data["inputs"]) == {"initial_vectors", "text", "knowledge"}
    assert data["users"]["test"]["evaluated"] + sum(data["users"]["test"]["skipped"].values()) == 60
    assert data["report"]["preference"]["form"] == "blockwise"
    assert data["spec"]["settings"]["training.max_epochs"] == 2
    per_user = load_record(run_or_load(MRLM).folder).per_user
    assert data["test"]["recall@20"] == pytest.approx(per_user["recall@20"].mean(), abs=1e-12)


def test_a_record_says_when_kernels_are_not_the_usual_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an accelerator computes, the processor's kernels do not matter."""
    monkeypatch.setattr(record, "accelerators", lambda: [])
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    usual = record.device()
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert record.device() == f"{usual}, without oneDNN"
    monkeypatch.setattr(record, "accelerators", lambda: ["a card"])
    assert record.device() == "a card"


def test_failure_is_recorded_and_the_rest_go_on(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(Popularity, "fit", broken)
    specs = [RunSpec("shop", name, preset="tiny", seed=3) for name in ("Popularity", "EASE")]
    failed, done = run_many(specs)
    assert failed.failed
    assert failed.data["error"] == "ZeroDivisionError: planted"
    assert failed.per_user is None
    assert not done.failed
    monkeypatch.undo()
    monkeypatch.setenv("MRLM_WORKSPACE", str(workspace))
    assert not run_or_load(specs[0]).failed, "a failed run is tried again"


def test_a_run_that_another_process_ended_meanwhile_is_not_made_a_failed_one(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, fit = RunSpec("shop", "Popularity", preset="tiny", seed=4), Popularity.fit

    def beaten(*_: object) -> None:
        monkeypatch.setattr(Popularity, "fit", fit)
        run_or_load(spec)
        raise FileNotFoundError("the checkpoint that the other one took away")

    monkeypatch.setattr(Popularity, "fit", beaten)
    assert not run_or_load(spec).failed
    assert not run_or_load(spec).failed


def test_a_diverged_training_is_a_failed_record(workspace: Path) -> None:
    settings = {**FAST, "training.learning_rate": 1e30, "model.output_activation": "linear"}
    record = run_or_load(replace(MRLM, settings=settings))
    assert record.failed
    assert "TrainingError" in record.data["error"]


def test_seed_split_and_settings_change_the_record(workspace: Path) -> None:
    base = RunSpec("shop", "BPR-MF", preset="tiny")
    keys = {run_or_load(replace(base, **change)).folder.name
            for change in ({}, {"seed": 1}, {"split_seed": 1}, {"hyperparameters": {"dim": 4}})}
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("setting", "value", "named_by_it"),
    [("training.learning_rate", 0.5, {"MRLM"}), ("preprocessing.clustering", "kmeans", {"MRLM", "VBPR"}),
     ("model.embedding_dim", 8, {"MRLM", "VBPR"}), ("protocol.candidates", "rated", {"MRLM", "VBPR", "EASE"})],
)
def test_a_run_is_named_by_the_settings_that_its_model_reads(
    workspace: Path, setting: str, value: object, named_by_it: set
) -> None:
    data, changed = load_dataset(workspace / "data" / "shop"), set()
    for model in ("MRLM", "VBPR", "EASE"):
        spec = RunSpec("shop", model, preset="tiny")
        if run_key(replace(spec, settings={setting: value}), data) != run_key(spec, data):
            changed.add(model)
    assert changed == named_by_it


def test_another_models_row_changes_no_key_and_the_own_one_does(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, spec = load_dataset(workspace / "data" / "shop"), RunSpec("shop", "VBPR", preset="tiny")
    key = run_key(spec, data)
    monkeypatch.setitem(registry._ROWS, "CKE", replace(registry.row("CKE"), defaults={"dim": 3}, needs=("smell",)))
    assert run_key(spec, data) == key
    own = registry.row("VBPR")
    for change in ({"defaults": {**own.defaults, "dim": 3}}, {"reads": ("text",)}, {"needs": ("text",)}):
        monkeypatch.setitem(registry._ROWS, "VBPR", replace(own, **change))
        assert run_key(spec, data) != key


def test_a_record_of_another_backend_is_another_record(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, spec = load_dataset(workspace / "data" / "shop"), RunSpec("shop", "EASE", preset="tiny")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    key = run_key(spec, data)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert run_key(spec, data) != key


def test_a_baselines_record_does_not_depend_on_the_preset(workspace: Path) -> None:
    records = [run_or_load(RunSpec("shop", "EASE", preset=name)) for name in ("tiny", "laptop")]
    assert records[0].folder == records[1].folder


def test_a_model_that_has_mrlms_sizes_follows_the_preset_in_a_comparison() -> None:
    usual, tiny = (comparison("shop", name, 1, ["MRLM-R", "EASE"]) for name in ("laptop", "tiny"))
    assert [spec.hyperparameters for spec in usual] == [{}, {}]
    assert [spec.hyperparameters for spec in tiny] == [{"preset": "tiny"}, {}]
    assert cold_specs("shop", ["MRLM-R"], 1, 0.1, preset="paper")[0].run.hyperparameters == {"preset": "paper"}


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        (RunSpec("shpo", "EASE"), DatasetError, "shop"),
        (RunSpec("shop", "EASY"), ConfigError, "EASE"),
        (RunSpec("shop", "MRLM", preset="tinny"), ConfigError, "tiny"),
        (replace(MRLM, settings={"training.max_epoch": 2}), ConfigError, "training.max_epochs"),
        (replace(MRLM, modalities=("smell",)), DatasetError, "smell"),
        (replace(MRLM, clusters="shuffled"), ConfigError, "permuted"),
    ],
)
def test_mistakes_are_refused_by_name(workspace: Path, spec: RunSpec, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        run_or_load(spec)


def test_what_the_data_make_impossible_is_a_failed_record_and_the_rest_go_on(workspace: Path) -> None:
    """More clusters than items: no wrong name, so that it stops a single run, and no others."""
    crowded = replace(MRLM, settings={**FAST, "preprocessing.cluster_counts": {"text": 10_000, "knowledge": 10_000}})
    specs = [RunSpec("shop", "Popularity", preset="tiny"), crowded, RunSpec("shop", "EASE", preset="tiny")]
    first, failed, last = run_many(specs)
    assert (first.failed, failed.failed, last.failed) == (False, True, False)
    assert "Error: " in failed.data["error"]
    assert not failed.folder.exists(), "it is not kept: the data may change"
    with pytest.raises((ConfigError, DatasetError)):
        run_many([crowded])
    with pytest.raises(ConfigError, match="permuted"):
        run_many([*specs, replace(MRLM, clusters="shuffled")])
    for right in ("own", "permuted", "random"):
        run.check_names(replace(MRLM, clusters=right))


def test_records_of_a_dataset_are_read_in_a_fixed_order(workspace: Path) -> None:
    specs = [RunSpec("shop", "Popularity", preset="tiny", split_seed=seed, seed=seed) for seed in (1, 0)]
    run_many(specs)
    found = [r for r in load_records(workspace / "runs" / "shop") if r.label == "Popularity"]
    assert [r.data["spec"]["split_seed"] for r in found] == sorted(r.data["spec"]["split_seed"] for r in found)


def test_permuted_clusters_are_another_run(workspace: Path) -> None:
    own, permuted = run_or_load(MRLM), run_or_load(replace(MRLM, clusters="permuted"))
    assert permuted.label == "MRLM [text + knowledge], permuted clusters"
    assert not np.array_equal(own.per_user["full_auc"], permuted.per_user["full_auc"])


@pytest.mark.parametrize(
    ("model", "settings", "expected"),
    [("U-GFRL", {}, {"xdeepfm"}), ("U-GFRL", {"preprocessing.initial": "bpr"}, {"bpr"}),
     ("U-GFRL", {"preprocessing.initial": "random"}, {"initial_features"}), ("Popularity", {}, set())],
)
def test_a_run_is_named_by_the_code_of_its_initial_vectors(
    workspace: Path, model: str, settings: dict, expected: set
) -> None:
    """A table names that code, so the imports that the code's hash follows do not show it."""
    dataset = load_dataset(workspace / "data" / "shop")
    modules = modules_of(RunSpec("shop", model, preset="tiny", settings=settings), dataset)
    choices = {"xdeepfm", "bpr", "initial_features"}
    assert {name.rpartition(".")[2] for name in modules} & choices == expected


@pytest.mark.parametrize(
    ("modalities", "encoders", "expected"),
    [(("text",), {}, {"text"}), (("knowledge",), {"knowledge": "transg"}, {"transg"}),
     (("video",), {"video": "ecnn"}, {"ecnn", "text"})],
)
def test_a_run_is_named_by_the_code_and_names_of_its_encoders(
    workspace: Path, modalities: tuple, encoders: dict, expected: set
) -> None:
    dataset = load_dataset(workspace / "data" / "shop")
    spec = replace(MRLM, modalities=modalities, settings={"preprocessing.encoders": encoders})
    modules = {name.rpartition(".")[2] for name in modules_of(spec, dataset)}
    assert modules & {"text", "image", "video", "knowledge", "transg", "ecnn"} == expected
    light = run_key(replace(spec, settings={}), dataset)
    assert (run_key(spec, dataset) != light) == bool(encoders)


def test_a_run_is_named_by_the_content_of_its_weights(workspace: Path, tmp_path: Path) -> None:
    dataset, keys = load_dataset(workspace / "data" / "shop"), []
    weights = tmp_path / "weights.h5"
    spec = replace(MRLM, modalities=("image",), settings={
        "preprocessing.encoders": {"image": "squeezenet"}, "preprocessing.weights": {"image": str(weights)}})
    for content in (b"one", b"two"):
        weights.write_bytes(content)
        keys.append(run_key(spec, dataset))
    assert keys[0] != keys[1]


def test_a_commit_is_dirty_by_code_and_not_by_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRLM_WORKSPACE", str(tmp_path))
    assert record._commit() == "not a git checkout"
    files = [tmp_path / "book" / "results" / "x.json", tmp_path / "code.py"]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("1")
    me = ["-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["init", "-q"], ["add", "-A"], [*me, "commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    clean = record._commit()
    assert len(clean) == 12
    files[0].write_text("2")
    assert record._commit() == clean
    files[1].write_text("2")
    assert record._commit() == f"{clean}-dirty"

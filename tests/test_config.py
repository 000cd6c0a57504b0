"""Presets and settings: Table 2's numbers, and what a name or value that does not exist gets."""

import dataclasses

import pytest

from mrlm_core.baselines import registry
from mrlm_core.config import PRESETS, preset, settings_of, with_settings, workspace
from mrlm_core.errors import ConfigError
from mrlm_core.stopping import PATIENCE


def test_the_paper_preset_is_table_2():
    model, training = preset("paper").model, preset("paper").training
    assert (model.embedding_dim, model.global_dim, model.multimodal_dim) == (250, 300, 250)
    assert (model.trunk_channels, model.siamese_channels) == ((20, 30, 30, 15), (20, 30))
    assert (model.lambda_1, model.lambda_2, model.theta_1, model.dropout) == (0.4, 0.2, 0.55, 0.5)
    assert (training.batch_size, training.learning_rate) == (128, 0.001)
    four = {name: model.modality_weights[name] for name in ("text", "image", "video", "knowledge")}
    assert four == {"text": 0.3, "image": 0.25, "video": 0.25, "knowledge": 0.2}
    other = preset("paper-bookcrossing")
    assert (other.model.embedding_dim, other.model.global_dim, other.training.batch_size) == (200, 250, 64)
    assert (other.model.lambda_1, other.model.theta_1) == (0.5, 0.5)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid_and_knows_its_name(name):
    assert preset(name).preset == name


def test_no_model_is_stopped_sooner_than_another():
    """Nor MRLM and what it is fed: with less patience than others, a model may differ from them by nothing but that."""
    patience = {row.name: row.defaults["patience"] for row in map(registry.row, registry.names())
                if "patience" in row.defaults}
    assert len(patience) > 15
    for name in ("paper", "laptop"):
        config = preset(name)
        assert {*patience.values(), config.training.patience, config.preprocessing.initial_patience} == {PATIENCE}


def test_laptop_keeps_the_papers_channels():
    assert preset("laptop").model.trunk_channels == preset("paper").model.trunk_channels


def test_settings_change_a_copy_and_nothing_else():
    before = preset("tiny")
    after = with_settings(before, {"model.dropout": 0.25, "training.batch_size": 7})
    assert before == preset("tiny")
    changed = {key for key, value in settings_of(after).items() if settings_of(before)[key] != value}
    assert changed == {"model.dropout", "training.batch_size"}


def test_what_json_and_notebooks_hand_over_is_taken():
    config = preset("tiny", {"model.trunk_channels": [1, 2, 3, 4], "model.dropout": 0, "model.modality_weights":
                             {"smell": 1}, "preference.global_weights": [0, 1]})
    assert config.model.trunk_channels == (1, 2, 3, 4)
    assert isinstance(config.model.dropout, float)
    assert config.model.modality_weights == {"smell": 1.0}
    assert config.preference.global_weights == (0.0, 1.0)


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset("tiny").model.dropout = 0.1


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("labtop", {}, "'labtop'.*Did you mean 'laptop'"),
        ("tiny", {"model.droput": 0.1}, "model.droput.*Did you mean 'model.dropout'"),
        ("tiny", {"dropout": 0.1}, "'dropout'.*unknown name"),
        ("tiny", {"preset": "paper"}, "'preset'.*unknown name"),
        ("tiny", {"model.dropout": "0.1"}, "model.dropout.*float.*'0.1'"),
        ("tiny", {"model.dropout": True}, "model.dropout.*float.*True"),
        ("tiny", {"training.batch_size": 8.0}, r"training.batch_size.*int.*8\.0"),
        ("tiny", {"model.trunk_channels": 20}, "model.trunk_channels.*tuple.*20"),
        ("tiny", {"model.trunk_channels": ("20",)}, "model.trunk_channels.*int.*'20'"),
        ("tiny", {"model.modality_weights": 1.0}, "model.modality_weights"),
        ("tiny", {"model.modality_weights": {"text": "much"}}, "model.modality_weights.*'much'"),
        ("tiny", {"model.verification": "repared"}, "Did you mean 'repaired'"),
        ("tiny", {"model.identity_head": "sample"}, "Did you mean 'sampled'"),
        ("tiny", {"model.output_activation": "sigmod"}, "Did you mean 'sigmoid'"),
        ("tiny", {"training.negatives": "unifrom"}, "Did you mean 'uniform'"),
        ("tiny", {"preprocessing.clustering": "nystrem"}, "Did you mean 'nystrom'"),
        ("tiny", {"preprocessing.initial": "xdeepfn"}, "preprocessing.initial.*Did you mean 'xdeepfm'"),
        ("tiny", {"preprocessing.read_out": "B"}, "preprocessing.read_out.*'A', 'D'"),
        ("tiny", {"preference.form": "blokwise"}, "Did you mean 'blockwise'"),
        ("tiny", {"model.theta_1": 1.5}, r"model.theta_1.*\[0, 1\].*1.5"),
        ("tiny", {"model.dropout": 1.0}, "model.dropout"),
        ("tiny", {"model.lambda_1": 0.9, "model.lambda_2": 0.2}, "lambda_1.*lambda_2.*1.1"),
        ("tiny", {"model.lambda_1": -0.1}, "lambda_1"),
        ("tiny", {"preference.global_weights": (0.5, 1.5)}, "global_weights.*1.5"),
        ("tiny", {"protocol.train_ratio": 0.9, "protocol.validation_ratio": 0.2}, "train_ratio"),
        ("tiny", {"protocol.validation_ratio": -0.2}, "validation_ratio"),
        ("tiny", {"protocol.selection_cutoff": 30}, "selection_cutoff.*30"),
        ("tiny", {"training.batch_size": 0}, "training.batch_size.*1 or more.*0"),
        ("tiny", {"training.max_epochs": -1}, "training.max_epochs"),
        ("tiny", {"preference.latest_counts": (0, 5)}, "latest_counts.*1 or more"),
        ("tiny", {"preference.form": "literal", "preference.latest_counts": (-1,)}, "latest_counts.*0 or more"),
        ("tiny", {"model.trunk_channels": (0, 3)}, "model.trunk_channels.*1 or more"),
    ],
)
def test_what_does_not_exist_is_refused_by_name(name, settings, words):
    with pytest.raises(ConfigError, match=words):
        preset(name, settings)


def test_two_settings_that_only_fit_together_can_come_in_any_order():
    settings = {"protocol.cutoffs": (5, 7), "protocol.selection_cutoff": 7}
    for order in (settings, dict(reversed(settings.items()))):
        assert preset("tiny", order).protocol.selection_cutoff == 7


def test_the_workspace_can_be_moved(tmp_path, monkeypatch):
    monkeypatch.setenv("MRLM_WORKSPACE", str(tmp_path))
    assert workspace() == tmp_path
    monkeypatch.delenv("MRLM_WORKSPACE")
    assert (workspace() / "mrlm_core").is_dir()

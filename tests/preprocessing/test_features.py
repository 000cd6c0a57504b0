import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from mrlm_core.errors import ConfigError, DatasetError
from mrlm_core.preprocessing.features import ENCODERS, EncoderRow, choose, encode
from mrlm_core.preprocessing.vectors import Features, standardise
from mrlm_core.preprocessing_config import PreprocessingConfig

CONFIG = PreprocessingConfig()


def test_ready_made_columns_are_standardised_over_described_items_only(small):
    rng = np.random.default_rng(0)
    mask = np.arange(10) % 3 > 0
    values = np.where(mask[:, None], rng.normal(5, [1, 100, 0], size=(10, 3)), 0).astype(np.float32)
    features = encode(small("features", 10, (values, mask)), "features", CONFIG, seed=0)
    np.testing.assert_allclose(features.values[mask].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(features.values[mask].std(axis=0), [1, 1, 0], atol=1e-5)
    assert not features.values[~mask].any()
    assert any("1 of 3 columns constant" in note for note in features.notes)


def test_constant_columns_with_rounding_become_zero():
    column = np.full((7, 1), 0.1, np.float32) * 3
    assert not standardise(np.hstack([column, column * 1e20])).any()


def test_unknown_modality_and_kind(small):
    dataset = small("features", 2, (np.ones((2, 1), np.float32), np.ones(2, bool)))
    with pytest.raises(DatasetError, match="one of small: features"):
        encode(dataset, "smell", CONFIG, 0)
    dataset.modalities["smell"] = SimpleNamespace(kind="smell", extra={})
    with pytest.raises(ConfigError, match="a kind among text, image"):
        encode(dataset, "smell", CONFIG, 0)


def test_all_rows_missing_is_an_error(small):
    dataset = small("features", 3, (np.zeros((3, 2), np.float32), np.zeros(3, bool)))
    with pytest.raises(DatasetError, match="at least one describable item"):
        encode(dataset, "features", CONFIG, 0)


def test_an_encoder_is_chosen_by_setting_then_by_the_dataset_then_light(small, tmp_path):
    dataset = dataclasses.replace(small("knowledge", 2, ([], {})), path=tmp_path)
    assert choose(dataset, "knowledge", CONFIG).name == "light"
    dataset.modalities["knowledge"].extra["encoder"] = "transe"
    assert choose(dataset, "knowledge", CONFIG).name == "transe"
    by_setting = dataclasses.replace(CONFIG, encoders={"knowledge": "light"})
    assert choose(dataset, "knowledge", by_setting).name == "light"
    with pytest.raises(ConfigError, match="one for knowledge: light, transe"):
        choose(dataset, "knowledge", dataclasses.replace(CONFIG, encoders={"knowledge": "transh"}))
    with pytest.raises(DatasetError, match="'knowlege'"):
        choose(dataset, "knowledge", dataclasses.replace(CONFIG, encoders={"knowlege": "transe"}))


def test_weights_are_found_hashed_and_refused_where_there_are_none(small, tmp_path, monkeypatch):
    dataset = dataclasses.replace(small("image", 2, {}), path=tmp_path)
    monkeypatch.setitem(ENCODERS["image"], "heavy", EncoderRow("nowhere", "f", ("text_dim",), ("weights",)))
    config = dataclasses.replace(CONFIG, encoders={"image": "heavy"}, weights={"image": "w.h5"})
    with pytest.raises(ConfigError, match=r"w\.h5"):
        choose(dataset, "image", config)
    (tmp_path / "w.h5").write_bytes(b"one")
    first = choose(dataset, "image", config).inputs(config)
    assert first["encoder"] == "heavy"
    assert first["text_dim"] == CONFIG.text_dim
    (tmp_path / "w.h5").write_bytes(b"two")
    assert choose(dataset, "image", config).inputs(config) != first
    with pytest.raises(ConfigError, match="'light' has none"):
        choose(dataset, "image", dataclasses.replace(config, encoders={}))


def test_an_encoder_that_learns_from_texts_gets_them_or_says_that_there_are_none(small, monkeypatch):
    dataset = small("image", 2, {})
    row = EncoderRow("nowhere", "f", (), ("target",))
    monkeypatch.setitem(ENCODERS["image"], "learner", row)
    config = dataclasses.replace(CONFIG, encoders={"image": "learner"})
    with pytest.raises(ConfigError, match="a text modality"):
        choose(dataset, "image", config)
    dataset.modalities["words"] = SimpleNamespace(kind="text", extra={})
    assert choose(dataset, "image", config).target == "words"
    told = []
    made = Features(np.ones((2, 1), np.float32), np.ones(2, bool), "x", ())
    monkeypatch.setattr(EncoderRow, "load", lambda row: lambda *args, **given: told.append(given) or made)
    encode(dataset, "image", config, 0)
    assert told == [{}, {"target": made}]

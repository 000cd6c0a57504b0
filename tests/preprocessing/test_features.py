from types import SimpleNamespace

import numpy as np
import pytest

from mrlm_core.config import PreprocessingConfig
from mrlm_core.errors import ConfigError, DatasetError
from mrlm_core.preprocessing.features import encode
from mrlm_core.preprocessing.vectors import standardise

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
    dataset.modalities["smell"] = SimpleNamespace(kind="smell")
    with pytest.raises(ConfigError, match="a kind among text, image"):
        encode(dataset, "smell", CONFIG, 0)


def test_all_rows_missing_is_an_error(small):
    dataset = small("features", 3, (np.zeros((3, 2), np.float32), np.zeros(3, bool)))
    with pytest.raises(DatasetError, match="at least one describable item"):
        encode(dataset, "features", CONFIG, 0)

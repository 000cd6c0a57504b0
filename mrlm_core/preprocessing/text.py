"""Text to vectors, light: TF-IDF and truncated SVD; and which texts say anything."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from mrlm_core.preprocessing.vectors import Features, note, spread
from mrlm_core.preprocessing_config import PreprocessingConfig

if TYPE_CHECKING:
    from mrlm_core.datasets import Dataset

RARE_WORDS_FROM = 100  # texts from which a word must occur in two of them
VOCABULARY_LIMIT = 50_000
WORD = re.compile(r"[^\W_]+")
SILENT = "texts without a word of the vocabulary, masked"


def encode_text(dataset: Dataset, modality: str, config: PreprocessingConfig, seed: int) -> Features:
    """Latent semantic analysis: TF-IDF of words, truncated SVD to ``config.text_dim``, rows of length 1.

    A light stand-in for the paper's Transformer: it knows which words occur together, neither their order nor
    their sense. A text without any word of the vocabulary, such as one of stop words only, is masked and noted.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = dataset.texts(modality)
    items = np.array(list(texts), dtype=np.int64)
    vectorizer = TfidfVectorizer(
        stop_words="english", sublinear_tf=True, min_df=2 if len(texts) >= RARE_WORDS_FROM else 1,
        max_features=VOCABULARY_LIMIT,
    )
    try:
        counts = vectorizer.fit_transform(texts.values())
    except ValueError:  # the one thing it raises for strings: no text has a word that is no stop word
        return _spread(np.zeros((len(items), 1), np.float32), items, dataset, config)
    return _spread(_reduced(counts, config.text_dim, seed), items, dataset, config)


def with_words(dataset: Dataset, modality: str) -> tuple[dict[int, str], tuple[str, ...]]:
    """The texts with a word that is no English stop word, by item, and a note that names the others."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    texts = dataset.texts(modality)
    said = {item: text for item, text in texts.items()
            if any(word not in ENGLISH_STOP_WORDS for word in WORD.findall(text.lower()))}
    return said, note([str(dataset.item_ids[item]) for item in texts if item not in said], SILENT)


def _reduced(counts, dim: int, seed: int) -> np.ndarray:  # type: ignore[no-untyped-def]  # scipy sparse
    """``counts`` ``[n, words]`` on its ``dim`` leading singular directions, fewer where the rank is lower."""
    from sklearn.decomposition import TruncatedSVD

    dim = min(dim, min(counts.shape))
    if dim == counts.shape[1]:
        return counts.toarray().astype(np.float32)
    return TruncatedSVD(dim, n_iter=7, random_state=seed).fit_transform(counts).astype(np.float32)


def _spread(rows: np.ndarray, items: np.ndarray, dataset: Dataset, config: PreprocessingConfig) -> Features:
    lengths = np.linalg.norm(rows, axis=1)
    said = lengths > 1e-6
    silent = [str(dataset.item_ids[item]) for item in items[~said]]
    notes = note(silent, SILENT)
    if said.any() and rows.shape[1] < config.text_dim:
        notes += (f"{rows.shape[1]} dimensions instead of {config.text_dim}: all that the texts have",)
    return spread(rows[said] / lengths[said, None], items[said], dataset.n_items, "tfidf-svd", notes)

"""Knowledge triples to vectors, light: a translation embedding (TransE), trained here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mrlm_core.preprocessing.triples import Corruption, read_triples, spread_entities
from mrlm_core.preprocessing.vectors import Features
from mrlm_core.preprocessing_config import PreprocessingConfig

if TYPE_CHECKING:
    from mrlm_core.datasets import Dataset

BATCH_SIZE = 2048
MARGIN = 1.0
LEARNING_RATE = 0.1


@dataclass(frozen=True)
class TranslationEmbedding:
    """Entities ``[E, d]`` in the unit ball and relations ``[R, d]`` with head + relation near tail."""

    entities: np.ndarray
    relations: np.ndarray

    def tail_scores(self, heads: np.ndarray, relations: np.ndarray) -> np.ndarray:
        """Minus the squared distance of every entity to where each (head, relation) points, ``[B, E]``."""
        target = self.entities[heads] + self.relations[relations]
        return 2 * target @ self.entities.T - (self.entities**2).sum(1) - (target**2).sum(1)[:, None]


def encode_knowledge(dataset: Dataset, modality: str, config: PreprocessingConfig, seed: int) -> Features:
    """An item's vector is its entity's in a TransE trained on all triples; items without entity are masked.

    The light stand-in for the paper's TransG: one translation a relation, where TransG mixes several meanings. The
    triples must come from outside the ratings; an edge made of one would leak the test set.
    """
    triples, entity_of = read_triples(dataset, modality)
    sizes = len(triples.entities), len(triples.relations)
    embedding = train_transe(triples.rows, *sizes, config.knowledge_dim, config.knowledge_epochs, seed)
    return spread_entities(embedding.entities, triples, entity_of, dataset, "transe")


def train_transe(
    triples: np.ndarray, n_entities: int, n_relations: int, dim: int, epochs: int, seed: int
) -> TranslationEmbedding:
    """Fit |head + relation - tail| by margin ranking against corrupted heads or tails (Bordes et al. 2013, Alg. 1).

    ``triples`` int ``[T, 3]`` as (head, relation, tail). Adagrad in place of the original's plain SGD, so that rare
    entities learn as fast as frequent ones; entities are drawn back into the unit ball after each step.
    """
    from tqdm import trange

    rng = np.random.default_rng(seed)
    corrupt = Corruption(triples, n_entities, n_relations)
    bound = 6 / np.sqrt(dim)
    relations = rng.uniform(-bound, bound, (n_relations, dim)).astype(np.float32)
    relations /= np.linalg.norm(relations, axis=1, keepdims=True)
    entities = rng.uniform(-bound, bound, (n_entities, dim)).astype(np.float32)
    entities /= np.linalg.norm(entities, axis=1, keepdims=True)
    entity_step, relation_step = _Adagrad(entities), _Adagrad(relations)
    for _ in trange(epochs, desc="transe", unit="epoch", disable=None):
        order = rng.permutation(len(triples))
        for start in range(0, len(triples), BATCH_SIZE):
            heads, kinds, tails = triples[order[start : start + BATCH_SIZE]].T
            false_heads, _, false_tails = corrupt(triples[order[start : start + BATCH_SIZE]], rng).T
            toward = entities[heads] + relations[kinds] - entities[tails]
            away = entities[false_heads] + relations[kinds] - entities[false_tails]
            near, far = np.linalg.norm(toward, axis=1), np.linalg.norm(away, axis=1)
            active = MARGIN + near - far > 0
            toward *= (active / np.maximum(near, 1e-9))[:, None].astype(np.float32)
            away *= (active / np.maximum(far, 1e-9))[:, None].astype(np.float32)
            relation_step(kinds, toward - away)
            touched = entity_step(
                np.concatenate([heads, tails, false_heads, false_tails]),
                np.concatenate([toward, -toward, -away, away]),
            )
            lengths = np.linalg.norm(entities[touched], axis=1, keepdims=True)
            entities[touched] /= np.maximum(lengths, 1)
    return TranslationEmbedding(entities, relations)


class _Adagrad:
    """Row-sparse Adagrad on a table ``[rows, d]``, in place."""

    def __init__(self, table: np.ndarray) -> None:
        self._table = table
        self._squares = np.zeros_like(table)

    def __call__(self, rows: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        """Step along the summed gradients of each row; returns the rows that moved, each once."""
        from scipy.sparse import csr_matrix

        touched, place = np.unique(rows, return_inverse=True)
        ones = np.ones(len(rows), np.float32)
        summed = csr_matrix((ones, (place, np.arange(len(rows)))), shape=(len(touched), len(rows))) @ gradients
        self._squares[touched] += summed**2
        self._table[touched] -= LEARNING_RATE * summed / np.sqrt(self._squares[touched] + 1e-8)
        return touched

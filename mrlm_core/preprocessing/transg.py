"""Knowledge triples to vectors by TransG: each relation a mixture of translations, as many as the triples ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from mrlm_core.preprocessing.knowledge import TranslationEmbedding, train_transe
from mrlm_core.preprocessing.triples import Corruption, Triples, read_triples, spread_entities
from mrlm_core.preprocessing.vectors import Features
from mrlm_core.preprocessing_config import PreprocessingConfig
from mrlm_core.training.fit import seed_everything

if TYPE_CHECKING:
    from mrlm_core.datasets import Dataset

Tensor = Any
BATCH_SIZE = 2048
BETA_1, BETA_2 = 0.9, 0.999  # Adam's
SMALLEST_SQUARE = 1e-6  # of a distance; below, its gradient is none
FEWEST = 2.0  # triples of a component; with fewer it closes, as an empty table does


@dataclass(frozen=True)
class TranslationMixture:
    """Entities ``[E, d]`` in the unit ball and up to M translations a relation, of one ``scale`` (a distance).

    ``means`` ``[R, M, d]``; ``weights`` ``[R, M]`` sum to 1 over a relation's components, 0 where there is none.
    """

    entities: np.ndarray
    means: np.ndarray
    weights: np.ndarray
    scale: float

    @property
    def n_components(self) -> np.ndarray:
        """Components of each relation, int ``[R]``."""
        return (self.weights > 0).sum(axis=1)

    def tail_scores(self, heads: np.ndarray, relations: np.ndarray) -> np.ndarray:
        """Log-likelihood of every entity as the tail of each (head, relation), ``[B, E]``."""
        scores = np.empty((len(heads), len(self.entities)), np.float32)
        lengths = (self.entities**2).sum(axis=1)
        for relation in np.unique(relations):
            rows, is_open = relations == relation, self.weights[relation] > 0
            target = (self.entities[heads[rows], None] + self.means[relation, is_open]).reshape(-1, self.means.shape[2])
            squares = (target**2).sum(axis=1)[:, None] + lengths - 2 * target @ self.entities.T
            distances = np.sqrt(np.maximum(squares, 0)).reshape(rows.sum(), -1, len(lengths))
            exponent = -distances / self.scale
            exponent += np.log(self.weights[relation, is_open])[:, None]
            highest = exponent.max(axis=1)
            scores[rows] = highest + np.log(np.exp(exponent - highest[:, None]).sum(axis=1))
        return scores

    def component_of(self, triples: np.ndarray) -> np.ndarray:
        """The likeliest component of each triple ``[n, 3]``, int ``[n]``."""
        heads, kinds, tails = triples.T
        logs = component_log_likelihoods(
            tf.constant(self.entities[heads] - self.entities[tails])[:, None],
            tf.constant(self.means[kinds]), tf.constant(self.weights[kinds]), self.scale,
        )
        return logs.numpy()[:, 0].argmax(axis=1)


def encode_transg(dataset: Dataset, modality: str, config: PreprocessingConfig, seed: int) -> Features:
    """An item's vector is its entity's in a TransG trained on all triples; items without entity are masked.

    The triples must come from outside the ratings; an edge made of one would leak the test set. Gap G29.
    """
    triples, entity_of = read_triples(dataset, modality)
    mixture = train_transg(triples.rows, len(triples.entities), len(triples.relations), config, seed)
    notes = (components_note(mixture, triples),)
    return spread_entities(mixture.entities, triples, entity_of, dataset, "transg", notes)


def components_note(mixture: TranslationMixture, triples: Triples) -> str:
    """How many translations each relation has."""
    counts = zip(triples.relations, mixture.n_components, strict=True)
    return "translations found: " + ", ".join(f"{name} {count}" for name, count in counts)


def train_transg(
    triples: np.ndarray, n_entities: int, n_relations: int, config: PreprocessingConfig, seed: int
) -> TranslationMixture:
    """Fit the mixture to ``triples`` int ``[T, 3]`` by margin ranking of log-likelihoods (Xiao et al. 2016).

    It starts as a TransE of ``knowledge_epochs`` (as Lin et al. 2015 start TransR), each relation's translation beside
    those of ``transg_start`` - 1 of its triples, at equal weights. Then ``transg_epochs`` pair every triple with
    corrupted ones and push log P(true) - log P(false) up to the margin; but for the last ``transg_settling_epochs`` a
    triple may open a component of its relation, by the Chinese restaurant process. The weights are the components'
    shares of the relation's triples in the epoch before.
    """
    from tqdm import trange

    rng = np.random.default_rng(seed)
    start = train_transe(triples, n_entities, n_relations, config.knowledge_dim, config.knowledge_epochs, seed)
    training = _Training(start, triples, config, rng)
    corrupt = Corruption(triples, n_entities, n_relations, bernoulli=True)
    steps = -(-len(triples) // BATCH_SIZE)
    shape = steps, -(-len(triples) // steps)
    seed_everything(seed)
    for epoch in trange(config.transg_epochs, desc="transg", unit="epoch", disable=None):
        true = triples[np.resize(rng.permutation(len(triples)), shape[0] * shape[1])]
        false = corrupt(np.repeat(true, config.transg_negatives, axis=0), rng)
        may_open = epoch < config.transg_epochs - config.transg_settling_epochs
        # Of each row the true triple and then the false ones: heads and tails [steps, 2, B, 1 + K].
        ends = np.concatenate([true[:, None, ::2], false.reshape(len(true), -1, 3)[:, :, ::2]], axis=1)
        ends = ends.reshape(*shape, -1, 2).transpose(0, 3, 1, 2)
        training.epoch(
            tf.constant(true[:, 1].reshape(shape), tf.int32), tf.constant(ends, tf.int32),
            tf.constant(rng.random(shape, np.float32)), tf.constant(may_open),
        )
    return training.result()


def component_log_likelihoods(difference: Tensor, means: Tensor, weights: Tensor, scale: float) -> Tensor:
    """log(pi_m exp(-||h + u_m - t|| / scale)), ``[B, K, M]``; -inf where the weight is 0.

    Of B relations with ``means`` ``[B, M, d]`` and ``weights`` ``[B, M]``, and K pairs each: ``difference`` h - t
    ``[B, K, d]``. The distance itself, as in the authors' program, and not its square over the entities' variances,
    as in their paper: that form, tried here, did worse than the TransE it started from.
    """
    squares = (
        tf.reduce_sum(difference**2, axis=2)[:, :, None] + tf.reduce_sum(means**2, axis=2)[:, None]
        + 2 * tf.matmul(difference, means, transpose_b=True)
    )
    return tf.math.log(weights)[:, None] - tf.sqrt(tf.maximum(squares, SMALLEST_SQUARE)) / scale


class _Training(tf.Module):
    """The tables under training, and one epoch over them as one compiled call."""

    def __init__(
        self, start: TranslationEmbedding, triples: np.ndarray, config: PreprocessingConfig, rng: np.random.Generator
    ) -> None:
        super().__init__()
        slots, (n_relations, dim) = config.transg_components, start.relations.shape
        self._config, self._slots = config, slots
        occurrences = np.bincount(triples[:, 1], minlength=n_relations)
        self._occurrences = tf.constant(occurrences.astype(np.float32))
        first = min(config.transg_start, slots)
        # Of relation r from row r * slots on: its one translation, then those of some of its triples.
        means = np.zeros((n_relations, slots, dim), np.float32)
        means[:, 0] = start.relations
        for relation in range(n_relations):
            heads, _, tails = rng.choice(triples[triples[:, 1] == relation], first - 1).T
            means[relation, 1:first] = start.entities[tails] - start.entities[heads]
        counts = np.zeros((n_relations, slots), np.float32)
        counts[:, :first] = occurrences[:, None] / first
        self._entities = tf.Variable(start.entities)
        self._means, self._counts = tf.Variable(means.reshape(-1, dim)), tf.Variable(counts)
        self._tables = self._entities, self._means
        self._moments = [[tf.Variable(tf.zeros_like(table)) for _ in range(2)] for table in self._tables]
        self._steps = tf.Variable(0.0)

    def result(self) -> TranslationMixture:
        counts = self._counts.numpy()
        weights = counts
        return TranslationMixture(
            self._entities.numpy(), self._means.numpy().reshape(*counts.shape, -1),
            (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32), self._config.transg_scale,
        )

    @tf.function
    def epoch(self, kinds: Tensor, ends: Tensor, draws: Tensor, may_open: Tensor) -> None:
        """Steps over relations ``kinds`` int32 ``[steps, B]`` with ``ends`` int32 ``[steps, 2, B, 1 + K]``.

        Heads and tails: first those of the true triple, then of its K false ones. ``draws`` uniform ``[steps, B]``.
        """
        before = self._counts > 0
        occupied = tf.zeros_like(self._counts)
        for step in tf.range(tf.shape(kinds)[0]):
            shares, log_true = self._step(kinds[step], ends[step])
            occupied += tf.math.unsorted_segment_sum(shares, kinds[step], self._counts.shape[0])
            if may_open:
                self._open(kinds[step], ends[step, 0, :, 0], ends[step, 1, :, 0], log_true, draws[step])
        # Empty tables close; those opened in this epoch have had no full one yet.
        kept = (occupied >= FEWEST) | (occupied >= tf.reduce_max(occupied, axis=1, keepdims=True)) | ~before
        self._counts.assign(tf.where((self._counts > 0) & kept, tf.maximum(occupied, 1.0), 0.0))

    def _step(self, kinds: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        """One descent of sum max(0, margin - log P(true) + log mean P(false)); (responsibilities, log P(true))."""
        entities, of_end = tf.unique(tf.reshape(ends, [-1]))
        relations, of_kind = tf.unique(kinds)
        # Slots fill from the first on, so the later ones need not be computed.
        width = tf.reduce_max(tf.where(self._counts > 0, tf.range(1, self._slots + 1), 0))
        slots = tf.reshape(relations[:, None] * self._slots + tf.range(width), [-1])
        variables = [tf.gather(table, rows) for table, rows in zip(self._tables, (entities, slots), strict=True)]
        counts = tf.gather(self._counts[:, :width], kinds)
        weights = counts / tf.reduce_sum(counts, axis=1, keepdims=True)
        with tf.GradientTape() as tape:
            tape.watch(variables)
            # Split, not sliced: a slice's gradient is as large as the whole.
            heads, tails = tf.split(tf.gather(variables[0], tf.reshape(of_end, tf.shape(ends))), 2)
            means = tf.gather(tf.reshape(variables[1], (-1, width, self._means.shape[1])), of_kind)
            logs = component_log_likelihoods((heads - tails)[0], means, weights, self._config.transg_scale)
            n_false = self._config.transg_negatives
            log_true, log_false = tf.split(tf.reduce_logsumexp(logs, axis=2), (1, n_false), axis=1)
            log_false = tf.reduce_logsumexp(log_false, axis=1) - np.log(n_false)
            loss = tf.reduce_sum(tf.nn.relu(self._config.transg_margin - log_true[:, 0] + log_false))
        self._steps.assign_add(1.0)
        gradients = tape.gradient(loss, variables)
        for place, rows in enumerate((entities, slots)):
            self._descend(place, rows, tf.convert_to_tensor(gradients[place]))
        moved = tf.gather(self._entities, entities)
        self._entities.scatter_update(tf.IndexedSlices(tf.clip_by_norm(moved, 1.0, axes=[1]), entities))
        shares = tf.pad(tf.exp(logs[:, 0] - log_true), ((0, 0), (0, self._slots - width)))
        return tf.ensure_shape(shares, (None, self._slots)), log_true[:, 0]

    def _descend(self, place: int, rows: Tensor, gradient: Tensor) -> None:
        """Adam on the given rows of one table; rows that a step does not touch stay as they are (lazy Adam)."""
        table, (first, second) = self._tables[place], self._moments[place]
        mean = BETA_1 * tf.gather(first, rows) + (1 - BETA_1) * gradient
        square = BETA_2 * tf.gather(second, rows) + (1 - BETA_2) * gradient**2
        first.scatter_update(tf.IndexedSlices(mean, rows))
        second.scatter_update(tf.IndexedSlices(square, rows))
        rate = self._config.transg_learning_rate * tf.sqrt(1 - BETA_2**self._steps) / (1 - BETA_1**self._steps)
        changed = tf.gather(table, rows) - rate * mean / (tf.sqrt(square) + 1e-7)
        table.scatter_update(tf.IndexedSlices(changed, rows))

    def _open(self, kinds: Tensor, heads: Tensor, tails: Tensor, log_true: Tensor, draws: Tensor) -> None:
        """Open at most one component a relation, at t - h of the first triple that draws one.

        A triple draws one with probability c L / (c L + P), P its likelihood, L that of no translation at all,
        exp(-||h - t|| / scale), c = CRP factor / triples of the relation.
        """
        translation = tf.gather(self._entities, tails) - tf.gather(self._entities, heads)
        log_prior = -tf.norm(translation, axis=1) / self._config.transg_scale
        log_prior += tf.math.log(self._config.transg_crp_factor / tf.gather(self._occurrences, kinds))
        is_free = self._counts <= 0
        drawn = (draws < tf.sigmoid(log_prior - log_true)) & tf.gather(tf.reduce_any(is_free, axis=1), kinds)
        chosen = tf.where(drawn)[:, 0]
        # Of each relation the first that drew one.
        opened, where = tf.unique(tf.gather(kinds, chosen))
        first = tf.math.unsorted_segment_min(chosen, where, tf.size(opened))
        slot = tf.argmax(tf.gather(is_free, opened), axis=1, output_type=tf.int32)
        row, mean = opened * self._slots + slot, tf.gather(translation, first)
        self._means.scatter_update(tf.IndexedSlices(mean, row))
        for moment in self._moments[1]:
            moment.scatter_update(tf.IndexedSlices(tf.zeros_like(mean), row))
        self._counts.scatter_nd_update(tf.stack([opened, slot], axis=1), tf.ones_like(slot, tf.float32))

"""Text to vectors: a small Transformer encoder, trained on the dataset's own texts.

Shapes: B windows of a batch, L tokens of the longest of them, M masked tokens, W tokens of the vocabulary, d dimension.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from mrlm_core.cache import content_hash
from mrlm_core.errors import ConfigError, problem
from mrlm_core.preprocessing import tokens as tokenised
from mrlm_core.preprocessing.text import SILENT, with_words
from mrlm_core.preprocessing.tokens import PAD, Tokens
from mrlm_core.preprocessing.vectors import Features, note, spread
from mrlm_core.preprocessing_config import PreprocessingConfig
from mrlm_core.training.fit import TrainingError, seed_everything

if TYPE_CHECKING:
    from mrlm_core.datasets import Dataset

Tensor = Any

LEARNING_RATE, WARM_UP = 0.001, 0.1  # the peak, and the share of the steps before it; then linearly to 0
FAR = -1e9  # what a score of padding falls to


def encode_text(dataset: Dataset, modality: str, config: PreprocessingConfig, seed: int) -> Features:
    """The mean of a text's token vectors in a Transformer encoder trained here, centred, rows of length 1.

    The paper's "Transformer" with what a dataset itself offers; see ``TextEncoder``. A text of stop words or
    punctuation only is masked and noted.
    """
    texts, notes = with_words(dataset, modality)
    if not texts:
        return spread(np.zeros((0, config.transformer_dim), np.float32), [], dataset.n_items, "transformer", notes)
    _check(config)
    seed_everything(seed)
    found = tokenised.tokenise(list(texts.values()), config.transformer_vocabulary)
    model = TextEncoder(found, config, seed)
    passes = train(model, found, config, seed)
    rows, said = pooled(model, found, config)
    items = np.array(list(texts))
    notes += note([str(dataset.item_ids[item]) for item in items[~said]], SILENT)
    notes += (f"{len(found.weights)} words and pieces, {passes} passes over {sum(map(len, found.texts))} tokens",)
    name = f"transformer trained here, weights {content_hash(*model.get_weights())}"
    return spread(_directions(rows[said]), items[said], dataset.n_items, name, notes)


class Block(keras.layers.Layer):
    """Self-attention and a dense layer, each added to what it reads (Vaswani et al. 2017; normalised first).

    Both begin as zero, so that an untrained encoder hands on its token embeddings.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = keras.layers.Dense(3 * dim, use_bias=False)
        self.join = keras.layers.Dense(dim, kernel_initializer="zeros")
        self.widen = keras.layers.Dense(4 * dim, activation="relu")
        self.narrow = keras.layers.Dense(dim, kernel_initializer="zeros")
        self.before_attention, self.before_dense = keras.layers.LayerNormalization(), keras.layers.LayerNormalization()

    def call(self, state: Tensor, far: Tensor) -> Tensor:
        """``[B, L, d]`` -> ``[B, L, d]``; ``far`` ``[B, 1, 1, L]`` is added to the scores of each token."""
        batch, length, dim = ops.shape(state)[0], ops.shape(state)[1], state.shape[2]
        split = ops.reshape(self.project(self.before_attention(state)), (batch, length, 3, self.heads, -1))
        query, key, value = ops.unstack(ops.transpose(split, (2, 0, 3, 1, 4)), 3)
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * (dim // self.heads) ** -0.5 + far
        seen = ops.transpose(ops.matmul(ops.softmax(scores), value), (0, 2, 1, 3))
        state = state + self.join(ops.reshape(seen, (batch, length, dim)))
        return state + self.narrow(self.widen(self.before_dense(state)))


class TextEncoder(keras.Model):
    """A Transformer encoder that predicts hidden tokens twice: from their place, and from their text's vector alone.

    The first is BERT's masked-token objective (Devlin et al. 2019). Alone it leaves the mean of the token vectors to
    chance; the second makes that very mean hold what the text is about (the bottleneck of Gao & Callan 2021). Tokens
    begin with what their company in the texts tells (``tokens.company``), for a small set of texts is soon read.
    """

    def __init__(self, tokens: Tokens, config: PreprocessingConfig, seed: int) -> None:
        super().__init__()
        dim, size = config.transformer_dim, len(tokens.weights)
        self.scale = dim**0.5
        normal = keras.initializers.RandomNormal(stddev=0.02)
        self.words = self.add_weight(shape=(size, dim), initializer=normal, name="words")
        self.words.assign(tokenised.company(tokens, dim, seed) / self.scale)
        self.places = self.add_weight(shape=(config.transformer_window, dim), initializer=normal, name="places")
        self.shares = ops.convert_to_tensor(tokens.weights)
        self.blocks = [Block(dim, config.transformer_heads) for _ in range(config.transformer_layers)]
        self.norm = keras.layers.LayerNormalization()
        self.heads = [keras.Sequential([keras.layers.Dense(dim, activation="gelu"), keras.layers.LayerNormalization()])
                      for _ in range(2)]
        self.commonness = self.add_weight(shape=(2, size), initializer="zeros", name="commonness")
        self((np.ones((2, 2), np.int32), np.zeros(1, np.int32), np.ones(1, np.int32)))  # makes the weights

    def states(self, tokens: Tensor) -> Tensor:
        """Contextual vectors of tokens ``[B, L]`` -> ``[B, L, d]``; padding is seen by none."""
        state = ops.take(self.words, tokens, axis=0) * self.scale + self.places[: ops.shape(tokens)[1]]
        far = FAR * ops.cast(ops.equal(tokens, PAD), "float32")[:, None, None, :]
        for block in self.blocks:
            state = block(state, far)
        return self.norm(state)

    def pool(self, states: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted sum ``[B, d]`` of what tokens are before and after the blocks, and of the weights ``[B]``.

        Both ends say more together than the last alone (Su et al. 2021); see ``Tokens`` for what has no weight.
        """
        shares = ops.take(self.shares, tokens)
        ends = (ops.take(self.words, tokens, axis=0) * self.scale + states) / 2
        return ops.sum(ends * shares[..., None], axis=1), ops.sum(shares, axis=1)

    def call(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Mean surprise, by place and by text, at ``targets`` ``[M]`` hidden at ``places`` ``[M]`` of ``[B, L]``."""
        tokens, places, targets = batch
        states = self.states(tokens)
        # A token to be predicted that still stands there must not tell of itself.
        others = ops.scatter_update(ops.reshape(tokens, (-1,)), places[:, None], ops.full_like(places, PAD))
        total, weight = self.pool(states, ops.reshape(others, ops.shape(tokens)))
        mean = total / ops.maximum(weight, 1e-6)[:, None]
        read = (ops.take(ops.reshape(states, (-1, states.shape[2])), places, axis=0),
                ops.take(mean, places // ops.shape(tokens)[1], axis=0))
        shares = ops.take(self.shares, targets)
        counted = (ops.ones_like(shares), shares)
        losses = []
        for head, state, bias, share in zip(self.heads, read, ops.unstack(self.commonness, 2), counted, strict=True):
            logits = ops.matmul(head(state), ops.transpose(self.words)) + bias
            surprise = keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)
            losses.append(ops.sum(surprise * share) / ops.maximum(ops.sum(share), 1e-6))
        return ops.stack(losses)


def train(model: TextEncoder, tokens: Tokens, config: PreprocessingConfig, seed: int) -> int:
    """Train on whole passes over the windows, about ``config.transformer_tokens`` tokens in all; returns the passes.

    Raises TrainingError when the loss stops being a number.
    """
    import tensorflow as tf
    from tqdm import trange

    rng = np.random.default_rng(seed)
    rows, _ = tokenised.windows(tokens.texts, config.transformer_window)
    passes = max(1, round(config.transformer_tokens / sum(map(len, rows))))
    per_pass = len(list(tokenised.batches(rows, config.transformer_batch)))
    rate = keras.optimizers.schedules.PolynomialDecay(LEARNING_RATE, passes * per_pass, 0.0)
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=1.0)
    optimizer.build(model.trainable_variables)
    integers = tf.TensorSpec((None,), tf.int32)

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32), integers, integers])
    def step(read: Tensor, places: Tensor, targets: Tensor) -> Tensor:
        with tf.GradientTape() as tape:
            losses = model((read, places, targets))
            loss = ops.sum(losses)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return losses

    bar = trange(passes, desc="transformer", unit="pass", disable=None)
    for done in bar:
        losses = []
        for batch, _ in tokenised.batches(rows, config.transformer_batch, rng):
            masked = tokenised.mask(batch, len(tokens.weights), rng)
            losses.append(step(masked.tokens, masked.places, masked.targets))
        mean = np.mean(losses, axis=0)
        if not np.isfinite(mean).all():
            raise TrainingError(problem(f"text encoder, pass {done + 1}", "a finite loss", str(mean),
                                        "Lower preprocessing.transformer_dim or use the light encoder."))
        bar.set_postfix(masked=f"{mean[0]:.2f}", bottleneck=f"{mean[1]:.2f}")
    return passes


def pooled(model: TextEncoder, tokens: Tokens, config: PreprocessingConfig) -> tuple[np.ndarray, np.ndarray]:
    """The mean token vector of each text ``[n, d]`` over all its windows, and whether a token of it has weight."""
    import tensorflow as tf

    read = tf.function(lambda batch: model.pool(model.states(batch), batch),
                       input_signature=[tf.TensorSpec((None, None), tf.int32)])
    rows, owner = tokenised.windows(tokens.texts, config.transformer_window)
    sums, weights = np.zeros((len(tokens.texts), config.transformer_dim)), np.zeros(len(tokens.texts))
    for batch, chosen in tokenised.batches(rows, config.transformer_batch):
        total, weight = read(batch)
        np.add.at(sums, owner[chosen], total.numpy())
        np.add.at(weights, owner[chosen], weight.numpy())
    return sums / np.maximum(weights, 1e-6)[:, None], weights > 0


def _directions(rows: np.ndarray) -> np.ndarray:
    """Rows less what all share, of length 1; a single row, or one like all others, keeps what it has."""
    centred = rows - rows.mean(axis=0)
    if np.abs(centred).max(initial=0) < 1e-6:
        centred = rows
    return (centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def _check(config: PreprocessingConfig) -> None:
    if config.transformer_dim % config.transformer_heads:
        raise ConfigError(problem("preprocessing.transformer_dim", "a multiple of preprocessing.transformer_heads",
                                  f"{config.transformer_dim} and {config.transformer_heads}", "Change one of them."))

"""Texts as tokens: a vocabulary learned from them, windows, batches, masks, and what tokens say by their company.

Shapes: B windows of a batch, L tokens of the longest of them, M masked tokens, W tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

WORD_MARK = "\u2581"  # before the first piece of a word
SPECIAL = ("[PAD]", "[UNK]", "[MASK]")
PAD, UNKNOWN, MASK = range(len(SPECIAL))
MASK_SHARE, BLANKED, SWAPPED = 0.15, 0.8, 0.1  # of the tokens; of the masked: [MASK], another token (BERT, §3.1)
NEAR = 8  # tokens by which windows of one training batch may differ in length besides what sorting leaves
RARE_FROM = 100  # texts from which a piece of a word must occur twice


@dataclass(frozen=True)
class Tokens:
    """The tokens of each text, int32 each, and the share of a token in a text's vector, ``weights`` float32 ``[W]``.

    The weight is the inverse document frequency, and 0 for stop words, punctuation and special tokens.
    """

    texts: list[np.ndarray]
    weights: np.ndarray


@dataclass(frozen=True)
class Masked:
    """A batch of windows with hidden tokens: ``tokens`` ``[B, L]`` as read, ``places`` ``[M]`` of the hidden ones in
    the flattened batch, and which ``targets`` ``[M]`` stood there."""

    tokens: np.ndarray
    places: np.ndarray
    targets: np.ndarray


def tokenise(texts: list[str], vocabulary: int) -> Tokens:
    """Words and pieces of words, at most ``vocabulary`` of them, by byte-pair encoding (Sennrich et al. 2016)."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN]))
    tokenizer.normalizer = normalizers.BertNormalizer()  # type: ignore[assignment]
    # A mark before each word; a prefix for what continues one would number the pieces by chance, not by the texts.
    words = [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Metaspace(WORD_MARK, "always", split=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(words)  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, min_frequency=2 if len(texts) >= RARE_FROM else 1, special_tokens=list(SPECIAL),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    ids = [np.array(encoding.ids, np.int32) for encoding in tokenizer.encode_batch(texts)]
    size = tokenizer.get_vocab_size()
    frequency = np.bincount(np.concatenate([np.unique(text) for text in ids]), minlength=size)
    silent = [place < len(SPECIAL) or _says_nothing(str(tokenizer.id_to_token(place))) for place in range(size)]
    weights = np.log((1 + len(ids)) / (1 + frequency)) + 1
    return Tokens(ids, np.where(silent, 0, weights).astype(np.float32))


def _says_nothing(token: str) -> bool:
    return token.removeprefix(WORD_MARK) in ENGLISH_STOP_WORDS or not any(letter.isalnum() for letter in token)


def windows(texts: list[np.ndarray], longest: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Each text cut into as few windows of about equal length as hold it, and which text each window is of."""
    parts = [np.array_split(text, -(-len(text) // longest)) if len(text) else [] for text in texts]
    owner = np.repeat(np.arange(len(texts)), [len(text) for text in parts])
    return [window for text in parts for window in text], owner


def batches(
    rows: list[np.ndarray], size: int, rng: np.random.Generator | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Padded batches ``[B, L]`` of about ``size`` tokens with the rows in them; windows of like length together.

    With ``rng`` near lengths are mixed and the batches come in random order.
    """
    lengths = np.array([len(row) for row in rows])
    blur = 0 if rng is None else NEAR
    order = np.argsort(-lengths if rng is None else -(lengths + blur * rng.random(len(rows))), kind="stable")
    groups, start = [], 0
    while start < len(order):
        count = max(1, size // int(lengths[order[start]] + blur))
        groups.append(order[start : start + count])
        start += count
    for place in np.arange(len(groups)) if rng is None else rng.permutation(len(groups)):
        chosen = groups[place]
        padded = np.full((len(chosen), lengths[chosen].max()), PAD, np.int32)
        for row, window in zip(padded, chosen, strict=True):
            row[: lengths[window]] = rows[window]
        yield padded, chosen


def mask(tokens: np.ndarray, vocabulary: int, rng: np.random.Generator) -> Masked:
    """Hide a share of the tokens ``[B, L]``: most become [MASK], some another token, some stay (Devlin et al. 2019).

    Padding and unknown tokens are never hidden, so never predicted.
    """
    known = np.flatnonzero(tokens > MASK)
    count = min(len(known), max(1, round(MASK_SHARE * len(known))))
    places = np.sort(rng.choice(known, count, replace=False))
    targets = tokens.ravel()[places]
    fate, others = rng.random(count), rng.integers(len(SPECIAL), vocabulary, count)
    read = tokens.copy()
    read.ravel()[places] = np.select([fate < BLANKED, fate < BLANKED + SWAPPED], [MASK, others], targets)
    return Masked(read, places.astype(np.int32), targets)


def company(tokens: Tokens, dim: int, seed: int) -> np.ndarray:
    """A vector ``[W, dim]`` for each token by the tokens that share its texts, of mean square 1.

    Positive pointwise mutual information of two tokens in one text, by its leading singular directions (Levy &
    Goldberg 2014), turned at random so that no coordinate carries more than another; a little noise tells apart tokens
    of which nothing is known.
    """
    from scipy.sparse import csr_matrix
    from sklearn.utils.extmath import randomized_svd

    count, size = len(tokens.texts), len(tokens.weights)
    place, token = np.repeat(np.arange(count), [len(text) for text in tokens.texts]), np.concatenate(tokens.texts)
    says = tokens.weights[token] > 0
    present = csr_matrix((np.ones(says.sum(), np.float32), (place[says], token[says])), (count, size))
    present.data[:] = 1  # however often it stands there
    together, frequency = (present.T @ present).tocoo(), np.asarray(present.sum(axis=0)).ravel()
    told = np.log(together.data * count / (frequency[together.row] * frequency[together.col]))
    kept = (together.row != together.col) & (told > 0)
    information = csr_matrix((told[kept], (together.row[kept], together.col[kept])), (size, size))
    rank = min(dim, size)
    directions, strengths, _ = randomized_svd(information, rank, n_iter=3, random_state=seed)
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0][:rank]
    found = directions * np.sqrt(strengths) @ turn
    found /= max(np.sqrt((found**2).mean()), 1e-9)
    return (found + 0.1 * rng.normal(size=found.shape)).astype(np.float32)

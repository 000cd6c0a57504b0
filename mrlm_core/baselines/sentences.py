"""The words of the items' texts, sentence by sentence, as the text models of the paper's Tables 3-4 read them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# Kim et al. (2016), ConvMF: 8,000 words, those of more than half of the texts left out, 300 words a text.
VOCABULARY, MOST_TEXTS = 8_000, 0.5
SENTENCES, WORDS = 10, 30  # a text: together ConvMF's 300
PADDING, UNKNOWN = 0, 1


@dataclass(frozen=True)
class Sentences:
    """``words`` int32 ``[V, SENTENCES, WORDS]``, PADDING where there is none; ``size`` of the vocabulary with both
    special words. An item without a text, or with none of its words known, is all PADDING."""

    words: np.ndarray
    size: int

    @property
    def described(self) -> np.ndarray:
        """Which items have a word, bool ``[V]``."""
        return (self.words != PADDING).any(axis=(1, 2))


def sentences_of(texts: Mapping[int, str], n_items: int) -> Sentences:
    """The first sentences of the texts of the items (index -> text), their words numbered by frequency. Gap G31."""
    split = {item: [_words(part) for part in re.split(r"[.!?]+", text)] for item, text in texts.items()}
    texts_with = Counter(word for parts in split.values() for word in {word for part in parts for word in part})
    telling = Counter({word: n for word, n in texts_with.items() if n <= max(1, MOST_TEXTS * len(texts))})
    # Ties by the alphabet: the same texts in another order give the same numbers.
    ranked = sorted(telling, key=lambda word: (-telling[word], word))[:VOCABULARY]
    number = {word: place for place, word in enumerate(ranked, start=UNKNOWN + 1)}
    words = np.zeros((n_items, SENTENCES, WORDS), np.int32)
    for item, parts in split.items():
        for place, part in enumerate([part for part in parts if part][:SENTENCES]):
            numbers = [number.get(word, UNKNOWN) for word in part[:WORDS]]
            words[item, place, : len(numbers)] = numbers
        if words[item].max() == UNKNOWN:
            words[item] = PADDING
    return Sentences(words, UNKNOWN + 1 + len(number))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower())

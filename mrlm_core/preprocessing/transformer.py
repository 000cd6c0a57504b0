"""Text to vectors: a small Transformer encoder, trained on the dataset's own texts.

Shapes: B rows of a batch, L tokens of a row, M masked tokens of a batch, W words (tokens known), d dimension.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from mrlm_core.config import PreprocessingConfig
from mrlm_core.preprocessing.vectors import Features, note, spread
from mrlm_core.training.fit import seed_everything

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from mrlm_core.datasets import Dataset

Tensor = Any

SPECIAL = ("[PAD]", "[UNK]", "[MASK]")
PAD, UNKNOWN, MASK = range(len(SPECIAL))
MASK_SHARE, REPLACED, SWAPPED = 0.15, 0.8, 0.1  # of the tokens, of the masked ones (Devlin et al. 2019, §3.1)
import os
K=dict(bott=1.0, svd=False, share=0.15, lr=1e-3, drop=0.1, pcs=1, sif=True, layer='last', poolprob=1.0)

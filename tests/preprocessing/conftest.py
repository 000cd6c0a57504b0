"""A dataset of a few items held in memory, with what encoders read of one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest


@dataclass(frozen=True)
class SmallDataset:
    """Content of one modality: texts, files, (triples, entities) or (values, mask), as its kind asks."""

    kind: str
    n_items: int
    content: object
    name: str = "small"
    modalities: dict = field(default_factory=dict)
    path: Path = Path("small")

    @property
    def item_ids(self):
        return np.array([f"p{i}" for i in range(self.n_items)])

    def texts(self, modality):
        return dict(self.content)

    def media(self, modality):
        yield from ((item, name, content) for item, (name, content) in self.content.items())

    def knowledge(self, modality):
        triples, entities = self.content
        return pd.DataFrame(triples, columns=["head", "relation", "tail"]), entities

    def features(self, modality):
        return self.content

    def described(self, modality):
        return np.isin(np.arange(self.n_items), list(self.content))


@pytest.fixture
def small():
    def build(kind, n_items, content):
        return SmallDataset(kind, n_items, content, modalities={kind: SimpleNamespace(kind=kind, extra={})})

    return build

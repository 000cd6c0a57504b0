"""Datasets of a few items held in memory: what encoders read of one, and one with planted blocks to learn."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mrlm_core.datasets.splits import interactions, random_split


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


class Forbidden:
    """A test part that cannot be looked at."""

    def __getattribute__(self, name):
        raise AssertionError(f"the test part was read: {name}")


USERS, ITEMS, BLOCKS = 40, 120, 5


@pytest.fixture(scope="session")
def planted():
    """(dataset, interactions, blocks of users, blocks of items): users like items of their own block alone.

    A user is an id and nothing else; some items lack a year, a tag or both. The split's test part cannot be read.
    """
    rng = np.random.default_rng(0)
    rows = [(user, int(item) * BLOCKS + user % BLOCKS, 5.0) for user in range(USERS)
            for item in rng.choice(ITEMS // BLOCKS, 12, replace=False)]
    ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
    parts = interactions(ratings, USERS, ITEMS, 4.0, random_split(len(rows), 0.7, 0.2, seed=0), seed=0)
    year = np.where(np.arange(ITEMS) % 9 == 0, np.nan, np.arange(ITEMS) % 7.0)
    dataset = SimpleNamespace(
        user_ids=np.arange(USERS).astype(str), item_ids=np.arange(ITEMS).astype(str),
        users=pd.DataFrame(index=np.arange(USERS)), user_fields={},
        items=pd.DataFrame({"year": year, "tags": ["u|v", "w", ""] * (ITEMS // 3), "brand": ["x", "y"] * (ITEMS // 2)}),
        item_fields={"year": "numeric", "tags": "multi", "brand": "categorical"},
    )
    return dataset, replace(parts, test=Forbidden()), np.arange(USERS) % BLOCKS, np.arange(ITEMS) % BLOCKS

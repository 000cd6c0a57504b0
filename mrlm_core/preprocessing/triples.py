"""What the encoders of knowledge triples share: numbers for names, corrupted triples, entity vectors to items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mrlm_core.errors import DatasetError, problem
from mrlm_core.preprocessing.vectors import Features, note, spread

if TYPE_CHECKING:
    import pandas as pd

    from mrlm_core.datasets import Dataset

DRAWS = 10  # of a corrupted triple, until one is not known to be true


@dataclass(frozen=True)
class Triples:
    """Numbered triples and the names, sorted, that the numbers stand for."""

    rows: np.ndarray  # int64 [T, 3]: head, relation, tail
    entities: pd.Index  # E names
    relations: pd.Index  # R names

    def number(self, frame: pd.DataFrame) -> np.ndarray:
        """Other triples by the same numbers, int64 ``[n, 3]``; -1 for a name that does not occur here."""
        import pandas as pd

        columns = (self.entities, "head"), (self.relations, "relation"), (self.entities, "tail")
        places = [names.get_indexer(pd.Index(frame[column])) for names, column in columns]
        return np.stack(places, axis=1).astype(np.int64)


def number_triples(frame: pd.DataFrame, where: str = "triples") -> Triples:
    """Triples of names (columns head, relation, tail) as numbers; raises DatasetError below two entities."""
    import pandas as pd

    codes, entities = pd.factorize(pd.concat([frame["head"], frame["tail"]]), sort=True)
    relations, names = pd.factorize(frame["relation"], sort=True)
    if len(entities) < 2:
        raise DatasetError(problem(where, "at least one triple of two different entities", f"{len(frame)} triples of "
                                   f"{len(entities)} entities", "Add triples or leave the modality out."))
    rows = np.stack([codes[: len(frame)], relations, codes[len(frame) :]], axis=1).astype(np.int64)
    return Triples(rows, pd.Index(entities), pd.Index(names))


def read_triples(dataset: Dataset, modality: str) -> tuple[Triples, dict[int, str]]:
    """The numbered triples of a modality and each item's entity; raises what ``number_triples`` raises."""
    frame, entity_of = dataset.knowledge(modality)
    return number_triples(frame, f"modality {modality!r} of {dataset.name}"), entity_of


def spread_entities(
    vectors: np.ndarray, triples: Triples, entity_of: dict[int, str], dataset: Dataset, encoder: str,
    notes: tuple[str, ...] = (),
) -> Features:
    """An item's vector is its entity's, of ``vectors`` ``[E, d]``; items without an entity are masked and noted."""
    import pandas as pd

    items = np.array(list(entity_of), dtype=np.int64)
    place = triples.entities.get_indexer(pd.Index(list(entity_of.values())))
    known = place >= 0
    strangers = [str(dataset.item_ids[item]) for item in items[~known]]
    counts = f"{len(triples.rows)} triples, {len(triples.entities)} entities, {len(triples.relations)} relations"
    told = (counts, *notes, *note(strangers, "items whose entity is in no triple, masked"))
    return spread(vectors[place[known]], items[known], dataset.n_items, encoder, told)


def keys(triples: np.ndarray, n_entities: int, n_relations: int) -> np.ndarray:
    """One int64 a triple ``[n, 3]``, different for different triples, sorted as (head, relation, tail)."""
    heads, kinds, tails = triples.T
    return (heads * n_relations + kinds) * n_entities + tails


class Corruption:
    """Draws false triples: head or tail replaced by a random entity, known triples drawn anew (filtered).

    Which side is replaced is a fair coin (Bordes et al. 2013), or follows the relation with ``bernoulli``: the head
    with probability tails per head / (tails per head + heads per tail) (Wang et al. 2014), which makes fewer false
    triples that are true but unknown.
    """

    def __init__(self, triples: np.ndarray, n_entities: int, n_relations: int, bernoulli: bool = False) -> None:
        self._sizes = n_entities, n_relations
        self._known = np.unique(keys(triples, *self._sizes))
        self._head_share = np.full(n_relations, 0.5)
        if bernoulli:
            heads, tails = (_pairs(triples[:, [1, side]], n_relations) for side in (0, 2))
            # T/heads tails per head and T/tails heads per tail: the T cancels.
            self._head_share = tails / np.maximum(heads + tails, 1)

    def __call__(self, triples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One false triple for each of ``triples`` ``[n, 3]``; of ``DRAWS`` known ones in a row the last is taken."""
        n_entities = self._sizes[0]
        side = np.where(rng.random(len(triples)) < self._head_share[triples[:, 1]], 0, 2)
        false, wrong = triples.copy(), np.arange(len(triples))
        for _ in range(DRAWS):
            false[wrong, side[wrong]] = rng.integers(n_entities, size=len(wrong))
            wrong = wrong[self._is_known(false[wrong])]
            if not len(wrong):
                break
        return false

    def _is_known(self, triples: np.ndarray) -> np.ndarray:
        wanted = keys(triples, *self._sizes)
        place = np.minimum(np.searchsorted(self._known, wanted), len(self._known) - 1)
        return self._known[place] == wanted


def _pairs(pairs: np.ndarray, n_relations: int) -> np.ndarray:
    """Of each relation, how many different entities stand beside it in ``pairs`` ``[T, 2]`` of (relation, entity)."""
    return np.bincount(np.unique(pairs, axis=0)[:, 0], minlength=n_relations)

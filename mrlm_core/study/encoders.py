"""The encoders of each modality beside one another, held against what is known of the items; and their release."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from mrlm_core.cache import code_hash, content_hash, file_hash, write_text
from mrlm_core.config import workspace
from mrlm_core.datasets.contract import Dataset
from mrlm_core.errors import UserError
from mrlm_core.preprocessing.clustering import multiple_kernel_kmeans
from mrlm_core.preprocessing.features import ENCODERS, choose, encode
from mrlm_core.preprocessing.fields import field_table
from mrlm_core.preprocessing.link_prediction import frequent_tails, hits_at, split_triples
from mrlm_core.preprocessing.triples import Triples, read_triples
from mrlm_core.preprocessing.vectors import Features, unit_rows
from mrlm_core.preprocessing_config import FRAME_ENCODERS, PreprocessingConfig
from mrlm_core.study.record import environment

NEIGHBOURS = 10
HELD_OUT = 0.05  # share of the triples that link prediction is tested on
CUTOFF = 10  # of Hits@k
COUNTS = ("dimensions", "items", "held out")  # shown without decimals where all seeds agree
FILE = "encoders.json"  # of a release, in book/results/<dataset>/


@dataclasses.dataclass(frozen=True)
class Known:
    """What items are known to be: ``labels`` bool ``[V, L]``, at least one a known item; ``name`` for tables."""

    name: str
    labels: np.ndarray
    planted: bool


def known_of(dataset: Dataset, modality: str) -> Known | None:
    """The planted levels behind ``modality``, else the first multi-valued or categorical attribute; None if neither."""
    planted = dataset.description["planted"]
    if planted and modality in planted["levels"]:
        levels = pd.read_csv(Path(dataset.path) / planted["levels_file"], index_col="item_id").loc[dataset.item_ids]
        return Known("planted level", np.eye(planted["levels"][modality], dtype=bool)[levels[modality]], True)
    for kind in ("multi", "categorical"):
        for name, found in dataset.item_fields.items():
            if found == kind:
                return Known(name, _indicators(dataset, name, kind), False)
    return None


def variants(kind: str, weights: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The ways to encode a modality of ``kind``: name for tables -> changes of the config but for the encoder's name.

    ``weights`` are files by the network that reads them, as ``{"squeezenet": "weights.h5"}``.
    """
    rows = ENCODERS[kind]
    found: dict[str, dict[str, Any]] = {}
    for name, row in rows.items():
        if name != "light" and row == rows["light"]:
            continue  # the light one under its own name
        if "frame_encoder" not in row.settings:
            found[name] = {"encoder": name, "weights": weights.get(name)}
            continue
        for frames in FRAME_ENCODERS:
            found[f"{name} of {frames} frames"] = {"encoder": name, "weights": weights.get(frames),
                                                   "frame_encoder": frames}
    return found


def compare(
    dataset: Dataset, modality: str, config: PreprocessingConfig, weights: Mapping[str, str], seeds: int = 1
) -> Iterator[dict[str, Any]]:
    """One row for each variant and seed: what made it, seconds, and how it does against what is known of the items.

    A variant that cannot run here gives one row whose ``not run`` says why.
    """
    known = known_of(dataset, modality)
    for name, changes in variants(dataset.modalities[modality].kind, weights).items():
        for seed in range(seeds):
            row = _measured(dataset, modality, _changed(config, modality, **changes), seed, known)
            yield {"modality": modality, "variant": name, "seed": seed, **row}
            if "not run" in row:
                break


def neighbour_likeness(features: Features, known: Known, neighbours: int = NEIGHBOURS) -> tuple[float, float]:
    """(mean Jaccard index of an item's labels with those of its nearest items by cosine, the same of all items).

    Of one label an item, that is the share of its neighbours that have it too.
    """
    rows = np.flatnonzero(features.mask & known.labels.any(axis=1))
    vectors, labels = unit_rows(features.values[rows]), known.labels[rows].astype(np.float32)
    near, everywhere = np.zeros(len(rows)), np.zeros(len(rows))
    for start in range(0, len(rows), 1024):
        block = slice(start, min(start + 1024, len(rows)))
        own = np.arange(block.stop - block.start)
        both = labels[block] @ labels.T
        jaccard = both / (labels[block].sum(axis=1)[:, None] + labels.sum(axis=1) - both)
        closeness = vectors[block] @ vectors.T
        closeness[own, block.start + own] = -np.inf
        nearest = np.argpartition(-closeness, neighbours, axis=1)[:, :neighbours]
        near[block] = np.take_along_axis(jaccard, nearest, axis=1).mean(axis=1)
        everywhere[block] = (jaccard.sum(axis=1) - 1) / (len(rows) - 1)
    return float(near.mean()), float(everywhere.mean())


def links(dataset: Dataset, modality: str, config: PreprocessingConfig, seeds: int = 1) -> list[dict[str, Any]]:
    """Hits@10 of held-out tails by TransE, by TransG and by how frequent a tail is, one row a method and seed.

    The seed draws the held-out triples and starts the training; no item's vector comes from these trainings.
    """
    triples, _ = read_triples(dataset, modality)
    return [row for seed in range(seeds) for row in _links(triples, config, seed)]


def summary(rows: Sequence[Mapping[str, Any]], by: Sequence[str]) -> pd.DataFrame:
    """Mean over the seeds of every number in ``rows``, by ``by``, in their order; ``seeds`` counts them."""
    frame = pd.DataFrame(rows)
    groups = frame.groupby(list(by), sort=False, dropna=False)
    means = groups.mean(numeric_only=True).drop(columns="seed").assign(seeds=groups.size())
    counts = [name for name in COUNTS if name in means]
    return means.astype({name: "Int64" for name in counts if (means[name].dropna() % 1 == 0).all()})


def release(
    dataset: Dataset, config: PreprocessingConfig, weights: Mapping[str, str], seeds: int = 1
) -> Path:
    """Compare all encoders of ``dataset`` and write book/results/<dataset>/encoders.json, with provenance.

    Every modality is written when it is done, and what is there from the same code, data and settings stays, so that a
    killed comparison goes on.
    """
    file = workspace() / "book" / "results" / dataset.name / FILE
    modules = {row.module for kind in ENCODERS.values() for row in kind.values()}
    made_by = {
        "data_hash": dataset.data_hash, "code_hash": code_hash(__name__, *sorted(modules)), "seeds": seeds,
        "settings": dataclasses.asdict(config), "weights": {name: file_hash(Path(w)) for name, w in weights.items()},
    }
    key = content_hash(made_by)
    kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    result = kept if kept.get("key") == key else {"key": key, **made_by, **environment(), "encoders": [], "links": []}
    for modality, entry in dataset.modalities.items():
        done = {row["modality"] for row in result["encoders"]}
        if modality not in done:
            result["encoders"] += compare(dataset, modality, config, weights, seeds)
            write_text(file, json.dumps(result, indent=1))
        if entry.kind == "knowledge" and modality not in {row["modality"] for row in result["links"]}:
            result["links"] += [{"modality": modality, **row} for row in links(dataset, modality, config, seeds)]
            write_text(file, json.dumps(result, indent=1))
    return file


def released() -> dict[str, dict[str, Any]]:
    """The released comparisons of encoders by dataset."""
    files = sorted((workspace() / "book" / "results").glob(f"*/{FILE}"))
    return {file.parent.name: json.loads(file.read_text(encoding="utf-8")) for file in files}


def _measured(
    dataset: Dataset, modality: str, config: PreprocessingConfig, seed: int, known: Known | None
) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        choice = choose(dataset, modality, config)
        features = encode(dataset, modality, config, seed)
    except UserError as error:
        return {"not run": str(error)}
    row: dict[str, Any] = {
        "encoder": features.encoder, "inputs": choice.inputs(config), "dimensions": features.values.shape[1],
        "items": int(features.mask.sum()), "notes": list(features.notes), "seconds": time.perf_counter() - started,
    }
    if known is None:
        return row
    near, everywhere = neighbour_likeness(features, known)
    row |= {"known": known.name, "likeness of neighbours": near, "of all items": everywhere}
    if known.planted:
        levels = known.labels.argmax(axis=1)[features.mask]
        found = multiple_kernel_kmeans(features.values[features.mask], known.labels.shape[1], seed=seed)
        row["ARI with the planted levels"] = adjusted_rand_score(levels, found.labels)
    return row


def _links(triples: Triples, config: PreprocessingConfig, seed: int) -> Iterator[dict[str, Any]]:
    from mrlm_core.preprocessing.knowledge import train_transe
    from mrlm_core.preprocessing.transg import train_transg

    sizes = len(triples.entities), len(triples.relations)
    rest, held_out = split_triples(triples.rows, HELD_OUT, seed)
    methods = {
        "frequency of the tail": lambda: frequent_tails(rest, *sizes),
        "transe": lambda: train_transe(rest, *sizes, config.knowledge_dim, config.knowledge_epochs, seed).tail_scores,
        "transg": lambda: train_transg(rest, *sizes, config, seed).tail_scores,
    }
    for name, train in methods.items():
        started = time.perf_counter()
        hits = hits_at(train(), held_out, triples.rows, CUTOFF)
        yield {"method": name, "seed": seed, f"Hits@{CUTOFF}, filtered": hits.filtered, f"Hits@{CUTOFF}, raw": hits.raw,
               "held out": hits.tested, "seconds": time.perf_counter() - started}


def _indicators(dataset: Dataset, name: str, kind: str) -> np.ndarray:
    table = field_table(dataset.item_ids, dataset.items, {name: kind})
    indices, weights = table.indices[:, 1] - dataset.n_items, table.weights[:, 1]
    labels = np.zeros((dataset.n_items, table.size - dataset.n_items), bool)
    rows, places = np.nonzero(weights)
    labels[rows, indices[rows, places]] = True
    return labels


def _changed(
    config: PreprocessingConfig, modality: str, encoder: str, weights: str | None, **settings: Any
) -> PreprocessingConfig:
    return dataclasses.replace(config, encoders={modality: encoder}, weights={modality: weights} if weights else {},
                               **settings)

"""What MRLM reads besides the ratings, made once and kept as artefacts: initial vectors, features, cluster ids."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace

import numpy as np

from mrlm_core.cache import artefact, artefact_path, content_hash
from mrlm_core.datasets.contract import Dataset
from mrlm_core.datasets.splits import Interactions
from mrlm_core.errors import ConfigError, DatasetError, problem
from mrlm_core.preprocessing import features, initial_features
from mrlm_core.preprocessing.vectors import Features
from mrlm_core.preprocessing_config import PreprocessingConfig

CONTENT_SEED = 0  # features and clusters depend on the content alone, so every split and seed shares them
OF_VECTORS = "initial"  # of the cluster assignments the one that needs the initial vectors
CLUSTER_ASSIGNMENTS = ("own", "permuted", "random", OF_VECTORS)


@dataclass(frozen=True)
class Artefact:
    """Where a result came from, for the run record: its key, what made it, what was left out."""

    key: str
    encoder: str
    notes: tuple[str, ...]


def initial_vectors(
    dataset: Dataset, interactions: Interactions, split_key: str, embedding_dim: int, config: PreprocessingConfig,
    seed: int,
) -> tuple[tuple[np.ndarray, np.ndarray], Artefact]:
    """(users ``[U, d_0]``, items ``[V, d_0]``) learned from the training split alone, and where they came from.

    Raises ConfigError when ``config.initial`` is no choice.
    """
    row = initial_features.choose(config)
    inputs = {"data": dataset.data_hash, "split": split_key, "dim": embedding_dim, "seed": seed, **row.inputs(config)}

    def compute() -> dict[str, np.ndarray]:
        return row.load()(dataset, interactions, embedding_dim, config, seed)

    arrays, key = artefact("initial_vectors", inputs, row.module, compute)
    notes = tuple(str(note) for note in arrays["notes"])
    return (arrays["users"], arrays["items"]), Artefact(key, initial_features.name_of(config), notes)


def modality_features(
    dataset: Dataset, modality: str, config: PreprocessingConfig
) -> tuple[Features, Artefact]:
    """The auxiliary feature vectors of one modality (§3.1(1)(b), first step)."""
    choice = features.choose(dataset, modality, config)
    target, source = modality_features(dataset, choice.target, config) if choice.target else (None, None)
    inputs = {"data": dataset.data_hash, "modality": modality, "seed": CONTENT_SEED, **choice.inputs(config),
              **({"target": source.key} if source else {})}
    module = choice.row.module
    scratch = artefact_path("features", inputs, module).with_suffix(".partial")

    def compute() -> dict[str, np.ndarray]:
        made = features.encode(dataset, modality, config, CONTENT_SEED, target=target, scratch=scratch)
        return {"values": made.values, "mask": made.mask, "encoder": np.array(made.encoder),
                "notes": np.array(made.notes, dtype=str)}

    arrays, key = artefact("features", inputs, module, compute)
    if scratch.exists():
        shutil.rmtree(scratch)
    notes = tuple(str(note) for note in arrays["notes"])
    made = Features(arrays["values"], arrays["mask"], str(arrays["encoder"]), notes)
    return made, Artefact(key, made.encoder, notes)


def modality_clusters(
    dataset: Dataset, modality: str, config: PreprocessingConfig
) -> tuple[np.ndarray, Artefact]:
    """Cluster ids ``[V]`` of one modality, -1 where an item lacks it (§3.1(1)(b), second step).

    Raises ConfigError when the config gives this modality no cluster count. Gap G21.
    """
    made, source = modality_features(dataset, modality, config)
    return _clustered(made, source, modality, config, CONTENT_SEED)


def vector_clusters(
    vectors: tuple[np.ndarray, Artefact], clusters: dict[str, np.ndarray], config: PreprocessingConfig
) -> dict[str, tuple[np.ndarray, Artefact]]:
    """A null control of claim C16: the initial item vectors ``[V, d_0]`` clustered in place of each modality of
    ``clusters``, as finely and for the same items.

    What a model gains by these it does not gain by the descriptions. Each modality starts from a seed of its own, else
    those with equally many clusters would be one. Gap G43.
    """
    values, source = vectors
    source = replace(source, encoder=f"initial item vectors ({source.encoder})")
    return {
        name: _clustered(Features(values, ids >= 0, source.encoder, source.notes), source, name, config, seed)
        for seed, (name, ids) in enumerate(clusters.items())
    }


def _clustered(
    made: Features, source: Artefact, modality: str, config: PreprocessingConfig, seed: int
) -> tuple[np.ndarray, Artefact]:
    if modality not in config.cluster_counts:
        raise ConfigError(
            problem("preprocessing.cluster_counts", f"a count for modality {modality!r}",
                    f"counts for {sorted(config.cluster_counts)}", "Add it with that setting.")
        )
    count = config.cluster_counts[modality]
    inputs = {"features": source.key, "described": content_hash(made.mask), "n_clusters": count,
              "method": config.clustering, "seed": seed}

    def compute() -> dict[str, np.ndarray]:
        from mrlm_core.preprocessing.clustering import cluster_items

        return {"clusters": cluster_items(made, count, config.clustering, seed, modality)}

    arrays, key = artefact("clusters", inputs, "mrlm_core.preprocessing.clustering", compute)
    how = "plain k-means" if config.clustering == "kmeans" else f"{config.clustering} kernel k-means"
    return arrays["clusters"], Artefact(key, f"{source.encoder} + {how}", source.notes)


def check_assignment(assignment: str) -> None:
    """Raises ConfigError where ``assignment`` is none of ``CLUSTER_ASSIGNMENTS``."""
    if assignment not in CLUSTER_ASSIGNMENTS:
        raise ConfigError(problem("clusters", f"one of {CLUSTER_ASSIGNMENTS}", repr(assignment), "Correct its name."))


def assign(clusters: dict[str, np.ndarray], assignment: str, seed: int) -> dict[str, np.ndarray]:
    """The clusters as they are (``own``), or a null control of claim C16.

    ``permuted`` gives every item another item's ids, all modalities together; ``random`` draws each id anew. Both
    leave undescribed items undescribed and keep (in expectation) the cluster sizes. The third control is
    ``vector_clusters``. Gap G43.
    """
    check_assignment(assignment)
    if assignment == OF_VECTORS:
        raise ValueError(f"assign: {assignment!r} needs the initial vectors; see vector_clusters")
    if assignment == "own":
        return clusters
    rng = np.random.default_rng(seed)
    if assignment == "permuted":
        return _permuted(clusters, rng)
    return {name: np.where(ids >= 0, rng.choice(ids[ids >= 0], len(ids)), -1).astype(ids.dtype)
            for name, ids in clusters.items()}


def chosen_modalities(dataset: Dataset, wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    """``wanted`` in the dataset's order, or all it has; raises DatasetError for one it lacks."""
    if wanted is None:
        return tuple(dataset.modalities)
    missing = [name for name in wanted if name not in dataset.modalities]
    if missing:
        raise DatasetError(
            problem(f"dataset {dataset.name}", f"the modalities {list(wanted)}", f"no {missing}",
                    f"It has {list(dataset.modalities)}; choose among them.")
        )
    return tuple(name for name in dataset.modalities if name in wanted)


def _permuted(clusters: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One shuffle a modality among the items that have it; items that share a set of modalities move together."""
    names = list(clusters)
    described = np.stack([clusters[name] >= 0 for name in names], axis=1)
    pattern = described @ (1 << np.arange(len(names)))
    moved = {name: ids.copy() for name, ids in clusters.items()}
    for value in np.unique(pattern):
        rows = np.flatnonzero(pattern == value)
        source = rng.permutation(rows)
        for name in names:
            moved[name][rows] = clusters[name][source]
    return moved

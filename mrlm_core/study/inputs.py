"""What a model's ``fit`` takes besides the interactions, and where each came from."""

from __future__ import annotations

from typing import Any

import numpy as np

from mrlm_core.baselines import registry
from mrlm_core.baselines.row import EVERY, RAW, Row
from mrlm_core.cache import content_hash
from mrlm_core.datasets import Dataset
from mrlm_core.datasets.splits import Interactions
from mrlm_core.errors import ConfigError, problem
from mrlm_core.preprocessing import at_input, pipeline
from mrlm_core.preprocessing.vectors import Features
from mrlm_core.study.spec import RunSpec


def missing(row: Row, dataset: Dataset, wanted: tuple[str, ...] | None = None) -> str:
    """Why ``row`` is not run on these modalities of ``dataset``, in words; empty where nothing is missing. Gap G35."""
    entries = [dataset.modalities[name] for name in pipeline.chosen_modalities(dataset, wanted)]
    roles, kinds = {entry.role for entry in entries}, {entry.kind for entry in entries}
    lacking = [role for role in row.needs if role not in roles]
    # A modality of ready-made vectors has the role, but neither words nor triples.
    lacking += [f"{role} as {RAW[role]}" for role in row.needs if RAW.get(role) in row.inputs and role in roles - kinds]
    if lacking:
        return f"needs {', '.join(lacking)}"
    if row.base != row.name and not others(registry.row(row.base), dataset, wanted):
        return f"the same as {row.base}: no modality here that it does not read"
    if not entries and ("content" in row.inputs or EVERY in row.reads):
        return "needs a modality"
    return ""


def own(row: Row, dataset: Dataset, wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    """The modalities that the model itself reads."""
    names = pipeline.chosen_modalities(dataset, wanted)
    return tuple(name for name in names if row.takes(dataset.modalities[name].role))


def others(row: Row, dataset: Dataset, wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    """The rest, which a "+" version reads as content."""
    mine = own(row, dataset, wanted)
    return tuple(name for name in pipeline.chosen_modalities(dataset, wanted) if name not in mine)


def as_vectors(row: Row, dataset: Dataset, wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    """Those of its own whose vectors the model reads, not their words or triples."""
    return tuple(name for name in own(row, dataset, wanted) if row.takes_vectors(dataset.modalities[name].role))


def encoded(row: Row, dataset: Dataset, wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    """The modalities whose vectors reach the model, as clusters, features or content."""
    if "clusters" in row.inputs:
        return pipeline.chosen_modalities(dataset, wanted)
    return as_vectors(row, dataset, wanted) + (others(row, dataset, wanted) if "content" in row.inputs else ())


def inputs_of(spec: RunSpec, dataset: Dataset, split: Interactions) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inputs by name, and the artefacts that they came from (for the record)."""
    config, row = spec.config, registry.row(spec.model)
    inputs: dict[str, Any] = {}
    sources: dict[str, Any] = {}

    def features(names: tuple[str, ...]) -> dict[str, Features]:
        made = {}
        for name in names:
            made[name], sources[name] = pipeline.modality_features(dataset, name, config.preprocessing)
        return made

    if "initial_vectors" in row.inputs:
        split_key = content_hash(*(part for matrix in (split.train, split.train_rated, split.validation)
                                   for part in (matrix.indices, matrix.indptr)))
        inputs["initial_vectors"], sources["initial_vectors"] = pipeline.initial_vectors(
            dataset, split, split_key, config.model.embedding_dim, config.preprocessing, spec.seed
        )
    if "clusters" in row.inputs:
        vectors = (inputs["initial_vectors"][1], sources["initial_vectors"]) if inputs else None
        inputs["clusters"], made = _clusters(spec, dataset, vectors)
        sources |= made
        if row.family == "mrlm" and config.model.modalities == "input":
            inputs["initial_vectors"] = at_input.beside(
                inputs["initial_vectors"], _side_by_side(features(tuple(made))), split.train
            )
            inputs["clusters"] = {}
    if "features" in row.inputs:
        inputs["features"] = features(as_vectors(row, dataset, spec.modalities))
    if "content" in row.inputs:
        inputs["content"] = _side_by_side(features(others(row, dataset, spec.modalities)))
    if "attributes" in row.inputs:
        from mrlm_core.preprocessing.fields import field_table

        inputs["attributes"] = (field_table(dataset.user_ids, dataset.users, dict(dataset.user_fields)),
                                field_table(dataset.item_ids, dataset.items, dict(dataset.item_fields)))
    if "sentences" in row.inputs:
        from mrlm_core.baselines.sentences import sentences_of

        texts = _of_kind("text", own(row, dataset, spec.modalities), dataset)[0]
        inputs["sentences"] = sentences_of(dataset.texts(texts), dataset.n_items)
    if "triples" in row.inputs:
        from mrlm_core.preprocessing.triples import read_triples

        graphs = _of_kind("knowledge", own(row, dataset, spec.modalities), dataset)
        inputs["triples"] = read_triples(dataset, graphs[0]) if graphs else None
    return inputs, {name: vars(source) for name, source in sources.items()}


def _clusters(
    spec: RunSpec, dataset: Dataset, vectors: tuple[np.ndarray, pipeline.Artefact] | None
) -> tuple[dict[str, np.ndarray], dict[str, pipeline.Artefact]]:
    """The cluster ids by modality as ``spec`` assigns them, and their sources; ``vectors`` are the initial ones."""
    config = spec.config.preprocessing
    names = pipeline.chosen_modalities(dataset, spec.modalities)
    made = {name: pipeline.modality_clusters(dataset, name, config) for name in names}
    own = {name: ids for name, (ids, _) in made.items()}
    if spec.clusters != pipeline.OF_VECTORS:
        return pipeline.assign(own, spec.clusters, spec.seed), {name: source for name, (_, source) in made.items()}
    if vectors is None:
        raise ConfigError(problem(f"clusters {spec.clusters!r}", "a model that reads initial vectors",
                                  spec.model, "Take another assignment or another model."))
    made = pipeline.vector_clusters(vectors, own, config)
    return {name: ids for name, (ids, _) in made.items()}, {name: source for name, (_, source) in made.items()}


def _side_by_side(features: dict[str, Features]) -> np.ndarray:
    from mrlm_core.baselines.content import side_by_side  # brings Keras, which models without content do not need

    return side_by_side(features)


def _of_kind(kind: str, names: tuple[str, ...], dataset: Dataset) -> list[str]:
    return [name for name in names if dataset.modalities[name].kind == kind]

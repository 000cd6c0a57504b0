"""What names a record: everything that its numbers depend on, hashed."""

from __future__ import annotations

from mrlm_core.baselines import registry
from mrlm_core.cache import code_hash, content_hash
from mrlm_core.config import keras_backend, settings_of
from mrlm_core.datasets import Dataset
from mrlm_core.preprocessing import features, initial_features
from mrlm_core.study.inputs import encoded
from mrlm_core.study.spec import RunSpec

# Settings that reach every model whose inputs are made by the pipeline; MRLM's family reads all of them.
SHARED = ("protocol.", "preprocessing.", "model.embedding_dim")

# What every run's numbers depend on besides its model; models that read more add the pipeline.
PROTOCOL_MODULES = ("mrlm_core.evaluation.metrics", "mrlm_core.datasets.splits", "mrlm_core.datasets.contract")


def run_key(spec: RunSpec, dataset: Dataset) -> str:
    """Names the record: hash of spec, settings and defaults that this model reads, data, and the code that computes."""
    resolved = spec.resolved()
    if registry.row(spec.model).family != "mrlm":  # then some settings matter, whatever the preset
        read = SHARED if _reads_pipeline(spec) else "protocol."
        resolved["settings"] = {k: v for k, v in settings_of(spec.config).items() if k.startswith(read)}
        resolved.pop("preset")
    resolved["dataset"], resolved["backend"] = dataset.name, keras_backend()  # another one rounds otherwise
    encoders = [choice.inputs(spec.config.preprocessing) for choice in _encoders(spec, dataset)]
    row = registry.row(spec.model)
    # The model's own row in place of the registry's code: another model's row is none of its business.
    own = [dict(row.defaults), dict(row.settings), row.inputs, row.needs, row.reads, row.others_as]
    return content_hash(resolved, own, encoders, dataset.data_hash, code_of(spec, dataset))


def code_of(spec: RunSpec, dataset: Dataset) -> str:
    """Hash of the code that computes the numbers of ``spec``."""
    return code_hash(*modules_of(spec, dataset), without=registry.__name__)


def modules_of(spec: RunSpec, dataset: Dataset) -> tuple[str, ...]:
    """The modules that compute the numbers of ``spec``; what they import comes with them."""
    row = registry.row(spec.model)
    modules = [row.module, *PROTOCOL_MODULES]
    if set(row.inputs) - {"interactions"}:
        modules.append("mrlm_core.study.inputs")
    if "initial_vectors" in row.inputs:  # named in a table, so no import shows it
        modules.append(initial_features.choose(spec.config.preprocessing).module)
    modules += [choice.row.module for choice in _encoders(spec, dataset)]  # and so are these
    return tuple(modules)


def _encoders(spec: RunSpec, dataset: Dataset) -> list[features.Choice]:
    """The encoders whose vectors reach this run, those that another one learns from among them."""
    names = encoded(registry.row(spec.model), dataset, spec.modalities)
    choices = [features.choose(dataset, name, spec.config.preprocessing) for name in names]
    targets = {choice.target for choice in choices if choice.target} - set(names)
    return choices + [features.choose(dataset, name, spec.config.preprocessing) for name in sorted(targets)]


def _reads_pipeline(spec: RunSpec) -> bool:
    """Whether its inputs depend on settings of the config, not on the data alone."""
    return bool(set(registry.row(spec.model).inputs) & {"initial_vectors", "clusters", "features", "content"})

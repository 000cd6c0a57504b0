"""Variants of a model under names of their own: settings do not show in a record's own label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mrlm_core.study.record import RunRecord
from mrlm_core.study.run import run_many
from mrlm_core.study.spec import RunSpec

METHOD = "MRLM"  # the model that this study is about


@dataclass(frozen=True)
class Variant:
    """One run under a ``name`` that tables print; ``group`` is the question that it belongs to."""

    name: str
    group: str
    spec: RunSpec


@dataclass(frozen=True)
class NamedRecord(RunRecord):
    """A record that tables print under the ``name`` of its variant."""

    name: str

    @property
    def label(self) -> str:
        return self.name


def run_variants(variants: Sequence[Variant], seeds: int, scheduler: str | None = None) -> list[NamedRecord]:
    """The records of every variant on ``seeds`` splits, each with its own training, in order; as ``run_many``.

    A spec's own seed is where its training seeds start. Two names for one run, as a left-out modality of two is the
    other one alone, are run once.
    """
    asked = [(variant.name, replace(variant.spec, split_seed=seed, seed=variant.spec.seed + seed))
             for variant in variants for seed in range(seeds)]
    specs: list[RunSpec] = []
    for _, spec in asked:
        if spec not in specs:
            specs.append(spec)
    records = run_many(specs, scheduler)
    return [NamedRecord(**vars(records[specs.index(spec)]), name=name) for name, spec in asked]


def changes(spec: RunSpec, base: RunSpec) -> dict[str, Any]:
    """What sets ``spec`` apart from ``base``, presets resolved: its own values by field or dotted setting."""
    own, usual = _flat(spec), _flat(base)
    return {name: value for name, value in own.items() if value != usual[name]}


def in_words(changed: Mapping[str, Any]) -> str:
    """``changes`` for a table: "model.lambda_1 = 0.333, modalities = text + image"."""
    return ", ".join(f"{name} = {shown(value)}" for name, value in changed.items())


def shown(value: Any) -> str:
    """A setting's value as ``in_words`` has it."""
    if isinstance(value, (list, tuple)):
        return " + ".join(map(shown, value)) or "none"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _flat(spec: RunSpec) -> dict[str, Any]:
    resolved = spec.resolved()
    settings = resolved.pop("settings")
    return {**resolved, **settings}

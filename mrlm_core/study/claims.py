"""The paper's claims, how each is tested, and the records that it is tested on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import yaml

from mrlm_core.baselines import registry
from mrlm_core.baselines.rows_paper import ORDER
from mrlm_core.config import source_folder
from mrlm_core.datasets import Dataset
from mrlm_core.errors import ConfigError, problem
from mrlm_core.study.ablation import ablation, alone, without
from mrlm_core.study.findings import listed
from mrlm_core.study.growth import Growth
from mrlm_core.study.inputs import missing
from mrlm_core.study.paper_tables import MEASURES, paper_numbers
from mrlm_core.study.record import RunRecord
from mrlm_core.study.released import released, released_datasets, released_variants
from mrlm_core.study.spec import RunSpec
from mrlm_core.study.tables import by_label
from mrlm_core.study.variants import METHOD, Variant

BEST_OF_SIMPLE = "best of simple"
_SAME = "the same as "  # how a "+" model that reads nothing more is not run


@dataclass(frozen=True)
class Claim:
    """A claim of the paper (data/paper/claims.json) and its test (claim_tests.yml); ``metrics`` are record columns."""

    name: str
    source: str
    text: str
    datasets: tuple[str, ...]
    metrics: tuple[str, ...]
    test: Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """What claims are tested on: the records of one dataset by model or variant, and exponents of measured seconds.

    ``chapter`` is where its numbers are shown, empty for the chapter that each claim names.
    """

    dataset: str
    records: Mapping[str, Sequence[RunRecord]]
    chapter: str = ""
    growth: Mapping[str, tuple[Growth, float]] = field(default_factory=dict)

    @property
    def stands_for(self) -> tuple[str, ...]:
        """The datasets of the paper whose claims can be tested on this one."""
        return stands_for(self.dataset)

    def done(self, name: str) -> list[RunRecord]:
        """The finished runs of a model or variant."""
        return [record for record in self.records.get(name, ()) if not record.failed]

    def resolved(self, name: str) -> str:
        """``name``, or its model without "+" where the two are the same here."""
        lacks = {record.lack for record in self.records.get(name, ())}
        return name.replace("+", "", 1) if lacks and all(lack.startswith(_SAME) for lack in lacks) else name

    def why_not(self, name: str) -> str:
        """Why there is no finished run of ``name``; empty when there is one."""
        if self.done(name):
            return ""
        lacks = {record.lack or "failed" for record in self.records.get(name, ())}
        return f"a run of {name}{f' ({listed(sorted(lacks))})' if lacks else ''}"


@dataclass(frozen=True)
class Pair:
    """``over`` is claimed to be above ``under``, by the paper's ratio ``magnitude`` where it states one."""

    over: str
    under: str
    metrics: tuple[str, ...]
    magnitude: float | None = None


def stands_for(dataset: str) -> tuple[str, ...]:
    """The datasets of the paper that ours of this name is to be held beside: one, or both where it is like neither."""
    named = [paper for start, paper in claim_tests()["stands_for"].items() if dataset.startswith(start)]
    return tuple(named) or tuple(claim_tests()["modalities"])


@lru_cache
def claim_tests() -> dict[str, Any]:
    """data/paper/claim_tests.yml: the test of each claim and the variants of MRLM that they need."""
    return yaml.safe_load((source_folder("data/paper", "claim_tests.yml") / "claim_tests.yml").read_text("utf-8"))


@lru_cache
def claims() -> dict[str, Claim]:
    """Every claim by its id, in the paper's order; raises ConfigError unless claims and tests have the same ids."""
    listed = json.loads((source_folder("data/paper", "claims.json") / "claims.json").read_text("utf-8"))["claims"]
    tested = claim_tests()["claims"]
    alone = {row["id"] for row in listed} ^ set(tested)
    if alone:
        raise ConfigError(problem("data/paper/claim_tests.yml", "one test for every claim of claims.json",
                                  f"only in one of them: {sorted(alone)}", "Add what is missing."))
    return {row["id"]: _claim(row, tested[row["id"]]) for row in listed}


def _claim(row: Mapping[str, Any], test: Mapping[str, Any]) -> Claim:
    columns = tuple(metric.lower() for metric in row["metrics"])
    return Claim(row["id"], row["source"], row["claim"], tuple(row["datasets"]), columns, test)


def released_sources() -> list[Source]:
    """One source for each released comparison, with the variants of MRLM that were released beside it."""
    return [Source(name, by_label(released_variants(name)) | variants_of(released(name).records), "12_released_results")
            for name in released_datasets()]


def variants_of(records: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    """The records of a comparison by the names that tests call models and variants by."""
    return {label.removeprefix(f"{METHOD}, "): group for label, group in by_label(records).items()}


def claimed_variants(base: RunSpec, dataset: Dataset, groups: Sequence[str] = ()) -> list[Variant]:
    """The variants of MRLM that some test names, of ``groups`` of the ablation (none means all), from ``base``.

    A modality is called by its role there, as in the tests, whatever its name in the dataset. With them, the models
    that a test wants on some of the modalities alone; one that another is the same as, and so need not run, is left
    out. Raises ConfigError for a group that does not exist.
    """
    patterns = {name for test in claim_tests()["claims"].values() for key in ("compare", "beside")
                for pair in test.get(key, ()) for name in pair}
    roles = {name: entry.role for name, entry in dataset.modalities.items()}
    named = {name.format(m=role, n=role) for name in patterns for role in roles.values()}
    variants = [_by_role(variant, roles) for variant in ablation(base, dataset, groups)]
    found = [variant for variant in variants if variant.name in named]
    for test in claim_tests()["claims"].values():
        found += _restricted(test, base, dataset) if "modalities" in test else []
    return found


def by_training_ratio(records: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    """The records of MRLM by the name that tests call its share of training ratings by."""
    found: dict[str, list[RunRecord]] = {}
    for record in records:
        ratio = record.data["spec"]["settings"]["protocol.train_ratio"]
        found.setdefault(ratio_name(record.label, ratio), []).append(record)
    return found


def ratio_name(label: str, ratio: float) -> str:
    """What tests call a model by that was trained on the share ``ratio`` of the ratings."""
    return f"{label}, {ratio:.0%} for training"


def pairs(claim: Claim, source: Source) -> list[Pair]:
    """The pairs that ``claim`` compares on ``source``, models without "+" where the two are the same; none twice."""
    test, found = claim.test, []
    for over, under, letter, part, printed in _names(claim, source, "compare"):
        metrics = tuple(part + metric for metric in claim.metrics) if part.endswith("_") or not part else (part,)
        for group in [metrics] if test.get("average") else [(metric,) for metric in metrics]:
            found.append(Pair(over, under, group, _magnitude(claim, source, printed, letter, group[0])))
        found += [Pair(over, under, (reading,)) for reading in test.get("readings", ())]
    return list(dict.fromkeys(found))


def compared_beside(claim: Claim, source: Source) -> list[Pair]:
    """The pairs that a test asks for besides its own, which are told and not judged."""
    return [Pair(over, under, (metric,)) for over, under, *_ in _names(claim, source, "beside")
            for metric in claim.metrics]


def paper_dataset(claim: Claim, source: Source) -> str | None:
    """The paper's dataset that ``source`` stands for in ``claim``; None when it stands for another."""
    return next((name for name in claim.datasets if name in source.stands_for), None)


def at(path: Sequence[str]) -> Any:
    """The value at ``path`` in data/paper/tables.json."""
    value: Any = paper_numbers(path[0])
    for step in path[1:]:
        value = value[step]
    return value


def level(name: str, metric: str, dataset: str) -> float:
    """The paper's mean of a model on one of its datasets, ``metric`` as "recall@20"."""
    measure, cutoff = metric.split("@")
    return at((MEASURES[measure], name, dataset, cutoff))


def _names(claim: Claim, source: Source, key: str) -> Iterable[tuple[str, str, str, str, tuple[str, str]]]:
    """The pairs of names that the patterns of ``key`` stand for, the paper's letter of the modality, the part.

    At last the names as the paper has them, which here may be of one model, with its "+" and without.
    """
    dataset = paper_dataset(claim, source) or claim.datasets[0]
    suffix = _suffix(claim.test["modalities"]) if len(source.stands_for) > 1 and "modalities" in claim.test else ""
    letters = claim_tests()["modalities"][dataset]
    compared = claim.test.get(key, ())
    parts = claim.test.get("parts") if key == "compare" else None
    for (over, under), part in zip(compared, parts or [""] * len(compared), strict=True):
        patterns = f"{over} {under}"
        roles = [role for role in letters if role != "text" or "{n}" not in patterns] if "{" in patterns else [""]
        for model in ORDER if "*" in patterns else [""]:
            for role in roles:
                one, other = (name.replace("*", model).format(m=role, n=role) + suffix for name in (over, under))
                first, second = source.resolved(one), source.resolved(other)
                if first != second or claim.test["kind"] == "same":
                    yield first, second, letters.get(role, ""), part, (one, other)


def _magnitude(claim: Claim, source: Source, printed: Sequence[str], letter: str, metric: str) -> float | None:
    """The paper's ratio of the first model to the second: from Tables 3 and 4, or from a percentage in the text."""
    where = claim.test.get("magnitude")
    dataset = paper_dataset(claim, source)
    if where is None or dataset is None:
        return None
    if where == "tables":
        over, under = (level(name, metric, dataset) for name in printed)
        return over / under
    percent = at(where)
    return 1 + (percent[letter] if isinstance(percent, dict) else percent) / 100


def _by_role(variant: Variant, roles: Mapping[str, str]) -> Variant:
    """``variant`` named by its modality's role, unless two modalities have it."""
    for name, role in roles.items():
        for part in (alone, without):
            if variant.name == part(name) and list(roles.values()).count(role) == 1:
                return replace(variant, name=part(role))
    return variant


def _suffix(modalities: Sequence[str]) -> str:
    return f" [{' + '.join(modalities)}]"


def _restricted(test: Mapping[str, Any], base: RunSpec, dataset: Dataset) -> list[Variant]:
    """The models of ``test`` on its modalities alone."""
    names = tuple(name for name, entry in dataset.modalities.items() if entry.role in test["modalities"])
    found: list[Variant] = []
    asked = len(stands_for(dataset.name)) > 1 and len(names) == len(test["modalities"])  # as ``_names`` asks for them
    for over, under in test["compare"] if asked else ():
        same = missing(registry.row(over), dataset, names).startswith(_SAME)
        for model in (over,) if same else (over, under):
            spec = RunSpec(base.dataset, model, preset=base.preset, modalities=names)
            found.append(Variant(model + _suffix(test["modalities"]), "modalities", spec))
    return found

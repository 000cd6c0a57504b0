"""The variants of MRLM that claims name, run with the settings of the released MRLM and kept beside its release."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from mrlm_core.datasets import Dataset
from mrlm_core.errors import ConfigError, nearest, problem
from mrlm_core.study.ablation import GLOBAL
from mrlm_core.study.claims import claimed_variants, ratio_name
from mrlm_core.study.key import run_key
from mrlm_core.study.record import RunRecord
from mrlm_core.study.released import (
    Release,
    alone,
    method_run,
    released,
    released_datasets,
    variants_kept,
    write_variants,
)
from mrlm_core.study.run import check_names, dataset_of, lost_record, or_lost, record_folder, run_or_load
from mrlm_core.study.scheduler import Lost, each
from mrlm_core.study.spec import RunSpec
from mrlm_core.study.training_ratio import paper_curve, ratio_specs
from mrlm_core.study.variants import METHOD, NamedRecord


@dataclass(frozen=True)
class _Task:
    """One run of the variant ``name``; with ``fixed_ratio`` tested on the fixed test as well."""

    name: str
    spec: RunSpec
    fixed_ratio: float | None = None


def release_variants(
    dataset: str, scheduler: str | None = None, say: Callable[[str], None] = print, only: Sequence[str] = ()
) -> list[NamedRecord]:
    """Run every variant that a claim names and the release lacks, and MRLM by share of training ratings (Fig. 5).

    Each on the splits of the release, trained once, with the settings that the search chose for MRLM. Or the variants
    ``only``, in their order. Each run is kept in book/results/<dataset>/variants/ as it ends; stopped, it goes on from
    there, on another machine too. Raises ConfigError where MRLM is not released, or was by other code or data, and for
    a variant that there is not.
    """
    data, release = _opened(dataset)
    base = _method(release, data)
    tasks = _tasks(base, release, data)
    names = list(dict.fromkeys(task.name for task in tasks))
    for name in only:
        if name not in names:
            raise ConfigError(problem("--variants", f"some of {'; '.join(names)}", repr(name), nearest(name, names)))
    asked, of = [task for name in only or names for task in tasks if task.name == name], run_key(base, data)
    for task in asked:
        check_names(task.spec)
    there = {(record.name, record.data["spec_hash"]): record for record in variants_kept(data.name)}
    made: list[NamedRecord] = []
    for place, result in each(partial(_made, there=there), asked, scheduler):
        task = asked[place]
        record = lost_record(task.spec, result, task.fixed_ratio) if isinstance(result, Lost) else result
        made.append(NamedRecord(**{**vars(record), "name": task.name}))
        _keep(data.name, of, made[-1], tasks)
        say(f"{task.name}, split {task.spec.split_seed}: {record.data['status']}; {len(asked) - len(made)} runs to go")
    return made


def _opened(dataset: str) -> tuple[Dataset, Release]:
    data = dataset_of(RunSpec(dataset, METHOD))
    if data.name not in released_datasets() or METHOD in released(data.name).pending:
        raise ConfigError(problem(f"book/results/{data.name}", f"a released {METHOD}, whose variants these are", "none",
                                  f"Run `mrlm release {dataset} --models {METHOD}` with the plan of its release."))
    return data, released(data.name)


def _method(release: Release, data: Dataset) -> RunSpec:
    """The released MRLM of the first split, which its variants differ from in one thing."""
    first = method_run(release)
    assert first is not None, "it is not pending"
    told = first.data["spec"]
    spec = RunSpec(told["dataset"], METHOD, preset=told["preset"], settings=told["settings"])
    if run_key(spec, data) != first.data["spec_hash"]:
        raise ConfigError(problem(f"book/results/{data.name}/records.json", f"{METHOD} by this code and this data",
                                  "a record of another", f"Release it anew: `mrlm release --models {METHOD}`."))
    return spec


def _tasks(base: RunSpec, release: Release, data: Dataset) -> list[_Task]:
    """Every run of every variant that is not itself a model of the release, as MRLM and U-GFRL are."""
    own = {METHOD, GLOBAL} | {record.label.removeprefix(f"{METHOD}, ") for record in release.records}
    seeds, ratios = release.plan["seeds"], list(paper_curve().index)
    tasks = [_Task(variant.name, replace(variant.spec, split_seed=seed, seed=seed))
             for variant in claimed_variants(base, data) if variant.name not in own for seed in range(seeds)]
    return tasks + [_Task(ratio_name(METHOD, spec.config.protocol.train_ratio), spec, max(ratios))
                    for spec in ratio_specs(base, [METHOD], ratios, seeds)]


def _made(task: _Task, there: dict[tuple[str, str], NamedRecord]) -> RunRecord | Lost:
    folder = record_folder(task.spec, dataset_of(task.spec), task.fixed_ratio)
    before = there.get((task.name, folder.name))
    if before is not None and not before.failed:
        return before
    return or_lost(partial(run_or_load, fixed_ratio=task.fixed_ratio), task.spec)


def _keep(dataset: str, of: str, record: NamedRecord, tasks: Sequence[_Task]) -> None:
    """Write ``record``, of the MRLM of key ``of``, with the others; pending is each variant that lacks a split."""
    def place(of: NamedRecord) -> tuple[int, int]:
        return names.index(of.name), of.data["spec"]["split_seed"]

    names = list(dict.fromkeys(task.name for task in tasks))
    with alone(dataset):
        there = {place(one): one for one in variants_kept(dataset) if one.name in names}
        there[place(record)] = record
        waiting = [task.name for task in tasks if (names.index(task.name), task.spec.split_seed) not in there]
        write_variants(dataset, of, [there[key] for key in sorted(there)], list(dict.fromkeys(waiting)))

"""Runs on Dask: the same records as in process, a killed worker loses nothing, a lost or failed run is recorded."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import pandas as pd
import pytest

from mrlm_core.baselines import registry
from mrlm_core.errors import ConfigError
from mrlm_core.study import RunSpec, run, run_many, scheduler
from mrlm_core.study.record import RunRecord, found_by
from mrlm_core.study.release import make_release
from mrlm_core.study.released import Plan
from mrlm_core.study.scheduler import Lost, each, local_cluster

FAST = {"training.max_epochs": 3, "preprocessing.initial_epochs": 1}
SPECS = [
    RunSpec("shop", "MRLM", preset="tiny", modalities=("text",), settings=FAST, seed=41),
    *(RunSpec("shop", name, preset="tiny", seed=41) for name in ("EASE", "iALS", "BPR-MF")),
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with local_cluster(2) as cluster:
        yield cluster.scheduler_address


def _same(ours: list[RunRecord], theirs: list[RunRecord]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert found_by(one)[0] == found_by(other)[0], one.label
        pd.testing.assert_frame_equal(one.per_user, other.per_user, check_exact=True)


def _double(number: int) -> int:
    return 2 * number


def _killed_once(argument: tuple[RunSpec, str]) -> RunRecord:
    """Run a spec; the first process to save a checkpoint dies of it."""
    from mrlm_core.training import fit

    spec, marker = argument
    real = fit._save

    def save(*arguments: Any) -> None:
        real(*arguments)
        if not Path(marker).exists():
            Path(marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)

    fit._save = save
    try:
        return run.run_or_load(spec)
    finally:
        fit._save = real


def _dies(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_without_a_scheduler_all_runs_here_in_order() -> None:
    assert list(each(_double, [3, 1, 2])) == [(0, 6), (1, 2), (2, 4)]


def _split(numbers: list[int], scheduler: str | None) -> list[int]:
    """The numbers doubled, in the order they ended; one whose double is above 4 leads to its half."""
    tasks, ended = list(numbers), []
    for place, result in each(_double, tasks, scheduler):
        ended.append(tasks[place])
        if result > 4:
            tasks += [tasks[place] // 2]
    return ended


def test_what_a_result_leads_to_goes_before_those_that_wait(address: str) -> None:
    assert _split([8, 1, 6], None) == [8, 4, 2, 1, 6, 3, 1]
    assert sorted(_split([8, 1, 6], address)) == [1, 1, 2, 3, 4, 6, 8]


def test_what_has_a_record_and_what_is_alone_runs_here(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[list[str], str | None]] = []

    def spied(function: Any, arguments: list[RunSpec], scheduler: str | None = None) -> Iterator[tuple[int, Any]]:
        sent.append(([spec.model for spec in arguments], scheduler))
        return each(function, arguments)

    monkeypatch.setattr(run, "each", spied)
    specs = [RunSpec("shop", name, preset="tiny", seed=43) for name in ("Popularity", "EASE", "ItemKNN", "RP3beta")]
    run.run_or_load(specs[1])
    records = run_many(specs, scheduler.LOCAL)
    assert [record.label for record in records] == [spec.model for spec in specs]
    assert sent == [(["EASE"], None), (["Popularity", "ItemKNN", "RP3beta"], scheduler.LOCAL)]
    shutil.rmtree(records[2].folder)
    sent.clear()
    assert [record.label for record in run_many(specs, scheduler.LOCAL)] == [spec.model for spec in specs]
    assert sent == [([spec.model for spec in specs], None)]


def test_what_takes_longest_is_handed_out_first(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    def none_run(function: Any, arguments: list[RunSpec], scheduler: str | None = None) -> Iterator[tuple[int, Any]]:
        sent.extend(spec.model for spec in arguments)
        return iter([(place, Lost("planted")) for place in range(len(arguments))])

    monkeypatch.setattr(run, "each", none_run)
    models = ("Popularity", "MRLM-R", "CKE", "EASE", "MRLM", "U-GFRL")
    records = run_many([RunSpec("shop", name, preset="tiny", seed=44) for name in models], scheduler.LOCAL)
    assert sent == ["MRLM", "U-GFRL", "CKE", "MRLM-R", "Popularity", "EASE"]
    assert [record.label for record in records] == list(models)


def test_records_on_two_workers_are_those_made_here_bit_for_bit(workspace: Path, address: str) -> None:
    here = run_many(SPECS)
    assert not any(record.failed for record in here), [record.data.get("error") for record in here]
    for record in here:
        shutil.rmtree(record.folder)
    there = run_many(SPECS, address)
    _same(here, there)
    assert all((record.folder / "record.json").exists() for record in there)


def test_a_release_on_two_workers_is_the_one_made_here(
    workspace: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its searches share one journal, and its runs wait for their searches."""
    monkeypatch.setattr(registry, "names", lambda: ("Popularity", "ItemKNN", "EASE", "iALS"))
    plan, made = Plan("tiny", seeds=2, trials=3), []
    for where in (None, address):
        for folder in ("book", "runs"):
            shutil.rmtree(workspace / folder, ignore_errors=True)
        made.append(make_release("shop", plan, where, say=lambda _: None))
    here, there = made
    assert there.pending == []
    _same(here.records, there.records)
    same = ["model", "trial", "value", "hyperparameters", "search"]
    pd.testing.assert_frame_equal(here.trials[same], there.trials[same])
    assert there.trials["search"].nunique() == 3
    assert (workspace / "runs" / "iot-shop-tiny" / "tuning.journal").exists()


def test_a_killed_worker_loses_nothing(workspace: Path, address: str, tmp_path: Path) -> None:
    spec = replace(SPECS[0], seed=42)
    marker = tmp_path / "killed"
    (_, record), = each(_killed_once, [(spec, str(marker))], address)
    assert marker.exists(), "no worker was killed"
    shutil.rmtree(record.folder)
    _same([run_many([spec])[0]], [record])


def test_a_task_that_kills_every_worker_is_lost_and_the_rest_go_on(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}), local_cluster(1) as cluster:
        ended = dict(each(_dies, [0, 1, 2, 3, 4], cluster.scheduler_address))
    assert [ended[place] for place in (0, 2, 3, 4)] == [0, 2, 3, 4]
    assert isinstance(ended[1], Lost)
    monkeypatch.setattr(run, "each", lambda *_: iter([(0, ended[1])]))
    (record,) = run_many(SPECS[:1])
    assert record.failed
    assert record.data["error"].startswith("KilledWorker")
    assert not (record.folder / "record.json").exists() or json.loads(
        (record.folder / "record.json").read_text())["status"] == "done", "it is tried again the next time"


def test_a_mistake_is_raised_as_it_is_here(workspace: Path, address: str) -> None:
    with pytest.raises(ConfigError, match="EASE"):
        run_many([RunSpec("shop", "EASY", preset="tiny")], address)


@pytest.mark.parametrize(
    ("given", "says"), [("slurm", "None, 'local' or an address"), ("tcp://127.0.0.1:9", "answers")]
)
def test_a_scheduler_that_is_not_there_is_refused(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, given: str, says: str
) -> None:
    monkeypatch.setattr(scheduler, "CONNECT_SECONDS", 1)
    with pytest.raises(ConfigError, match=says):
        run_many(SPECS, given)


@pytest.mark.parametrize(("cores", "gibibytes", "workers"), [(8, 64, 8), (8, 16, 5), (2, 24, 2), (4, 1, 1)])
def test_no_more_workers_than_cores_and_memory_allow(monkeypatch, cores, gibibytes, workers):
    monkeypatch.setattr("dask.system.CPU_COUNT", cores)
    monkeypatch.setattr("distributed.system.MEMORY_LIMIT", gibibytes * 2**30)
    assert scheduler.workers_here() == workers

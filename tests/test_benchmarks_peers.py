"""What the peers' benchmark does without the peers: the exported split, the orders, the tables, what is missing."""

import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    sys.modules.pop("benchmarks", None)


@pytest.fixture
def exported(tmp_path, monkeypatch):
    from benchmarks.peers import data
    from mrlm_core.datasets.iot_shop import make_iot_shop

    monkeypatch.setenv("MRLM_WORKSPACE", str(tmp_path))
    make_iot_shop(tmp_path / "data" / "iot-shop-tiny", size="tiny")
    return data.export_split("iot-shop-tiny", tmp_path)


def test_the_exported_split_is_ours(exported):
    from benchmarks.peers import data
    from mrlm_core.datasets import load_dataset
    from mrlm_core.study.run import split_of
    from mrlm_core.study.spec import RunSpec

    folder = exported.folder / "data" / "iot-shop-tiny"
    _, ours = split_of(RunSpec(str(folder), "BPR-MF"), load_dataset(folder))
    found = data.interactions(exported.folder)
    assert (found.train != ours.train).nnz == 0
    assert found.train.nnz == exported.n_positives > 0
    assert exported.note == ""
    assert data.interactions(exported.folder, pairs=5).train.nnz == 5


def test_a_missing_dataset_is_replaced_and_named(tmp_path, monkeypatch):
    from benchmarks.peers import data

    monkeypatch.setenv("MRLM_WORKSPACE", str(tmp_path))
    monkeypatch.setattr(data, "make_iot_shop", lambda place: data_of(place))
    shared = data.export_split("movielens-latest-small", tmp_path)
    assert "movielens-latest-small is not in data/" in shared.note


def data_of(place):
    from mrlm_core.datasets.iot_shop import make_iot_shop

    make_iot_shop(place, size="tiny")


def test_an_order_is_prepared_once_and_a_failure_is_an_answer():
    from benchmarks.peers.serving import answer

    made = []

    def task(size):
        made.append(size)
        if size < 0:
            raise ValueError("no such size")
        return lambda: None, {"amount": size}

    prepared = {}
    for _ in range(2):
        found = answer({"task": task}, json.dumps({"task": "task", "size": 3}), prepared)
        assert found["amount"] == 3
        assert found["seconds"] >= 0
    assert made == [3]
    assert answer({"task": task}, json.dumps({"task": "task", "size": -1}), {}) == {"error": "ValueError: no such size"}


def test_libraries_end_with_the_benchmark_and_not_with_their_training():
    from benchmarks.peers.rounds import OURS, started

    processes = []

    def session(end):
        with started([OURS], "fit") as (running, _):
            processes.append(running[OURS].process)
            end()

    with pytest.raises(SystemExit):
        session(sys.exit)
    session(lambda: None)
    assert [process.returncode for process in processes] == [-signal.SIGKILL, 0]


def measured(rates, error=""):
    from benchmarks.peers.rounds import Case, Measured

    return Measured(Case("it", "ours", {}), {"amount": 1.0}, 1 / np.array(rates, float), error)


def test_targets_are_judged_by_the_median_of_the_rounds():
    from benchmarks.peers.tables import against, target

    ours, slow, fast = measured([10, 10, 40]), measured([5, 5, 80]), measured([20, 20, 20])
    assert target("x", ours, slow, "why").met
    assert not target("x", ours, fast, "why").met
    missing = measured([], "cannot be installed")
    assert target("x", ours, missing, "why").why == "it: cannot be installed"
    assert "- Not measured, it: cannot be installed" in against("users", [(ours, missing)])


def test_every_peer_has_pins_and_no_index():
    from benchmarks.peers.environments import PEERS, requirements, version_of

    for peer in PEERS:
        lines = requirements(peer).read_text(encoding="utf-8").splitlines()
        wanted = [line for line in lines if line and not line.startswith("#")]
        assert all("==" in line for line in wanted)
        assert version_of(peer)


def test_an_error_is_told_without_places():
    from benchmarks.peers.environments import reason

    assert reason("a\nERROR: no file /home/x/y/z.txt at https://host/path\n") == "ERROR: no file .../z.txt at (address)"
    assert reason("") == "ended without a message"

"""The benchmark of Dask: it compares whole records, and says so where they differ."""

import dataclasses
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def scale_out(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import scale_out

    return scale_out


def test_records_of_workers_are_those_made_here_though_one_was_killed(scale_out):
    section = scale_out.run(("BPR-MF", "iALS"), seeds=2, dataset="iot-shop-tiny", preset="tiny")
    assert section.targets[0].met, section.targets[0].why
    assert section.targets[0].found == "4 of 4"
    assert "times as fast" in "".join(section.lines)


def test_a_record_that_differs_is_named(scale_out, monkeypatch):
    real = scale_out._timed

    def changed(specs, cluster):
        records, seconds = real(specs, None)
        if cluster is not None:
            records[1] = dataclasses.replace(records[1], per_user=records[1].per_user + 1e-12)
        return records, seconds

    monkeypatch.setattr(scale_out, "_timed", changed)
    (target,) = scale_out.run(("iALS",), seeds=2, dataset="iot-shop-tiny", preset="tiny").targets
    assert (target.found, target.met) == ("1 of 2", False)
    assert "iALS" in target.why

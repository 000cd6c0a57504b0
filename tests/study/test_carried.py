"""Runs carried to another machine: read there as if they had been made there, whole ones only."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from mrlm_core.baselines.ease import EASE
from mrlm_core.cli import main
from mrlm_core.errors import ConfigError
from mrlm_core.study import RunSpec, run_or_load
from mrlm_core.study.carried import keep, take
from mrlm_core.study.cold import ColdSpec, placed

SPEC = RunSpec("shop", "EASE", preset="tiny")
NAME = "iot-shop-tiny"  # of the dataset in data/shop


@pytest.fixture
def another_machine(workspace: Path) -> Path:
    """Nothing has run, nothing is carried."""
    for folder in ("runs", "book"):
        shutil.rmtree(workspace / folder, ignore_errors=True)
    return workspace


def _untrained(*_: object, **__: object) -> None:
    raise AssertionError("trained again")


def test_a_run_is_read_elsewhere_as_it_was(another_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, cold = run_or_load(SPEC), placed(ColdSpec(SPEC))
    assert len(keep(NAME)) == 2
    assert keep(NAME) == []
    shutil.rmtree(another_machine / "runs")
    assert sorted(take(NAME)) == sorted([before.folder, cold.folder])
    assert take(NAME) == []
    monkeypatch.setattr(EASE, "fit", _untrained)
    for one, other in ((before, run_or_load(SPEC)), (cold, placed(ColdSpec(SPEC)))):
        assert one.data == other.data
        pd.testing.assert_frame_equal(one.per_user, other.per_user)


def test_what_failed_or_was_cut_is_not_kept(another_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(EASE, "fit", _untrained)
        assert run_or_load(SPEC).failed
    with pytest.raises(ConfigError, match=r"finished runs.*mrlm study"):
        keep(NAME)
    run_or_load(RunSpec("shop", "Popularity", preset="tiny"))
    (copy,) = keep(NAME)
    (copy / "record.json").unlink()  # a copy that was cut: the record comes last
    assert keep(NAME) == [copy]


def test_the_commands_say_what_they_copied(another_machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "take", NAME]) == 2
    assert "mrlm runs keep" in capsys.readouterr().err
    run_or_load(SPEC)
    assert main(["runs", "keep", NAME]) == 0
    assert "1 runs copied to" in capsys.readouterr().out
    assert main(["runs", "take", NAME]) == 0
    assert "all are there" in capsys.readouterr().out

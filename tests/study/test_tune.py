"""The search: same budget, validation only, resumes, survives a failing trial."""

from pathlib import Path

import pytest

from mrlm_core.baselines import registry
from mrlm_core.baselines.ease import EASE
from mrlm_core.datasets import load_dataset
from mrlm_core.study import RunSpec, run_or_load
from mrlm_core.study.tune import tune, tuned


def test_search_takes_the_best_validation_and_repeats_nothing(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_dataset(workspace / "data" / "shop")
    spec = RunSpec("shop", "EASE", preset="tiny")
    search = tune(spec, data, 3)
    scores = search.trials["value"]
    assert len(scores) == 3
    assert run_or_load(search.best).validation["recall@20"] == scores.max()
    assert run_or_load(spec).validation["recall@20"] == scores[0], "the first trial is the default"
    monkeypatch.setattr(EASE, "fit", lambda *_: pytest.fail("ran again"))
    assert tune(spec, data, 3).best == search.best


def test_failed_trial_is_recorded_and_the_search_goes_on(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_dataset(workspace / "data" / "shop")
    real, calls = EASE.fit, []

    def sometimes(self: EASE, *arguments: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise ArithmeticError("planted")
        real(self, *arguments)

    monkeypatch.setattr(EASE, "fit", sometimes)
    search = tune(RunSpec("shop", "EASE", preset="tiny", seed=11), data, 3)
    assert list(search.trials["state"]) == ["COMPLETE", "FAIL", "COMPLETE"]


def test_one_search_serves_every_seed_of_a_model(workspace: Path) -> None:
    data = load_dataset(workspace / "data" / "shop")
    specs = [RunSpec("shop", "EASE", preset="tiny", split_seed=s, seed=s) for s in (0, 1)]
    chosen = tuned(specs, data, 3)
    assert chosen[0].hyperparameters == chosen[1].hyperparameters
    assert [s.split_seed for s in chosen] == [0, 1]
    assert tuned(specs, data, 1) == specs
    assert registry.row("Popularity").search == {}

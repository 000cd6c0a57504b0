"""One budget for every model: trials and time, kept over interruptions; all trials as one table."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrlm_core import cli
from mrlm_core.baselines import registry
from mrlm_core.baselines.ease import EASE
from mrlm_core.datasets import Dataset, load_dataset
from mrlm_core.errors import ConfigError
from mrlm_core.study import RunSpec, release, run, run_or_load, tune
from mrlm_core.study.key import run_key
from mrlm_core.study.trials import COLUMNS, FINALS, STOPPED, TO_ITS_END, best_so_far, outcome, undecided
from mrlm_core.study.tune import SearchError, trials_of, tuned
from mrlm_core.training import fit as fit_loop
from mrlm_core.training.time_limit import OutOfTime, within


@pytest.fixture
def shop(workspace: Path) -> Dataset:
    return load_dataset(workspace / "data" / "shop")


@pytest.fixture
def ease(shop: Dataset, request: pytest.FixtureRequest) -> RunSpec:
    """A spec that no other test searches: its seed comes from the test's name."""
    return RunSpec("shop", "EASE", preset="tiny", seed=100 + sum(request.node.name.encode()))


@pytest.fixture
def lasting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Trials say to have taken ten seconds each; the list holds what was measured."""
    measured: list[float] = []

    def ten(record: object, elapsed: float) -> float:
        measured.append(elapsed)
        return 10.0

    monkeypatch.setattr(tune, "_own_seconds", ten)
    return measured


@pytest.mark.parametrize(("seconds", "expected"), [(0.5, 1), (10.0, 1), (10.5, 2), (25.0, 3), (1e9, 4)])
def test_no_trial_starts_after_the_limit(
    shop: Dataset, ease: RunSpec, lasting: list, seconds: float, expected: int
) -> None:
    assert len(tune.tune(ease, shop, 4, seconds).trials) == expected == len(lasting)


def test_a_training_that_outlasts_its_share_counts_with_what_it_had_reached(shop: Dataset, ease: RunSpec) -> None:
    """All trials of so short a search are stopped after one epoch; the run of the settings chosen is not."""
    spec = replace(ease, model="Mult-VAE", hyperparameters={"max_epochs": 5})
    search = tune.tune(spec, shop, 3, 1e-3)
    assert list(search.trials["error"]) == [STOPPED], "one epoch used the time of all three"
    assert search.trials["value"][0] > 0
    assert search.trials["seconds"][0] > 1e-3
    assert outcome(search.trials).loc["Mult-VAE", ["stopped", "failed"]].tolist() == [1, 0]
    folder = run.record_folder(search.best, shop)
    assert not (folder / "checkpoint").exists()
    assert not (folder / "record.json").exists()
    record = run_or_load(search.best)
    assert record.data["epochs"]["run"] == 5 == len(record.data["history"])
    again = tune.tune(spec, shop, 3, 1e9).trials
    assert list(again["error"])[:3] == [STOPPED, "", ""]


def test_what_was_stopped_by_the_clock_meets_the_default_in_a_final(
    shop: Dataset, ease: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first trial of two is stopped and scores low; trained to its end the default beats what the other found."""
    asked: list[tuple[dict, float]] = []
    scores = {"search": [0.1, 0.2], "end": {"default": 0.5, "other": 0.4}}

    def scored(spec: RunSpec, values: dict, share: float) -> tuple[float, float, str]:
        asked.append((values, share))
        if share < 1e6:
            return scores["search"][len(asked) - 1], 1.0, STOPPED
        return scores["end"]["other" if values else "default"], 9.0, ""

    monkeypatch.setattr(tune, "_score", scored)
    search = tune.tune(ease, shop, 2, 100.0)
    assert [bool(values) for values, _ in asked] == [False, True, False, True]
    assert search.best == ease, "the default stays"
    assert list(search.trials["trial"]) == [0, 1, FINALS, FINALS + 1]
    assert list(search.trials["error"]) == [STOPPED, STOPPED, TO_ITS_END, TO_ITS_END]
    row = outcome(search.trials).loc["EASE"]
    assert row[["tried", "default", "best"]].tolist() == [2, 0.1, 0.2]
    assert row[["default at its end", "best other at its end"]].tolist() == [0.5, 0.4]
    assert row["chosen"] == "the default"
    assert best_so_far(search.trials)["best"].tolist() == [0.1, 0.2]
    assert tune.tune(ease, shop, 2, 100.0).trials.equals(search.trials)
    assert len(asked) == 4, "a search that has ended was made again"
    pd.testing.assert_frame_equal(trials_of([ease], shop), search.trials)
    tune._journal(shop).rename(tune._journal(shop).with_suffix(".elsewhere"))
    try:
        taken = tune.tune(ease, shop, 2, 100.0, known=search.trials)
    finally:
        tune._journal(shop).with_suffix(".elsewhere").rename(tune._journal(shop))
    assert taken.trials.equals(search.trials)
    assert taken.best == ease
    assert len(asked) == 4, "trials of another machine were made again"


def test_in_a_final_the_better_one_wins_and_a_search_without_the_clock_has_none(
    shop: Dataset, ease: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "_score", lambda spec, values, share: (
        (0.6 if values else 0.5, 9.0, "") if share > 1e6 else (0.2 if values else 0.1, 1.0, STOPPED)))
    search = tune.tune(ease, shop, 2, 100.0)
    assert search.best.hyperparameters == json.loads(search.trials["hyperparameters"][1]) != {}
    whole = replace(ease, split_seed=7)
    monkeypatch.setattr(tune, "_score", lambda spec, values, share: (0.2 if values else 0.1, 1.0, ""))
    assert list(tune.tune(whole, shop, 2, 100.0).trials["trial"]) == [0, 1]


@pytest.mark.parametrize(("at_its_end", "wins"), [(0.6, True), (0.4, False)])
def test_a_default_that_led_when_the_clock_stopped_it_meets_the_best_of_the_others(
    shop: Dataset, ease: RunSpec, monkeypatch: pytest.MonkeyPatch, at_its_end: float, wins: bool
) -> None:
    spec = replace(ease, split_seed=11 + wins)
    monkeypatch.setattr(tune, "_score", lambda spec, values, share: (
        (at_its_end if values else 0.5, 9.0, "") if share > 1e6 else (0.1 if values else 0.2, 1.0, STOPPED)))
    search = tune.tune(spec, shop, 2, 100.0)
    assert list(search.trials["trial"]) == [0, 1, FINALS, FINALS + 1]
    assert bool(search.best.hyperparameters) == wins == (outcome(search.trials).loc["EASE", "chosen"] != "the default")


def test_where_every_final_fails_the_default_stays(
    shop: Dataset, ease: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "_score", lambda spec, values, share: (
        (None, 9.0, "broken") if share > 1e6 else (0.2 if values else 0.1, 1.0, STOPPED)))
    search = tune.tune(replace(ease, split_seed=21), shop, 2, 100.0)
    assert search.best.hyperparameters == {}
    assert list(search.trials["state"]) == ["COMPLETE", "COMPLETE", "FAIL", "FAIL"]
    assert outcome(search.trials).loc["EASE", "chosen"] == "the default"


def test_a_search_that_goes_on_and_finds_what_was_not_stopped_takes_it_and_says_so(
    shop: Dataset, ease: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The finals of the shorter search are of settings that no longer lead."""
    scores = iter([(0.20, 1.0, ""), (0.21, 1.0, STOPPED), (0.20, 1.0, ""), (0.25, 1.0, ""), (0.30, 1.0, "")])
    monkeypatch.setattr(tune, "_score", lambda spec, values, share: next(scores))
    spec = replace(ease, split_seed=31)
    assert len(tune.tune(spec, shop, 2, 100.0).trials) == 4
    longer = tune.tune(spec, shop, 3, 100.0)
    assert longer.best.hyperparameters == json.loads(longer.trials["hyperparameters"][2])
    assert outcome(longer.trials).loc["EASE", "chosen"] == f"l2 {longer.best.hyperparameters['l2']:.3g}"


def test_a_trial_whose_time_is_limited_does_not_go_on_from_what_nobody_counted(
    shop: Dataset, ease: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of the same settings was killed before the search, which neither takes its checkpoint nor removes it."""
    spec = replace(ease, model="Mult-VAE", hyperparameters={"max_epochs": 20})
    folder, save = run.record_folder(spec, shop), fit_loop._save
    fresh = tune._score(spec, {}, 1e-3)

    def save_and_die(*arguments: object) -> None:
        save(*arguments)
        saved.append(1)
        if len(saved) == 10:
            raise KeyboardInterrupt

    for limit in (1e9, 1e6):  # a run, and a trial of another search
        saved: list[int] = []
        with monkeypatch.context() as patch:
            patch.setattr(fit_loop, "_save", save_and_die)
            with pytest.raises(KeyboardInterrupt):
                run_or_load(spec) if limit == 1e9 else tune._score(spec, {}, limit)
        value, _, error = tune._score(spec, {}, 1e-3)
        assert (value, error) == (fresh[0], STOPPED)
        assert [path.name for path in folder.iterdir()] == ["checkpoint"]


def test_the_limit_of_a_trial_is_that_of_the_model_and_not_of_what_it_is_fed(shop: Dataset, ease: RunSpec) -> None:
    """Initial vectors are trained as well, by the same loop: cut short, their score would count as the model's."""
    spec = replace(ease, model="MRLM", split_seed=ease.seed)
    with within(1e-3), pytest.raises(OutOfTime, match=r"^MRLM, epoch 1"):
        run_or_load(spec)


def test_time_is_shared_out_among_the_trials_that_are_left(
    shop: Dataset, ease: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = []

    def scored(spec: RunSpec, values: dict, share: float) -> tuple[float, float, str]:
        shares.append(share)
        return 0.1, (4.0, 16.0, 5.0)[len(shares) - 1], ""

    monkeypatch.setattr(tune, "_score", scored)
    tune.tune(ease, shop, 3, 30.0)
    assert shares == [10.0, 13.0, 10.0]


def test_a_resumed_search_counts_the_time_already_spent(shop: Dataset, ease: RunSpec, lasting: list) -> None:
    tune.tune(ease, shop, 2)
    assert len(tune.tune(ease, shop, 9, 35.0).trials) == 4
    assert len(lasting) == 4
    assert len(tune.tune(ease, shop, 9, 35.0).trials) == len(lasting) == 4


def test_a_killed_search_ends_as_one_that_was_not(
    shop: Dataset, ease: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the third trial: neither its place nor its values are lost, nor is another drawn twice."""
    real, calls = EASE.fit, []

    def killed_once(self: EASE, *arguments: object) -> None:
        calls.append(self.l2)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(self, *arguments)

    monkeypatch.setattr(EASE, "fit", killed_once)
    with pytest.raises(KeyboardInterrupt):
        tune.tune(ease, shop, 5)
    resumed = tune.tune(ease, shop, 5)
    assert calls[2] == calls[3]
    assert len(set(calls)) == 5, "five settings, all different"
    assert list(resumed.trials["trial"]) == [0, 1, 2, 3, 4]
    (Path(tune._journal(shop))).unlink()
    again = tune.tune(ease, shop, 5)
    assert again.best == resumed.best
    pd.testing.assert_series_equal(again.trials["hyperparameters"], resumed.trials["hyperparameters"])


def test_a_record_that_was_there_counts_what_it_took(shop: Dataset, ease: RunSpec) -> None:
    stages = run_or_load(ease).data["stages"]
    spent = sum(row["cpu_seconds"] for name, row in stages.items() if name != "preprocessing")
    assert tune.tune(ease, shop, 2).trials["seconds"][0] == pytest.approx(spent)


def test_values_that_the_model_refuses_are_a_failed_trial(
    shop: Dataset, ease: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = EASE.fit, []

    def refused(self: EASE, *arguments: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise ConfigError("l2: planted")
        real(self, *arguments)

    monkeypatch.setattr(EASE, "fit", refused)
    search = tune.tune(ease, shop, 3)
    assert list(search.trials["state"]) == ["COMPLETE", "FAIL", "COMPLETE"]
    assert list(search.trials["error"]) == ["", "ConfigError: l2: planted", ""]
    assert np.isnan(search.trials["value"][1])
    assert (search.trials["seconds"] > 0).all()


def test_a_search_in_which_all_fail_says_so_and_the_other_models_go_on(
    shop: Dataset, ease: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(EASE, "fit", broken)
    with pytest.raises(SearchError, match=r"EASE: expected a trial that runs, found all 3.*ZeroDivisionError: planted"):
        tune.tune(ease, shop, 3)
    knn = replace(ease, model="ItemKNN")
    chosen = tuned([ease, knn], shop, 3)
    assert chosen[0] == ease
    assert len(trials_of([ease, knn], shop)) == 6


def test_a_model_that_cannot_run_is_not_searched(shop: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = replace(registry.row("EASE"), needs=("smell",))
    monkeypatch.setitem(registry._ROWS, "EASE", entry)
    spec = RunSpec("shop", "EASE", preset="tiny")
    assert tune.tune(spec, shop, 3).best == spec
    assert trials_of([spec], shop).empty


def test_all_trials_of_all_models_are_one_table(shop: Dataset, ease: RunSpec) -> None:
    specs = [replace(ease, model=name, split_seed=split) for name in ("ItemKNN", "Popularity", "EASE")
             for split in (0, 1)]
    chosen = tuned(specs, shop, 3)
    table = trials_of(specs, shop)
    assert tuple(table.columns) == COLUMNS
    assert list(table["model"]) == ["ItemKNN"] * 3 + ["EASE"] * 3  # Popularity has nothing to search
    assert list(table["trial"]) == [0, 1, 2] * 2
    assert json.loads(table["hyperparameters"][0]) == {}
    for name, spec in (("ItemKNN", chosen[0]), ("EASE", chosen[4])):
        own = table[table["model"] == name]
        best = own.loc[own["value"].idxmax()]
        assert json.loads(best["hyperparameters"]) == spec.hyperparameters
        assert run_or_load(spec).validation["recall@20"] == best["value"]


def test_best_value_so_far() -> None:
    table = pd.DataFrame({
        "model": ["a"] * 4 + ["b"] * 3, "trial": [0, 1, 2, 3, 0, 1, 2],
        "value": [0.2, 0.1, np.nan, 0.3, np.nan, 0.1, 0.05],
    })
    expected = [0.2, 0.2, 0.2, 0.3, np.nan, 0.1, 0.1]
    np.testing.assert_array_equal(best_so_far(table)["best"], expected)
    shuffled = table.iloc[[3, 6, 0, 5, 2, 1, 4]]
    np.testing.assert_array_equal(best_so_far(shuffled)["best"], [expected[i] for i in (3, 6, 0, 5, 2, 1, 4)])


def test_another_space_or_default_is_another_search(
    shop: Dataset, ease: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune.tune(ease, shop, 2)
    key = run_key(ease, shop)
    monkeypatch.setitem(registry._ROWS, "EASE", replace(registry.row("EASE"), search={"l2": ("choice", [3.0, 4.0])}))
    trials = tune.tune(ease, shop, 3).trials
    assert {json.loads(text)["l2"] for text in trials["hyperparameters"][1:]} <= {3.0, 4.0}
    assert run_key(ease, shop) == key
    monkeypatch.setitem(registry._ROWS, "EASE", replace(registry.row("EASE"), defaults={"l2": 3.0}))
    assert run_key(ease, shop) != key


def test_the_command_line_tunes_within_its_budget_and_releases_the_trials(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    few, limits, real = ("ItemKNN", "EASE"), [], tune.tune

    def noted(spec: RunSpec, dataset: Dataset, n_trials: int, seconds: float, known: pd.DataFrame) -> tune.Search:
        limits.append((n_trials, seconds))
        return real(spec, dataset, n_trials, seconds, known)

    monkeypatch.setattr(tune, "tune", noted)
    monkeypatch.setattr(registry, "names", lambda: few)
    command = ["release", "shop", "--preset", "tiny", "--seeds", "1"]
    assert cli.main([*command, "--trials", "2", "--minutes", "1.5"]) == 0
    assert limits == [(2, 90.0)] * 2
    file = workspace / "book" / "results" / "iot-shop-tiny" / "trials.csv"
    table = pd.read_csv(file, keep_default_na=False)
    assert tuple(table.columns) == COLUMNS
    assert list(table["model"]) == ["ItemKNN"] * 2 + ["EASE"] * 2
    best = table["value"][2:].max()
    ease, = (r for r in release.released("iot-shop-tiny").records if r.label == "EASE")
    assert ease.validation["recall@20"] == pytest.approx(best)
    assert cli.main(command) == 0
    assert not file.exists(), "a release without a search has no trials"
    for wrong in (["--minutes", "3"], ["--trials", "2", "--minutes", "0"], ["--trials", "2", "--minutes", "nan"]):
        capsys.readouterr()
        assert cli.main([*command, *wrong]) == 2
        assert "--minutes: expected" in capsys.readouterr().err


def test_a_search_that_the_clock_alone_ended_is_said_to_have_decided_nothing() -> None:
    def trial(model: str, number: int, value: float, error: str) -> tuple:
        values = "{}" if number in (0, FINALS) else '{"dim": 8}'
        return model, number, value, "COMPLETE", 1.0, values, error, "key", "CPU"

    rows = [trial("HAUP", 0, 0.3, STOPPED), trial("HAUP", 1, 0.2, STOPPED),
            trial("CAMN", 0, 0.2, STOPPED), trial("CAMN", 1, 0.3, STOPPED),
            trial("CAMN", FINALS, 0.4, TO_ITS_END), trial("CAMN", FINALS + 1, 0.3, TO_ITS_END),
            trial("EASE", 0, 0.3, ""), trial("EASE", 1, 0.2, STOPPED)]
    assert undecided(pd.DataFrame(rows, columns=list(COLUMNS))) == ["HAUP"]

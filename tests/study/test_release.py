"""Releases: made model by model, gone on with elsewhere, whole, with provenance, and one row computed again."""

import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrlm_core.baselines import registry
from mrlm_core.baselines.ease import EASE
from mrlm_core.baselines.item_knn import ItemKNN
from mrlm_core.datasets.movielens import make_movielens
from mrlm_core.errors import ConfigError
from mrlm_core.study import RunSpec, comparison, encoders, release, run_or_load
from mrlm_core.study.record import RunRecord
from mrlm_core.study.release import make_release
from mrlm_core.study.released import Plan, released, released_datasets, unfinished, write_release
from mrlm_core.study.scheduler import Lost
from mrlm_core.study.trials import COLUMNS

ROOT = Path(__file__).resolve().parent.parent.parent
RAW = ROOT.parent / "shared" / "data" / "movielens-latest-small"
PROVENANCE = ("commit", "versions", "device", "data_hash", "code_hash", "selected_on")


PLAN = Plan("tiny", seeds=2, trials=3)
NAME = "iot-shop-tiny"  # of the dataset in data/shop


@pytest.fixture
def few(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Three models stand for all of them, and nothing has been released."""
    names = ("Popularity", "ItemKNN", "EASE")
    monkeypatch.setattr(registry, "names", lambda: names)
    shutil.rmtree(workspace / "book", ignore_errors=True)
    return names


def _elsewhere(workspace: Path) -> None:
    """Another machine has what was committed: neither runs nor the search's journal."""
    shutil.rmtree(workspace / "runs", ignore_errors=True)


def _counted(monkeypatch: pytest.MonkeyPatch, fails_at: int = 0) -> list[str]:
    """The models fitted from here on; the ``fails_at``-th fit is interrupted."""
    fitted: list[str] = []
    for model in (ItemKNN, EASE):
        def fit(self: object, *arguments: object, real=model.fit, name=model.__name__, **others: object) -> None:
            fitted.append(name)
            if len(fitted) == fails_at:
                raise KeyboardInterrupt
            real(self, *arguments, **others)

        monkeypatch.setattr(model, "fit", fit)
    return fitted


def test_release_keeps_records_users_plan_and_trials(workspace: Path) -> None:
    spec = RunSpec("shop", "EASE", preset="tiny")
    done, lacking = run_or_load(spec), run_or_load(replace(spec, model="Popularity"))
    lacking = RunRecord(lacking.folder, {**lacking.data, "status": "not run", "spec_hash": "none"}, None)
    failed = ("EASE", 0, np.nan, "FAIL", 1.5, "{}", "ValueError: x, y", "key", "CPU")
    trials = pd.DataFrame([failed], columns=list(COLUMNS))
    write_release("here", [done, lacking], trials, PLAN, ["MRLM"])
    back = released("here")
    assert [record.label for record in back.records] == ["EASE", "Popularity"]
    np.testing.assert_allclose(back.records[0].per_user["recall@20"], done.per_user["recall@20"], rtol=1e-6)
    assert back.records[1].per_user is None
    assert (back.plan, back.pending) == (PLAN.described(), ["MRLM"])
    pd.testing.assert_frame_equal(back.trials, trials)
    assert "here" in released_datasets()


def test_a_release_searches_then_runs_every_model(few: tuple[str, ...]) -> None:
    told: list[str] = []
    made = make_release("shop", PLAN, say=told.append)
    assert [record.label for record in made.records] == ["Popularity"] * 2 + ["ItemKNN"] * 2 + ["EASE"] * 2
    assert list(made.trials["model"]) == ["ItemKNN"] * 3 + ["EASE"] * 3
    best = made.trials.loc[made.trials["model"] == "EASE"].set_index("trial")["value"]
    ease = made.records[4]
    assert ease.validation["recall@20"] == pytest.approx(best.max())
    assert ease.data["spec"]["hyperparameters"] == json.loads(made.trials["hyperparameters"][3 + best.idxmax()])
    assert made.pending == []
    assert told[0].startswith("Popularity: 2 runs, 0 failed or not run; 2 models to go")


def test_a_search_whose_workers_died_fails_its_model_alone(
    few: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def each(function, steps, scheduler):
        yield 0, Lost("KilledWorker: planted")
        place = 1
        while place < len(steps):  # runs join as searches end
            yield place, function(steps[place])
            place += 1

    monkeypatch.setattr(release, "each", each)
    made = make_release("shop", PLAN, only=["EASE", "Popularity"])
    failed = {record.label: record.data["error"] for record in made.records if record.failed}
    assert failed == {"EASE": "KilledWorker: planted"}
    assert [record.label for record in made.records if not record.failed] == ["Popularity"] * 2
    assert made.pending == ["ItemKNN"]


def test_a_release_goes_on_elsewhere_from_what_was_committed(
    workspace: Path, few: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_release("shop", PLAN)
    shutil.rmtree(workspace / "book")
    _elsewhere(workspace)
    with monkeypatch.context() as patch:
        _counted(patch, fails_at=6)  # ItemKNN: three trials, one of them the first run, and a run; EASE: the second
        with pytest.raises(KeyboardInterrupt):
            make_release("shop", PLAN)
    stopped = released(NAME)
    assert stopped.pending == ["EASE"]
    assert {record.label for record in stopped.records} == {"Popularity", "ItemKNN"}
    _elsewhere(workspace)
    fitted = _counted(monkeypatch)
    again = make_release("shop", PLAN)
    assert set(fitted) == {"EASE"}
    assert [record.data["spec_hash"] for record in again.records] == [r.data["spec_hash"] for r in whole.records]
    for one, other in zip(again.records, whole.records, strict=True):
        assert one.test == other.test
    same = ["model", "trial", "value", "hyperparameters", "search"]
    pd.testing.assert_frame_equal(again.trials[same], whole.trials[same])


def test_a_model_that_is_not_whole_is_gone_on_with_elsewhere(
    workspace: Path, few: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    _elsewhere(workspace)
    plan = replace(PLAN, seeds=3)
    with monkeypatch.context() as patch:
        counted = _counted(patch, fails_at=10)  # ItemKNN and EASE: three trials, one of them a run, and two more runs
        with pytest.raises(KeyboardInterrupt):
            make_release("shop", plan)
    assert counted == ["ItemKNN"] * 5 + ["EASE"] * 5
    assert released(NAME).pending == ["EASE"]
    assert not released(NAME).parts().get("EASE"), "no table shows a model that is not whole"
    kept = unfinished(NAME, plan)
    assert {name: (len(part.records), len(part.trials)) for name, part in kept.items()} == {"EASE": (2, 3)}
    assert unfinished(NAME, replace(plan, trials=4)) == {}, "another search"
    _elsewhere(workspace)
    fitted = _counted(monkeypatch)
    made = make_release("shop", plan)
    assert fitted == ["EASE"]
    assert [record.data["spec"]["split_seed"] for record in made.parts()["EASE"].records] == [0, 1, 2]
    assert unfinished(NAME, plan) == {}


def test_a_model_that_is_newer_than_the_release_is_pending_until_it_has_run(
    few: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_release("shop", PLAN)
    monkeypatch.setattr(registry, "names", lambda: (*few, "iALS"))

    def stop(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # after the first of them
        make_release("shop", PLAN, say=stop)
    assert released(NAME).pending == ["iALS"]


def test_only_the_models_asked_for_are_run_and_the_others_stay(
    workspace: Path, few: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    _elsewhere(workspace)
    make_release("shop", PLAN, only=["Popularity"])
    assert released(NAME).pending == ["ItemKNN", "EASE"]
    fitted = _counted(monkeypatch)
    made = make_release("shop", PLAN, only=["EASE"])
    assert set(fitted) == {"EASE"}
    assert [record.label for record in made.records] == ["Popularity"] * 2 + ["EASE"] * 2
    assert set(made.trials["model"]) == {"EASE"}
    assert made.pending == ["ItemKNN"]
    with pytest.raises(ConfigError, match=r"--models.*'iALS'"):
        make_release("shop", PLAN, only=["iALS"])
    with pytest.raises(ConfigError, match=r"EAS.*EASE"):
        make_release("shop", PLAN, only=["EAS"])
    with pytest.raises(ConfigError, match="--preset tiny --trials 3,"):  # would drop EASE, which was searched
        make_release("shop", replace(PLAN, trials=1, seconds=60.0), only=["ItemKNN"])
    assert released(NAME).pending == ["ItemKNN"]
    assert [record.label for record in released(NAME).records] == ["Popularity"] * 2 + ["EASE"] * 2


def test_two_releases_at_once_leave_what_the_other_has_written(
    workspace: Path, few: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    _elsewhere(workspace)
    plan, real, others = replace(PLAN, seeds=3), EASE.fit, iter(["Popularity", "ItemKNN"])

    def another_meanwhile(*arguments: object, **options: object) -> None:
        if model := next(others, None):
            with monkeypatch.context() as patch:
                _counted(patch, fails_at=5)  # of ItemKNN: after three trials, one of them a run, and a run
                with pytest.raises(KeyboardInterrupt) if model == "ItemKNN" else nullcontext():
                    make_release("shop", plan, only=[model])
        real(*arguments, **options)

    monkeypatch.setattr(EASE, "fit", another_meanwhile)
    made = make_release("shop", plan, only=["EASE"])
    assert [record.label for record in made.records] == ["Popularity"] * 3 + ["EASE"] * 3
    assert made.pending == ["ItemKNN"]
    kept = unfinished(NAME, plan)
    assert {name: (len(part.records), len(part.trials)) for name, part in kept.items()} == {"ItemKNN": (2, 3)}


def test_another_plan_or_other_code_is_another_release(
    workspace: Path, few: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_release("shop", PLAN)
    _elsewhere(workspace)
    monkeypatch.setitem(registry._ROWS, "EASE", replace(registry.row("EASE"), defaults={"l2": 7.0}))
    fitted = _counted(monkeypatch)
    make_release("shop", PLAN)
    assert set(fitted) == {"EASE"}
    _elsewhere(workspace)
    fitted.clear()
    one = make_release("shop", replace(PLAN, seeds=1, trials=1))
    assert fitted == ["ItemKNN", "EASE"]
    assert one.trials.empty


def test_more_splits_and_repeats_go_on_from_what_was_released(
    workspace: Path, few: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "HEADLINE", ("EASE",))
    before = make_release("shop", PLAN)
    _elsewhere(workspace)
    fitted, seen = _counted(monkeypatch), []
    more = make_release("shop", replace(PLAN, seeds=3, repeats=2), say=lambda _: seen.append(released(NAME).pending))
    assert fitted == ["ItemKNN"] + ["EASE"] * 4  # a third split; EASE a second time on each and twice on the third
    assert seen == [["ItemKNN", "EASE"], ["EASE"], []]
    hashes = {record.data["spec_hash"] for record in more.records}
    assert {record.data["spec_hash"] for record in before.records} < hashes
    ease = [record.data["spec"] for record in more.records if record.label == "EASE"]
    draws = [(spec["split_seed"], spec["seed"]) for spec in ease]
    assert draws == [(0, 0), (0, 100), (1, 1), (1, 101), (2, 2), (2, 102)]
    assert len({json.dumps(spec["hyperparameters"], sort_keys=True) for spec in ease}) == 1
    same = ["model", "trial", "value", "hyperparameters", "search"]
    pd.testing.assert_frame_equal(more.trials[same], before.trials[same])


def test_more_repeats_leave_the_models_that_are_trained_once_whole(
    workspace: Path, few: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "HEADLINE", ("EASE",))
    make_release("shop", PLAN, only=["Popularity", "EASE"])
    repeated = replace(PLAN, repeats=2)
    assert release.earlier(NAME, repeated).pending == ["ItemKNN", "EASE"]  # the one was never run
    more = make_release("shop", repeated, only=["EASE"])
    assert more.pending == ["ItemKNN"]
    assert [record.label for record in more.records] == ["Popularity"] * 2 + ["EASE"] * 4


def test_released_records_carry_their_provenance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRLM_WORKSPACE", str(ROOT))
    for name in released_datasets():
        for record in released(name).records:
            assert all(record.data[key] for key in PROVENANCE), record.label
            assert record.failed or len(record.per_user) == record.data["users"]["test"]["evaluated"]


def test_released_encoders_carry_their_provenance_and_every_modality(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRLM_WORKSPACE", str(ROOT))
    for name, result in encoders.released().items():
        assert all(result[key] for key in ("commit", "versions", "device", "data_hash", "code_hash", "settings")), name
        modalities = {row["modality"] for row in result["encoders"]}
        assert {row["modality"] for row in result["links"]} <= modalities
        for row in result["encoders"]:
            assert "not run" in row or row["likeness of neighbours"] > 0, (name, row["variant"])


@pytest.mark.skipif(not RAW.is_dir(), reason="MovieLens latest-small is not beside the checkout (shared/data)")
def test_one_released_row_computes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRLM_WORKSPACE", str(ROOT))
    rows = [r for r in released("movielens-latest-small").records if r.data["spec"]["model"] == "EASE"]
    monkeypatch.setenv("MRLM_WORKSPACE", str(tmp_path))
    make_movielens("movielens-latest-small", RAW, tmp_path / "data" / "movielens-latest-small")
    spec = rows[0].data["spec"]
    again = run_or_load(RunSpec("movielens-latest-small", "EASE", split_seed=spec["split_seed"], seed=spec["seed"],
                                hyperparameters=spec["hyperparameters"]))
    for metric, value in rows[0].test.items():
        assert again.test[metric] == pytest.approx(value, abs=1e-3), metric  # another machine, another order of sums

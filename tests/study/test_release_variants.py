"""Variants of the released MRLM: run at its settings, kept beside it, gone on with elsewhere, read by the verdicts."""

import json
import shutil
from pathlib import Path

import pytest

from mrlm_core.cli import main
from mrlm_core.errors import ConfigError
from mrlm_core.study import claims, release_variants, run_or_load
from mrlm_core.study.record import RunRecord
from mrlm_core.study.release_variants import release_variants as release_them
from mrlm_core.study.released import Plan, no_trials, released_variants, variants_kept, write_release
from mrlm_core.study.spec import RunSpec
from mrlm_core.study.verdicts import judge

NAME = "iot-shop-tiny"  # of the dataset in data/shop
SETTINGS = {"training.max_epochs": 1, "model.dropout": 0.25}  # as if a search had chosen them
ASKED = ("text alone", "MRLM, 55% for training")


@pytest.fixture
def method(workspace: Path) -> list[RunRecord]:
    """A release of MRLM alone, on two splits."""
    shutil.rmtree(workspace / "book", ignore_errors=True)
    made = [run_or_load(RunSpec("shop", "MRLM", seed, seed, "tiny", settings=SETTINGS)) for seed in (0, 1)]
    write_release(NAME, made, no_trials(), Plan("tiny", seeds=2))
    return made


def test_variants_have_the_settings_of_the_release_and_go_on_elsewhere(
    method: list[RunRecord], workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = release_them("shop", say=lambda _: None, only=ASKED)
    assert [record.name for record in made] == [name for name in ASKED for _ in (0, 1)]
    own, theirs = made[0].data["spec"], method[0].data["spec"]
    assert {key for key in own if own[key] != theirs[key]} == {"modalities"}
    assert made[3].data["spec"]["settings"]["protocol.train_ratio"] == 0.55
    assert made[3].data["fixed_ratio"] == 0.75

    shutil.rmtree(workspace / "runs")  # another machine has what was committed
    monkeypatch.setattr(release_variants, "run_or_load", lambda *_, **__: pytest.fail("run again"))
    again = release_them("shop", say=lambda _: None, only=ASKED)
    assert [record.test for record in again] == [record.test for record in made]


def test_verdicts_read_whole_variants_alone(method: list[RunRecord]) -> None:
    claim = claims.claims()["C17"]
    release_them("shop", say=lambda _: None, only=ASKED)
    (source,) = claims.released_sources()
    assert {"MRLM", *ASKED} <= set(source.records)
    assert "fixed_auc@100" in source.done(ASKED[1])[0].per_user
    assert "fixed_auc@100" not in source.done(ASKED[0])[0].per_user
    assert "a run of image alone" in judge(claim, source).evidence
    assert "a run of text alone" not in judge(claim, source).evidence

    plan = Path(variants_kept(NAME)[0].folder) / "plan.json"
    kept = json.loads(plan.read_text())
    assert "image alone" in kept["pending"]
    plan.write_text(json.dumps({**kept, "pending": [*kept["pending"], "text alone"]}))
    assert {record.name for record in released_variants(NAME)} == {ASKED[1]}
    (source,) = claims.released_sources()
    assert "a run of text alone" in judge(claim, source).evidence


def test_variants_of_an_mrlm_that_was_released_anew_are_dropped(method: list[RunRecord]) -> None:
    """Beside an MRLM of other settings they would show what the settings do."""
    release_them("shop", say=lambda _: None, only=ASKED)
    tuned = {**SETTINGS, "model.dropout": 0.5}
    made = [run_or_load(RunSpec("shop", "MRLM", seed, seed, "tiny", settings=tuned)) for seed in (0, 1)]
    write_release(NAME, made, no_trials(), Plan("tiny", seeds=2))
    assert variants_kept(NAME) == [] == released_variants(NAME)
    release_them("shop", say=lambda _: None, only=ASKED[:1])
    assert {record.data["spec"]["settings"]["model.dropout"] for record in variants_kept(NAME)} == {0.5}
    assert {record.name for record in released_variants(NAME)} == {ASKED[0]}

    def anew(text: str) -> None:
        write_release(NAME, method, no_trials(), Plan("tiny", seeds=2))

    with pytest.raises(ConfigError, match="another, released meanwhile"):
        release_them("shop", say=anew, only=ASKED)
    assert variants_kept(NAME) == []


def test_what_was_interrupted_is_pending(method: list[RunRecord], monkeypatch: pytest.MonkeyPatch) -> None:
    def once(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        release_them("shop", say=once, only=ASKED)
    assert [record.name for record in variants_kept(NAME)] == [ASKED[0]]
    assert released_variants(NAME) == []
    release_them("shop", say=lambda _: None, only=ASKED[:1])
    assert len(released_variants(NAME)) == 2


def test_what_cannot_be_a_variant_of_the_release_is_told(
    method: list[RunRecord], workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=r"some of text alone; .*found 'txt alone'.*text alone"):
        release_them("shop", only=["txt alone"])
    assert main(["release", "shop", "--variants", "text alone", "--seeds", "5"]) == 2
    assert "--seeds: expected left out with --variants" in capsys.readouterr().err
    records = workspace / "book" / "results" / NAME / "records.json"
    other = [{**row, "spec_hash": "other"} for row in json.loads(records.read_text())]
    records.write_text(json.dumps(other))
    with pytest.raises(ConfigError, match="a record of another"):
        release_them("shop")
    shutil.rmtree(workspace / "book")
    assert main(["release", "shop", "--variants"]) == 2
    assert "expected a released MRLM" in capsys.readouterr().err

"""The chain of repairs: what is kept, what it builds on, and that test has no say; runs are played by a table."""

import numpy as np
import pandas as pd
import pytest

from mrlm_core.baselines import registry
from mrlm_core.errors import ConfigError
from mrlm_core.study import repair
from mrlm_core.study.repair import PRINTED, REPAIRED, STEPS, Step, chain, chosen, links_kept
from mrlm_core.study.spec import RunSpec
from mrlm_core.study.variants import NamedRecord

BASE = RunSpec("shop", PRINTED, preset="tiny")
GOOD, BAD, OTHER, BROKEN = (Step("good", "g", settings={"model.dropout": 0.1}),
                            Step("bad", "b", settings={"model.dropout": 0.5}),
                            Step("other model", "o", REPAIRED, hyperparameters={"skip": False}),
                            Step("broken", "x", hyperparameters={"skip": True}))
VALIDATION = {PRINTED: (0.2, 0.4), "good": (0.25, 0.45), "bad": (0.5, 0.1), "other model": (0.1, 0.1),
              "broken": (np.nan, 0.9)}


def record(name, spec, seed):
    value = VALIDATION[name][seed]
    failed = np.isnan(value)
    users = pd.DataFrame({"recall@20": np.linspace(0, 1, 30) * seed}, index=pd.RangeIndex(30, name="user"))
    data = {"status": "failed" if failed else "done", "error": "no luck", "validation": {"recall@20": value},
            "test": {"recall@20": 1 - value},  # the reverse order: looking at it would show
            "spec": {"model": spec.model, "split_seed": seed, "seed": seed, "modalities": None, "clusters": "own"}}
    return NamedRecord(None, data, None if failed else users, name)


@pytest.fixture(autouse=True)
def played(monkeypatch):
    """What was asked for; the records are those of VALIDATION."""
    asked = []

    def run(variants, seeds, scheduler):
        asked.extend(variants)
        return [record(variant.name, variant.spec, seed) for variant in variants for seed in range(seeds)]

    monkeypatch.setattr(repair, "run_variants", run)
    return asked


def test_kept_is_what_validation_gains_by_in_the_mean():
    links = chain(BASE, [GOOD, BAD], 2)
    assert [link.kept for link in links] == [True, True, False]
    np.testing.assert_allclose(links[1].moved, [0.05, 0.05])
    np.testing.assert_allclose(links[2].moved, [0.25, -0.35])


def test_a_step_builds_on_those_kept_and_not_on_those_dropped(played):
    chain(BASE, [BAD, GOOD], 2)
    assert played[1].spec.settings == {"model.dropout": 0.5}
    assert played[2].spec.settings == {"model.dropout": 0.1}
    assert played[2].spec.model == PRINTED


def test_another_model_is_kept_though_it_loses_and_has_the_sizes_and_the_epochs_of_the_first(played):
    links = chain(BASE, [OTHER, GOOD], 2)
    assert links[1].kept
    assert links[1].moved.mean() < 0
    assert played[2].spec.model == REPAIRED
    assert played[2].spec.hyperparameters == {"skip": False, "preset": "tiny", "max_epochs": 3}
    np.testing.assert_allclose(links[2].moved, [0.15, 0.35])  # against the model that it is a change of


def test_a_step_that_failed_on_a_split_is_not_kept_and_says_why():
    links = chain(BASE, [OTHER, BROKEN], 2)
    assert not links[2].kept
    assert repair.chain_table(links)["kept"]["broken"] == "failed: no luck"


def test_without_the_printed_method_there_is_no_chain(monkeypatch):
    monkeypatch.setitem(VALIDATION, PRINTED, (np.nan, 0.2))
    with pytest.raises(ConfigError, match="MRLM on shop: expected a result on every split, found no luck"):
        chain(BASE, [GOOD], 2)


def test_the_table_has_no_move_for_the_start():
    table = repair.chain_table(chain(BASE, [GOOD, BAD], 2))
    assert np.isnan(table["moved"][PRINTED])
    assert list(table["kept"]) == ["yes", "yes", "no"]
    assert table["least"]["bad"] == pytest.approx(-0.35)


def test_named_steps_keep_their_order_and_those_to_another_model():
    names = [step.name for step in chosen(["m meets the user", "linear outputs"])]
    assert names == ["trained on the score that ranks", "linear outputs", "m meets the user"]
    assert chosen() == list(STEPS)
    with pytest.raises(ConfigError, match="linear outputs"):
        chosen(["linear output"])


def test_every_step_changes_something_that_exists():
    """Settings of the config and hyperparameters of the row, each other than before it."""
    spec = BASE
    for step in STEPS:
        after = step.applied(spec)
        assert after != spec, step.name
        assert set(after.hyperparameters) <= set(registry.row(REPAIRED).defaults), step.name
        assert after.config  # raises for a setting that does not exist
        spec = after
    assert spec.model == REPAIRED


def test_sentences_say_what_was_gained_and_dropped_and_who_is_better():
    links = chain(BASE, [GOOD, BAD], 2)
    rival = [record("good", RunSpec("shop", "iALS"), seed) for seed in range(2)]
    rival = [NamedRecord(one.folder, one.data, one.per_user + 0.5, "iALS") for one in rival]
    text = " ".join(repair.sentences(links, [*rival, *repair.renamed(links_kept(links)[-1])], ["iALS", "EASE"]))
    assert "From 0.3000 to 0.3500 on validation, by 1 of 2 steps." in text
    assert "**good**: +0.0500" in text
    assert "Not kept: bad." in text
    assert "Worse than iALS (-0.5" in text
    assert "EASE" not in text  # did not run
    rival[0].data["epochs"] = {"run": 20, "best": 19}
    assert "iALS (1 of 2 runs)" in repair.sentences(links, [*rival, *repair.renamed(links[1])], ["iALS"])[-1]

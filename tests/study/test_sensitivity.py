"""Options one at a time: which runs they are, how far they move a metric, and orders of models by several metrics."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrlm_core.baselines import registry
from mrlm_core.config import settings_of
from mrlm_core.datasets import load_dataset
from mrlm_core.errors import ConfigError
from mrlm_core.study import RunSpec, run, sensitivity, variants
from mrlm_core.study import gaps as paper_gaps
from mrlm_core.study.comparison import comparison
from mrlm_core.study.gaps import Option
from mrlm_core.study.record import RunRecord
from mrlm_core.study.result_figures import option_effects
from mrlm_core.study.sensitivity import RESEEDED, USUAL
from mrlm_core.study.tables import by_label
from mrlm_core.study.variants import NamedRecord

SPEC = RunSpec("shop", "MRLM", preset="tiny")


@pytest.fixture(scope="module")
def shop(shop_workspace):
    return load_dataset(shop_workspace / "data" / "shop")


def test_each_option_is_alone_and_the_usual_run_comes_first(shop):
    rows = paper_gaps.chosen(["G15", "G12", "G43"])
    found = {trial.name: trial.spec for trial in sensitivity.trials(SPEC, shop, rows)}
    assert list(found)[:5] == [USUAL, RESEEDED, "G15 explicit", "G15 mixed", "G15 drawn by popularity"]
    assert found[USUAL] == SPEC
    usual = settings_of(SPEC.config)
    changed = {name: {key for key, value in settings_of(spec.config).items() if usual[key] != value}
               for name, spec in found.items()}
    assert changed["G15 explicit"] == {"training.negatives"}
    assert changed["G12 literal, with d_1 = d_4"] == {"preference.form", "model.global_dim"}
    assert found["G43 U-GFRL, by cos(g_u, g_v)"].model == "U-GFRL"
    assert found["G43 random clusters"].clusters == "random"
    assert "G15 uniform" not in found
    assert "G12 a learned projection to one length" not in found  # named in the table, not in the program


def test_another_seed_is_another_training_on_the_same_split(shop, monkeypatch):
    asked = []

    def recorded(specs, scheduler):
        asked.extend(specs)
        return [RunRecord(Path("nowhere"), {}, None) for _ in specs]

    monkeypatch.setattr(variants, "run_many", recorded)
    variants.run_variants(sensitivity.trials(SPEC, shop, []), seeds=2)
    draws = [(spec.split_seed, spec.seed) for spec in asked]
    assert [split for split, _ in draws] == [0, 1, 0, 1]
    assert draws[:2] == [(0, 0), (1, 1)]
    assert not {seed for _, seed in draws[2:]} & {0, 1}


def test_what_is_usual_depends_on_the_settings_given(shop):
    spec = RunSpec("shop", "MRLM", preset="tiny", settings={"training.negatives": "explicit"})
    found = sensitivity.trials(spec, shop, paper_gaps.chosen(["G15"]))
    expected = [USUAL, RESEEDED, "G15 uniform", "G15 mixed", "G15 drawn by popularity"]
    assert [trial.name for trial in found] == expected


def test_references_take_the_value_of_another_setting():
    settings = {"model.global_dim": 24, "model.trunk_channels": (6, 8, 9, 4)}
    assert sensitivity.with_references({"a": "=model.global_dim"}, settings) == {"a": 24}
    swapped = ["=model.trunk_channels[3]", "=model.trunk_channels[2]"]
    assert sensitivity.with_references(swapped, settings) == [4, 9]
    plain = {"a": {"b": "as-printed"}, "c": 0.5}
    assert sensitivity.with_references(plain, settings) == plain
    with pytest.raises(ConfigError, match=r"'=model\.depth'"):
        sensitivity.with_references("=model.depth", settings)


def test_an_option_that_the_dataset_does_not_allow_is_left_out_with_the_reason(shop):
    assert sensitivity.lacking(Option("a", needs=("low ratings", "text")), shop) == ""
    assert sensitivity.lacking(Option("a", needs=("plots",)), shop).endswith("has no plots")
    liked = type(shop)(**{**vars(shop), "ratings": shop.ratings[shop.ratings["rating"] >= shop.positive_threshold]})
    assert sensitivity.lacking(Option("a", needs=("low ratings",)), liked).endswith("has no low ratings")
    left = sensitivity.trials(SPEC, liked, paper_gaps.chosen(["G15"]))
    assert [trial.name for trial in left] == [USUAL, RESEEDED, "G15 drawn by popularity"]


def test_rated_items_alone_are_an_option_where_some_are_not(shop):
    asked = paper_gaps.chosen(["G18"])
    assert [trial.name for trial in sensitivity.trials(SPEC, shop, asked)] == [USUAL, RESEEDED]
    unrated = type(shop)(**{**vars(shop), "ratings": shop.ratings[shop.ratings["item"] > 0]})
    (trial,) = sensitivity.trials(SPEC, unrated, asked)[2:]
    assert trial.spec.settings == {"protocol.candidates": "rated"}
    np.testing.assert_array_equal(run._listed(trial.spec, unrated), np.arange(1, shop.n_items))
    assert run._listed(SPEC, unrated) is None


def record(name, values, seed=0, metric="recall@20", failed=False) -> NamedRecord:
    spec = {"model": "MRLM", "split_seed": seed, "seed": seed, "modalities": None, "clusters": "own"}
    table = None if failed else pd.DataFrame({metric: values}, index=pd.RangeIndex(len(values), name="user"))
    data = {"spec": spec, "status": "failed" if failed else "done", "error": "planted" if failed else ""}
    return NamedRecord(Path("nowhere"), data, table, name)


@pytest.fixture
def records():
    """Two splits of 300 users, on which options move every user alike but for some noise of their own."""
    made = []
    for name, shift, spread in ((USUAL, 0, 0), (RESEEDED, 0.01, 0.05), ("G01 up", 0.1, 0.05), ("G02 down", -0.2, 0.05),
                                ("G03 same", 0, 0), ("G04 fails", 0, 0)):
        for seed in (0, 1):
            users = np.random.default_rng(seed).random(300)
            noise = np.random.default_rng(sum(map(ord, name)) + seed).normal(0, spread, 300)
            made.append(record(name, users + shift + noise, seed, failed=name == "G04 fails"))
    return made


def test_effects_are_paired_ordered_by_size_and_told_from_the_seed(records):
    effects = sensitivity.effects(records, "recall@20")
    assert list(effects.index) == ["G02 down", "G01 up", RESEEDED, "G03 same", "G04 fails"]
    np.testing.assert_allclose(effects["difference"].iloc[:2], [-0.2, 0.1], atol=0.01)
    assert effects.loc["G03 same", ["difference", "low", "high"]].tolist() == [0, 0, 0]
    assert ((effects["low"] <= effects["difference"]) & (effects["difference"] <= effects["high"])).sum() == 4
    assert np.isnan(effects.loc["G04 fails", "difference"])
    assert sensitivity.clear(effects).to_dict() == {"G02 down": True, "G01 up": True, RESEEDED: False,
                                                    "G03 same": False, "G04 fails": False}


def test_an_effect_inside_that_of_the_seed_is_not_clear(records):
    small = [record("G05 small", np.random.default_rng(seed).random(300) + 0.005, seed) for seed in (0, 1)]
    effects = sensitivity.effects([*records, *small], "recall@20")
    assert effects.loc["G05 small", "low"] > 0
    assert not sensitivity.clear(effects)["G05 small"]


def test_sentences_count_what_the_effects_say(records):
    effects = sensitivity.effects(records, "recall@20")
    text = " ".join(sensitivity.sentences(effects, "recall@20", 0.5))
    assert "Of 3 options, 1 make no difference to anyone here. 2 move it clear of 0" in text
    assert "1 up, 1 down" in text
    assert f"**G02 down**: {effects['difference'].iloc[0]:.4f}, -40% of the whole" in text
    assert "Failed: G04 fails." in text


def test_sentences_without_options():
    pair = [record(name, np.arange(9.0)) for name in (USUAL, RESEEDED)]
    assert sensitivity.sentences(sensitivity.effects(pair, "recall@20"), "recall@20", 0.5) == ["No option was run."]


def test_of_gap_has_the_usual_run_and_no_other_row(records):
    assert list(by_label(sensitivity.of_gap(records, "G01"))) == [USUAL, "G01 up"]
    assert sensitivity.of_gap(records, "G09") == []


def test_the_figure_shows_every_option_that_ran_with_the_largest_on_top(records):
    figure = option_effects(sensitivity.effects(records, "recall@20"), "Recall@20", "title")
    (axes,) = figure.axes
    labels = {text.get_text(): place for place, text in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)}
    assert labels == {"G02 down": 4, "G01 up": 3, RESEEDED: 2, "G03 same": 1}
    points = [line for line in axes.lines if line.get_marker() == "o"]
    filled = {round(float(line.get_ydata()[0])): line.get_fillstyle() for line in points}
    assert filled == {4: "full", 3: "full", 2: "none", 1: "none"}


def ranked(values: dict[str, tuple[float, float]]) -> list[NamedRecord]:
    tables = {name: pd.DataFrame({"a": [a] * 5, "b": [b] * 5}) for name, (a, b) in values.items()}
    return [NamedRecord(Path("x"), record(name, [0]).data, table, name) for name, table in tables.items()]


def test_places_and_agreement_follow_the_means():
    made = ranked({"one": (0.3, 0.1), "two": (0.2, 0.2), "three": (0.1, 0.3)})
    places = sensitivity.places([*made, record("failed", [], failed=True)], ["a", "b"])
    assert places.to_dict("list") == {"a": [1, 2, 3], "b": [3, 2, 1]}
    assert sensitivity.agreement(made, ["a", "b"]).to_numpy().tolist() == [[1, -1], [-1, 1]]
    expected = "one moves most: number 1 of 3 by a, number 3 by b. 2 change places at all."
    assert sensitivity.most_moved(places) == expected
    level = sensitivity.places(ranked({"one": (0.3, 1.0), "two": (0.2, 1.0)}), ["a", "b"])
    assert level.to_dict("list") == {"a": [1, 2]}  # b tells none apart
    alike = sensitivity.places(ranked({"one": (0.3, 0.3), "two": (0.2, 0.1)}), ["a", "b"])
    assert "the same order" in sensitivity.most_moved(alike)


def test_a_form_of_the_method_is_run_as_any_row_and_is_in_no_comparison(shop, workspace):
    trials = sensitivity.trials(SPEC, shop, paper_gaps.chosen(["G12"]))
    (spec,) = [trial.spec for trial in trials if trial.name == "G12 learned projection"]
    record = run.run_or_load(replace(spec, settings={"training.max_epochs": 1}))
    assert record.data["status"] == "done"
    assert record.data["report"]["preference"]["form"] == "projected"
    assert spec.model not in registry.names()
    assert spec.model not in {one.model for one in comparison("shop", "tiny", 1)}

"""Grids of hyperparameters: which runs they are, the axes through the usual one, the order of the combinations."""

import numpy as np
import pytest

from mrlm_core.config import settings_of
from mrlm_core.errors import ConfigError
from mrlm_core.study import RunSpec, grid
from mrlm_core.study.record import RunRecord

SPEC = RunSpec("shop", "MRLM", preset="tiny", settings={"training.max_epochs": 1})
GRID = {"model.theta_1": [0.25, 0.55, 0.85], "training.learning_rate": [0.001, 0.01]}
USUAL = settings_of(SPEC.config)


def records(specs, score):
    return [RunRecord(None, {"spec": spec.resolved(), "validation": score(settings_of(spec.config), spec.seed)}, None)
            for spec in specs]


def by_formula(settings, seed):
    if settings["model.theta_1"] == 0.85 and settings["training.learning_rate"] == 0.01:
        return {}  # a failed run has no score
    return {"recall@20": settings["model.theta_1"] + 10 * settings["training.learning_rate"] + 0.001 * seed}


def test_one_at_a_time_has_the_usual_once_and_each_other_value_alone():
    specs = grid.one_at_a_time(SPEC, GRID, seeds=2)
    assert len(specs) == 2 * (1 + 2 + 1)
    assert [spec.seed for spec in specs[:2]] == [spec.split_seed for spec in specs[:2]] == [0, 1]
    changed = [{name for name in GRID if settings_of(spec.config)[name] != USUAL[name]} for spec in specs]
    assert sorted(map(len, changed)) == [0, 0, 1, 1, 1, 1, 1, 1]
    assert all(spec.settings["training.max_epochs"] == 1 for spec in specs)


def test_every_combination_is_the_product():
    specs = grid.every_combination(SPEC, GRID, seeds=1)
    assert len({(s.settings["model.theta_1"], s.settings["training.learning_rate"]) for s in specs}) == 6


def test_axes_go_through_the_usual_run_and_spans_are_of_the_means():
    runs = grid.table(records(grid.every_combination(SPEC, GRID, 2), by_formula), GRID)
    effects = grid.along(runs, GRID, USUAL)
    assert effects.groupby("setting").size().to_dict() == {"model.theta_1": 6, "training.learning_rate": 4}
    assert grid.spans(effects).to_dict() == pytest.approx({"model.theta_1": 0.6, "training.learning_rate": 0.09})


def test_combinations_are_ranked_by_the_mean_over_seeds_and_failures_are_last():
    best = grid.ranked(grid.table(records(grid.every_combination(SPEC, GRID, 2), by_formula), GRID), GRID)
    assert best.iloc[0][list(GRID)].tolist() == [0.85, 0.001]
    assert best.iloc[0]["mean"] == pytest.approx(0.85 + 0.01 + 0.0005)
    assert np.isnan(best.iloc[-1]["mean"])
    assert best.iloc[-1]["count"] == 0
    assert len(grid.matching(best, {"model.theta_1": 0.25})) == 2


def test_names_and_numbers_are_values_of_a_grid():
    values = grid.with_usual({"training.negatives": ["explicit"], "model.theta_1": [0.85, 0.25]}, USUAL)
    assert values["training.negatives"] == sorted({"explicit", USUAL["training.negatives"]})
    assert values["model.theta_1"] == sorted({0.25, USUAL["model.theta_1"], 0.85})
    assert [grid.as_text(value) for value in (0.5500, 1e-3, 20, "explicit")] == ["0.55", "0.001", "20", "explicit"]


@pytest.mark.parametrize(("name", "tried", "complaint"), [
    ("model.trunk_channels", [[20, 30]], "a number or a name"), ("model.theta_1", ["high"], "Give numbers or names"),
    ("model.theta", [0.3], "none of that name")])
def test_what_no_axis_can_hold_is_refused_before_anything_is_trained(name: str, tried: list, complaint: str):
    with pytest.raises(ConfigError, match=complaint):
        grid.with_usual({name: tried}, USUAL)

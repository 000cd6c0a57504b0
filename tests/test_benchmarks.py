"""The benchmarks run at toy sizes, and what they compare computes the same."""

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    import benchmarks.__main__ as main

    assert Path(sys.modules["benchmarks"].__file__).parent == ROOT / "benchmarks"
    return main


def test_the_literal_step_computes_the_same_loss(benchmarks):
    from benchmarks import training_step

    comparison, apart = training_step.compare("tiny", calls=1, n_users=20, n_items=30, repeats=2)
    assert 0 <= apart < 1e-5
    assert comparison.amount == 16 * 32
    assert comparison.ratios.shape == (2,)
    assert (comparison.ratios > 0).all()


def test_the_literal_model_differs_when_its_weights_do(benchmarks):
    from benchmarks import training_step

    (ours, literal), rows = training_step._models("tiny", 20, 30, 64)
    literal.difference.kernel.assign(literal.difference.kernel + 0.1)
    assert training_step._loss_difference((ours, literal), rows) > 1e-4


def test_ranking_and_its_table(benchmarks):
    from benchmarks import full_ranking

    section = full_ranking.run([(30, 200, 8)])
    assert "30 users, 200 items, 8 wide" in section.lines[-1]
    assert section.lines[-1].count("|") == 6


def test_limits_are_positive_rates(benchmarks):
    from benchmarks import limits

    for rates in (limits.matrix_rates("float32", 64, 2), limits.matrix_rates("bfloat16", 64, 2),
                  limits.copy_rates(2**20, 2)):
        assert rates.shape == (2,)
        assert (rates > 0).all()


def test_the_page_shows_every_target_and_keeps_sections_that_were_not_run_again(benchmarks, monkeypatch, tmp_path):
    from benchmarks import section

    monkeypatch.setattr(section, "KEPT", tmp_path)
    made = section.Section("Speed", ["| a |"], [section.Target("step", "2x", "1.5x", False, "memory")]).stamped()
    made.keep("speed")
    page = benchmarks.page([section.kept("speed")])
    assert section.kept("other") is None
    assert "| step | 2x | 1.5x | **not met**: memory |" in page
    assert "| a |" in page
    assert made.measured in page


def test_calls_are_taken_in_turn_after_one_untimed_each(benchmarks):
    from benchmarks.compare import in_turn

    calls = []
    comparison = in_turn("x", "y", 10, lambda: calls.append("a"), lambda: calls.append("b"), repeats=3)
    assert "".join(calls) == "abababab"
    np.testing.assert_allclose(comparison.ratios, comparison.other / comparison.ours)


def test_the_machine_is_named_by_what_matters_for_speed(benchmarks):
    processor, flags = benchmarks._processor()
    assert processor
    assert set(flags) <= set(benchmarks.FLAGS)

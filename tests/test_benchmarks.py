"""The benchmarks run at toy sizes, and what they compare computes the same."""

import dataclasses
import json
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

    case = training_step.Case("tiny", 20, 30)
    comparison, apart = training_step.compare(case, repeats=2)
    assert 0 <= apart < 1e-5
    assert comparison.amount == 16 * 32
    assert comparison.ratios.shape == (2,)
    assert (comparison.ratios > 0).all()


def test_the_literal_model_differs_when_its_weights_do(benchmarks):
    from benchmarks import training_step

    ours, literal, rows = training_step.models(training_step.Case("tiny", 20, 30), 64)
    literal.difference.kernel.assign(literal.difference.kernel + 0.1)
    assert training_step._loss_difference((ours, literal), rows) > 1e-4


def test_the_section_judges_by_what_it_measured(benchmarks):
    from benchmarks import training_step

    cases = [training_step.Case("tiny", 20, 30, wanted=wanted) for wanted in (1e-3, 1e6)]
    easy, hard = training_step.run(cases, repeats=1, profiles=False).targets
    assert easy.met
    assert not hard.met


def test_own_times_leave_out_what_is_nested():
    sys.path.insert(0, str(ROOT))
    from benchmarks.step_profile import _kind, _own_times

    events = [(0, 10, "outer"), (2, 3, "a"), (6, 2, "b"), (12, 1, "next")]
    assert dict(_own_times(events)) == {"outer": 5, "a": 3, "b": 2, "next": 1}
    assert _kind("x/y/MatMul:_MklMatMul") == "products"
    assert _kind("multiply_bitcast_fusion") == "compiled passes"
    assert _kind("mrlm/conv2/convolution:_MklNativeConv2D") == "convolutions"
    assert _kind("ExecutorState::Process") == "all else"


def test_product_flops_are_counted_by_hand(benchmarks):
    from benchmarks.step_profile import product_flops
    from mrlm_core.config import preset

    full = preset("tiny", {"model.identity_head": "full"})
    by_hand = 6 * 32 * (3 * 8 * 4 * 24 + 3 * 8 * 6 * 8 + 2 * 24 * 6 * 16 + 24 * 20 + 2 * 24 * 30)
    assert product_flops(full, 20, 30) == by_hand


def test_ranking_and_its_table(benchmarks):
    from benchmarks import full_ranking

    section = full_ranking.run(("tiny",), 60, 200)
    row = next(line for line in section.lines if line.startswith("| `tiny`, 40 wide"))
    assert row.count("|") == 10
    assert [target.wanted for target in section.targets][:2] == ["<= 1.3 times", "< 2 GB"]


def test_the_plain_rankings_give_the_same_lists(benchmarks):
    from benchmarks import full_ranking
    from benchmarks.naive_ranking import lists_by_sort, lists_by_top_k
    from mrlm_core.evaluation.ranking import top_n

    users, items, seen = full_ranking.problem(40, 300, 8)
    users, items = np.round(users), np.round(items)  # whole numbers: exact scores, many ties
    expected = top_n(users, items, 20, seen)
    for found in (lists_by_sort(users, items, 20, seen), lists_by_top_k(users, items, 20, seen, size=7)):
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


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
    other = section.Section("Limits", ["| b |"], [], "elsewhere")
    (tmp_path / "another").mkdir()
    (tmp_path / "another" / "machine.json").write_text('["Other, 4 cores; ", "Python"]')
    (tmp_path / "another" / "limits.json").write_text(json.dumps(dataclasses.asdict(other)))
    monkeypatch.setattr(benchmarks, "SECTIONS", ("limits", "speed"))
    assert section.kept("limits", section.this_machine()) is None
    page = benchmarks.kept_page()
    places = [page.index(text) for text in (section.description()[0], "| a |", "Other, 4 cores", "| b |")]
    assert places == sorted(places)
    assert "| step | 2x | 1.5x | **not met**: memory |" in page
    assert "| a |" in page
    assert made.measured in page


def test_a_page_of_the_book_shows_what_was_kept(benchmarks, monkeypatch, tmp_path):
    from benchmarks import section

    for name in benchmarks.SHOWN:
        assert (benchmarks.BOOK / f"{name}.md").read_text(encoding="utf-8") == benchmarks.shown(name)
    assert "{include} measured/scale_out.md" in (ROOT / "book" / "scale_out.md").read_text(encoding="utf-8")
    monkeypatch.setattr(section, "KEPT", tmp_path)
    section.Section("Scale out", ["1.5 times", "as fast"], [], "today").keep("scale_out")
    machine = section.description()[0].split(";")[0]
    assert benchmarks.shown("scale_out") == f"*{machine}, today*\n\n1.5 times\nas fast\n"


def test_calls_are_taken_in_turn_after_one_untimed_each(benchmarks):
    from benchmarks.compare import in_turn

    calls = []
    comparison = in_turn("x", "y", 10, lambda: calls.append("a"), lambda: calls.append("b"), repeats=3)
    assert "".join(calls) == "abababab"
    np.testing.assert_allclose(comparison.ratios, comparison.other / comparison.ours)


def test_the_machine_is_named_by_what_matters_for_speed(benchmarks):
    from benchmarks import section

    processor, flags = section._processor()
    assert processor
    assert set(flags) <= set(section.FLAGS)
    assert section.description()[0].startswith(processor)


def test_the_accelerator_section_names_its_device_and_fills_its_table(benchmarks):
    from benchmarks import gpu

    gpu.SIZES["toy"] = (20, 30)
    section = gpu.run("tiny", ["toy"], [32])
    assert section.title.startswith("Accelerator: ")
    assert [line.split("|")[3].strip() for line in section.lines[-2:]] == ["float32", "bfloat16"]
    assert all(float(line.split("|")[4].replace(",", "")) > 0 for line in section.lines[-2:])


def test_quality_shows_differences_to_the_plain_runs_and_failures(benchmarks, tmp_path):
    from benchmarks import quality
    from mrlm_core.study.record import RunRecord

    def record(recall, status="done"):
        data = {"status": status, "error": "TrainingError: no", "validation": {"recall@20": recall},
                "epochs": {"run": 3, "best": 1}, "history": [{"seconds": 2.0}] * 3}
        return RunRecord(tmp_path, data, None)

    plain, other = [record(0.2), record(0.3)], [record(0.21), record(0.28)]
    assert quality.row("x", other, plain) == "| x | 0.2450 | -0.0050 (-0.0200 to +0.0100) | 3 to 3 | 2.0 |"
    assert quality.row("plain", plain, plain) == "| plain | 0.2500 |  | 3 to 3 | 2.0 |"
    assert "failed: TrainingError: no" in quality.row("x", [record(0.2, "failed")], plain)


def test_end_to_end_fits_the_growth_of_each_stage(benchmarks):
    from benchmarks import end_to_end

    def taken(ratings, seconds):
        return {"ratings": ratings, "users": 1, "items": 1, "peak_bytes": 13e9,
                "seconds": dict.fromkeys(end_to_end.STAGES, 1.0),
                "cpu_seconds": dict.fromkeys(end_to_end.STAGES, seconds)}

    section = end_to_end.section([taken(100, 1.0), taken(1_000, 10.0), taken(10_000, 1_000.0)], "laptop")
    assert section.lines[-2:] == ["| 100 to 1,000 | " + " | ".join(["1.00"] * 6) + " |",
                                  "| 1,000 to 10,000 | " + " | ".join(["2.00"] * 6) + " |"]
    memory, growth = section.targets
    assert not memory.met
    assert not growth.met
    assert growth.found == "2.00"


def test_start_up_measures_the_command_and_names_what_it_imports(benchmarks):
    from benchmarks import startup

    assert startup._imported_by_help() == []
    line = startup._overhead("x", "pass", 1)
    assert line.startswith("| x | ")
    assert float(line.split("|")[2]) > float(line.split("|")[3])


def test_clustering_says_what_grows_and_judges_the_largest(benchmarks):
    from benchmarks import clustering
    from mrlm_core.study.growth import growth

    assert growth([10, 100, 1000], [3, 300, 30000]).exponent == pytest.approx(2)
    small = {"method": "nystrom", "peak": 100, "before": 50, "ari": 1.0}
    rows = [{**small, "items": n, "cpu": n / 10, "seconds": n / 10} for n in (100, 1000)]
    assert all(target.met for target in clustering._targets({"nystrom": rows}))
    rows[1] |= {"seconds": 901, "cpu": 1000}
    assert not any(target.met for target in clustering._targets({"nystrom": rows}))


def test_clustering_has_a_row_for_every_size_and_the_agreement(benchmarks, monkeypatch, capsys):
    from benchmarks import clustering

    def here(method, n):
        clustering.main([method, str(n)])
        return json.loads(capsys.readouterr().out)

    monkeypatch.setattr(clustering, "_in_process", here)
    monkeypatch.setattr(clustering, "KERNELS", ("cosine", "rbf-1"))
    section = clustering.run({"nystrom": (150, 300), "exact": (150, 300)}, agreement_rows=130)
    text = "\n".join(section.lines)
    assert all(f"| {method} | {n} |" in text for method in ("nystrom", "exact") for n in (150, 300))
    assert "| exact, other seeds |" in text
    assert "| nystrom, 125 landmarks |" in text


def test_preprocessing_is_killed_and_repeats_nothing(benchmarks, monkeypatch, tmp_path):
    from benchmarks import preprocessing
    from mrlm_core.datasets.iot_shop import make_iot_shop

    monkeypatch.setenv("MRLM_WORKSPACE", str(tmp_path))
    monkeypatch.delenv(preprocessing.WEIGHTS, raising=False)
    monkeypatch.setattr(preprocessing, "ENCODERS", {})
    make_iot_shop(tmp_path / "data" / "shop", size="tiny", progress=False)
    section = preprocessing.run("shop", "tiny", ("text", "image", "audio"), killed_after=0.0)
    fits, repeats_nothing = section.targets
    assert fits.met
    assert repeats_nothing.met
    assert sum(line.startswith("| text, ") for line in section.lines) == 2
    assert "(6 of 6 steps loaded)" in section.lines[-1]
    assert not preprocessing.section("shop", "", ([{"what": "text, features", "loaded": False, "items": 1, "seconds": 1,
                                                    "peak": 1}], 1), ([{"what": "text, features", "loaded": False,
                                                                        "items": 1, "seconds": 1, "peak": 1}], 1),
                                     ([], 1)).targets[1].met


def test_a_default_is_compared_with_changes_of_it_on_validation(benchmarks, monkeypatch, tmp_path, capsys):
    from benchmarks import defaults
    from mrlm_core.datasets.iot_shop import make_iot_shop
    from mrlm_core.study.spec import RunSpec

    monkeypatch.setenv("MRLM_WORKSPACE", str(tmp_path))
    make_iot_shop(tmp_path / "data" / "shop", size="tiny", progress=False)
    assert defaults.rates_of(RunSpec("shop", "BPR-MF")) == [{"learning_rate": pytest.approx(0.05 * times)}
                                                            for times in defaults.RATES]
    assert "training.learning_rate" in defaults.rates_of(RunSpec("shop", "MRLM"))[0]
    defaults.main(["shop", "BPR-MF", '{"max_epochs": 1}', '{"learning_rate": 1e30}'])
    usual, short, broken = capsys.readouterr().out.splitlines()
    assert short.startswith('shop, BPR-MF {"max_epochs": 1}: validation recall@20 0.')
    assert "best at epoch 1 of 1," in short
    assert "{}: validation recall@20 0." in usual
    assert ": failed: TrainingError" in broken
    defaults.main(["shop", "Popularity", "{}"])
    assert "trained without epochs" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        defaults.main(["shop", "EASE"])
    assert "a model that has none" in capsys.readouterr().err

"""Tables from records: means, paired differences, failed runs, the paper's numbers."""

from pathlib import Path

import pandas as pd
import pytest

from mrlm_core.baselines import registry
from mrlm_core.study import paper_tables, tables
from mrlm_core.study.comparison import comparison
from mrlm_core.study.record import RunRecord


def _record(model: str, seed: int, values: list[float] | None, clusters: str = "own") -> RunRecord:
    spec = {"model": model, "split_seed": seed, "seed": seed, "modalities": None, "clusters": clusters}
    row = {"seconds": 1.0 + seed, "cpu_seconds": 2.0 + seed, "peak_mib": 10.0 * (seed + 1)}
    stage = {name: dict(row) for name in ("split", "preprocessing", "training")}
    data = {"spec": spec, "status": "done" if values else "failed", "error": "E", "stages": stage,
            "spec_hash": f"{model}{seed}{clusters}", "test": {}, "validation": {}}
    frame = None if values is None else pd.DataFrame(
        {name: values for name in ("recall@10", "recall@20", "recall@50", "recall@100", "auc@100", "lauc@100",
                                   "full_auc")},
        index=pd.Index(range(len(values)), name="user"),
    )
    return RunRecord(Path("nowhere"), data, frame)


RECORDS = [_record("A", 0, [0.0, 0.5, 1.0]), _record("A", 1, [0.5, 0.5, 0.5]),
           _record("B", 0, [0.1, 0.6, 1.1]), _record("B", 1, None)]


def test_means_count_runs_and_failures() -> None:
    table = tables.intervals(RECORDS, ["recall@20"]).set_index("model")
    assert table.loc["A", "mean"] == pytest.approx(0.5)
    assert (table.loc["B", "runs"], table.loc["B", "failed"]) == (1, 1)
    assert table.loc["A", "low"] <= 0.5 <= table.loc["A", "high"]


def test_failed_runs_show() -> None:
    only_failed = [_record("C", 0, None)]
    assert tables.compact(only_failed, ["recall@20"]).loc["C", "recall@20"] == "failed"
    assert "(1 failed)" in tables.compact(RECORDS, ["recall@20"]).loc["B", "recall@20"]


def test_differences_pair_users_and_draws() -> None:
    table = tables.differences(RECORDS, "recall@20", "A")
    assert table.loc["B", "recall@20 minus A"] == pytest.approx(0.1)
    assert table.loc["B", "splits"] == 1  # the failed draw pairs with nothing
    assert table.loc["B", "low"] == pytest.approx(0.1)


def test_best_is_bold() -> None:
    html = tables.styled(RECORDS, ["recall@20"], "caption").to_html()
    assert "font-weight: bold" in html
    assert "caption" in html


def test_paper_tables_are_the_papers() -> None:
    recall = paper_tables.paper_table("table3_recall")
    assert recall.shape == (21, 8)
    assert recall.loc["MRLM", ("MovieLens-20M", 100)] == 0.6645
    assert paper_tables.paper_table("table4_auc").loc["CKE+", ("BookCrossing", 10)] == 0.7028


def test_our_numbers_stand_beside_the_papers_with_places_among_both() -> None:
    records = [_record("MRLM", 0, [0.2, 0.4]), _record("CKE", 0, [0.5, 0.5]), _record("Ours", 0, [0.9, 0.9]),
               _record("CAMN", 0, None), _record("MRLM", 0, [0.1, 0.1], clusters="permuted")]
    records[3].data.update(status="not run", error="needs image")
    places = paper_tables.ranks(records, "recall", 20, "MovieLens-20M")
    assert places.loc["MRLM"].tolist() == [1, 2]
    assert places.loc["CKE"].tolist() == [2, 1]
    table = paper_tables.beside(records, "recall", [20], "MovieLens-20M")
    assert table.loc["MRLM", ("N = 20", "paper")] == "0.4483 #1"
    assert table.loc["CKE", ("N = 20", "ours")].endswith("#1")
    assert table.loc["CAMN", ("N = 20", "ours")] == "not run: needs image"
    assert table.loc["Ours", ("N = 20", "paper")] == "-"
    assert table.loc["NARRE", ("N = 20", "ours")] == "-"
    assert table.loc["MRLM, permuted clusters", ("", "fidelity")] == "a variant of MRLM"


def test_costs_take_medians() -> None:
    assert tables.costs(RECORDS).loc["A", "split (s)"] == 1.5
    assert tables.costs(RECORDS).loc["A", "training (processor s)"] == 2.5


def test_costs_say_what_the_process_held_before_and_leave_out_the_end_of_a_training() -> None:
    records = [_record("A", seed, [0.5, 0.5]) for seed in range(2)]
    records[1].data["resumed"] = True
    assert pd.isna(tables.costs(records).loc["A", "of it before the run"])  # records of old do not say
    for record in records:
        for stage in record.data["stages"].values():
            stage["start_mib"] = 4.0
    costs = tables.costs(records).loc["A"]
    assert costs["training (s)"] == 1.0
    assert list(costs[["memory of the process (MiB)", "of it before the run"]]) == [10.0, 4.0]


def test_no_interval_of_a_metric_goes_below_0_or_above_1() -> None:
    far = [_record("A", 0, [0.0, 0.0]), _record("A", 1, [0.9, 0.9])]  # two splits so far apart hold anything
    row = tables.intervals(far, ["recall@20"]).iloc[0]
    assert (row["mean"], row["low"], row["high"]) == (0.45, 0.0, 1.0)


def test_comparison_holds_every_model_and_the_control() -> None:
    specs = comparison("shop", "tiny", 2)
    assert {s.clusters for s in specs if s.model == "MRLM"} == {"own", "permuted"}
    assert [s.split_seed for s in specs[:2]] == [0, 1]
    assert {s.clusters for s in comparison("shop", "tiny", 1, ["EASE"])} == {"own"}


def test_models_are_compared_on_one_split_and_one_preprocessing_whatever_the_settings() -> None:
    shared = {"protocol.train_ratio": 0.6, "preprocessing.initial": "bpr", "model.embedding_dim": 8}
    settings = {**shared, "training.max_epochs": 1, "model.dropout": 0.2}
    specs = comparison("shop", "tiny", 1, settings=settings)
    for spec in specs:
        assert spec.settings == (settings if registry.row(spec.model).family == "mrlm" else shared), spec.model
    assert {spec.config.protocol.train_ratio for spec in specs} == {0.6}


def test_equal_places_are_drawn_below_one_another() -> None:
    from mrlm_core.study.result_figures import rank_change

    places = pd.DataFrame({"paper": [1, 2, 3], "ours": [2, 2, 1]}, index=["MRLM", "CKE", "CAMN"])
    (axes,) = rank_change(places, "title").axes
    ends = [line.get_ydata() for line in axes.lines]
    assert sorted(right for _, right in ends) == [1, 2, 3]
    assert "2  CKE" in [text.get_text() for text in axes.texts]


def test_cost_figure_names_what_nothing_as_cheap_surpasses() -> None:
    from mrlm_core.study.result_figures import cost_and_quality

    records = [_record("Cheap", 0, [0.2, 0.2]), _record("Worse", 1, [0.1, 0.1]), _record("Better", 1, [0.5, 0.5]),
               _record("MRLM", 2, [0.3, 0.3])]
    for seconds, record in enumerate(records):
        record.data["stages"] = {name: {"seconds": 1.0, "cpu_seconds": float(seconds + 1), "peak_mib": 1.0}
                                 for name in ("preprocessing", "training")}
    records[0].data["stages"]["preprocessing"]["cpu_seconds"] = 1e6  # of all, but it came first
    (axes,) = cost_and_quality(records, "recall@20").axes
    assert {text.get_text() for text in axes.texts} == {"Cheap", "Better", "MRLM"}


def test_no_two_named_models_share_a_colour_in_the_figure_of_recall() -> None:
    from matplotlib.colors import to_hex

    from mrlm_core.study.result_figures import recall_by_cutoff

    better = [_record(f"better {place}", 0, [0.5 + place / 100] * 2) for place in range(12)]
    records = [*better, _record("MRLM", 0, [0.2, 0.2]), _record("Popularity", 0, [0.1, 0.1])]
    (axes,) = recall_by_cutoff(records, [10, 20]).axes
    named = [bar.get_label() for bar in axes.containers]
    assert named[-2:] == ["MRLM", "Popularity"]
    assert len({to_hex(bar.lines[0].get_color()) for bar in axes.containers}) == len(named) == 10

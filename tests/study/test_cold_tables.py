"""Recall by bucket and against chance, from records written by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrlm_core.errors import ConfigError
from mrlm_core.study import cold_tables
from mrlm_core.study.cold_tables import CATALOGUE, KNOWN, VIEWS, WITHIN
from mrlm_core.study.record import RunRecord
from mrlm_core.study.result_figures import against_chance, recall_by_bucket

COLD = 8  # items


def record(model: str, seed: int, rows: list[tuple] | None, cold: int = COLD) -> RunRecord:
    """``rows`` of user, training positives of the item, place, place among the cold (0: not cold)."""
    spec = {"model": model, "split_seed": seed, "seed": seed, "modalities": None, "clusters": "own"}
    data = {"spec": spec, "status": "done" if rows else "failed", "error": "E", "cold_counts": {"items": cold}}
    if rows is None:
        return RunRecord(Path("nowhere"), data, None)
    table = pd.DataFrame(rows, columns=["user", "train_positives", "place", "cold_place"])
    table = table.assign(item=np.arange(len(table)), candidates=20, cold_candidates=COLD).set_index("user")
    return RunRecord(Path("nowhere"), data, table)


# Users 0 and 1; A finds cold items first, B last and C as often as chance would.
GOOD = record("A", 0, [(0, 0, 1, 1), (0, 0, 9, 2), (0, 7, 3, 0), (1, 0, 2, 1), (1, 1, 12, 0), (1, 30, 4, 0)])
BAD = record("B", 0, [(0, 0, 19, 7), (0, 0, 20, 8), (0, 7, 1, 0), (1, 0, 18, 8), (1, 1, 2, 0), (1, 30, 1, 0)])
EVEN = record("C", 0, [(0, 0, 1, 1), (0, 0, 18, 7), (0, 7, 1, 0), (1, 0, 18, 8), (1, 1, 2, 0), (1, 30, 1, 0)])
FAILED = record("D", 0, None)
RECORDS = [GOOD, BAD, EVEN, FAILED]
KNOWS = {"A": "its words", "B": "its picture", "C": ""}


def test_recall_by_bucket_averages_over_users_with_a_positive_there() -> None:
    table = cold_tables.by_bucket(RECORDS, [0, 2, 10], 5).set_index(["model", "bucket"])
    assert table.loc["A", "mean"].to_dict() == {"0": 0.75, "1-2": 0.0, "3-10": 1.0, "11+": 1.0}
    assert table.loc["B", "mean"].to_dict() == {"0": 0.0, "1-2": 1.0, "3-10": 1.0, "11+": 1.0}
    assert table.loc["A", "positives"].to_dict() == {"0": 3, "1-2": 1, "3-10": 1, "11+": 1}
    assert "D" not in table.index
    assert table.loc[("A", "0"), "low"] <= 0.75 <= table.loc[("A", "0"), "high"]


def test_a_bucket_that_one_run_lacks_is_taken_from_the_others() -> None:
    other = record("A", 1, [(0, 0, 30, 9)])
    table = cold_tables.by_bucket([GOOD, other], [0, 2, 10, 50], 5).set_index("bucket")
    assert table.loc["0", "mean"] == pytest.approx((0.75 + 0.0) / 2)
    assert table.loc["1-2", "mean"] == 0.0
    assert "51+" not in table.index
    sizes = cold_tables.bucket_sizes([GOOD, other], [0, 2, 10, 50])
    assert sizes["test positives"].tolist() == [2.0, 0.5, 0.5, 0.5, 0.0]
    with pytest.raises(ConfigError, match="ended well"):
        cold_tables.bucket_sizes([FAILED], [0])


def test_gaps_in_a_bucket_are_of_the_same_users_and_splits() -> None:
    other = record("A", 1, [(0, 0, 30, 9), (1, 7, 1, 0)])  # a split that B lacks says nothing of their difference
    gaps = cold_tables.bucket_gaps([*RECORDS, other], [0, 2, 10], 5, "A", ["B", "C", "D"])
    assert list(gaps) == ["0", "1-2", "3-10", "11+"]
    assert {name: gap.mean for name, gap in gaps["0"].items()} == {"B": 0.75, "C": 0.5}  # user 0: .5, user 1: 1
    assert gaps["1-2"]["B"].mean == -1.0
    assert cold_tables.bucket_gaps(RECORDS, [0], 5, "D", ["A"]) == {}


@pytest.mark.parametrize(
    ("view", "a", "b", "chance"),
    [(WITHIN, 0.75, 0.0, 1 / 8), (CATALOGUE, 0.25, 0.0, 1 / 20), (KNOWN, 0.0, 0.75, 1 / 20)],
)
def test_each_view_looks_at_its_own_positives_places_and_candidates(view, a, b, chance) -> None:
    table = cold_tables.cold_recall(RECORDS, view, [1]).set_index("model")
    assert table.loc["A", "mean"] == a
    assert table.loc["B", "mean"] == b
    assert table["random"].tolist() == pytest.approx([chance] * 3)
    np.testing.assert_allclose(table["above"], table["mean"] - chance)


def test_cutoffs_that_list_every_cold_item_are_left_out() -> None:
    assert cold_tables.cutoffs_within(RECORDS, [2, 5, 8, 20]) == [2, 5]
    with pytest.raises(ConfigError, match="below the number of cold items, 8"):
        cold_tables.cutoffs_within(RECORDS, [8, 20])


def test_tables_and_figures_say_what_is_known_and_what_chance_gives() -> None:
    table = cold_tables.cold_recall(RECORDS, WITHIN, [1, 2])
    text = cold_tables.compact(table)
    assert text.index.tolist() == ["A", "B", "C", "random order"]
    assert text.loc["random order"].tolist() == ["0.125", "0.250"]
    assert text.loc["A", "Recall@1"].startswith("0.750 [")
    figure = against_chance({WITHIN: table[table["cutoff"] == 1], CATALOGUE: table[table["cutoff"] == 2]}, KNOWS, "T")
    assert [axes.get_title() for axes in figure.axes] == [WITHIN, CATALOGUE]
    assert [axes.get_lines()[-1].get_xdata()[0] for axes in figure.axes] == pytest.approx([0.125, 0.25])
    ends = [0, 2, 10]
    sizes = cold_tables.bucket_sizes(RECORDS, ends)
    figure = recall_by_bucket(cold_tables.by_bucket(RECORDS, ends, 5), sizes, "T", "R")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["A", "B", "C"]
    few = recall_by_bucket(cold_tables.by_bucket(RECORDS, ends, 5), sizes, "T", "R", shown=1).axes[0].get_legend()
    assert (few.get_title().get_text(), [text.get_text() for text in few.get_texts()]) == ("2 others grey", ["C"])
    assert [bar.get_height() for bar in figure.axes[1].patches] == sizes["test positives"].tolist()


def test_sentences_name_who_leads_and_who_is_no_better_than_chance() -> None:
    buckets = cold_tables.by_bucket(RECORDS, [0, 10], 5)
    cold = {view: cold_tables.cold_recall(RECORDS, view, [1]) for view in VIEWS}
    said = list(cold_tables.sentences(buckets, cold, KNOWS, method="B"))
    assert said[0].startswith("On items with the fewest training positives (0) A leads, 0.7500")
    assert "B reaches 0.0000" in said[0]
    among = next(text for text in said if text.startswith(f"Recall@1 {WITHIN}"))
    assert "random order gives 0.1250, A 0.7500" in among
    assert "Of 2 models that know something of a cold item 1 are above chance (A), 0 level with it, 1 below" in among
    told_of = [text for text in said[2:] if "C" in text.replace(",", "").split()]
    assert [text[:27] for text in told_of] == ["What comes of no knowledge "], "it knows nothing of them"
    assert any(text.startswith("B: 0.0000") for text in said)
    none = buckets.assign(mean=buckets["mean"].where(buckets["bucket"] != "0", 0.0))
    assert next(cold_tables.sentences(none, cold, KNOWS)) == (
        "On items with the fewest training positives (0) no model finds any.")
    assert said[-1].startswith("From one split")
    twice = {view: table.assign(splits=2) for view, table in cold.items()}
    assert list(cold_tables.sentences(buckets, twice, KNOWS, method="B")) == said[:-1]


def test_a_list_full_of_cold_items_in_any_order_is_no_merit() -> None:
    """F puts every cold item first, as often right as wrong among them; A finds the right ones in the catalogue."""
    first = [(user, 0, 1 + place, 1 + place) for user, place in enumerate([0, 3, 4, 7] * 6)]
    others = [(user, 9, 20, 0) for user in range(24)]
    finds = [(user, 0, 1, 1) for user in range(24)] + [(user, 9, 2, 0) for user in range(24)]
    records = [record("A", 0, finds), record("F", 0, first + others)]
    cold = {view: cold_tables.cold_recall(records, view, [4]) for view in VIEWS}
    chosen = {name: "its words" for name in ("A", "F")}
    told = list(cold_tables.sentences(pd.DataFrame(), cold, chosen, method="F"))
    among, catalogue, why = told[0], told[2], told[3]
    assert "1 level with it (F), 0 below it." in among
    assert catalogue.startswith(f"Recall@4 {CATALOGUE}: random order gives 0.2000, A 1.0000")
    assert catalogue.endswith("1 are above chance (A), 0 level with it, 0 below it, 1 above it without telling cold "
                              "items apart (F).")
    assert why.startswith("F puts cold items before others and does not tell them apart: 0.5000 [")
    assert f"Recall@4 {KNOWN}: 0.0000 [0.0000, 0.0000], where random order gives 0.2000." in why
    only = {view: table[table["model"] == "F"] for view, table in cold.items()}
    alone = list(cold_tables.sentences(pd.DataFrame(), only, chosen, method="F"))
    assert alone[1].startswith(f"Recall@4 {CATALOGUE}: random order gives 0.2000. Of 1 models"), "none leads by merit"

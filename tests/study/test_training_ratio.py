"""The two arms of Fig. 5: one fixed test whatever the ratio, against a plain slow count; curves, steps, sentences."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrlm_core.datasets import load_dataset
from mrlm_core.errors import ConfigError
from mrlm_core.study import RunSpec, run_many, run_or_load, training_ratio
from mrlm_core.study.record import RunRecord
from mrlm_core.study.run import fixed_test, split_of
from mrlm_core.study.training_ratio import SETTING, ratio_specs

RATIOS = (0.55, 0.6, 0.65, 0.7, 0.75)
BASE = RunSpec("shop", "MRLM", preset="tiny", settings={"training.max_epochs": 1, "protocol.cutoffs": [10, 20]})


@pytest.fixture
def dataset(workspace: Path):
    return load_dataset(workspace / "data" / "shop")


def test_specs_vary_the_ratio_alone_and_baselines_keep_the_protocol_only() -> None:
    specs = ratio_specs(BASE, ["Popularity", "MRLM"], RATIOS, seeds=2)
    assert [(s.model, s.settings[SETTING], s.split_seed, s.seed) for s in specs] == [
        (model, ratio, seed, seed) for model in ("Popularity", "MRLM") for ratio in RATIOS for seed in (0, 1)]
    assert all(s.config.protocol.validation_ratio == 0.2 for s in specs)
    assert {tuple(s.settings) for s in specs} == {
        ("protocol.cutoffs", SETTING), ("training.max_epochs", "protocol.cutoffs", SETTING)}
    with pytest.raises(ConfigError, match="Popularity"):
        ratio_specs(BASE, ["Popularty"], RATIOS, 1)


@pytest.mark.parametrize("seed", [0, 3])
def test_the_fixed_test_is_the_same_at_every_ratio_and_nobody_has_seen_it(dataset, seed: int) -> None:
    parts = []
    for ratio in RATIOS:
        spec = replace(BASE, split_seed=seed, settings={SETTING: ratio})
        _, own = split_of(spec, dataset)
        fixed = fixed_test(spec, dataset, max(RATIOS))
        seen = own.train_rated + own.validation_rated
        assert fixed.test.multiply(seen).nnz == 0
        assert fixed.test.multiply(own.test).nnz == fixed.test.nnz < own.test.nnz + (ratio == max(RATIOS))
        parts.append(fixed)
    for name in ("test", "train_rated", "validation_rated"):  # all that evaluation reads: positives and candidates
        assert all((getattr(part, name) != getattr(parts[0], name)).nnz == 0 for part in parts)


def test_a_ratio_above_the_fixed_one_is_refused(dataset) -> None:
    with pytest.raises(ConfigError, match="at least the training ratio"):
        fixed_test(replace(BASE, settings={SETTING: 0.75}), dataset, 0.7)


def slow_recall(ratings: pd.DataFrame, ratio: float, seed: int, n: int) -> tuple[dict[int, float], ...]:
    """Recall@n by user of a list of the most liked items of the training part, on both tests, by sets and loops."""
    rows = list(range(len(ratings)))
    order = np.arange(len(ratings))
    np.random.default_rng(seed).shuffle(order)
    likes, found = [0] * (ratings["item"].max() + 1), []
    users, items, liked = ratings["user"].tolist(), ratings["item"].tolist(), (ratings["rating"] >= 4).tolist()
    for row in order[: round(ratio * len(rows))]:
        likes[items[row]] += liked[row]
    for tested in (1 - ratio - 0.2, 1 - max(RATIOS) - 0.2):
        test = set(order[len(rows) - round(tested * len(rows)):].tolist())
        rated: dict[int, set[int]] = {user: set() for user in users}
        wanted: dict[int, set[int]] = {user: set() for user in users}
        for row in rows:
            if row not in test:
                rated[users[row]].add(items[row])
            elif liked[row]:
                wanted[users[row]].add(items[row])
        result = {}
        for user in sorted(user for user in wanted if wanted[user]):
            candidates = [item for item in range(len(likes)) if item not in rated[user]]
            best = sorted(candidates, key=lambda item: (-likes[item], item))[:n]
            result[user] = len(wanted[user] & set(best)) / len(wanted[user])
        found.append(result)
    return tuple(found)


def recall_on_training(ratings: pd.DataFrame, ratio: float, seed: int, n: int) -> dict[int, float]:
    """Recall@n by user of the same list on the training part itself, of all items."""
    order = np.arange(len(ratings))
    np.random.default_rng(seed).shuffle(order)
    liked = ratings.iloc[order[: round(ratio * len(ratings))]].query("rating >= 4")
    counts = liked["item"].value_counts()
    best = set(sorted(range(ratings["item"].max() + 1), key=lambda item: (-counts.get(item, 0), item))[:n])
    return {user: len(best & set(items)) / len(items) for user, items in liked.groupby("user")["item"]}


@pytest.mark.parametrize("ratio", [0.55, 0.7, 0.75])
def test_both_arms_against_a_plain_slow_count(dataset, ratio: float) -> None:
    spec = RunSpec("shop", "Popularity", preset="tiny", split_seed=1, seed=1, settings={SETTING: ratio})
    record = run_or_load(spec, fixed_ratio=max(RATIOS))
    own, fixed = slow_recall(dataset.ratings, ratio, 1, 10)
    assert record.per_user["recall@10"].to_dict() == pytest.approx(own)
    assert record.per_user["fixed_recall@10"].dropna().to_dict() == pytest.approx(fixed)
    assert record.data["fixed_test"]["recall@10"] == pytest.approx(np.mean(list(fixed.values())))
    assert record.data["users"]["fixed_test"]["evaluated"] == len(fixed)
    learned = recall_on_training(dataset.ratings, ratio, 1, 10)
    assert record.data["training"]["recall@10"] == pytest.approx(np.mean(list(learned.values())))
    gap = {user: learned[user] - fixed[user] for user in fixed if user in learned and user in own}
    assert record.per_user["gap_recall@10"].dropna().to_dict() == pytest.approx(gap)
    assert record.data["fixed_ratio"] == 0.75


def test_a_record_with_a_fixed_test_is_one_of_its_own_and_agrees_with_the_plain_one(workspace: Path) -> None:
    spec = RunSpec("shop", "BPR-MF", preset="tiny", settings={SETTING: 0.6})
    plain, (both,) = run_or_load(spec), run_many([spec], fixed_ratio=0.75)
    assert not both.failed, both.data["error"]
    assert plain.folder != both.folder
    pd.testing.assert_frame_equal(plain.per_user, both.per_user[list(plain.per_user)], check_exact=True)
    assert run_or_load(spec, fixed_ratio=0.75).data == both.data


def made(model: str, printed: dict[float, float], fixed: dict[float, float], failed: bool = False) -> list[RunRecord]:
    """Two splits of 100 users at each ratio, half of them in the fixed test; all differences exact."""
    records = []
    for ratio, mean in printed.items():
        for seed in (0, 1):
            noise = 0.1 * np.random.default_rng(seed).random(100)
            table = pd.DataFrame(dict.fromkeys(("recall@20", "auc@100", "full_auc"), mean + noise))
            tested = table[:50] - mean + fixed[ratio]
            learned = 0 * tested + ratio
            table = table.join([tested.add_prefix("fixed_"), learned.add_prefix("gap_")]).rename_axis("user")
            spec = {"model": model, "split_seed": seed, "seed": seed, "modalities": None, "clusters": "own",
                    "settings": {SETTING: ratio}}
            data = {"spec": spec, "status": "failed" if failed else "done", "error": "planted" if failed else ""}
            records.append(RunRecord(Path("nowhere"), data, None if failed else table))
    return records


RECORDS = [*made("MRLM", {0.7: 0.5, 0.75: 0.4, 0.65: 0.3}, {0.65: 0.2, 0.7: 0.3, 0.75: 0.4}),
           *made("Popularity", {0.65: 0.3, 0.7: 0.2, 0.75: 0.1}, {0.65: 0.1, 0.7: 0.1, 0.75: 0.1})]


def test_curves_have_both_arms_in_the_order_of_the_ratios() -> None:
    table = training_ratio.curves(RECORDS, "recall@20")
    mrlm = table[(table["model"] == "MRLM") & (table["arm"] == "fixed test")]
    assert mrlm["ratio"].tolist() == [0.65, 0.7, 0.75]
    np.testing.assert_allclose(np.diff(mrlm["mean"]), 0.1)
    assert table["runs"].eq(2).all()


def test_steps_are_paired_and_the_test_sets_own_effect_is_the_arms_difference() -> None:
    steps = training_ratio.steps(RECORDS, "recall@20")
    assert steps.loc[("MRLM", "65% to 70%")].tolist() == pytest.approx([0.1] * 3)
    assert steps.loc[("Popularity", "70% to 75%")].tolist() == pytest.approx([0.0] * 3, abs=1e-12)
    lead = training_ratio.steps(RECORDS, "recall@20", training_ratio.GAP)
    assert lead.loc[("MRLM", "70% to 75%")].tolist() == pytest.approx([0.05] * 3)
    effect = training_ratio.test_set_effect(RECORDS, "recall@20")
    assert list(effect.index) == ["MRLM", "Popularity"]
    half = np.mean([np.diff([np.random.default_rng(seed).random(100)[:50].mean(),
                             np.random.default_rng(seed).random(100).mean()]) for seed in (0, 1)]) * 0.1
    np.testing.assert_allclose(effect.loc["MRLM"], np.array([0.1, 0.2, 0.0]) + half)


def test_sentences_tell_the_arms_apart() -> None:
    text = " ".join(training_ratio.sentences(RECORDS, "recall@20"))
    assert "From 70% to 75% of the ratings in training, Recall@20 of MRLM changes by -0.1000 as printed" in text
    assert "and by 0.1000 [0.1000, 0.1000] on the fixed test (more data helps)" in text
    assert "which grows where it overfits, changes by 0.0500 [0.0500, 0.0500]." in text
    assert "Its mean is highest at 70% as printed, at 75% on the fixed test" in text
    assert "Popularity changes by -0.1000 as printed" in text
    assert "(no difference that can be told)" in text
    assert "AUC@100 as printed: MRLM rises 65% to 70%, falls 70% to 75% (" in text
    assert "AUC@100 fixed test: MRLM rises 65% to 75% (" in text
    paper = "The paper's MRLM rises 55% to 70%, falls 70% to 75% (0.8732, 0.8845, 0.8921, 0.8976, 0.8893)."
    assert text.count(paper) == len(training_ratio.ARMS)
    failed = made("EASE", {0.7: 0.1}, {0.7: 0.1}, failed=True)
    assert training_ratio.sentences(failed, "recall@20") == ["2 runs failed.", "No model has run."]
    assert training_ratio.sentences([*RECORDS, *failed], "recall@20")[0] == "2 runs failed."
    lacking = [RunRecord(run.folder, run.data | {"status": "not run", "error": "needs text"}, None) for run in failed]
    assert training_ratio.sentences([*RECORDS, *lacking], "recall@20")[0] == "EASE was not run: needs text."


def test_a_model_that_lacks_a_ratio_is_told_by_those_it_has() -> None:
    ratios = [record.data["spec"]["settings"][training_ratio.SETTING] for record in RECORDS]
    some = [record for record, ratio in zip(RECORDS, ratios, strict=True) if (record.label, ratio) != ("MRLM", 0.75)]
    assert len(some) == len(RECORDS) - 2
    text = " ".join(training_ratio.sentences(some, "recall@20"))
    assert "AUC@100 as printed: MRLM rises 65% to 70% (" in text
    assert "Popularity falls 65% to 75% (" in text


def test_of_one_ratio_there_is_no_step() -> None:
    assert training_ratio.steps(made("EASE", {0.7: 0.1}, {0.7: 0.1}), "recall@20").empty


def test_sentences_name_a_training_that_ended_at_its_count_of_epochs() -> None:
    first, *others = RECORDS
    cut = RunRecord(first.folder, first.data | {"epochs": {"run": 20, "best": 19}}, first.per_user)
    assert "MRLM (1 of 6 runs)" in training_ratio.sentences([cut, *others], "recall@20")[-1]
    assert "(1 of 6 runs)" not in " ".join(training_ratio.sentences(RECORDS, "recall@20"))


def test_the_papers_curve_is_fig_5() -> None:
    assert training_ratio.paper_curve().to_dict() == {
        0.55: 0.8732, 0.6: 0.8845, 0.65: 0.8921, 0.7: 0.8976, 0.75: 0.8893}


def test_the_figure_has_a_panel_an_arm_and_the_papers_line_on_the_printed_one() -> None:
    table = training_ratio.curves(RECORDS, "auc@100")
    figure = training_ratio.ratio_figure(table, "auc@100", "title", training_ratio.paper_curve())
    assert [axes.get_title() for axes in figure.axes] == ["as printed", "fixed test"]
    assert [len(axes.lines) for axes in figure.axes] == [3, 2]

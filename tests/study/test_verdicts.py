"""Verdicts follow from planted records by the rules of the page that explains them."""

import pytest
from planted import not_run, runs, source, verdict, with_parts

from mrlm_core.study import claims
from mrlm_core.study.claims import Source
from mrlm_core.study.growth import Growth
from mrlm_core.study.paper_checks import auc_readings
from mrlm_core.study.verdicts import (
    CONTRADICTED,
    DIRECTION,
    NOT,
    REPRODUCED,
    UNTESTED,
    verdicts,
)


def test_every_claim_gets_a_verdict_even_where_nothing_has_run() -> None:
    found = verdicts([Source("shop", {})])
    assert len(verdicts([Source("shop", {}), Source("movielens", {})])) == 2 * len(found) - 1  # C37 needs no runs
    assert [v.claim.name for v in found] == list(claims.claims())
    assert {v.verdict for v in found if v.claim.name != "C37"} == {UNTESTED}
    assert all(v.evidence for v in found)


@pytest.mark.parametrize(
    ("ours", "word"), [(1.2121, REPRODUCED), (1.5, DIRECTION), (1.0, NOT), (0.8, CONTRADICTED)]
)
def test_a_claim_of_one_comparison(ours: float, word: str) -> None:
    found = verdict("C02", source(MRLM=0.3 * ours, CKEplus=0.3))
    assert found.verdict == word
    assert "the paper: 1.212" in found.evidence
    assert (found.splits, found.chapter) == (3, "04_baselines")
    if word == NOT:
        assert "could pass unseen" in found.evidence


def test_a_claim_about_all_fails_on_one_and_holds_on_all_only() -> None:
    everything = {f"{name}{sign}": 0.3 for name in claims.ORDER for sign in ("", "plus")}
    assert verdict("C01", source(MRLM=0.4, **everything)).verdict == REPRODUCED
    assert verdict("C01", source(MRLM=0.4, **{**everything, "HAUP": 0.5})).verdict == CONTRADICTED
    assert verdict("C01", source(MRLM=0.4, **{**everything, "HAUP": 0.4})).verdict == NOT
    some = verdict("C01", source(MRLM=0.4, HAUP=0.3))
    assert some.word == UNTESTED
    assert some.verdict == UNTESTED
    assert "needs a run of xDeepFM; a run of Covington" in some.evidence
    assert "of 160 comparisons 8 are at hand (reproduced on these" in some.evidence
    assert verdict("C01", source(MRLM=0.4, HAUP=0.5)).verdict == CONTRADICTED


def test_a_claim_about_most_counts() -> None:
    pairs = {f"{name}{sign}": 0.3 for name in claims.ORDER for sign in ("", "plus")}
    better = {f"{name}plus": 0.35 for name in claims.ORDER[:6]}
    assert verdict("C08", source(**{**pairs, **better})).verdict == REPRODUCED
    assert verdict("C08", source(**{**pairs, **dict.fromkeys(better, 0.25)})).verdict == CONTRADICTED
    assert verdict("C08", source(**pairs)).verdict == NOT


def test_a_claim_about_most_is_not_decided_by_a_few_of_them() -> None:
    pairs = {f"{name}{sign}": 0.3 for name in claims.ORDER for sign in ("", "plus")}
    one = {"xDeepFMplus": 0.25, "xDeepFM": 0.3}
    for worse in (0.25, 0.35):
        found = verdict("C08", source(**{**one, "xDeepFMplus": worse}))
        assert found.verdict == UNTESTED
        assert "of 80 comparisons 8 are at hand" in found.evidence
    without_one = {name: level for name, level in pairs.items() if not name.startswith("MRTA")}
    better = {f"{name}plus": 0.35 for name in claims.ORDER[:6]}
    assert verdict("C08", source(**{**without_one, **better})).verdict == REPRODUCED, "six of ten, whatever the last"


def test_the_median_of_a_few_is_not_the_median_of_all() -> None:
    assert verdict("C09", source(xDeepFMplus=0.5, xDeepFM=0.3)).verdict == UNTESTED


@pytest.mark.parametrize(("tests", "gaps", "word"), [
    ((0.4, 0.3), (0.1, 0.2), REPRODUCED), ((0.4, 0.3), (0.1, 0.1), NOT), ((0.4, 0.3), (0.2, 0.1), CONTRADICTED),
    ((0.3, 0.4), (0.1, 0.2), CONTRADICTED)])
def test_overfitting_is_a_fall_on_a_fixed_test_and_a_gap_that_grows(tests, gaps, word: str) -> None:
    by_share = zip(("70%", "75%"), tests, gaps, strict=True)
    models = {f"MRLM, {share} for training": with_parts(runs("MRLM", level, noise=0.02), gap)
              for share, level, gap in by_share}
    for record in (record for made in models.values() for record in made):
        record.per_user["gap_auc@100"] = 0.0  # the cutoff caps it: not what is asked
    assert verdict("C25", Source("shop", models)).verdict == word


@pytest.mark.parametrize(("fixed", "word"), [(0.0, REPRODUCED), (-0.2, CONTRADICTED)])
def test_more_training_ratings_must_help_on_a_fixed_test_too(fixed: float, word: str) -> None:
    models = {f"MRLM, {share}% for training": with_parts(runs("MRLM", level), 0.0)
              for share, level in ((55, 0.3), (60, 0.35), (65, 0.4), (70, 0.45), (75, 0.4))}
    for run in models["MRLM, 65% for training"]:
        run.per_user[["fixed_auc@50", "fixed_auc@100"]] += fixed
    assert verdict("C23", Source("shop", models)).verdict == word


def test_the_cause_that_a_claim_names_is_borne_out_against_all_its_controls() -> None:
    controls = ("permuted clusters", "random clusters", "clusters of initial vectors")
    models = {"MRLM": runs("MRLM", 0.4), **{name: runs(name, 0.3) for name in controls}}
    assert verdict("C16", Source("shop", models)).verdict == REPRODUCED
    level = {**models, controls[2]: runs(controls[2], 0.4)}
    assert verdict("C16", Source("shop", level)).verdict == NOT
    lacking = verdict("C16", Source("shop", {name: made for name, made in models.items() if name != controls[2]}))
    assert lacking.verdict == UNTESTED
    assert "needs a run of clusters of initial vectors" in lacking.evidence


@pytest.mark.parametrize(("gain", "word"), [(1.02, REPRODUCED), (1.1, NOT), (1.4, CONTRADICTED)])
def test_a_claim_of_equality_needs_equivalence(gain: float, word: str) -> None:
    pairs = {f"{name}{sign}": 0.3 * (gain if sign else 1) for name in claims.ORDER for sign in ("", "plus")}
    found = verdict("C09", source(**pairs))
    assert found.verdict == word
    assert "median" in found.evidence


def test_too_few_data_do_not_show_equality() -> None:
    noisy = {name: runs(name, 0.3, seeds=1, noise=1.0) for name in ("CAMN+", "CAMN", "CKE+", "CKE")}
    assert verdict("C10", Source("bookcrossing", noisy)).verdict == NOT


def test_models_that_are_the_same_are_equal_by_construction_and_compared_once() -> None:
    same = not_run("CKE+", "the same as CKE: no modality here that it does not read")
    camn = not_run("CAMN+", "the same as CAMN: no modality here that it does not read")
    where = Source("bookcrossing", {"CKE+": same, "CAMN+": camn, "CKE": runs("CKE", 0.2), "MRLM": runs("MRLM", 0.3)})
    assert verdict("C10", where).verdict == REPRODUCED
    assert "by construction" in verdict("C10", where).evidence
    assert [pair.under for pair in claims.pairs(claims.claims()["C03"], where)] == ["CKE"]


def test_a_dataset_is_asked_about_the_claims_of_the_one_that_it_stands_for() -> None:
    levels = {"MRLM": 0.3, "CKEplus": 0.2}
    assert "stands for another" in verdict("C03", source("movielens-latest-small", **levels)).evidence
    assert verdict("C02", source("movielens-latest-small", **levels)).verdict == DIRECTION
    assert verdict("C03", source("shop", CKE=0.2, **levels)).verdict == DIRECTION


def test_levels_belong_to_their_dataset() -> None:
    assert verdict("C35", source("movielens-latest-small", MRLM=0.4)).verdict == UNTESTED
    assert "(the paper: 0.3516)" in verdict("C35", source("movielens-latest-small", MRLM=0.4)).evidence
    assert verdict("C35", source("movielens-20m", MRLM=0.4)).verdict == CONTRADICTED
    exact = runs("MRLM", 0.0)
    for run in exact:
        for cutoff in (10, 20, 50, 100):
            run.per_user[f"recall@{cutoff}"] += claims.level("MRLM", f"recall@{cutoff}", "ML20M")
    assert verdict("C35", Source("movielens-20m", {"MRLM": exact})).verdict == REPRODUCED
    assert verdict("C36", source("bookcrossing-implicit", MRLM=0.4)).verdict == UNTESTED
    apart = Source("movielens-20m", {"MRLM": exact[:2]})
    for split, run in enumerate(apart.records["MRLM"]):
        run.per_user[:] += 0.2 * (1 - 2 * split)
    assert verdict("C35", apart).verdict == NOT, "an interval so wide holds any level"


def test_a_reading_that_cannot_be_excluded_keeps_a_claim_from_being_contradicted() -> None:
    assert min(auc_readings().values()) > 0
    assert verdict("C37", Source("shop", {})).verdict == NOT


def test_modalities_take_the_papers_percentage_of_their_letter() -> None:
    alone = {"text_alone": 1.0901, "image_alone": 1.2204, "video_alone": 1.2465, "knowledge_alone": 1.3966}
    exact = {name: 0.6 / ratio for name, ratio in alone.items()}
    assert verdict("C18", source(MRLM=0.6, **exact)).verdict == REPRODUCED
    order = verdict("C20", source(**exact))
    assert order.verdict == REPRODUCED
    assert "all of the order in 100.0% at AUC@100" in order.evidence
    assert "trend over splits, Page's p = 7.2e-05 at AUC@100" in order.evidence  # three of three are 1 of 24 orders
    swapped = {**exact, "image_alone": exact["knowledge_alone"]}
    assert verdict("C20", source(**swapped)).verdict == CONTRADICTED
    assert "2 metrics" not in order.evidence
    part = verdict("C20", source(**{name: exact[name] for name in ("text_alone", "image_alone")}))
    assert "first of all" not in part.evidence
    assert "4 metrics on average" in verdict("C21", source(**exact)).evidence


def test_simple_models_are_represented_by_the_best_on_validation() -> None:
    where = source(MRLM=0.3, EASE=0.35, Popularity=0.2)
    found = verdict("C34", where)
    assert found.verdict == CONTRADICTED
    assert "EASE is the best simple model on validation" in found.evidence
    partly = verdict("C34", source(MRLM=0.4, EASE=0.35, Popularity=0.2))
    assert partly.verdict == UNTESTED
    assert "needs a run of ItemKNN" in partly.evidence


def test_latest_items_need_timestamps() -> None:
    def told(by: str) -> Source:
        report = {"report": {"latest_by": by}}
        return Source("shop", {"MRLM": runs("MRLM", 0.4, **report),
                               "without latest items": runs("without latest items", 0.3, **report)})

    assert verdict("C30", told("timestamp")).verdict == REPRODUCED
    assert verdict("C30", told("random order, seeded")).evidence == "needs a dataset with timestamps"


def test_a_metric_that_is_full_for_everyone_tells_nothing() -> None:
    levels = {"MRLM": runs("MRLM", 0.4), "U-GFRL": runs("U-GFRL", 0.3)}
    for run in (*levels["MRLM"], *levels["U-GFRL"]):
        run.per_user["recall@100"] = 1.0
    found = verdict("C13", Source("shop", levels))
    assert found.verdict == UNTESTED
    assert "a larger catalogue (Recall@100 is 1 for everyone); of 4 comparisons 3 are at hand" in found.evidence


def test_an_average_leaves_out_a_metric_that_is_full_for_everyone() -> None:
    models = {f"{role} alone": runs(f"{role} alone", 0.6 / ratio) for role, ratio in
              (("text", 1.0), ("image", 1.0638), ("video", 1.0716), ("knowledge", 1.1234))}
    held = verdict("C21", Source("shop", models))
    assert held.verdict == REPRODUCED
    for run in (run for made in models.values() for run in made):
        run.per_user["recall@100"] = 1.0
    found = verdict("C21", Source("shop", models))
    assert found.verdict == REPRODUCED, "a ratio of 1 among four would draw the average below the paper's"
    assert "3 metrics on average" in found.evidence


def test_complexity_may_grow_slower_but_not_faster() -> None:
    def measured(low: float, high: float) -> Source:
        return Source("shop", {}, growth={"an epoch by users": (Growth((low + high) / 2, low, high), 1.0)})

    ends = ((0.8, 1.1), (0.5, 0.9), (-0.2, 0.4), (1.15, 1.4), (1.02, 1.09))
    words = [verdict("C38", measured(low, high)).verdict for low, high in ends]
    assert words == [REPRODUCED, DIRECTION, NOT, CONTRADICTED, DIRECTION]


def test_a_claimed_order_holds_where_all_of_it_does_at_once() -> None:
    models = {f"{name}{sign}": 0.3 for name in claims.ORDER for sign in ("", "plus")}
    first = verdict("C33", source(**{**models, "CKEplus": 0.4}))
    assert first.verdict == REPRODUCED
    assert "CKE+ first of all in 100.0% at Recall@10" in first.evidence
    small = source(**{**models, "CKEplus": 0.4})
    for run in [run for runs_of in small.records.values() for run in runs_of]:
        run.per_user["recall@100"] = 1.0
    full = verdict("C33", small)
    assert full.verdict == UNTESTED, "of four metrics one can put nobody first"
    assert "a larger catalogue (Recall@100 is 1 for everyone)" in full.evidence
    assert "at Recall@100" not in full.evidence.split("first of all")[1]
    level = verdict("C33", source(**models))
    assert level.verdict == NOT
    assert "differences of " in level.evidence.split("could pass unseen")[0]

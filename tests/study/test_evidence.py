"""A verdict tells what it rests on, what lacks, and what could pass unseen; the table shows the least favourable."""

from planted import noisy_about, not_run, runs, source, verdict, with_parts

from mrlm_core.evaluation.significance import repetitions_for
from mrlm_core.study import claims, verdict_tables
from mrlm_core.study.claims import Source
from mrlm_core.study.paper_checks import against_itself
from mrlm_core.study.record import RunRecord
from mrlm_core.study.verdicts import (
    CONTRADICTED,
    NOT,
    REPRODUCED,
    UNTESTED,
    Verdict,
    headline,
    verdicts,
)


def test_what_only_holms_correction_leaves_untold_is_counted() -> None:
    """Three splits that differ: each comparison is told apart alone, none among so many; one that is equal never."""
    def spread(name: str, level: float) -> list[RunRecord]:
        made = runs(name, level)
        for split, run in enumerate(made):
            run.per_user[:] += 0.012 * (split - 1)
        return made

    everything = {f"{name}{sign}": runs(f"{name}{sign}", 0.3) for name in claims.ORDER for sign in ("", "+")}
    found = verdict("C01", Source("shop", {"MRLM": spread("MRLM", 0.35), **everything}))
    assert found.verdict == NOT
    counts = "0 above, 0 below, 160 not told apart after Holm's correction (160 of these would be"
    assert f"of 160 comparisons {counts}" in found.evidence
    wide = verdict("C06", Source("shop", {"MRLM": runs("MRLM", 0.6), **everything, "HAUP": runs("HAUP", 0.6),
                                          "CKE": noisy_about("CKE", 0.1)}))
    assert "9 above, 0 below, 1 not told apart;" in wide.evidence
    assert "could pass unseen" not in found.evidence, "each of them is told apart alone"
    unseen = float(wide.evidence.split("differences of up to ")[1].split("%")[0])
    assert unseen < 10, "of HAUP's interval, not of CKE's, which is told apart"
    assert "9 of 10 means higher" in wide.evidence or "10 of 10 means higher" in wide.evidence


def test_all_baselines_are_represented_by_the_best_on_validation_too() -> None:
    models = {f"{name}{sign}": 0.3 for name in claims.ORDER for sign in ("", "plus")}
    found = verdict("C01", source(MRLM=0.4, **{**models, "HAUP": 0.5}))
    assert "of 8 comparisons with HAUP, the best of them on validation, 0 above, 8 below" in found.evidence


def test_models_that_were_stopped_too_soon_are_named() -> None:
    cut, whole = {"epochs": {"run": 12, "best": 10}}, {"epochs": {"run": 30, "best": 10}}
    where = Source("shop", {"MRLM": runs("MRLM", 0.4, **cut), "CKE+": runs("CKE+", 0.3, **whole)})
    assert "stopped sooner than validation asked: MRLM)" in verdict("C02", where).evidence


def test_what_lacks_is_named() -> None:
    where = Source("shop", {"MRLM": runs("MRLM", 0.3), "CKE+": not_run("CKE+", "needs image")})
    assert verdict("C02", where).evidence == "needs a run of CKE+ (needs image)"
    assert verdict("C29", where).evidence == "needs a run of modules in sequence"
    short = runs("U-GFRL", 0.2)
    for run in short:
        run.per_user.drop(columns="auc@50", inplace=True)
    found = verdict("C13", Source("shop", {"MRLM": runs("MRLM", 0.3), "U-GFRL": short}))
    assert found.verdict == UNTESTED
    assert "auc@50" in found.evidence


def test_what_a_test_asks_for_besides_is_told_and_does_not_decide() -> None:
    pair = {"MRLM": 0.3, "U_GFRL": 0.3 / 1.4935}
    alone, beside = verdict("C14", source(**pair)), verdict("C14", source(**pair, random_clusters=0.4))
    assert alone.verdict == beside.verdict == REPRODUCED
    assert "besides, not judged: needs a run of random clusters" in alone.evidence
    assert "besides, not judged: MRLM / random clusters at Recall@50 0.75" in beside.evidence


def test_the_counts_of_each_arm_and_the_trainings_of_a_split_are_told() -> None:
    models = {f"MRLM, {share}% for training": with_parts(runs("MRLM", level), 0.0)
              for share, level in ((55, 0.3), (60, 0.35), (65, 0.4), (70, 0.45), (75, 0.4))}
    for run in models["MRLM, 65% for training"]:
        run.per_user[["fixed_auc@50", "fixed_auc@100"]] -= 0.2
    told = verdict("C23", Source("shop", models)).evidence
    assert "(as printed: 8 above, 0 below, 0 not told apart; on the fixed test: 6 above, 2 below" in told
    assert "(3 splits, 1 training a split" in told


def test_the_draw_does_not_decide_a_family() -> None:
    """With 10,000 repetitions one on the other side would be p of 4e-4, more than 160 tests allow one of them."""
    assert repetitions_for(1) == 10_000
    assert 2 * 3 / repetitions_for(160) * 160 < 0.05


def test_tables_and_sentences_follow_the_verdicts() -> None:
    found = verdicts([source(MRLM=0.3, UGFRL=0.2, EASE=0.35)])
    text = " ".join(verdict_tables.sentences(headline(found), against_itself()))
    assert "Of 38 claims:" in text
    counted = sum(v.verdict == UNTESTED for v in found)
    assert f"**{counted} cannot be tested here**" in text
    html = verdict_tables.styled_verdicts(found, "caption").to_html()
    assert html.count("<tr>") == 39
    assert "&quot;+&quot;" in html  # the claims' own quotation marks, escaped
    assert html.count("<small>on ") == 38
    assert "min-width: 22em" in html  # of the evidence
    assert "background-color: #f4c7c3" in html  # of a claim that is contradicted
    assert "C37" in verdict_tables.by_dataset(found, "caption").to_html()


def test_whose_size_is_the_papers_is_told_by_name() -> None:
    paper = claims.level("MRLM", "recall@100", "ML20M") / claims.level("CKE", "recall@100", "ML20M")
    everything = {name: runs(name, 0.3) for name in claims.ORDER}
    found = verdict("C06", Source("shop", {"MRLM": runs("MRLM", 0.3 * paper), **everything})).evidence
    told = found.split("the paper's size inside the interval in ")[1].split(";")[0]
    assert told == "1 of 10 (CKE)"


def test_where_a_mean_may_be_0_any_size_could_pass_unseen() -> None:
    apart = Source("shop", {"MRLM": runs("MRLM", 0.2), "CKE+": runs("CKE+", 0.2)})
    for split, run in enumerate(apart.records["CKE+"]):
        run.per_user[:] += 0.4 * (split - 1)
    for split, run in enumerate(apart.records["MRLM"]):
        run.per_user[:] -= 0.4 * (split - 1)
    found = verdict("C02", apart)
    assert found.verdict == NOT
    assert "differences of up to any size could pass unseen" in found.evidence
    nothing = Source("shop", {name: runs(name, 0.2) for name in ("MRLM", "CKE+")})
    for run in [*nothing.records["MRLM"], *nothing.records["CKE+"]]:
        run.per_user[:] = 0.0
    assert "differences of up to any size could pass unseen" in verdict("C02", nothing).evidence


def test_where_a_plus_is_the_same_model_the_papers_size_is_still_that_of_the_plus() -> None:
    theirs = claims.level("MRLM", "recall@100", "ML20M") / claims.level("CKE+", "recall@100", "ML20M")
    where = source("movielens", MRLM=0.3 * theirs, CKE=0.3)
    where.records["CKE+"] = not_run("CKE+", f"{claims._SAME}CKE: nothing more to read")
    assert verdict("C02", where).verdict == REPRODUCED


def test_headline_prefers_what_was_tested_on_the_papers_kind_of_data_on_several_splits() -> None:
    claim = claims.claims()["C13"]
    lacking, film = Verdict(claim, "bookcrossing", UNTESTED, ""), Verdict(claim, "movielens", REPRODUCED, "", 3)
    single, shop = Verdict(claim, "movielens", CONTRADICTED, "", 1), Verdict(claim, "shop", NOT, "", 5)
    assert headline([shop, lacking, film, single]) == [film]
    assert headline([shop, single]) == [single], "and it says that it is of one split"
    assert headline([lacking, shop]) == [shop]
    assert headline([lacking]) == [lacking]
    about_films = claims.claims()["C35"]
    of_books, of_films = (Verdict(about_films, name, UNTESTED, "") for name in ("bookcrossing", "movielens-1m"))
    assert headline([of_books, of_films]) == [of_films], "it shows our level beside the paper's"
    shown = verdict("C35", Source("movielens-latest-small", {"MRLM": runs("MRLM", 0.4, seeds=1)}))
    assert headline([of_films, shown]) == [shown], "a level that is shown goes before none"
    assert (shown.word, shown.alone) == (UNTESTED, False)
    assert f"**1 {UNTESTED}**" in " ".join(verdict_tables.sentences([shown], against_itself()))


def test_headline_does_not_hide_where_a_claim_fails() -> None:
    claim = claims.claims()["C13"]
    books, films = Verdict(claim, "bookcrossing", REPRODUCED, "", 5), Verdict(claim, "movielens", CONTRADICTED, "", 3)
    assert headline([books, films]) == [films]
    assert headline([films, books]) == [films]


def test_only_splits_that_all_have_count_and_seeds_are_averaged() -> None:
    where = Source("shop", {"MRLM": runs("MRLM", 0.4, seeds=3), "U-GFRL": runs("U-GFRL", 0.3, seeds=2)})
    assert verdict("C13", where).splits == 2
    again = runs("MRLM", 0.2, seeds=1)
    again[0].data["spec"]["seed"] = 7
    both = Source("shop", {"MRLM": [*runs("MRLM", 0.4, seeds=1), *again], "U-GFRL": runs("U-GFRL", 0.3, seeds=1)})
    found = verdict("C14", both)
    assert found.evidence.startswith("MRLM / U-GFRL at Recall@50 1.0")
    assert "1 split, 1 to 2 trainings a split; spread of users alone" in found.evidence


def test_a_single_split_gives_no_verdict() -> None:
    models = {"MRLM": runs("MRLM", 0.4, seeds=1), "U-GFRL": runs("U-GFRL", 0.3, seeds=1)}
    found = verdict("C13", Source("shop", models))
    assert (found.verdict, found.word) == (REPRODUCED, "reproduced on one split alone")
    assert "#b7e1cd" not in verdict_tables.styled_verdicts([found], "caption").to_html()  # of what is reproduced
    text = " ".join(verdict_tables.sentences([found], against_itself()))
    assert "**0 reproduced**" in text
    assert "no verdict: reproduced C13." in text

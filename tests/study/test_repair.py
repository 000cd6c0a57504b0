"""The chain of repairs: what is kept, what it builds on, and that test has no say; runs are played by a table."""

import numpy as np
import pandas as pd
import pytest

from mrlm_core.baselines import registry
from mrlm_core.errors import ConfigError
from mrlm_core.study import repair
from mrlm_core.study.repair import END, PRINTED, REPAIRED, STEPS, Step, chain, chosen, fate, links_kept, told
from mrlm_core.study.repair_figures import chain_figure
from mrlm_core.study.repair_findings import chain_table, end_table, on_rare_items, sentences
from mrlm_core.study.spec import RunSpec
from mrlm_core.study.variants import NamedRecord

BASE = RunSpec("shop", PRINTED, preset="tiny")
GOOD, BAD, OTHER, BROKEN = (Step("good", "g", settings={"model.dropout": 0.1}),
                            Step("bad", "b", settings={"model.dropout": 0.5}),
                            Step("other model", "o", REPAIRED, hyperparameters={"skip": False}),
                            Step("broken", "x", hyperparameters={"skip": True}))
VERIFIED = Step("verified", "v", settings={"model.verification": "repaired"})
FASTER, SLOWER = (Step(name, "f", hyperparameters={"learning_rate": rate})
                  for name, rate in (("faster", 0.1), ("slower", 0.01)))
VALIDATION = {PRINTED: (0.2, 0.4), "good": (0.25, 0.45), "bad": (0.5, 0.1), "other model": (0.1, 0.1),
              "broken": (np.nan, 0.9), "verified": (0.3, 0.42), "faster": (0.2, 0.2), "slower": (0.3, 0.3)}


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
    assert {"preset": "tiny", "max_epochs": 3}.items() <= played[2].spec.hyperparameters.items()
    np.testing.assert_allclose(links[2].moved, [0.15, 0.35])  # against the model that it is a change of


def test_another_model_leaves_what_both_have_as_validation_chose_it():
    """Dropout as the step before set it, batch and learning rate of the tiny preset; not the defaults of MRLM-R."""
    links = chain(BASE, [GOOD, OTHER], 2)
    training, own = BASE.config.training, told(links[2].spec)
    assert (own["dropout"], own["batch_size"], own["learning_rate"]) == (0.1, 32, training.learning_rate)
    assert own["batch_size"] != registry.row(REPAIRED).defaults["batch_size"]
    assert links[2].spec.settings == {}, "MRLM's settings say nothing of it"
    assert set(links[2].held) == set(repair.SAME) - {"objective"}
    assert links[1].held == {}


def test_the_switch_says_what_changes_with_it_and_no_more_where_that_was_chosen_before():
    steps = {step.name: step for step in STEPS}
    switch = steps["trained on the score that ranks"]
    after = switch.applied(BASE)
    assert repair.differing(after, BASE) == {"model": REPAIRED, "objective": "bpr", "model.lambda_1": 1.0,
                                             "model.lambda_2": 0.0}
    before = steps["L_g1 alone"].applied(steps["L_g1 in the form of BPR"].applied(BASE))
    assert before.model == PRINTED
    assert repair.differing(switch.applied(before), before) == {"model": REPAIRED}
    assert steps["batches, dropout and learning rate"].applied(after).hyperparameters["batch_size"] == 1024


def test_what_the_later_model_cannot_carry_is_left_behind_and_not_counted():
    links = chain(BASE, [VERIFIED, OTHER], 2)
    assert [fate(link, links[-1].spec) for link in links] == ["start", "left behind", "not a choice"]
    text = " ".join(sentences(links, RunSpec("shop", REPAIRED), [], []))
    assert "0 of 1 steps" in text
    assert "left behind with it, because MRLM-R has nothing of the kind: verified (+0.0600)." in text
    assert "Not a choice, but the change to the model MRLM-R: other model, -0.2600." in text
    assert [fate(link, links[1].spec) for link in links[:2]] == ["start", "yes"], "as long as the model is MRLM"


def test_a_setting_that_a_later_step_makes_another_is_replaced():
    links = chain(BASE, [OTHER, FASTER, SLOWER], 2)
    assert [fate(link, links[-1].spec) for link in links[2:]] == ["replaced", "yes"]
    assert "replaced by a later step: faster" in " ".join(sentences(links, RunSpec("shop", REPAIRED), [], []))


def test_a_step_that_changes_nothing_is_not_the_start():
    changed = RunSpec("shop", PRINTED, preset="tiny", settings={"model.dropout": 0.1})
    again = Step("verified", "v", settings={"model.dropout": 0.1})
    link = repair.Link("again", "", again.applied(changed), changed, [], np.zeros(2), False)
    assert fate(link, changed) == "no"


def test_how_the_end_differs_from_the_row_is_read_off_both():
    links = chain(BASE, [OTHER], 2)
    table = end_table(links, RunSpec("shop", REPAIRED, preset="tiny"))
    assert table.loc["skip"].to_dict() == {END: "False", REPAIRED: "True"}
    assert table.loc["batch_size"].to_dict() == {END: "32", REPAIRED: "1024"}
    assert table.loc["learning_rate"].to_dict() == {END: "0.001", REPAIRED: "0.0002"}
    assert "factor_l2" not in table.index
    text = sentences(links, RunSpec("shop", REPAIRED, preset="tiny"), [], [])
    assert any("skip False (there True)" in sentence for sentence in text)
    same = sentences(links, links[-1].spec, [], [])
    assert any("every hyperparameter as MRLM-R" in sentence for sentence in same)


def test_the_figure_shows_what_is_left_behind_unlike_what_is_in_the_end():
    figure = chain_figure(chain(BASE, [VERIFIED, OTHER, BROKEN], 2), {"EASE": 0.2}, "T")
    faces = [points.get_facecolor()[0].tolist()[:3] for points in figure.axes[0].collections[1::2]]
    assert faces[0] == faces[2] != faces[1] == faces[3] == [1.0, 1.0, 1.0]
    edges = [points.get_edgecolor()[0].tolist()[:3] for points in figure.axes[0].collections[1::2]]
    assert edges[1] == edges[0] != edges[3]


def test_a_step_that_failed_on_a_split_is_not_kept_and_says_why():
    links = chain(BASE, [OTHER, BROKEN], 2)
    assert not links[2].kept
    assert chain_table(links)["kept"]["broken"] == "failed: no luck"


def test_without_the_printed_method_there_is_no_chain(monkeypatch):
    monkeypatch.setitem(VALIDATION, PRINTED, (np.nan, 0.2))
    with pytest.raises(ConfigError, match="MRLM on shop: expected a result on every split, found no luck"):
        chain(BASE, [GOOD], 2)


def test_the_table_has_no_move_for_the_start():
    table = chain_table(chain(BASE, [GOOD, BAD], 2))
    assert np.isnan(table["moved"][PRINTED])
    assert list(table["kept"]) == ["start", "yes", "no"]
    assert list(table["changes"]) == ["", "dropout = 0.1", "dropout = 0.5"]
    assert table["least"]["bad"] == pytest.approx(-0.35)
    assert not {"least", "most"} & set(chain_table(chain(BASE, [GOOD, BAD], 1))), "of one split they are the mean"


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
    rival, row = ([record("good", RunSpec("shop", name), seed) for seed in range(2)] for name in ("iALS", REPAIRED))
    rival = [NamedRecord(one.folder, one.data, one.per_user + 0.5, "iALS") for one in rival]
    records = [*rival, *repair.renamed(row, REPAIRED), *repair.renamed(links_kept(links)[-1].records)]
    text = " ".join(sentences(links, RunSpec("shop", REPAIRED), records, ["iALS", "EASE"]))
    assert "From 0.3000 to 0.3500 on validation; 1 of 2 steps that validation had a say in" in text
    assert "**good**: +0.0500" in text
    assert "Not kept: bad (" in text
    assert "On test, end of the chain: below iALS (-0.5" in text
    assert "not told apart from MRLM-R (0.0000" in text
    assert "On test, MRLM-R: below iALS (-0.5" in text
    assert "EASE" not in text  # did not run
    rival[0].data["epochs"] = {"run": 20, "best": 19}
    assert "iALS (1 of 2 runs)" in sentences(links, RunSpec("shop", REPAIRED), records, ["iALS"])[-1]


def placed(name, places):
    """User u's two test positives, on items of 0 and of 3 training positives; the first at ``places[u]``."""
    both = np.ravel([(place, 50) for place in places])
    table = pd.DataFrame({"item": 0, "train_positives": [0, 3] * len(places), "place": both},
                         index=pd.Index(np.repeat(np.arange(len(places)), 2), name="user"))
    return NamedRecord(None, {"status": "done", "spec": {"split_seed": 0}}, table, name)


def test_on_rare_items_it_says_who_is_ahead_and_who_is_not_told_apart():
    ahead, behind, mixed = [1] * 12, [30] * 12, [1, 30] * 6
    records = [placed(END, ahead), placed(REPAIRED, mixed), placed("iALS", behind), placed("EASE", mixed)]
    rarest, next_one = on_rare_items(records, [0, 2, 5], 20)
    assert rarest.startswith("Recall@20 on items with 0 training positives (12 test positives a run): end of the chain "
                             "reaches 1.0000, above iALS (1.0000 [1.0000, 1.0000]); above EASE (0.5000")
    assert "MRLM-R reaches 0.5000, above iALS (0.5000" in rarest
    assert "not told apart from EASE (0.0000" in rarest
    assert "VBPR" not in rarest  # did not run
    printed, = [on_rare_items([*records, placed(PRINTED, ahead)], [0, 2, 5], 20)[0]]
    assert "below MRLM (-0.5000" in printed.split("MRLM-R reaches")[1], "what it was made from is held beside it too"
    assert next_one == ("Recall@20 on items with 3-5 training positives (12 test positives a run): "
                        "0 for all models of this chapter.")
    rated_too = [NamedRecord(None, one.data, one.per_user.assign(train_positives=np.tile([3, 9], 12)), one.name)
                 for one in records]
    assert len(on_rare_items(rated_too, [0, 2, 5], 20)) == 1, "items of 9 ratings are the most popular bucket"
    assert len(on_rare_items(rated_too, [0, 2, 5, 9], 20)) == 2, "here they are not"
    never = [NamedRecord(None, one.data, one.per_user.assign(train_positives=np.tile([9, 3], 12)), one.name)
             for one in records]
    assert [told.split(" ")[4] for told in on_rare_items(never, [0, 2, 5], 20)] == ["3-5"]
    assert [told.split(" ")[4] for told in on_rare_items(records, [2, 5], 20)] == ["0-2", "3-5"]

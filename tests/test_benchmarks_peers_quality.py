"""What the peers' quality benchmark does without the peers: export, orders, a fake library's lists, verdicts."""

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

ROOT = Path(__file__).resolve().parent.parent
NAME = "iot-shop-tiny"


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    sys.modules.pop("benchmarks", None)


@pytest.fixture
def exported(tmp_path, monkeypatch):
    from benchmarks.peers.quality_data import export
    from mrlm_core.datasets.iot_shop import make_iot_shop

    monkeypatch.setenv("MRLM_WORKSPACE", str(tmp_path))
    make_iot_shop(tmp_path / "data" / NAME, size="tiny")
    (tmp_path / "export").mkdir()
    return export(NAME, tmp_path / "export", ("fields", "triples", "words"))


class Fake:
    """Stands for a library's process: answers each order by ranking the items by ``score``."""

    def __init__(self, score=lambda items: -items, spoil=None, error=""):
        self.score, self.spoil, self.error, self.orders = score, spoil, error, []

    def ask(self, order):
        from benchmarks.peers.exported import arrays, write_lists

        self.orders.append(order)
        if self.error:
            return {"error": self.error}
        n_items = int(arrays(order["folder"])["shape"][1])
        scores = self.score(np.arange(n_items)) * order["settings"].get("sign", 1)
        write_lists(order["folder"], order["kept"], lambda users: np.tile(scores, (len(users), 1)))
        if self.spoil is not None:
            lists = np.load(order["kept"])
            np.save(order["kept"], self.spoil(lists))
        return {"amount": 10, "epochs": 3, "fit_seconds": 2.0, "fit_cpu_seconds": 1.0, "seconds": 9.0}


def pair(**more):
    from benchmarks.peers.quality_pairs import Pair, Same

    given = {"name": "EASE", "library": "recbole", "theirs": "EASE", "ours": "EASE",
             "same": (Same("l2", "reg_weight", 100.0),), "random": False}
    return Pair(**{**given, **more})


def compared(exported, given, theirs, ours=None, missing=None, seeds=1, until=np.inf):
    from benchmarks.peers_quality import Bench

    running = {"ours": ours or Fake(), **({"recbole": theirs} if theirs else {})}
    return Bench(exported, running, missing or {}, until).compare([given], seeds)[0]


def test_what_is_exported_is_our_split_without_its_test_part(exported):
    from benchmarks.peers.exported import arrays, matrix

    found, parts = arrays(exported.folder), exported.parts
    assert (matrix(found, "train") != parts.train).nnz == 0
    assert (matrix(found, "validation") != parts.validation).nnz == 0
    hidden = matrix(found, "rated_or_validation")
    assert (hidden != ((parts.train_rated + parts.validation_rated) > 0)).nnz == 0
    assert hidden.multiply(parts.test).nnz == 0
    assert not [name for name in found if name.startswith("test")]
    rated = csr_matrix((np.ones(len(found["ratings_users"])), (found["ratings_users"], found["ratings_items"])),
                       shape=parts.train.shape)
    assert (rated != parts.train_rated).nnz == 0
    assert found["ratings_liked"].sum() == parts.train.nnz
    liked = found["ratings_values"][found["ratings_liked"] > 0]
    assert liked.min() >= exported.dataset.positive_threshold


def test_the_content_is_the_datasets_own(exported):
    from benchmarks.peers.exported import arrays

    dataset = exported.dataset
    graph = arrays(exported.folder, "triples")
    frame, entity_of = dataset.knowledge("knowledge")
    assert len(graph["triples"]) == len(frame)
    assert set(np.flatnonzero(graph["entities"] >= 0)) == set(entity_of)
    words = arrays(exported.folder, "words")["words"]
    assert set(np.flatnonzero(words.any(axis=1))) == set(dataset.texts("text"))
    fields = arrays(exported.folder, "fields")
    kinds = [kind for kind in dataset.item_fields.values() if kind != "numeric"]
    assert fields["items"].shape[:2] == (dataset.n_items, len(kinds))
    categorical = list(dataset.item_fields).index("category")
    assert len(np.unique(fields["items"][:, categorical, 0])) == dataset.items["category"].nunique()


def test_lists_leave_out_what_was_rated_and_break_ties_by_item():
    from benchmarks.peers.exported import best

    seen = csr_matrix(np.array([[1, 0, 0, 0], [1, 1, 1, 1]]))
    found = best(np.array([[9.0, 1, 5, 5], [1, 2, 3, 4]]), seen)
    assert found[0, :4].tolist() == [2, 3, 1, -1]
    assert (found[1] == -1).all()


def test_a_score_that_is_no_number_writes_no_lists(exported, tmp_path):
    from benchmarks.peers.exported import write_lists

    with pytest.raises(ValueError, match="NaN"):
        write_lists(exported.folder, tmp_path / "kept.npy",
                    lambda users: np.full((len(users), exported.dataset.n_items), np.nan))
    assert not (tmp_path / "kept.npy").exists()


def test_a_fake_library_is_judged_by_our_metric_and_kept(exported):
    from mrlm_core.evaluation.metrics import evaluate

    class ByNumber:
        def score(self, users):
            return np.tile(-np.arange(exported.dataset.n_items, dtype=float), (len(users), 1))

        def factors(self):
            return None

    theirs = Fake()
    result = compared(exported, pair(), theirs, seeds=3)
    assert len(result.theirs) == len(result.ours) == 1  # no seed changes it
    found = result.theirs[0].recall["test"]
    expected = evaluate(ByNumber(), exported.parts, "test", [20])["recall@20"]
    np.testing.assert_array_equal(found[expected.index], expected)
    again = compared(exported, pair(), theirs, seeds=3)
    np.testing.assert_array_equal(again.theirs[0].recall["test"], found)
    assert len(theirs.orders) == 1
    compared(exported, pair(theirs_alone={"method": "other"}), theirs)
    assert theirs.orders[-1]["settings"] == {"reg_weight": 100.0, "method": "other"}


def test_both_are_told_the_same_settings(exported):
    from benchmarks.peers.quality_pairs import Same

    theirs, ours = Fake(), Fake()
    given = pair(same=(Same("dim", "k", 8), Same("dropout", "rate", 0.2, 0.8)), ours_alone={"l2": 0.5}, random=True,
                 modalities=("knowledge",), reads=("triples",), order={"few_users": True})
    compared(exported, given, theirs, ours=ours, seeds=2)
    assert [order["seed"] for order in theirs.orders] == [order["seed"] for order in ours.orders] == [0, 1]
    assert theirs.orders[0]["settings"] == {"k": 8, "rate": 0.8}
    assert theirs.orders[0]["few_users"] is True
    assert "reads" not in theirs.orders[0]
    assert ours.orders[0]["settings"] == {"dim": 8, "dropout": 0.2, "l2": 0.5}
    assert ours.orders[0]["modalities"] == ["knowledge"]


def test_what_is_tried_is_chosen_on_validation(exported):
    theirs = Fake(score=lambda items: np.asarray(exported.parts.validation.sum(axis=0)).ravel())
    result = compared(exported, pair(tried={"sign": (-1, 1)}), theirs)
    assert result.chosen == {"sign": 1}
    assert [order["settings"]["sign"] for order in theirs.orders] == [-1, 1]  # the round reads what was tried


def test_lists_with_what_had_to_be_left_out_are_refused(exported):
    from benchmarks.peers.exported import arrays, matrix

    # The trap: at test only the training items are left out.
    validation = matrix(arrays(exported.folder), "validation")
    user = int(np.flatnonzero(np.diff(validation.indptr))[0])

    def spoil(lists):
        lists[1, user, 0] = validation[user].indices[0]
        return lists

    result = compared(exported, pair(), Fake(spoil=spoil))
    assert "refused: 1 items in the lists for test were rated before" in result.error
    doubled = Fake(spoil=lambda lists: lists[:, :, :1].repeat(20, axis=2))
    assert "twice" in compared(exported, pair(theirs_alone={"x": 1}), doubled).error
    short = Fake(spoil=lambda lists: lists[:, :, :5])
    assert "expected (2," in compared(exported, pair(theirs_alone={"x": 2}), short).error
    unknown = Fake(spoil=lambda lists: lists + 10**6)
    assert "not in the catalogue" in compared(exported, pair(theirs_alone={"x": 3}), unknown).error


def test_failures_are_shown_and_tried_again(exported):
    from benchmarks.peers.quality_tables import measured_part

    broken = Fake(error="RuntimeError: no such thing")
    result = compared(exported, pair(), broken, seeds=3)
    lines, targets = measured_part(exported, [result])
    assert "- Not measured, RecBole EASE: RuntimeError: no such thing" in lines
    assert not targets[0].met
    missing = compared(exported, pair(), None, missing={"recbole": "no network"})
    assert missing.error == "cannot be installed here: no network"
    assert not compared(exported, pair(), Fake()).error


def test_when_time_is_up_what_is_there_is_compared(exported):
    theirs, random = Fake(), pair(random=True)
    assert "run it again" in compared(exported, random, theirs, until=-np.inf).error
    compared(exported, random, theirs)
    result = compared(exported, random, theirs, seeds=3, until=-np.inf)
    assert not result.error
    assert len(result.theirs) == len(result.ours) == len(theirs.orders) == 1


def test_verdicts_follow_the_interval(exported):
    from benchmarks.peers.quality_tables import measured_part, verdict
    from benchmarks.peers_quality import Fitted, Result
    from mrlm_core.evaluation.significance import Interval

    assert verdict(Interval(-0.02, -0.03, -0.01)) == "weaker"
    assert verdict(Interval(0.02, 0.01, 0.03)) == "stronger"
    assert verdict(Interval(-0.01, -0.03, 0.01)) == "no difference beyond noise"
    values = np.random.default_rng(0).random(200)
    facts = {"amount": 10, "epochs": 3, "fit_seconds": 2.0, "fit_cpu_seconds": 1.0}

    def judged(gain):
        theirs, ours = ([Fitted({"test": found}, facts)] for found in (values, values + gain))
        return measured_part(exported, [Result(pair(), theirs, ours, {})])

    lines, (worse,) = judged(-0.1)
    assert not worse.met
    assert worse.found.startswith("weaker: -0.1000")
    assert any("| 1 | 15 | 15 | 30 | 30 | 3 | 3 | " in line for line in lines)
    assert judged(0.0)[1][0].met
    assert judged(0.1)[1][0].found.startswith("stronger")


def test_rows_that_are_not_measured_again_stay_while_their_settings_do(exported):
    from benchmarks.peers import quality_tables as tables
    from benchmarks.peers.quality_earlier import earlier
    from benchmarks.peers.quality_pairs import PAIRS
    from benchmarks.peers_quality import Fitted, Result
    from benchmarks.section import Section

    facts = {"amount": 10, "epochs": 3, "fit_seconds": 2.0, "fit_cpu_seconds": 1.0}
    one, other, changed = PAIRS[:3]
    values = np.random.default_rng(0).random(200)

    def result(pair, error=""):
        return Result(pair, *([Fitted({"test": values}, facts, error)] for _ in range(2)), {"epochs": 7})

    def page(results, before, now):
        lines, targets = tables.measured_part(exported, results, earlier(before), now)
        return Section("Quality", [*lines, *tables.settings_part([one.pair for one in results])], targets)

    before = page([result(pair) for pair in (one, other, changed)], None, "2026-11-01, abc")
    altered = [line.replace(f"| {tables._name(changed)} | ", f"| {tables._name(changed)} | other ", 1)
               if line == tables._settings(changed) else line for line in before.lines]
    before = Section(before.title, altered, before.targets)
    after = page([result(one), result(changed, "too late")], before, "2026-11-02, def")
    rows = [line for line in after.lines if " | 3 | 3 | 2026" in line]
    assert [line.rsplit(" | ", 1)[1] for line in rows] == ["2026-11-02, def |", "2026-11-01, abc |"]
    assert [target.found == "not measured" for target in after.targets] == [False, False, True]
    assert any(line.startswith(f"- Not measured, {tables._name(changed)}: too late") for line in after.lines)
    absent = next(line for line in after.lines if line.startswith("- Not asked for, and not measured here before: "))
    assert tables._name(PAIRS[-1]) in absent
    assert tables._name(other) not in absent
    chosen = [line for line in after.lines if line.endswith("epochs 7 was best on validation.")]
    assert [line.partition(":")[0] for line in chosen] == [f"- {tables._name(pair)}" for pair in (one, other)]
    assert tables.stays(other, earlier(before))
    assert not tables.stays(changed, earlier(before))


def test_pairs_that_learn_by_gradient_are_held_to_their_speed_too(exported):
    from benchmarks.peers import quality_tables as tables
    from benchmarks.peers.quality_earlier import earlier
    from benchmarks.peers.quality_pairs import PAIRS
    from benchmarks.peers_quality import Fitted, Result
    from benchmarks.section import Section

    values = np.random.default_rng(0).random(200)

    def fits(seconds):
        return [Fitted({"test": values}, {"amount": 100, "epochs": 3, "fit_seconds": 1, "fit_cpu_seconds": seconds})]

    cke, ease = (next(one for one in PAIRS if one.ours == name) for name in ("CKE", "EASE"))
    results = [Result(ease, fits(1.0), fits(2.0), {}), Result(cke, fits(1.0), fits(2.0), {})]
    lines, targets = tables.measured_part(exported, results)
    (speed,) = [target for target in targets if "processor time" in target.what]
    assert speed.what.endswith("CKE against RecBole CKE")
    assert (speed.found, speed.met) == ("0.50 times", False)
    page = Section("Quality", [*lines, *tables.settings_part([ease, cke])], targets)
    _, again = tables.measured_part(exported, [], earlier(page))
    assert [target for target in again if "processor time" in target.what] == [speed], "of rows that stay, too"


def test_rows_of_pages_without_days_take_that_of_their_page():
    from benchmarks.peers.quality_earlier import earlier
    from benchmarks.section import kept, machines

    pages = [page for machine in machines() if (page := kept("peers_quality", machine))]
    assert pages
    for page in pages:
        found = earlier(page)
        assert found.rows
        assert {name for _, name in found.rows} <= set(found.settings)
        assert all(f"| {page.measured[:10]}, " in row or row.count("|") == 15 for row in found.rows.values())
        assert all(any(f"against {name}" in what for what in found.targets) for _, name in found.rows)


def test_implicits_loss_is_ours_with_other_units():
    from benchmarks.peers.quality_pairs import PAIRS

    given = next(one for one in PAIRS if one.theirs == "ALS")
    w, strength = given.our_settings["unobserved_weight"], given.our_settings["l2"]
    theirs = given.their_settings()[0]
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(6, 3)), rng.normal(size=(8, 3))
    liked = rng.random((6, 8)) < 0.4

    def ours_of(x, y):
        s = x @ y.T
        return (liked * (1 - s) ** 2).sum() + w * (s**2).sum() + strength * ((x**2).sum() + (y**2).sum())

    def theirs_of(x, y):
        s = x @ y.T
        observed = theirs["alpha"] * (liked * (1 - s) ** 2).sum()
        return observed + ((~liked) * s**2).sum() + theirs["regularization"] * ((x**2).sum() + (y**2).sum())

    stretch = (1 + w) ** 0.5
    pairs = [(users, items), (users * 0.3, items * 2)]
    gains = [ours_of(*pairs[0]) - ours_of(*pairs[1]),
             theirs_of(*(stretch * side for side in pairs[0])) - theirs_of(*(stretch * side for side in pairs[1]))]
    assert gains[0] == pytest.approx(gains[1] * w / (1 + w) ** 2)


def test_every_pair_of_the_issue_is_there_and_ours_takes_its_settings():
    from benchmarks.peers.quality_pairs import PAIRS
    from benchmarks.peers.quality_tables import settings_part
    from mrlm_core.baselines import registry

    there = {(one.library, one.theirs) for one in PAIRS}
    assert there == {("recbole", "BPR"), ("recbole", "EASE"), ("recbole", "ItemKNN"), ("recbole", "xDeepFM"),
                     ("recbole", "CKE"), ("cornac", "BPR"), ("cornac", "VBPR"), ("cornac", "ConvMF"),
                     ("implicit", "ALS")}
    for one in PAIRS:
        registry.build(one.ours, one.our_settings)
        assert json.loads(json.dumps(one.their_settings())) == one.their_settings()
    assert len(settings_part(PAIRS)) == 6 + len(PAIRS)


def test_a_dataset_that_is_not_there_is_said_to_be_missing(exported, monkeypatch):
    from contextlib import nullcontext

    import benchmarks.peers_quality as peers_quality

    fakes = {"recbole": Fake(), "ours": Fake()}
    monkeypatch.setattr(peers_quality, "started", lambda names, kind: nullcontext((fakes, {})))
    section = peers_quality.run((NAME, "movielens-latest-small"), [replace(pair(), reads=())], seeds=1)
    assert any("movielens-latest-small is not in data/" in line for line in section.lines)
    assert [target.met for target in section.targets] == [True, False]


def test_some_pairs_may_be_asked_for():
    from benchmarks.peers_quality import PAIRS, asked

    assert asked("") == list(PAIRS)
    found = asked(" ConvMF,EASE")
    assert {pair.ours for pair in found} == {"ConvMF", "EASE"}
    assert len(found) == 3
    with pytest.raises(ValueError, match=r"expected names of EASE, .*found LightGCN"):
        asked("LightGCN")


def test_some_datasets_may_be_asked_for_and_the_others_keep_their_rows(exported, monkeypatch):
    from contextlib import nullcontext

    import benchmarks.peers_quality as peers_quality

    easy = replace(peers_quality.PAIRS[0], reads=())
    fakes = {"recbole": Fake(), "ours": Fake()}
    monkeypatch.setattr(peers_quality, "started", lambda names, kind: nullcontext((fakes, {})))
    before = peers_quality.run((NAME,), [easy], seeds=1)
    monkeypatch.setattr(peers_quality, "kept", lambda *of: before)
    shutil.rmtree(peers_quality.workspace() / "runs")  # else a training is read, not made
    monkeypatch.setenv(peers_quality.WHERE, "movielens-1m")
    after = peers_quality.run((NAME, "movielens-1m"), [easy], seeds=1)
    assert len(fakes["ours"].orders) == 1
    assert [target.met for target in after.targets] == [True, False]  # the one asked for is not in data/
    row = next(line for line in before.lines if line.startswith("| RecBole EASE | EASE | 0."))
    assert row in after.lines
    als = next(one for one in peers_quality.PAIRS if one.library == "implicit")
    intro = peers_quality.run((NAME, "movielens-1m"), [als], seeds=1).lines[0]
    assert re.match(r"recbole [\d.]+, implicit [\d.]+, each in an environment", intro)  # EASE's row is shown too
    monkeypatch.setenv(peers_quality.WHERE, "movielens-2m")
    with pytest.raises(ValueError, match=r"MRLM_PEERS_DATASETS: expected .*found movielens-2m"):
        peers_quality.run((NAME,), [easy], seeds=1)

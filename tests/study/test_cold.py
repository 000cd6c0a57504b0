"""Items held out of training: nothing of them reaches a model, their runs are kept, and who can know them is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrlm_core.baselines import registry
from mrlm_core.baselines.popularity import Popularity
from mrlm_core.datasets import Dataset, load_dataset
from mrlm_core.errors import ConfigError
from mrlm_core.evaluation.places import places, recall_by
from mrlm_core.study import RunSpec, run_or_load
from mrlm_core.study.cold import ColdSpec, cold_specs, known_by, placed, placed_many, prepared
from mrlm_core.study.holdout import cold_items
from mrlm_core.study.inputs import inputs_of
from mrlm_core.study.record import Stages, load_records
from mrlm_core.study.run import fitted_to, split_of
from mrlm_core.training.triplets import TripletSampler

FAST = {"training.max_epochs": 2, "preprocessing.initial_epochs": 1, "preprocessing.knowledge_epochs": 2}
POPULARITY = ColdSpec(RunSpec("shop", "Popularity", preset="tiny"), 0.25)
MRLM = RunSpec("shop", "MRLM", preset="tiny", settings=FAST, modalities=("text", "knowledge"))
HYBRID = RunSpec("shop", "ItemKNN (both)", preset="tiny", settings=FAST, modalities=("text", "knowledge"))


@pytest.fixture
def shop(workspace: Path) -> Dataset:
    return load_dataset(workspace / "data" / "shop")


@pytest.mark.parametrize("drawn", [True, False])
def test_no_cold_item_has_a_rating_in_training_or_validation(shop: Dataset, drawn: bool) -> None:
    cold, parts, visible, given = prepared(replace(POPULARITY, drawn=drawn), shop)
    assert cold.sum() == round(0.25 * shop.n_items)
    for name in ("train", "train_negatives", "train_rated", "validation", "validation_rated"):
        assert not getattr(parts, name)[:, cold].nnz, name
    assert not cold[parts.latest_items].any()
    assert not cold[visible.ratings["item"]].any()
    for name in ("train", "train_negatives", "validation", "validation_rated"):
        assert (getattr(given, name) != getattr(parts, name)).nnz == 0, name
    positives = shop.ratings[shop.ratings["rating"] >= shop.positive_threshold]
    assert parts.test[:, cold].nnz == cold[positives["item"]].sum()


def test_other_items_stay_in_their_parts(shop: Dataset) -> None:
    cold, parts, _, _ = prepared(POPULARITY, shop)
    _, usual = split_of(POPULARITY.run, shop)
    for name in ("train", "train_rated", "validation", "validation_rated", "test"):
        assert (getattr(parts, name)[:, ~cold] != getattr(usual, name)[:, ~cold]).nnz == 0, name
        assert getattr(usual, name)[:, cold].nnz, name


def test_a_fit_is_given_no_rating_of_the_test_part(shop: Dataset) -> None:
    _, parts, visible, given = prepared(POPULARITY, shop)
    assert given.test.nnz == 0
    assert given.test.shape == parts.test.shape
    tested = set(zip(*parts.test.nonzero(), strict=True))
    assert tested
    assert not tested & set(zip(visible.ratings["user"], visible.ratings["item"], strict=True))
    assert len(visible.ratings) == parts.train_rated.nnz + parts.validation_rated.nnz


@pytest.mark.parametrize("run", [MRLM, HYBRID], ids=lambda run: run.model)
def test_a_model_is_the_same_whatever_users_think_of_cold_items(shop: Dataset, run: RunSpec) -> None:
    """The other dataset has another name for its content, so that no artefact of the first is read."""
    spec, scores = ColdSpec(run, 0.25), []
    turned = shop.ratings.assign(rating=np.where(cold_items(shop, 0.25, 0)[shop.ratings["item"]],
                                                 6 - shop.ratings["rating"], shop.ratings["rating"]))
    for data in (shop, replace(shop, ratings=turned, data_hash="turned")):
        _, parts, visible, given = prepared(spec, data)
        model, _ = fitted_to(run, visible, given, Stages(), None)
        scores.append((model.score(np.arange(shop.n_users)), parts.test))
    np.testing.assert_array_equal(scores[0][0], scores[1][0])
    assert (scores[0][1] != scores[1][1]).nnz, "the test did not change, so nothing was tested"


def test_who_would_cheat_finds_nothing(workspace: Path, shop: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that ranks by the test part it was fitted with: perfect if it got one, blind as it gets none."""
    def cheat(self: Popularity, interactions, seed: int) -> None:
        self.seen = interactions.test

    monkeypatch.setattr(Popularity, "fit", cheat)
    monkeypatch.setattr(Popularity, "factors", lambda self: None)
    monkeypatch.setattr(Popularity, "score", lambda self, users: self.seen[users].toarray())
    cold, parts, _, _ = prepared(POPULARITY, shop)
    perfect = Popularity()
    perfect.fit(parts, 0)
    table = places(perfect, parts, cold)
    assert (table.groupby("user")["place"].max() == table.groupby("user").size()).all()
    blind = placed(replace(POPULARITY, seed=9, run=replace(POPULARITY.run, seed=9))).per_user
    _, parts, _, _ = prepared(replace(POPULARITY, seed=9), shop)
    known = (parts.train_rated + parts.validation_rated).toarray() > 0
    before = [(~known[user, :item]).sum() + 1 for user, item in zip(blind.index, blind["item"], strict=True)]
    assert before == blind["place"].tolist(), "the order of the catalogue, as all scores are equal"


def test_a_record_is_loaded_not_run_again(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = placed(POPULARITY)
    assert made.data["cold"] == {"share": 0.25, "seed": 0, "drawn": False}
    assert made.data["cold_counts"]["positives"] == (made.per_user["cold_place"] > 0).sum() > 0
    monkeypatch.setattr(Popularity, "fit", lambda *_: pytest.fail("ran again"))
    again = placed_many([POPULARITY])[0]
    assert again.data == made.data
    pd.testing.assert_frame_equal(again.per_user, made.per_user)
    assert made.folder not in [record.folder for record in load_records(workspace / "runs" / "shop")]


def test_what_is_held_out_is_in_the_key(workspace: Path) -> None:
    changes = [{}, {"share": 0.3}, {"seed": 1}, {"drawn": True}, {"share": 0.0}]
    assert len({placed(replace(POPULARITY, **change)).folder for change in changes}) == len(changes)
    nothing = replace(POPULARITY, share=0.0)
    assert placed(nothing).folder == placed(replace(nothing, seed=1, drawn=True)).folder


def test_with_nothing_held_out_the_recall_is_that_of_the_usual_record(workspace: Path) -> None:
    spec = RunSpec("shop", "EASE", preset="tiny")
    table = placed(ColdSpec(spec, 0.0)).per_user
    ours = recall_by(table, np.zeros(len(table), int), 10)[0]
    pd.testing.assert_series_equal(ours, run_or_load(spec).per_user["recall@10"], check_names=False,
                                   check_index_type=False)


def test_a_failed_run_is_a_record_and_a_mistake_is_refused(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for share in (-0.1, 1.0, 0.001):
        with pytest.raises(ConfigError, match="share of cold items"):
            placed(replace(POPULARITY, share=share))
    regressed = RunSpec("shop", "ConvMF", preset="tiny", hyperparameters={"objective": "rating"})
    with pytest.raises(ConfigError, match="drawn"):
        ColdSpec(regressed, 0.25)
    assert ColdSpec(regressed, 0.25, drawn=True)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(Popularity, "fit", broken)
    assert placed(replace(POPULARITY, seed=5)).data["error"] == "ZeroDivisionError: planted"


def test_a_cold_item_is_a_negative_only_where_that_is_asked_for(shop: Dataset) -> None:
    for drawn in (True, False):
        cold, _, _, given = prepared(replace(POPULARITY, drawn=drawn), shop)
        negatives = TripletSampler(given, "uniform", 5).epoch(np.random.default_rng(0), 64)[:, 2]
        assert cold[negatives].any() == drawn


def test_initial_vectors_are_not_shared_with_runs_that_draw_other_negatives(workspace: Path, shop: Dataset) -> None:
    made = set()
    for drawn in (True, False):
        spec = replace(POPULARITY, drawn=drawn)
        _, _, visible, given = prepared(spec, shop)
        run = replace(spec.run, model="Initial vectors (dot)", settings={"preprocessing.initial_epochs": 1})
        made.add(inputs_of(run, visible, given)[1]["initial_vectors"]["key"])
    assert len(made) == 2


def test_mrlm_reads_the_clusters_of_a_cold_item_only_as_a_negative(shop: Dataset) -> None:
    """Why its modalities cannot help it there: they are what it is trained to tell, not what it is told."""
    for drawn in (True, False):
        spec = ColdSpec(MRLM, 0.25, drawn=drawn)
        cold, _, visible, given = prepared(spec, shop)
        inputs, _ = inputs_of(MRLM, visible, given)
        other = {name: np.where(cold, ids[~cold].max(), ids) for name, ids in inputs["clusters"].items()}
        assert all((ids != inputs["clusters"][name]).any() for name, ids in other.items())
        scores = []
        for clusters in (inputs["clusters"], other):
            model = registry.build("MRLM", {"preset_name": "tiny", **FAST})
            model.fit(given, 0, **{**inputs, "clusters": clusters})
            scores.append(model.score(np.arange(shop.n_users)))
        assert np.array_equal(*scores) != drawn


@pytest.mark.parametrize(
    ("model", "says"),
    [("Popularity", ""), ("EASE", ""), ("BPR-MF", ""), ("Covington", ""), ("SRSCHAN", ""),
     ("VBPR", "vectors of text, image, video, audio, knowledge"),
     ("CKE", "triples of knowledge; vectors of text, image"),
     ("ConvMF", "words of text"), ("xDeepFM", "attributes category, brand, power, rooms, price, year"),
     ("Covington+", "vectors of text, image, video, audio, knowledge"),
     ("U-GFRL", "initial vectors from category, brand, power, rooms, price, year"),
     ("MRLM", "initial vectors from category, brand, power, rooms, price, year"),
     ("BPR-MF with clusters", "clusters of text, image, video, audio, knowledge")],
)
def test_what_a_model_knows_a_cold_item_by(shop: Dataset, model: str, says: str) -> None:
    assert known_by(ColdSpec(RunSpec("shop", model, preset="tiny")), shop) == says


def test_what_is_known_follows_the_run(shop: Dataset) -> None:
    drawn = ColdSpec(replace(MRLM, settings={"preprocessing.initial": "bpr"}), drawn=True)
    assert known_by(drawn, shop) == "clusters of text, knowledge"
    assert known_by(replace(drawn, drawn=False), shop) == ""
    assert known_by(ColdSpec(RunSpec("shop", "VBPR", modalities=("video",))), shop) == "vectors of video"


def test_settings_reach_other_models_where_they_are_of_the_protocol_or_the_preprocessing() -> None:
    shared = {"protocol.train_ratio": 0.6, "preprocessing.text_dim": 8}
    own = {**shared, "training.max_epochs": 2}
    specs = cold_specs("shop", ["EASE", "MRLM"], 2, 0.1, settings=own, preset="tiny")
    assert [(s.run.model, s.seed, s.run.seed, s.run.settings) for s in specs] == [
        ("EASE", 0, 0, shared), ("EASE", 1, 1, shared), ("MRLM", 0, 0, own), ("MRLM", 1, 1, own)]


def test_candidates_that_leave_cold_items_out_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"protocol\.candidates.*'rated'"):
        cold_specs("shop", ["EASE"], 1, 0.1, settings={"protocol.candidates": "rated"})

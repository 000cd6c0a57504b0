"""MRLM and U-GFRL as recommenders: the preference is chosen on validation, and the test part is never read."""

import dataclasses
import shutil
from itertools import product

import numpy as np
import pandas as pd
import pytest

from mrlm_core.config import PREFERENCE_FORMS, preset
from mrlm_core.datasets.splits import interactions, random_split
from mrlm_core.evaluation.selection import mean_recall, users_of
from mrlm_core.model.mrlm import MRLM
from mrlm_core.model.preference import Preference, fold
from mrlm_core.training.recommender import MRLMRecommender, preference_grid

USERS, ITEMS = 14, 40


class Forbidden:
    """A test part that cannot be looked at."""

    def __getattribute__(self, name):
        raise AssertionError(f"the test part was read: {name}")

    def __getitem__(self, key):
        raise AssertionError("the test part was read")


@pytest.fixture(scope="module")
def parts():
    rng = np.random.default_rng(0)
    rows = [(user, item, rng.choice([2.0, 5.0], p=[0.3, 0.7])) for user in range(USERS)
            for item in rng.choice(ITEMS, 15, replace=False)]
    ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
    split = random_split(len(ratings), 0.7, 0.2, seed=0)
    return dataclasses.replace(interactions(ratings, USERS, ITEMS, 4.0, split, seed=0), test=Forbidden())


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(1)
    return rng.normal(size=(USERS, 16)).astype(np.float32), rng.normal(size=(ITEMS, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def mrlm(parts, vectors):
    settings = {"protocol.selection_cutoff": 10, "training.max_epochs": 8, "training.patience": 8}
    model = MRLMRecommender("tiny", **settings)
    model.fit(parts, 2, vectors, {"text": np.arange(ITEMS, dtype=np.int32) % 3})
    return model


@pytest.mark.parametrize(("form", "multimodal"), product(PREFERENCE_FORMS, [True, False]))
def test_the_grid_has_each_preference_once(form, multimodal):
    grid = preference_grid(dataclasses.replace(preset("laptop").preference, form=form), multimodal)
    assert len(set(grid)) == len(grid) > 0
    assert {p.form for p in grid} == {form if multimodal else "global-only"}
    if form == "blockwise" and multimodal:
        mixed = {(p.global_weight, p.latest_count) for p in grid if p.global_weight < 1}
        assert mixed == set(product((0.25, 0.5, 0.75), (1, 5, 20)))
        assert [p.global_weight for p in grid].count(1.0) == 1  # L means nothing there
    if form in ("tiled", "multimodal-only", "literal") and multimodal:
        assert [p.latest_count for p in grid] == [1, 5, 20]


def test_the_preference_is_the_one_with_the_best_validation_recall(mrlm, parts):
    latest = parts.latest(20)
    recalls = {
        candidate: mean_recall(*fold(mrlm.representations, latest, candidate), parts, 10)
        for candidate in preference_grid(mrlm.config.preference, True)
    }
    assert recalls[mrlm.preference] == max(recalls.values())
    assert min(recalls.values()) < max(recalls.values())
    assert mrlm.history.best_score == pytest.approx(max(recalls.values()))


def test_scores_are_the_product_of_the_factors(mrlm, parts):
    users, items = mrlm.factors()
    asked = np.array([3, 0])
    np.testing.assert_array_equal(mrlm.score(asked), users[asked] @ items.T)
    mrlm.use(Preference("multimodal-only", 0.5, 3), parts)
    assert (mrlm.score(asked) != users[asked] @ items.T).any()
    mrlm.use(mrlm.preference, parts)
    np.testing.assert_array_equal(mrlm.score(asked), users[asked] @ items.T)


def test_the_report_says_what_was_chosen_and_left_out(mrlm):
    assert mrlm.report["preference"] == vars(mrlm.preference)
    assert mrlm.report["latest_by"] == "random order, seeded"
    assert mrlm.report["positives_without_negative"] == 0
    assert mrlm.report["network_parameters"] == sum(v.size for v in map(np.asarray, mrlm.network.trainable_variables))


def test_an_item_in_no_modality_is_trained_and_ranked_by_the_rest(parts, vectors):
    """Its modality losses count nothing; a lonely item among described ones must not spoil their numbers."""
    clusters = {name: np.arange(ITEMS, dtype=np.int32) % 3 for name in ("text", "image")}
    for ids in clusters.values():
        ids[0] = -1
    model = MRLMRecommender("tiny", **{"protocol.selection_cutoff": 10, "training.max_epochs": 2})
    model.fit(parts, 2, vectors, clusters)
    assert np.isfinite(model.score(np.arange(USERS))).all()
    assert all(np.isfinite(list(row.values())).all() for row in model.history.rows)


def test_beyond_the_most_users_a_sample_selects_and_the_report_counts_it(parts, vectors):
    settings = {"protocol.selection_cutoff": 10, "training.max_epochs": 1, "protocol.selection_users": 5}
    model = MRLMRecommender("tiny", **settings)
    model.fit(parts, 2, vectors)
    sample = users_of(parts, most=5)
    assert model.report["selection_users"] == len(sample) == 5
    assert model.history.best_score == pytest.approx(mean_recall(*model.factors(), parts, 10, users=sample))


def test_without_clusters_it_is_u_gfrl_and_ranks_by_global_vectors(parts, vectors):
    model = MRLMRecommender("tiny", **{"protocol.selection_cutoff": 10, "training.max_epochs": 1})
    model.fit(parts, 0, vectors)
    assert model.preference.form == "global-only"
    assert model.network.modalities == ()
    g_user, g_item, _ = model.representations
    cosine = (g_user @ g_item.T) / np.linalg.norm(g_user, axis=1)[:, None] / np.linalg.norm(g_item, axis=1)
    np.testing.assert_allclose(model.score(np.arange(USERS)), cosine, rtol=1e-5)


CLUSTERS = {"text": np.arange(ITEMS, dtype=np.int32) % 3}
SHORT = {"protocol.selection_cutoff": 10, "training.max_epochs": 3, "training.patience": 3}


def test_in_sequence_the_global_module_is_that_of_training_it_alone(parts, vectors):
    """Then it stays, statistics included, while the multimodal one is trained; the history holds both."""
    alone, both = (MRLMRecommender("tiny", **SHORT, **{"training.schedule": schedule})
                   for schedule in ("joint", "sequential"))
    alone.fit(parts, 2, vectors)
    both.fit(parts, 2, vectors, CLUSTERS)
    rows = both.history.rows
    assert len(rows) > alone.history.epochs
    first, second = rows[:alone.history.epochs], rows[alone.history.epochs:]
    assert [row["loss_g1"] for row in first] != [row["loss_g1"] for row in second]
    assert second[-1]["loss_m_text"] < second[0]["loss_m_text"]
    best = max(first, key=lambda row: row["validation"])["validation"]
    frozen = mean_recall(*fold(both.representations, parts.latest(1), Preference("global-only", 1.0, 1)), parts, 10)
    assert frozen == pytest.approx(best)


def test_the_module_that_is_not_learned_does_not_move(parts, vectors):
    """Of the global one not even the statistics, for the multimodal one is made of its vectors."""
    network = MRLM(preset("tiny").model, *vectors, CLUSTERS)
    learned = {"global": list(network.trunk.trainable_variables),
               "multimodal": list(network.siamese.trainable_variables)}
    statistics = [v for v in network.trunk.non_trainable_variables if "moving" in v.path]
    assert statistics
    rows = np.stack(np.unravel_index(np.arange(64), (USERS, 3, 2)), axis=1).astype(np.int32)
    for module, other in (("global", "multimodal"), ("multimodal", "global")):
        network.learn(module)
        network.compile(optimizer="sgd")
        still = learned[other] + (statistics if module == "multimodal" else [])
        before, moving = [np.array(v) for v in still], [np.array(v) for v in learned[module]]
        network.fit(rows, batch_size=32, verbose=0)
        assert all(np.array_equal(old, np.array(v)) for old, v in zip(before, still, strict=True))
        assert not all(np.array_equal(old, np.array(v)) for old, v in zip(moving, learned[module], strict=True))


def test_a_killed_sequence_goes_on_to_the_same_scores(parts, vectors, tmp_path):
    settings = {**SHORT, "training.schedule": "sequential"}
    whole, killed, resumed = (MRLMRecommender("tiny", **settings) for _ in range(3))
    whole.fit(parts, 2, vectors, CLUSTERS)
    killed.fit(parts, 2, vectors, CLUSTERS, checkpoint=tmp_path)
    shutil.rmtree(tmp_path / "multimodal")  # as if it had not been reached
    resumed.fit(parts, 2, vectors, CLUSTERS, checkpoint=tmp_path)
    np.testing.assert_array_equal(resumed.score(np.arange(USERS)), whole.score(np.arange(USERS)))


def test_permuted_coordinates_are_one_order_for_users_and_items(parts, vectors):
    model = MRLMRecommender("tiny", **SHORT, **{"model.coordinates": "permuted"})
    users, items = model._ordered(vectors, seed=3)
    np.testing.assert_allclose(users @ items.T, vectors[0] @ vectors[1].T, rtol=1e-4, atol=1e-5)
    assert not np.array_equal(users, vectors[0])
    assert not np.array_equal(users, model._ordered(vectors, seed=4)[0])


def test_descriptions_at_the_input_lengthen_the_initial_vectors_and_leave_no_second_module(parts, vectors):
    longer = tuple(np.hstack([side, side]) for side in vectors)
    model = MRLMRecommender("tiny", **SHORT, **{"model.modalities": "input"})
    model.fit(parts, 2, longer, {})
    assert model.network.item_features.shape == (ITEMS, 32)
    assert model.network.modalities == ()
    assert model.preference.form == "global-only"

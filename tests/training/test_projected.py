"""The learned projection of MRLM's joined user vector: what it learns from, and how it is chosen."""

import numpy as np
import pandas as pd
import pytest

from mrlm_core.config import preset
from mrlm_core.datasets.splits import Interactions, interactions, random_split
from mrlm_core.errors import ConfigError
from mrlm_core.evaluation.selection import mean_recall, users_of
from mrlm_core.model.mrlm import Representations
from mrlm_core.training.projected import RIDGES, ProjectedRecommender, Projection, project

USERS, ITEMS, LENGTH = 60, 50, 4


@pytest.fixture(scope="module")
def parts() -> Interactions:
    """The last user has one training positive at most, so that nothing is left of his to learn from."""
    rng = np.random.default_rng(0)
    rows = [(user, item, 5.0) for user in range(USERS - 1) for item in rng.choice(ITEMS, 15, replace=False)]
    ratings = pd.DataFrame([*rows, (USERS - 1, 3, 5.0)], columns=["user", "item", "rating"])
    return interactions(ratings, USERS, ITEMS, 4.0, random_split(len(ratings), 0.7, 0.2, seed=0), seed=0)


def _vectors(seed: int = 1) -> Representations:
    rng = np.random.default_rng(seed)
    return Representations(*(rng.normal(size=shape) for shape in ((USERS, 6), (ITEMS, 6), (ITEMS, LENGTH))))


def _unit(row: np.ndarray) -> np.ndarray:
    return row / np.linalg.norm(row)


def test_the_projection_is_ridge_regression_to_what_was_liked_besides(parts: Interactions) -> None:
    vectors, projection = _vectors(), Projection(latest_count=2, ridge=0.1)
    m = np.array([_unit(row) for row in vectors.items_multimodal])
    inputs, targets, all_inputs = [], [], []
    for user, latest in enumerate(parts.latest(2)):
        given = [m[item] if item >= 0 else np.zeros(LENGTH) for item in latest]
        all_inputs.append(np.concatenate([_unit(vectors.users[user]), *given]))
        others = set(parts.train[user].indices) - set(latest)
        if others:
            inputs.append(all_inputs[-1])
            targets.append(np.mean([m[item] for item in others], axis=0))
    assert len(inputs) == USERS - 1
    a, t = np.array(inputs), np.array(targets)
    strength = 0.1 * np.square(a).sum() / a.shape[1]
    learned = np.linalg.solve(a.T @ a + strength * np.eye(a.shape[1]), a.T @ t)
    users, items = project(vectors, parts, projection)
    np.testing.assert_allclose(users, [_unit(row @ learned) for row in all_inputs], atol=1e-9)
    np.testing.assert_allclose(items, m, atol=1e-12)


def test_it_ranks_what_a_linear_map_can_tell(parts: Interactions) -> None:
    """Users' g is a linear map of the mean m of their training positives: cosines of unequal lengths say nothing."""
    vectors = _vectors()
    mean = (parts.train @ vectors.items_multimodal) / np.maximum(np.diff(parts.train.indptr), 1)[:, None]
    planted = vectors._replace(users=mean @ np.random.default_rng(5).normal(size=(LENGTH, 6)))

    users, _ = project(planted, parts, Projection(latest_count=1, ridge=0.01))
    held = np.diff(parts.train.indptr) > 1
    assert np.mean(np.sum(users[held] * _normal(mean[held]), axis=1)) > 0.9
    assert np.mean(np.sum(project(vectors, parts, Projection())[0][held] * _normal(mean[held]), axis=1)) < 0.8


def _normal(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_validation_chooses_among_all_lengths_and_ridges(parts: Interactions) -> None:
    config = preset("tiny")
    rng = np.random.default_rng(1)
    start = tuple(rng.normal(size=(n, config.model.embedding_dim)).astype(np.float32) for n in (USERS, ITEMS))
    model = ProjectedRecommender("tiny", **{"training.max_epochs": 2, "protocol.selection_cutoff": 10})
    model.fit(parts, 0, start, {"text": np.arange(ITEMS, dtype=np.int32) % 3})
    users = users_of(parts, most=config.protocol.selection_users)
    recalls = {(count, ridge): mean_recall(
        *project(model.representations, parts, Projection(latest_count=count, ridge=ridge)), parts, 10, users=users)
        for count in config.preference.latest_counts if count < 15 for ridge in RIDGES}
    chosen = model.preference
    assert recalls[chosen.latest_count, chosen.ridge] == max(recalls.values())
    assert model.report["preference"]["form"] == "projected"
    assert {side.shape[1] for side in model.factors()} == {config.model.multimodal_dim}
    np.testing.assert_allclose(model.score(np.array([0])), model.factors()[0][:1] @ model.factors()[1].T)


def test_without_modalities_or_users_to_learn_from_it_says_so(parts: Interactions) -> None:
    bare = _vectors()._replace(items_multimodal=np.zeros((ITEMS, 0)))
    with pytest.raises(ConfigError, match="without modalities"):
        project(bare, parts, Projection())
    with pytest.raises(ConfigError, match="more than 20 training positives"):
        project(_vectors(), parts, Projection(latest_count=20))

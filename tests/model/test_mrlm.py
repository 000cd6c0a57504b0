"""The whole model: its sizes, its branches, its joint loss, and that it learns a planted problem."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

from mrlm_core.config import preset
from mrlm_core.errors import ConfigError
from mrlm_core.model.mrlm import MRLM, modality_weights

USERS, ITEMS, BLOCKS = 12, 20, 2
TINY = preset("tiny").model
FULL = dataclasses.replace(TINY, dropout=0.0)


def planted(config=TINY, modalities=("text", "image"), seed=0):
    """A model of users and items in two blocks that show in the initial vectors; items 0 and 1 have no picture."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(BLOCKS, config.embedding_dim))
    users, items = (centres[np.arange(n) % BLOCKS] + 0.3 * rng.normal(size=(n, config.embedding_dim))
                    for n in (USERS, ITEMS))
    clusters = {name: np.arange(ITEMS, dtype=np.int32) % BLOCKS for name in modalities}
    if "image" in clusters:
        clusters["image"][:2] = -1
    return MRLM(config, users, items, clusters)


def block_triplets():
    """Every (user, item of his block, item of the other block) that a shift of the item index gives."""
    user, step = (part.ravel() for part in np.meshgrid(np.arange(USERS), np.arange(0, ITEMS, 2)))
    positive = (user + step) % ITEMS
    return np.stack([user, positive, (positive + 1 + step % 6) % ITEMS], axis=1).astype(np.int32)


@pytest.fixture(scope="module")
def model():
    return planted()


def test_the_paper_preset_has_the_sizes_of_table_2():
    config = preset("paper").model
    clusters = {"text": np.arange(30) % 25, "image": np.arange(30) % 20}
    model = MRLM(config, np.zeros((9, 250)), np.zeros((30, 250)), clusters)
    trunk = 3 * (1 * 20 + 20 * 30 + 30 * 30 + 30 * 15) + 2 * (20 + 30 + 30 + 15) + 125 * 15 * 300 + 300
    difference = 20 * 125 * 9 * 128 + 128 + 128 + 1
    identities = (9 + 30) * (300 + 1)
    siamese = 3 * (1 * 20 + 20 * 30) + 2 * (20 + 30) + 300 * 30 * 250 + 250
    classifiers = (25 + 20) * (250 + 1)
    assert model.difference.kernel.shape == (20, 125, 3, 3, 128)
    found = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert found == trunk + difference + identities + siamese + classifiers


def test_shapes_of_everything_the_losses_need(model):
    out = model(np.zeros((5, 3), np.int32))
    assert [tuple(g.shape) for g in out["g"]] == [(5, TINY.global_dim)] * 3
    assert [tuple(logits.shape) for logits in out["verification"]] == [(5,)] * 2
    assert tuple(out["user_identity"][0].shape) == (5, USERS)
    assert tuple(out["item_identity"][0].shape) == (10, ITEMS)
    assert [tuple(part.shape) for part in out["modalities"]["image"]] == [(5, BLOCKS)] * 2
    assert [tuple(part.shape) for part in out["clusters"]] == [(5, 2)] * 2


def test_stacked_branches_equal_three_separate_calls(model):
    triplets = block_triplets()[:7]
    out = model(triplets)
    users, positives, negatives = triplets.T
    user, positive, negative = (
        model.trunk(ops.take(table, rows, axis=0))
        for table, rows in ((model.user_features, users), (model.item_features, positives),
                            (model.item_features, negatives))
    )
    for found, (g, _) in zip(out["g"], (user, positive, negative), strict=True):
        close(found, g)
    for found, item in zip(out["verification"], (positive, negative), strict=True):
        close(found, model.verifier(model.difference(user[1], item[1]))[:, 0])
    close(out["user_identity"][0], model.user_identity(user[0], users)[0])
    for column, item in enumerate((positive, negative)):
        logits, ids = (ops.split(part, 2)[column] for part in out["item_identity"])
        close(logits, model.item_identity(item[0], positives)[0])
        np.testing.assert_array_equal(ids, triplets[:, column + 1])
        for name, logits in model.classifiers(model.siamese(item[0])).items():
            close(out["modalities"][name][column], logits)
        np.testing.assert_array_equal(
            out["clusters"][column], ops.convert_to_numpy(model.clusters)[triplets[:, column + 1]]
        )


def close(found, expected):
    np.testing.assert_allclose(ops.convert_to_numpy(found), ops.convert_to_numpy(expected), rtol=1e-4, atol=1e-5)


def test_the_joint_loss_is_the_weighted_sum_of_its_terms(model):
    out = model(block_triplets())
    terms = {name: float(value) for name, value in model.loss_terms(out).items()}
    assert set(terms) == {"loss_g1", "loss_g2", "loss_g3", "loss_m_text", "loss_m_image"}
    gfrl = 0.4 * terms["loss_g1"] + 0.2 * terms["loss_g2"] + 0.4 * terms["loss_g3"]
    mfrl = (0.3 * terms["loss_m_text"] + 0.25 * terms["loss_m_image"]) / 0.55
    assert float(model.compute_loss(y_pred=out)) == pytest.approx(0.55 * gfrl + 0.45 * mfrl, rel=1e-5)


def test_items_without_a_description_do_not_count(model):
    undescribed = np.array([[0, 0, 1], [1, 1, 0]], np.int32)
    terms = model.loss_terms(model(undescribed))
    assert float(terms["loss_m_image"]) == 0
    assert float(terms["loss_m_text"]) > 0


def test_without_clusters_the_model_is_u_gfrl():
    model = planted(modalities=())
    out = model(block_triplets())
    terms = {name: float(value) for name, value in model.loss_terms(out).items()}
    assert set(terms) == {"loss_g1", "loss_g2", "loss_g3"}
    expected = 0.4 * terms["loss_g1"] + 0.2 * terms["loss_g2"] + 0.4 * terms["loss_g3"]
    assert float(model.compute_loss(y_pred=out)) == pytest.approx(expected, rel=1e-6)
    assert not any("siamese" in v.path or "modality" in v.path for v in model.trainable_variables)
    assert model.represent().items_multimodal.shape == (ITEMS, 0)


def test_represent_gives_the_vectors_of_inference_in_any_batch_size(model):
    whole, parts = model.represent(), model.represent(batch_size=7)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert [part.shape for part in whole] == [(USERS, 24), (ITEMS, 24), (ITEMS, 16)]
    triplets = np.stack([np.arange(12), np.arange(12), np.arange(8, 20)], axis=1)
    g_user, g_positive, g_negative = model(triplets)["g"]
    close(whole.users, g_user)
    close(whole.items[:12], g_positive)
    close(whole.items[8:], g_negative)
    close(whole.items_multimodal, model.siamese(whole.items))


def test_initial_vectors_and_clusters_are_kept_and_frozen(model):
    frozen = {v.path for v in model.non_trainable_variables}
    for constant in (model.user_features, model.item_features, model.clusters):
        assert constant.path in frozen


@pytest.mark.parametrize(
    ("users", "items", "named"),
    [((USERS, 15), (ITEMS, 16), "user_features"), ((USERS, 16), (ITEMS, 17), "item_features"),
     ((USERS, 16), (16,), "item_features")],
)
def test_initial_vectors_of_another_width_are_refused(users, items, named):
    with pytest.raises(ConfigError, match=rf"{named}.*embedding_dim=16"):
        MRLM(TINY, np.zeros(users), np.zeros(items))


def test_a_modality_without_a_weight_is_refused():
    with pytest.raises(ConfigError, match="smell"):
        MRLM(TINY, np.zeros((USERS, 16)), np.zeros((ITEMS, 16)), {"smell": np.zeros(ITEMS, int)})


def test_modality_weights_sum_to_one_over_those_present():
    assert modality_weights(TINY, ("text", "knowledge")) == pytest.approx({"text": 0.6, "knowledge": 0.4})


@pytest.mark.parametrize("verification", ["as-printed", "repaired"])
def test_losses_fall_on_a_planted_problem(verification):
    """All of them, but for the verification as printed: affine in both sides, it cannot pass chance, 2 ln 2."""
    model = planted(dataclasses.replace(FULL, verification=verification))
    model.compile(optimizer=keras.optimizers.Adam(0.003))
    logs = model.fit(block_triplets(), batch_size=24, epochs=8, verbose=0).history
    terms = ["loss", "loss_g1", "loss_g2", "loss_m_text", "loss_m_image"]
    for term in terms:
        assert logs[term][-1] < logs[term][0] - 0.1, term
    assert logs["loss_g1"][-1] < -0.1
    assert (logs["loss_g3"][-1] < 1.0) == (verification == "repaired")


def test_one_epoch_on_any_backend():
    model = planted(dataclasses.replace(TINY, identity_head="sampled", sampled_candidates=8), modalities=("text",))
    before, frozen = model.get_weights(), np.array(model.user_features)
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    logs = model.fit(block_triplets(), batch_size=24, epochs=1, verbose=0).history
    assert set(logs) == {"loss", "loss_g1", "loss_g2", "loss_g3", "loss_m_text"}
    assert np.isfinite([values[0] for values in logs.values()]).all()
    trained = {v.path for v in model.trainable_variables}
    for variable, old, new in zip(model.weights, before, model.get_weights(), strict=True):
        assert (variable.path not in trained) or (old != new).any(), variable.path
    np.testing.assert_array_equal(model.user_features, frozen)
    assert all(np.isfinite(part).all() for part in model.represent())

"""Each loss against a plain NumPy float64 computation of its equation: values and gradients."""

import numpy as np
import pytest
from keras import ops

from mrlm_core.model import losses

B, D, USERS, ITEMS, CLUSTERS = 5, 4, 6, 7, 3


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / (np.sqrt(sum(a * a)) * np.sqrt(sum(b * b)))


def entropy(logits, label):
    return -np.log(np.exp(logits[label]) / np.exp(logits).sum())


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def equation_3(user, positive, negative):
    rows = zip(user, positive, negative, strict=True)
    return np.mean([(1 - cosine(u, p)) - (1 - cosine(u, n)) for u, p, n in rows])


def test_triplet_metric_loss_is_equation_3(rng, check_gradients):
    check_gradients(losses.triplet_metric_loss, equation_3, *rng.normal(size=(3, B, D)))


def test_triplet_metric_loss_is_lowest_when_the_positive_is_near():
    near, far = np.array([[1.0, 0.0]]), np.array([[-1.0, 0.0]])
    assert float(losses.triplet_metric_loss(near, near, far)) == pytest.approx(-2)
    assert float(losses.triplet_metric_loss(near, far, near)) == pytest.approx(2)


@pytest.mark.parametrize(
    ("form", "plain"),
    [("hinge", lambda gap: np.maximum(gap + 0.3, 0)), ("bpr", lambda gap: np.log(1 + np.exp(4 * gap)))],
)
def test_the_metric_loss_with_a_margin_or_as_bpr(form, plain, rng):
    user, positive, negative = (rng.normal(size=(6, 5)) for _ in range(3))
    rows = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (user, positive, negative)]
    gap = (rows[0] * rows[2]).sum(1) - (rows[0] * rows[1]).sum(1)  # distance to the positive minus to the negative
    found = losses.triplet_metric_loss(user, positive, negative, form, margin=0.3, scale=4.0)
    assert float(found) == pytest.approx(plain(gap).mean(), rel=1e-5)


def test_identity_loss_is_equations_4_and_5(rng, check_gradients):
    user_ids, positive_ids, negative_ids = rng.integers(USERS, size=B), *rng.integers(ITEMS, size=(2, B))

    def reference(user, positive, negative):
        sides = ((user, user_ids), (positive, positive_ids), (negative, negative_ids))
        return np.mean([sum(entropy(logits[b], ids[b]) for logits, ids in sides) for b in range(B)])

    check_gradients(
        lambda *logits: losses.identity_loss(*logits, user_ids, positive_ids, negative_ids),
        reference, rng.normal(size=(B, USERS)), *rng.normal(size=(2, B, ITEMS)),
    )


def test_verification_loss_is_equation_10_with_label_0_for_the_negative(rng, check_gradients):
    def reference(positive, negative):
        return np.mean(-np.log(sigmoid(positive)) - np.log(1 - sigmoid(negative)))

    check_gradients(losses.verification_loss, reference, *rng.normal(size=(2, B)))


def test_verification_loss_takes_a_column_for_a_vector(rng):
    positive, negative = rng.normal(size=(2, B))
    flat = float(losses.verification_loss(positive, negative))
    assert float(losses.verification_loss(positive[:, None], negative[:, None])) == flat


def test_modality_loss_is_equation_15(rng, check_gradients):
    positive_ids, negative_ids = rng.integers(CLUSTERS, size=(2, B))

    def reference(positive, negative):
        sides = ((positive, positive_ids), (negative, negative_ids))
        return np.mean([sum(entropy(logits[b], ids[b]) for logits, ids in sides) for b in range(B)])

    check_gradients(
        lambda *logits: losses.modality_loss(*logits, positive_ids, negative_ids),
        reference, *rng.normal(size=(2, B, CLUSTERS)),
    )


def test_a_masked_item_adds_nothing_and_the_mean_stays_over_the_batch(rng, check_gradients, gradients):
    positive_ids, negative_ids = np.array([0, -1, 2, 1, -1]), np.array([1, 1, -1, 0, -1])
    positive_mask, negative_mask = positive_ids >= 0, negative_ids >= 0

    def reference(positive, negative):
        there = [entropy(positive[b], positive_ids[b]) for b in range(B) if positive_mask[b]]
        there += [entropy(negative[b], negative_ids[b]) for b in range(B) if negative_mask[b]]
        return sum(there) / B

    def ours(positive, negative):
        return losses.modality_loss(positive, negative, positive_ids, negative_ids, positive_mask, negative_mask)

    logits = rng.normal(size=(2, B, CLUSTERS))
    check_gradients(ours, reference, *logits)
    for gradient, mask in zip(gradients(ours, *logits), (positive_mask, negative_mask), strict=True):
        assert (gradient[~mask] == 0).all()
        assert (gradient[mask] != 0).all()


def test_a_batch_without_any_description_costs_nothing(rng):
    none = np.full(B, -1)
    assert float(losses.modality_loss(*rng.normal(size=(2, B, CLUSTERS)), none, none, none >= 0, none >= 0)) == 0.0


def test_the_joint_losses_are_equations_11_16_and_17():
    assert float(losses.gfrl_loss(2.0, 3.0, 5.0, 0.4, 0.2)) == pytest.approx(0.4 * 2 + 0.2 * 3 + 0.4 * 5)
    by_name = losses.mfrl_loss({"text": 2.0, "image": 7.0}, {"image": 0.25, "text": 0.75})
    assert float(by_name) == pytest.approx(0.75 * 2 + 0.25 * 7)
    assert float(losses.mfrl_loss([2.0, 7.0], [0.75, 0.25])) == float(by_name)
    assert float(losses.mrlm_loss(2.0, 6.0, 0.55)) == pytest.approx(0.55 * 2 + 0.45 * 6)


def test_cross_entropy_ignores_a_shift_and_survives_large_logits(rng, gradients):
    logits, ids = rng.normal(size=(B, ITEMS)), rng.integers(ITEMS, size=B)
    expected = ops.convert_to_numpy(losses.cross_entropy(logits, ids))
    for shift in (1e4, -1e4):
        shifted = ops.convert_to_numpy(losses.cross_entropy(logits + shift, ids))
        np.testing.assert_allclose(shifted, expected, rtol=1e-10)
    large = (1e4 * logits).astype(np.float32)
    found = ops.convert_to_numpy(losses.cross_entropy(large, ids))
    np.testing.assert_allclose(found, large.max(1) - large[np.arange(B), ids], rtol=1e-5)
    (gradient,) = gradients(lambda x: ops.sum(losses.cross_entropy(x, ids)), large)
    assert np.isfinite(gradient).all()


def test_verification_loss_survives_large_logits(gradients):
    positive, negative = np.array([-1e4, 1e4], np.float32), np.array([1e4, -1e4], np.float32)
    assert float(losses.verification_loss(positive, negative)) == pytest.approx(1e4)
    for gradient in gradients(losses.verification_loss, positive, negative):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_zero_vector_has_cosine_zero_and_a_finite_gradient(dtype, gradients):
    zero, other = np.zeros((1, D), dtype), np.ones((1, D), dtype)
    assert float(losses.cosine_similarity(zero, other)[0]) == 0.0
    for gradient in gradients(lambda a, b: ops.sum(losses.cosine_similarity(a, b)), zero, other):
        assert np.isfinite(gradient).all()


def test_cosine_ignores_length(rng):
    a, b = rng.normal(size=(2, B, D))
    lengths = np.array([[1e-3], [1.0], [10.0], [1e3], [1e5]])
    expected = [cosine(x, y) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(ops.convert_to_numpy(losses.cosine_similarity(a * lengths, b / lengths)), expected)

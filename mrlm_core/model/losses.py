"""The paper's loss functions, one pure function an equation, in Keras ops (any backend).

Shapes: B = batch of triplets, d_1 = length of a global vector, C = number of classes of a head.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import ops

from mrlm_core.model.compiled import Tensor, accurate, compiled, with_gradient


def cosine_similarity(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of the angle between the rows of ``a`` and ``b``, ``[..., d]`` each -> ``[...]``."""
    return ops.sum(unit_rows(a) * unit_rows(b), axis=-1)


def unit_rows(vectors: Tensor) -> Tensor:
    """``vectors`` ``[..., d]`` scaled to length one; a zero row stays zero, with a finite gradient."""
    vectors = ops.convert_to_tensor(vectors)
    squared = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(squared, 1e-12))


def triplet_metric_loss(
    g_user: Tensor, g_positive: Tensor, g_negative: Tensor, form: str = "as-printed", margin: float = 0.0,
    scale: float = 1.0,
) -> Tensor:
    """L_g1, Eq. 3: mean over B of dist(user, positive) - dist(user, negative); ``[B, d_1]`` each -> scalar.

    ``cos`` of Eq. 3 is read as the cosine *distance* 1 - cosine similarity: as a similarity the loss would push
    positives away. No margin and no hinge, as printed. Forms that are not the paper's: "hinge", where a difference
    below -``margin`` counts nothing (Schroff et al. 2015), and "bpr", -log sigma of minus ``scale`` times the
    difference (Rendle et al. 2009). Gaps G09, G10.
    """
    positive_distance = 1.0 - cosine_similarity(g_user, g_positive)
    negative_distance = 1.0 - cosine_similarity(g_user, g_negative)
    difference = positive_distance - negative_distance
    if form == "hinge":
        difference = ops.relu(difference + margin)
    elif form == "bpr":
        difference = ops.softplus(scale * difference)
    return ops.mean(difference)


def identity_loss(
    user_logits: Tensor,
    positive_logits: Tensor,
    negative_logits: Tensor,
    user_ids: Tensor,
    positive_ids: Tensor,
    negative_ids: Tensor,
) -> Tensor:
    """L_g2, Eq. 4-5: mean over B of the summed cross entropies of the three identities -> scalar.

    Logits ``[B, C]`` (C = users for the first, items for the others), ids ``[B]``. Gap G24.
    """
    items, ids = ops.concatenate([positive_logits, negative_logits]), ops.concatenate([positive_ids, negative_ids])
    return stacked_identity_loss(user_logits, items, user_ids, ids)


def stacked_identity_loss(user_logits: Tensor, item_logits: Tensor, user_ids: Tensor, item_ids: Tensor) -> Tensor:
    """``identity_loss`` with the positives' rows followed by the negatives', ``[2B, C]``: no copy of wide logits."""
    users, items = cross_entropy(user_logits, user_ids), cross_entropy(item_logits, item_ids)
    return ops.mean(users) + 2.0 * ops.mean(items)


def verification_loss(positive_logits: Tensor, negative_logits: Tensor) -> Tensor:
    """L_g3, Eq. 10: binary cross entropy of the two preference pairs; logits ``[B]`` each -> scalar.

    The pair (user, negative) has label 0, as Eq. 10's log(1 - p) says; the "1" in the text before it is a slip.
    Gap G01.
    """
    positive, negative = ops.convert_to_tensor(positive_logits), ops.convert_to_tensor(negative_logits)
    return ops.mean(ops.softplus(-ops.reshape(positive, [-1])) + ops.softplus(ops.reshape(negative, [-1])))


def gfrl_loss(metric: Tensor, identity: Tensor, verification: Tensor, lambda_1: float, lambda_2: float) -> Tensor:
    """L_GFRL, Eq. 11: the three tasks weighted lambda_1, lambda_2 and the rest. Gap G11."""
    return lambda_1 * metric + lambda_2 * identity + (1.0 - lambda_1 - lambda_2) * verification


def modality_loss(
    positive_logits: Tensor,
    negative_logits: Tensor,
    positive_clusters: Tensor,
    negative_clusters: Tensor,
    positive_mask: Tensor | None = None,
    negative_mask: Tensor | None = None,
) -> Tensor:
    """L_mi, Eq. 14-15: cross entropy of the positive's and the negative's cluster on one modality -> scalar.

    Logits ``[B, C]``, clusters ``[B]``, masks ``[B]`` (true = described). A masked item contributes 0 and the mean
    stays over B, so that a rare modality weighs less, not differently per batch. Gap G20.
    """
    return ops.mean(
        _masked(cross_entropy(positive_logits, positive_clusters), positive_mask)
        + _masked(cross_entropy(negative_logits, negative_clusters), negative_mask)
    )


def mfrl_loss(modality_losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """L_MFRL, Eq. 16: the modality losses weighted by nu (``weights``, one a modality)."""
    if not isinstance(modality_losses, Mapping):  # plain sequences, in the order of the modalities
        modality_losses = dict(enumerate(modality_losses))
        weights = dict(enumerate(weights))
    return sum(weights[name] * loss for name, loss in modality_losses.items())


def mrlm_loss(gfrl: Tensor, mfrl: Tensor, theta_1: float) -> Tensor:
    """L_MRLM, Eq. 17: both modules weighted theta_1 and 1 - theta_1. Gap G11."""
    return theta_1 * gfrl + (1.0 - theta_1) * mfrl


def cross_entropy(logits: Tensor, ids: Tensor) -> Tensor:
    """-log softmax(logits)[id] per row, Eq. 4 and 14 with their max-shift; ``[B, C]``, ``[B]`` -> ``[B]``.

    A negative id (an item without a cluster) is read as class 0, for the mask to drop.
    """
    ids = ops.maximum(ops.cast(ids, "int32"), 0)

    def forward(logits: Tensor) -> tuple[Any, Any]:
        values, normaliser = _cross_entropy(logits, ids)
        return values, lambda upstream: _cross_entropy_gradient(upstream, logits, normaliser, ids)

    return with_gradient(forward)(logits)


@compiled
def _cross_entropy(logits: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """The values ``[B]`` and log sum exp of each row ``[B]``."""
    logits = accurate(logits)
    largest = ops.max(logits, axis=1)
    normaliser = largest + ops.log(ops.sum(ops.exp(logits - largest[:, None]), axis=1))
    return normaliser - ops.take_along_axis(logits, ids[:, None], axis=1)[:, 0], normaliser


@compiled
def _cross_entropy_gradient(upstream: Tensor, logits: Tensor, normaliser: Tensor, ids: Tensor) -> Tensor:
    softmax = ops.exp(accurate(logits) - normaliser[:, None])
    true = ops.arange(logits.shape[1], dtype="int32")[None, :] == ids[:, None]
    return ops.cast(upstream[:, None] * (softmax - ops.cast(true, softmax.dtype)), logits.dtype)


def _masked(values: Tensor, mask: Tensor | None) -> Tensor:
    return values if mask is None else ops.where(ops.cast(mask, "bool"), values, ops.zeros_like(values))

"""From vectors to preference scores (§3.1(2), last paragraph): five readings, each folded to one matrix product.

The paper concatenates g_u with the m of L latest items and takes the cosine with m_v, whose length differs; each form
below is one way to make that well defined. Shapes: U users, V items, L latest items (-1 padded).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrlm_core.config import PREFERENCE_FORMS
from mrlm_core.errors import ConfigError, problem
from mrlm_core.model.mrlm import Representations


@dataclass(frozen=True)
class Preference:
    """One way to score: a form of ``PREFERENCE_FORMS``, the weight w of the global part, the number L of items."""

    form: str = "blockwise"
    global_weight: float = 0.5  # w
    latest_count: int = 5  # L


def fold(vectors: Representations, latest: np.ndarray, preference: Preference) -> tuple[np.ndarray, np.ndarray]:
    """User vectors ``[U, k]`` and item vectors ``[V, k]`` whose product is the preference score.

    ``latest`` ``[U, >= L]`` holds each user's newest training positives, newest first. A user without any has a zero
    multimodal part. Raises ConfigError for a form that does not exist, "literal" where d_1 differs from d_4, and a
    form that needs multimodal vectors where there are none. Gap G12.
    """
    form = preference.form
    if form not in PREFERENCE_FORMS:
        raise ConfigError(problem("preference form", f"one of {PREFERENCE_FORMS}", repr(form), "Correct its name."))
    g_user, g_item, m_item = vectors
    if form == "global-only" or (form == "blockwise" and preference.global_weight == 1.0):
        return _unit(g_user), _unit(g_item)
    if m_item.shape[1] == 0:
        raise ConfigError(
            problem(f"preference form {form!r}", "multimodal vectors", "a model without modalities",
                    "Use 'global-only' for U-GFRL.")
        )
    latest = latest[:, : preference.latest_count]
    if form == "blockwise":
        w = preference.global_weight
        profile = _mean_of_latest(_unit(m_item), latest)
        return np.hstack([w * _unit(g_user), (1 - w) * profile]), np.hstack([_unit(g_item), _unit(m_item)])
    if form == "multimodal-only":
        return _mean_of_latest(_unit(m_item), latest), _unit(m_item)
    if form == "tiled":
        return _tiled(g_user, g_item, m_item, latest, preference.latest_count)
    return _literal(g_user, m_item, latest)


def _tiled(
    g_user: np.ndarray, g_item: np.ndarray, m_item: np.ndarray, latest: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """cos([g_u, m_l1 .. m_lL], [g_v, m_v .. m_v]); a user with fewer than L items repeats those he has."""
    mean = _mean_of_latest(m_item, latest)
    squares = np.square(m_item).sum(1)
    user_norm = np.sqrt(np.square(g_user).sum(1) + count * _mean_of_latest(squares[:, None], latest)[:, 0])
    item_norm = np.sqrt(np.square(g_item).sum(1) + count * squares)
    user = np.hstack([g_user, count * mean]) / np.maximum(user_norm, 1e-12)[:, None]
    return user, np.hstack([g_item, m_item]) / np.maximum(item_norm, 1e-12)[:, None]


def _literal(g_user: np.ndarray, m_item: np.ndarray, latest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """cos(mean of [g_u, m_l1 .. m_lL], m_v), possible only where both kinds of vector have one length."""
    if g_user.shape[1] != m_item.shape[1]:
        raise ConfigError(
            problem("preference form 'literal'", "global_dim equal to multimodal_dim",
                    f"{g_user.shape[1]} and {m_item.shape[1]}", "Set both to one value, or choose another form.")
        )
    count = (latest >= 0).sum(1, keepdims=True)
    return _unit(g_user + count * _mean_of_latest(m_item, latest)), _unit(m_item)


def _mean_of_latest(rows: np.ndarray, latest: np.ndarray) -> np.ndarray:
    """Mean of ``rows[latest]`` over the items that are there, ``[U, k]``; zeros for a user with none."""
    total = np.zeros((len(latest), rows.shape[1]), rows.dtype)
    for column in latest.T:  # L columns, each over all users at once
        total += np.where((column >= 0)[:, None], rows[column], 0)
    return total / np.maximum((latest >= 0).sum(1), 1)[:, None].astype(rows.dtype)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

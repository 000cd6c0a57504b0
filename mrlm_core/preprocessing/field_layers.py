"""What xDeepFM makes of fields (Lian et al. 2018): their embeddings, and the compressed interaction network (CIN).

Shapes: B batch, F (or m) fields, D field_dim, H_k maps of the k-th CIN layer, T layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from keras import ops

from mrlm_core.preprocessing.fields import FieldTable

Tensor = Any


def embedded(values: Any, table: FieldTable, rows: Tensor, offset: int = 0) -> Tensor:
    """Each field ``[B, F, K]`` of ``rows`` of ``table`` as the weighted sum of its values' rows of ``values``.

    The table's first row is row ``offset`` of ``values`` ``[n, K]``.
    """
    indices = ops.take(ops.convert_to_tensor(table.indices + offset), rows, axis=0)
    weights = ops.take(ops.convert_to_tensor(table.weights), rows, axis=0)
    return ops.sum(ops.take(values, indices, axis=0) * weights[..., None], axis=2)


def mean_square(fields: Tensor) -> Tensor:
    """Mean over B of the squared length of the fields ``[B, F, D]``."""
    return ops.mean(ops.sum(ops.square(fields), axis=(1, 2)))


def compressed_interactions(fields: Tensor, layers: list[Any]) -> Tensor:
    """CIN: X^k_h = sum_ij W^k_hij (X^{k-1}_i * X^0_j), each layer summed over D; ``[B, m, D]`` -> ``[B, sum H_k]``.

    ``layers`` are bias-free dense layers that hold W^k over the flattened (i, j). Lian et al. 2018, Eq. 6-8.
    """
    base = ops.transpose(fields, (0, 2, 1))  # [B, D, m]
    state, pooled = base, []
    for layer in layers:
        outer = state[:, :, :, None] * base[:, :, None, :]
        state = layer(ops.reshape(outer, (-1, base.shape[1], state.shape[2] * base.shape[2])))
        pooled.append(ops.sum(state, axis=1))
    return ops.concatenate(pooled, axis=1)


class CINFactors:
    """The weighted sum of a CIN's outputs as an inner product of what the users give and what the items give.

    Along each of the D coordinates the CIN of T layers is a polynomial of degree T + 1 in the fields of the pair: the
    items give the monomials of their own fields, the users, out of theirs and the weights, the coefficients. So all
    pairs are ranked by one matrix product, exactly, and nothing is left that is computed pair by pair.
    """

    def __init__(self, item_fields: int, kernels: Sequence[np.ndarray], weights: np.ndarray) -> None:
        """``kernels`` W^k ``[H_{k-1} m, H_k]`` with the users' fields first among the m; ``weights`` ``[sum H_k]``."""
        self.item_fields = item_fields
        ends = np.cumsum([kernel.shape[1] for kernel in kernels])[:-1]
        self.weights = np.split(weights.astype(np.float64), ends)
        self.kernels = [kernel.astype(np.float64) for kernel in kernels]
        # 0 stands for the constant 1, which makes all monomials of one degree.
        self.monomials = [list(combinations_with_replacement(range(item_fields + 1), degree))
                          for degree in range(1, len(kernels) + 2)]

    def of_items(self, fields: np.ndarray) -> np.ndarray:
        """The monomials of ``fields`` ``[B, F_items, D]``, float32 ``[B, D Q]``."""
        values = np.concatenate([np.ones_like(fields[:, :1]), fields], axis=1)
        powers = np.prod([values[:, list(place)] for place in zip(*self.monomials[-1], strict=True)], axis=0)
        return powers.transpose(0, 2, 1).reshape(len(fields), -1).astype(np.float32)

    def of_users(self, fields: np.ndarray) -> np.ndarray:
        """The coefficients of those monomials given ``fields`` ``[B, F_users, D]``, float32 ``[B, D Q]``."""
        count, own, dim = fields.shape
        base = np.zeros((count, dim, 1 + self.item_fields, own + self.item_fields))
        base[:, :, 0, :own] = fields.transpose(0, 2, 1)
        base[:, :, 1:, own:] = np.eye(self.item_fields)
        one = np.eye(1 + self.item_fields)[0]
        state, total = base, np.zeros(base.shape[:3])
        for degree, (kernel, weights) in enumerate(zip(self.kernels, self.weights, strict=True), start=1):
            kernel = kernel.reshape(state.shape[3], base.shape[3], -1)
            if degree == len(self.kernels):  # only its weighted sum is wanted
                kernel, weights = kernel @ weights[:, None], np.ones(1)
            half = np.einsum("nqai,ijh->nqajh", state, kernel, optimize=True)
            state = self._collected(np.einsum("nqajh,nqbj->nqabh", half, base, optimize=True), degree)
            total = self._collected((total[..., None] * one)[..., None], degree)[..., 0] + state @ weights
        return total.reshape(count, -1).astype(np.float32)

    def _collected(self, products: np.ndarray, degree: int) -> np.ndarray:
        """Coefficients ``[n, D, a, b, H]`` of monomial a times monomial b summed into those of the next degree."""
        place = {monomial: number for number, monomial in enumerate(self.monomials[degree])}
        target = [place[tuple(sorted((*one, factor)))] for one in self.monomials[degree - 1]
                  for factor in range(1 + self.item_fields)]
        flat = products.reshape(*products.shape[:2], len(target), -1)
        return np.einsum("nqth,tc->nqch", flat, np.eye(len(place))[target], optimize=True)

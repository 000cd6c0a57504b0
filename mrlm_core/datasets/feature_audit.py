"""Which columns and rows of ready-made features are sound; published ones are known to hold infinities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# A finite value this many times its column's median size is a division by almost zero, as bad as an infinity.
BLOW_UP = 1e6


@dataclass(frozen=True)
class FeatureAudit:
    """Columns ``[d]`` (mostly not finite, constant) and rows ``[n]`` (not finite, blown up) that are not sound."""

    broken_columns: np.ndarray
    constant_columns: np.ndarray
    broken_rows: np.ndarray
    blown_up_rows: np.ndarray

    @property
    def columns(self) -> np.ndarray:
        return ~(self.broken_columns | self.constant_columns)

    @property
    def rows(self) -> np.ndarray:
        return ~(self.broken_rows | self.blown_up_rows)


def audit_features(values: np.ndarray) -> FeatureAudit:
    """The audit of features float64 ``[n, d]``; rows are judged by the columns that remain."""
    finite = np.isfinite(values)
    broken = finite.mean(axis=0) <= 0.5
    held = np.where(finite, values, np.nan)[:, ~broken]
    constant = np.zeros(len(broken), bool)
    constant[~broken] = np.nanmax(held, axis=0) == np.nanmin(held, axis=0)
    columns = ~(broken | constant)
    size = np.abs(np.where(finite, values, np.nan)[:, columns])
    typical = np.nanmedian(size, axis=0)
    limit = np.where(typical > 0, BLOW_UP * typical, np.inf)  # a column mostly of zeros has no typical size
    broken_rows = ~finite[:, columns].all(axis=1)
    return FeatureAudit(broken, constant, broken_rows, ~broken_rows & (size > limit).any(axis=1))

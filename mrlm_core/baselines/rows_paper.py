"""Rows of the ten models that the paper compares with, and of their "+" versions (Tables 3-4)."""

from __future__ import annotations

from mrlm_core.baselines.row import Row, plus

_PAPER: tuple[Row, ...] = ()

# Each beside its "+", as the tables print them.
ROWS: tuple[Row, ...] = tuple(version for row in _PAPER for version in (row, plus(row)))

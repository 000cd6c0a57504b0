"""The ten models that the paper compares with, each beside its "+" version, as its Tables 3-4 print them."""

from __future__ import annotations

from mrlm_core.baselines import rows_content, rows_history, rows_text
from mrlm_core.baselines.row import Row, plus

ORDER = ("xDeepFM", "Covington", "SRSCHAN", "ConvMF", "NARRE", "HAUP", "CAMN", "CKE", "ORAMAS", "MRTA")

_BY_NAME = {row.name: row for row in (*rows_content.ROWS, *rows_history.ROWS, *rows_text.ROWS)}

ROWS: tuple[Row, ...] = tuple(version for name in ORDER for version in (_BY_NAME[name], plus(_BY_NAME[name])))

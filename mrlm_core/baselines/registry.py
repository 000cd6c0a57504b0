"""Every model by its name, built with checked hyperparameters."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from mrlm_core.baselines import rows_mrlm, rows_paper, rows_simple
from mrlm_core.baselines.row import Row
from mrlm_core.errors import ConfigError, problem


def names() -> tuple[str, ...]:
    """The names of the models that are compared, in the order of the tables."""
    return tuple(name for name, entry in _ROWS.items() if entry not in rows_mrlm.FORMS)


def row(name: str) -> Row:
    """The row of ``name``; raises ConfigError with the nearest name when there is none."""
    if name not in _ROWS:
        raise ConfigError(problem("model", "a name of the registry", repr(name), _nearest(name, _ROWS)))
    return _ROWS[name]


def build(name: str, hyperparameters: Mapping[str, Any] | None = None) -> Any:
    """The model ``name``, not yet fitted, with ``hyperparameters`` in place of its defaults.

    Raises ConfigError for an unknown model or hyperparameter or an impossible value.
    """
    entry, changed = row(name), dict(hyperparameters or {})
    # MRLM's hyperparameters are settings of the config, which checks them itself.
    if entry.family != "mrlm":
        for key, value in changed.items():
            _check(f"{name} hyperparameter {key!r}", key, value, entry.defaults)
    model = getattr(importlib.import_module(entry.module), entry.cls)
    return model(**{**entry.defaults, **changed, **entry.settings})


def _check(where: str, key: str, value: Any, defaults: Mapping[str, Any]) -> None:
    if key not in defaults:
        raise ConfigError(problem(where, "a hyperparameter of this model", "an unknown name", _nearest(key, defaults)))
    default = defaults[key]
    kinds = (int, float) if isinstance(default, float) else (type(default),)
    if not isinstance(value, kinds) or isinstance(value, bool) != isinstance(default, bool):
        raise ConfigError(problem(where, f"a value like {default!r}", repr(value), "Correct its type."))
    if isinstance(value, (int, float)) and not 0 <= value < float("inf"):
        raise ConfigError(problem(where, "a number that is not negative", repr(value), "Correct it."))
    if isinstance(default, int) and not isinstance(default, bool) and value < min(1, default):
        raise ConfigError(problem(where, "a whole number of at least 1", repr(value), "Correct it."))


def _nearest(name: str, known: Iterable[str]) -> str:
    candidates = list(known)
    close = difflib.get_close_matches(str(name), candidates, n=1) or difflib.get_close_matches(
        str(name).lower(), [candidate.lower() for candidate in candidates], n=1
    )
    if close:
        return f"Did you mean {next(c for c in candidates if c.lower() == close[0].lower())!r}?"
    return f"Known: {', '.join(candidates)}." if candidates else "There are none."


# In the order of the tables: the simple ones, the paper's and their "+" versions, controls and the method itself.
_ROWS: dict[str, Row] = {
    entry.name: entry for entry in (*rows_simple.ROWS, *rows_paper.ROWS, *rows_mrlm.ROWS, *rows_mrlm.FORMS)
}

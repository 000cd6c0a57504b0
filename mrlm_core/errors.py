"""The errors a user can cause. The command line prints their text without a traceback and exits with 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user gave is wrong; the text says where, what was expected, what was found, what to do."""


class ConfigError(UserError):
    """A parameter, preset or option that does not exist or has an impossible value."""


class DatasetError(UserError):
    """A dataset folder or raw file that breaks the contract of data/README.md."""


def problem(where: str, expected: str, found: str, remedy: str) -> str:
    """One sentence pattern for every user error: where, expected, found, what to do next."""
    return f"{where}: expected {expected}, found {found}. {remedy}"


def nearest(name: object, known: Iterable[str]) -> str:
    """What to do about a name that is none of ``known``: the one that was probably meant, or the list."""
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(sorted(known)) or 'none'}."

"""The errors a user can cause. The command line prints their text without a traceback and exits with 2."""

from __future__ import annotations


class UserError(Exception):
    """Something the user gave is wrong; the text says where, what was expected, what was found, what to do."""


class ConfigError(UserError):
    """A parameter, preset or option that does not exist or has an impossible value."""


class DatasetError(UserError):
    """A dataset folder or raw file that breaks the contract of data/README.md."""


def problem(where: str, expected: str, found: str, remedy: str) -> str:
    """One sentence pattern for every user error: where, expected, found, what to do next."""
    return f"{where}: expected {expected}, found {found}. {remedy}"

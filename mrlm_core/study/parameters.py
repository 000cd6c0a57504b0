"""The names that papermill gives a notebook, checked inside the notebook: papermill itself only warns."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from mrlm_core.errors import ConfigError, nearest, problem

_INJECTED = "# Parameters"  # how papermill begins the cell that it puts after a notebook's own `parameters` cell


def check_parameters(cells: Sequence[str] | None = None) -> None:
    """Raises ConfigError for a parameter that papermill was given and this notebook does not have.

    ``cells`` are the sources of the cells run so far (those of this kernel). Without an injected cell, as in
    JupyterLab, there is nothing to check.
    """
    run = _history() if cells is None else list(cells)
    places = [place for place, source in enumerate(run) if source.startswith(_INJECTED)]
    if not places:
        return
    given = _assigned(run[places[-1]])
    known = {name for source in run[: places[-1]] for name in _assigned(source)}
    for name in given:
        if name not in known:
            raise ConfigError(problem(f"parameter {name!r}", "a name in this notebook's `parameters` cell",
                                      "an unknown name", nearest(name, known)))


def _history() -> list[str]:
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return [] if shell is None else [str(source) for source in shell.user_ns.get("In", [])]


def _assigned(source: str) -> list[str]:
    """Names that a cell of plain assignments assigns, in their order."""
    targets = (target for node in ast.parse(source).body if isinstance(node, ast.Assign) for target in node.targets)
    return [target.id for target in targets if isinstance(target, ast.Name)]

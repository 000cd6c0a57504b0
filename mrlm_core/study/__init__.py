"""From a run's specification to its record, and from records to tables, figures and pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mrlm_core.study.parameters import check_parameters
    from mrlm_core.study.run import run_many, run_or_load
    from mrlm_core.study.spec import RunSpec, dataset_folder

__all__ = ["RunSpec", "check_parameters", "dataset_folder", "run_many", "run_or_load"]
_HOMES = {"RunSpec": "spec", "dataset_folder": "spec", "run_or_load": "run", "run_many": "run",
          "check_parameters": "parameters"}


def __getattr__(name: str) -> Any:
    """Import on first use: the command line must answer before TensorFlow has loaded."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

"""Finished runs carried from one machine to the next under version control, for a study that takes longer than one."""

from __future__ import annotations

import shutil
from pathlib import Path

from mrlm_core.cache import atomic
from mrlm_core.config import workspace
from mrlm_core.errors import ConfigError, problem
from mrlm_core.study.record import FILES, RECORD, finished


def keep(dataset: str) -> list[Path]:
    """Copy the finished runs of ``dataset`` from runs/ to book/results/<dataset>/runs/; returns the folders new there.

    Raises ConfigError where there is none.
    """
    return _copied(_runs(dataset), _carried(dataset), "Run a chapter first: `mrlm study`.")


def take(dataset: str) -> list[Path]:
    """Copy back those that runs/ lacks; returns the folders new there. Raises ConfigError where none is carried.

    A run's folder is the hash of its spec, its data and its code: one of other data or code is never read.
    """
    return _copied(_carried(dataset), _runs(dataset), "Keep some first: `mrlm runs keep`.")


def _copied(source: Path, target: Path, fix: str) -> list[Path]:
    folders = [path.parent for path in sorted(source.rglob(RECORD)) if finished(path.parent)]
    if not folders:
        raise ConfigError(problem(str(source), "finished runs", "none", fix))
    pairs = [(folder, target / folder.relative_to(source)) for folder in folders]
    new = [(folder, copy) for folder, copy in pairs if not finished(copy)]
    for folder, copy in new:
        for name in FILES:  # the record last: where it is, the run is whole
            if (folder / name).exists():
                with atomic(copy / name) as temporary:
                    shutil.copyfile(folder / name, temporary)
    return [copy for _, copy in new]


def _runs(dataset: str) -> Path:
    return workspace() / "runs" / dataset


def _carried(dataset: str) -> Path:
    return workspace() / "book" / "results" / dataset / "runs"

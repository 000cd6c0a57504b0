"""What a run is: the specification that, with data and code, determines its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mrlm_core.baselines import registry
from mrlm_core.config import StudyConfig, preset, settings_of, workspace
from mrlm_core.errors import DatasetError, problem


@dataclass(frozen=True)
class RunSpec:
    """One run. ``settings`` are dotted config settings; ``hyperparameters`` are the model's own (baselines).

    ``dataset`` is a name under data/ or a folder; ``split_seed`` draws the split, ``seed`` the training;
    ``modalities`` None means all the dataset has; ``clusters`` one of ``pipeline.CLUSTER_ASSIGNMENTS``,
    "own" or a null control.
    """

    dataset: str
    model: str
    split_seed: int = 0
    seed: int = 0
    preset: str = "laptop"
    modalities: tuple[str, ...] | None = None
    clusters: str = "own"
    settings: Mapping[str, Any] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> StudyConfig:
        """The preset with this run's settings and its model's; raises ConfigError for an unknown name or value."""
        return preset(self.preset, {**self.settings, **registry.row(self.model).settings})

    def resolved(self) -> dict[str, Any]:
        """The spec with every setting that it leaves to the preset spelled out."""
        return {**asdict(self), "settings": settings_of(self.config)}


def dataset_folder(name: str) -> Path:
    """The folder of dataset ``name`` (a name under data/ or a path); raises DatasetError naming those that exist."""
    for folder in (Path(name), workspace() / "data" / name):
        if folder.is_dir() and (len(folder.parts) > 1 or (folder / "dataset.yml").exists()):
            return folder
    there = sorted(path.parent.name for path in (workspace() / "data").glob("*/dataset.yml"))
    raise DatasetError(
        problem(f"dataset {name!r}", "a folder with a dataset.yml, or a name under data/", "neither",
                f"Known here: {', '.join(there) or 'none'}. Make one with: mrlm data make {name}")
    )

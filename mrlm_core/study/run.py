"""``run_or_load``: the only way to get a record. It runs what has no record yet and keeps what it measured."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from tqdm.auto import tqdm

from mrlm_core.baselines import registry
from mrlm_core.cache import content_hash
from mrlm_core.config import workspace
from mrlm_core.datasets import Dataset, load_dataset
from mrlm_core.datasets.splits import Interactions, Split, interactions, split_by
from mrlm_core.errors import ConfigError, DatasetError, problem
from mrlm_core.evaluation.metrics import AUC_DEFINITIONS, evaluate
from mrlm_core.preprocessing import pipeline
from mrlm_core.study.inputs import inputs_of, missing
from mrlm_core.study.key import code_of, run_key
from mrlm_core.study.record import FIXED, GAP, RunRecord, Stages, environment, finished, load_record, save_record
from mrlm_core.study.scheduler import LOCAL, Lost, each
from mrlm_core.study.spec import RunSpec, dataset_folder
from mrlm_core.training.time_limit import ENDLESS, OutOfTime, within

LONGEST_FIRST = ("mrlm", "deep", "control", "simple")  # families

Run: TypeAlias = Callable[[Stages, Path], tuple[dict[str, Any], pd.DataFrame]]
Spec = TypeVar("Spec")
Result = TypeVar("Result")


CHECKPOINT = "checkpoint"  # in a record's folder: from here a training that was killed goes on


def run_or_load(spec: RunSpec, fixed_ratio: float | None = None, checkpoint: str = CHECKPOINT) -> RunRecord:
    """The record of ``spec``: from runs/ when this spec, data and code have one, else by running it now.

    With ``fixed_ratio`` the model is tested twice, the second time on ``fixed_test``; those metrics are the columns
    ``fixed_...`` of ``per_user`` and their means ``data["fixed_test"]``, in a record of its own. It is also asked for
    its own training positives, among all items: ``data["training"]``; ``gap_...`` is that minus the fixed test, user by
    user. ``checkpoint`` is the name of the folder in which the training is kept while it lasts. A ConfigError or
    DatasetError (the user's mistake) is raised; any other failure becomes a failed record.
    """
    dataset = dataset_of(spec)
    run = partial(_run, spec, dataset, fixed_ratio=fixed_ratio)
    return kept(spec, dataset, record_folder(spec, dataset, fixed_ratio), run, checkpoint=checkpoint)


def kept(
    spec: RunSpec, dataset: Dataset, folder: Path, run: Run, more: Mapping[str, Any] | None = None,
    checkpoint: str = CHECKPOINT,
) -> RunRecord:
    """The record in ``folder``, or what ``run`` (stages, checkpoint folder) gives, kept there; as ``run_or_load``.

    ``more`` is what such a record says besides.
    """
    lacking = missing(registry.row(spec.model), dataset, spec.modalities)
    found = load_record(folder)
    if found is not None and not found.failed:
        return found
    data = {**_begun(spec, dataset, folder), **(more or {})}
    if lacking:  # not kept: the dataset may be made anew with what is missing
        return RunRecord(folder, {**data, **_nothing("not run", lacking)}, None)
    stages = Stages()
    data["resumed"] = (folder / checkpoint).exists()  # then the stages tell of a part of the training only
    try:
        result, per_user = run(stages, folder / checkpoint)
    except OutOfTime:  # a record that went on from here would tell of a part of the training's time only
        shutil.rmtree(folder / checkpoint, ignore_errors=True)
        raise
    except (ConfigError, DatasetError):
        raise
    except Exception as error:  # a diverged training too: recorded, shown as failed in every table
        meanwhile = load_record(folder)  # another process may have ended the same run, and taken its checkpoint away
        if meanwhile is not None and not meanwhile.failed:
            return meanwhile
        failure = _nothing("failed", f"{type(error).__name__}: {error}")
        return save_record(folder, {**data, **failure, "stages": stages.rows}, None)
    record = save_record(folder, {**data, **result, "status": "done", "stages": stages.rows}, per_user)
    shutil.rmtree(folder / checkpoint, ignore_errors=True)
    return record


def run_many(
    specs: Sequence[RunSpec], scheduler: str | None = None, fixed_ratio: float | None = None
) -> list[RunRecord]:
    """The records of ``specs``, in order; ``scheduler`` as in ``scheduler.each``, ``fixed_ratio`` as ``run_or_load``.

    A run that fails is a failed record, one that kills every worker it is given to as well, and the others go on. A
    wrong name in any of them is raised at once.
    """
    for spec in specs:
        check_names(spec)
        if fixed_ratio is not None:
            _check_fixed(spec, fixed_ratio)
    run, lost = (partial(make, fixed_ratio=fixed_ratio) for make in (run_or_load, lost_record))
    return in_order(run, lost, lambda spec: record_folder(spec, dataset_of(spec), fixed_ratio), specs, scheduler,
                    lambda spec: spec.model)


def check_names(spec: RunSpec) -> None:
    """Raises the ConfigError or DatasetError of a dataset, model, setting, modality or assignment that is not there."""
    _model(spec)
    missing(registry.row(spec.model), dataset_of(spec), spec.modalities)
    pipeline.check_assignment(spec.clusters)


def in_order(
    run: Callable[[Spec], RunRecord], lost: Callable[[Spec, Lost], RunRecord], folder_of: Callable[[Spec], Path],
    specs: Sequence[Spec], scheduler: str | None, model_of: Callable[[Spec], str],
) -> list[RunRecord]:
    """``run`` of each of ``specs``, in their order; ``lost`` makes the record of one whose workers died, or which the
    data make impossible (that is raised where it is the only one).

    What has a record in ``folder_of`` it is read here, and only the rest goes to ``scheduler``: to start the workers of
    this machine takes longer than many a run, and for a single one nothing is gained. What takes longest goes there
    first, else one worker is still at it when the others have nothing left.
    """
    away = [place for place, spec in enumerate(specs) if scheduler and not finished(folder_of(spec))]
    away.sort(key=lambda place: LONGEST_FIRST.index(registry.row(model_of(specs[place])).family))
    if scheduler == LOCAL and len(away) < 2:
        away, scheduler = [], None
    here = [place for place in range(len(specs)) if place not in away]
    groups = [(here, None)] + [(away, scheduler)] * bool(scheduler)  # with nothing to run too: a wrong name is told
    one = partial(or_lost, run) if len(specs) > 1 else run
    ended = ((places[number], record) for places, where in groups
             for number, record in each(one, [specs[place] for place in places], where))
    records: dict[int, RunRecord] = {}
    for place, record in tqdm(ended, total=len(specs), desc="runs", unit="run", disable=None):
        records[place] = lost(specs[place], record) if isinstance(record, Lost) else record
    return [records[place] for place in range(len(specs))]


def or_lost(run: Callable[[Spec], Result], spec: Spec) -> Result | Lost:
    """``run(spec)``; Lost, with the reason, where the data make it impossible, as with more clusters than items."""
    try:
        return run(spec)
    except (ConfigError, DatasetError) as error:
        return Lost(f"{type(error).__name__}: {error}")


def lost_record(spec: RunSpec, lost: Lost, fixed_ratio: float | None = None) -> RunRecord:
    """The failed record of a run whose workers died; not kept, so that it is tried again the next time."""
    dataset = dataset_of(spec)
    return lost_in(spec, dataset, record_folder(spec, dataset, fixed_ratio), lost)


def lost_in(spec: RunSpec, dataset: Dataset, folder: Path, lost: Lost) -> RunRecord:
    """As ``lost_record`` for a record that would be in ``folder``."""
    return RunRecord(folder, {**_begun(spec, dataset, folder), **_nothing("failed", lost.error)}, None)


def dataset_of(spec: RunSpec) -> Dataset:
    """The dataset of ``spec``, read once in a process."""
    place = dataset_folder(spec.dataset)
    return _dataset(str(place), place.stat().st_mtime_ns)


def split_of(spec: RunSpec, dataset: Dataset) -> tuple[Split, Interactions]:
    """The split that ``spec`` draws from ``dataset`` and its matrices."""
    protocol = spec.config.protocol
    ratings = dataset.ratings
    ratios = protocol.train_ratio, protocol.validation_ratio
    split = split_by(protocol.split, ratings, *ratios, spec.split_seed)
    threshold = dataset.positive_threshold
    return split, interactions(ratings, dataset.n_users, dataset.n_items, threshold, split, spec.split_seed)


def fixed_test(spec: RunSpec, dataset: Dataset, fixed_ratio: float) -> Interactions:
    """The split of ``spec`` with training ratio ``fixed_ratio``, to test models of smaller ratios on.

    The split is one permutation cut in three, so a larger training ratio leaves a test part within that of a smaller
    one. Tested on this split, models of every ratio have the same test positives and the same candidates, whatever
    they were trained on. Raises ConfigError when ``fixed_ratio`` is below the training ratio of ``spec``. Gap G33.
    """
    _check_fixed(spec, fixed_ratio)
    _, parts = split_of(replace(spec, settings={**spec.settings, "protocol.train_ratio": fixed_ratio}), dataset)
    _, own = split_of(spec, dataset)
    assert (parts.test - parts.test.multiply(own.test)).nnz == 0, "the test part is not within the spec's own"
    return parts


def _check_fixed(spec: RunSpec, fixed_ratio: float) -> None:
    if fixed_ratio < spec.config.protocol.train_ratio:
        raise ConfigError(problem("fixed_ratio", f"at least the training ratio {spec.config.protocol.train_ratio:g}",
                                  f"{fixed_ratio:g}", "Its test part would hold ratings that were trained on."))


def fitted(spec: RunSpec, dataset: Dataset, stages: Stages, checkpoint: Path | None) -> tuple[Any, Interactions, dict]:
    """The trained model of ``spec``, its interactions, and the sources of its inputs."""
    with stages.stage("split"):
        _, parts = split_of(spec, dataset)
    model, sources = fitted_to(spec, dataset, parts, stages, checkpoint)
    return model, parts, sources


def fitted_to(
    spec: RunSpec, dataset: Dataset, parts: Interactions, stages: Stages, checkpoint: Path | None
) -> tuple[Any, dict]:
    """The model of ``spec`` trained on ``parts``, whatever split they are of, and the sources of its inputs."""
    model = _model(spec)
    with stages.stage("preprocessing"), within(ENDLESS):  # a search's limit is the model's, not its inputs'
        inputs, sources = inputs_of(spec, dataset, parts)
    if "checkpoint" in inspect.signature(model.fit).parameters:  # one trained by epochs goes on when killed
        inputs["checkpoint"] = checkpoint
    with stages.stage("training"):
        model.fit(parts, spec.seed, **inputs)
    return model, sources


def _model(spec: RunSpec) -> Any:
    """The model of ``spec``, not yet trained; MRLM's hyperparameters are the settings of its config."""
    mrlm = registry.row(spec.model).family == "mrlm"
    own = {"preset_name": spec.preset, **spec.settings} if mrlm else {}
    return registry.build(spec.model, {**spec.hyperparameters, **own})


def _run(
    spec: RunSpec, dataset: Dataset, stages: Stages, checkpoint: Path, fixed_ratio: float | None
) -> tuple[dict[str, Any], pd.DataFrame]:
    fixed = None if fixed_ratio is None else fixed_test(spec, dataset, fixed_ratio)
    model, parts, sources = fitted(spec, dataset, stages, checkpoint)
    cutoffs = spec.config.protocol.cutoffs
    measured = partial(evaluate, model, cutoffs=cutoffs, auc_definitions=AUC_DEFINITIONS, listed=_listed(spec, dataset))
    with stages.stage("evaluation"):
        tables = {part: measured(parts, part) for part in ("validation", "test")}
        if fixed is not None:
            tables["fixed_test"] = measured(fixed, "test")
            tables["training"] = measured(_asked_for_training(parts), "test")
    history = getattr(model, "history", None)
    result: dict[str, Any] = {part: _means(table) for part, table in tables.items()}
    result["users"] = {
        part: {"evaluated": len(table), "skipped": table.attrs["skipped"]} for part, table in tables.items()
    }
    result["inputs"] = _plain(sources)
    result["report"] = _plain(getattr(model, "report", {}))
    result["epochs"] = None if history is None else {"run": history.epochs, "best": history.best_epoch}
    result["history"] = [] if history is None else _plain(history.rows)
    if fixed is None:
        return result, tables["test"]
    gap = tables["training"] - tables["fixed_test"]
    per_user = tables["test"].join([tables["fixed_test"].add_prefix(FIXED), gap.add_prefix(GAP)])
    return {**result, "fixed_ratio": fixed_ratio}, per_user


def _asked_for_training(parts: Interactions) -> Interactions:
    """``parts`` with the training positives as the test and nothing known before."""
    none = csr_matrix(parts.train.shape, dtype=np.float32)
    return replace(parts, test=parts.train, train_rated=none, validation_rated=none)


def _listed(spec: RunSpec, dataset: Dataset) -> np.ndarray | None:
    """The items that ``protocol.candidates`` lets a list have; None for all."""
    return np.unique(dataset.ratings["item"]) if spec.config.protocol.candidates == "rated" else None


def record_folder(spec: RunSpec, dataset: Dataset, fixed_ratio: float | None = None) -> Path:
    """Where the record of ``spec`` is kept; its name is the record's key."""
    key = run_key(spec, dataset)
    return workspace() / "runs" / dataset.name / (key if fixed_ratio is None else content_hash(key, fixed_ratio))


def _begun(spec: RunSpec, dataset: Dataset, folder: Path) -> dict[str, Any]:
    """What the record in ``folder`` says before anything has run."""
    return {
        "spec": _plain(spec.resolved()), "spec_hash": folder.name, "data_hash": dataset.data_hash,
        "code_hash": code_of(spec, dataset), **environment(),
        "selected_on": f"validation recall@{spec.config.protocol.selection_cutoff}",
    }


def _nothing(status: str, error: str) -> dict[str, Any]:
    return {"status": status, "error": error, "validation": {}, "test": {}, "stages": {}}


def _means(table: pd.DataFrame) -> dict[str, float]:
    return {str(name): float(value) for name, value in table.mean().items()}


def _plain(value: Any) -> Any:
    """``value`` with NumPy scalars, tuples and mappings as JSON knows them."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


@lru_cache(maxsize=4)
def _dataset(folder: str, changed: int) -> Dataset:
    """The dataset, kept between runs until its folder is made anew (``changed`` is the folder's time)."""
    return load_dataset(folder)

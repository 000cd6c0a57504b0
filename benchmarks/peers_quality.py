"""Recall@20 of public implementations and of ours, trained on the same split at the same settings, with speed.

Takes hours: each training is kept in runs/peers-quality/, and with MRLM_PEERS_HOURS set none is begun after so long, so
that the page tells what is done and the next call goes on. MRLM_PEERS_PAIRS="ConvMF, EASE" takes the pairs with these
models of ours alone, MRLM_PEERS_DATASETS="movielens-1m" this dataset alone; what the machine's page tells of others at
their present settings stays.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.environments import reason, requirements, version_of
from benchmarks.peers.exported import CUTOFF
from benchmarks.peers.quality_data import Exported, export, recalls
from benchmarks.peers.quality_earlier import earlier, short
from benchmarks.peers.quality_pairs import PAIRS, Pair
from benchmarks.peers.quality_tables import measured_part, settings_part, stays
from benchmarks.peers.rounds import OURS, THREADS, Library, started
from benchmarks.section import Section, Target, kept, stamp, this_machine
from mrlm_core.cache import content_hash, file_hash, write_text
from mrlm_core.config import workspace
from mrlm_core.study.key import run_key
from mrlm_core.study.spec import RunSpec

DATASETS = ("movielens-latest-small", "movielens-1m")
SEEDS = 3
HOURS = "MRLM_PEERS_HOURS"  # environment variable: after so long no training is begun (unset: never)
ONLY = "MRLM_PEERS_PAIRS"  # environment variable: names of our models, with commas; unset: all pairs
WHERE = "MRLM_PEERS_DATASETS"  # environment variable: names of datasets, with commas; unset: all
LATE = f"not trained before the end of {HOURS}; run it again to go on"


@dataclass(frozen=True)
class Fit:
    """One training of one library: what its process is told, but for where things lie."""

    library: str
    model: str
    settings: dict[str, Any]
    seed: int
    order: dict[str, Any]


@dataclass(frozen=True)
class Fitted:
    """Recall@20 of each user on validation and test, the facts its process told, or the ``error`` that left none."""

    recall: dict[str, np.ndarray] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Result:
    """A pair's trainings by seed, theirs and ours, and the settings of theirs that were chosen on validation."""

    pair: Pair
    theirs: list[Fitted]
    ours: list[Fitted]
    chosen: dict[str, Any]

    @property
    def error(self) -> str:
        """Why it could not be compared; empty when it could."""
        return next((one.error for one in (*self.theirs, *self.ours) if one.error), "")


def run(datasets: Sequence[str] = DATASETS, pairs: Sequence[Pair] = (), seeds: int = SEEDS) -> Section:
    """Every pair (those asked for, by default) on every dataset that is there; what was trained before is read."""
    pairs = pairs or asked(os.environ.get(ONLY, ""))
    measured = _among(WHERE, os.environ.get(WHERE, ""), datasets)
    until = time.monotonic() + 3600 * float(os.environ.get(HOURS, "inf"))
    before = earlier(kept("peers_quality", this_machine()))
    shown = [pair for pair in PAIRS if pair in pairs or stays(pair, before)] or pairs
    lines, targets = _intro(shown), list[Target]()
    there = [name for name in datasets if (workspace() / "data" / name / "dataset.yml").exists()]
    with started(dict.fromkeys((OURS, *(pair.library for pair in pairs))), "fit") as (running, missing):
        for name in there:
            with tempfile.TemporaryDirectory(prefix="peers-quality-") as place:
                here = pairs if name in measured else ()
                exported = export(name, Path(place), {kind for pair in here for kind in pair.reads})
                results = Bench(exported, running, missing, until).compare(here, seeds)
            part, judged = measured_part(exported, results, before, short(stamp()))
            lines, targets = [*lines, *part], [*targets, *judged]
    for name in sorted(set(datasets) - set(there)):
        lines += [f"**{name} is not in data/**, so it was not measured; make it with `mrlm data make {name}`.", ""]
        targets.append(Target(f"Quality on {name}", "no weaker than theirs", "not measured", False, "not in data/"))
    return Section("Quality beside peers", [*lines, *settings_part(shown)], targets)


def asked(names: str) -> list[Pair]:
    """The pairs of our models ``names``, separated by commas, all if none; raises ValueError for another name."""
    wanted = _among(ONLY, names, list(dict.fromkeys(pair.ours for pair in PAIRS)))
    return [pair for pair in PAIRS if pair.ours in wanted]


def _among(variable: str, names: str, known: Sequence[str]) -> list[str]:
    """The ``names`` in ``variable``, separated by commas, all ``known`` if none; raises ValueError for another name."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if unknown := sorted(set(wanted) - set(known)):
        raise ValueError(f"{variable}: expected names of {', '.join(known)}; found {', '.join(unknown)}; correct them.")
    return wanted or list(known)


@dataclass(frozen=True)
class Bench:
    """One exported dataset and the libraries' processes; keeps each training in runs/, so that a killed run goes on.

    After ``until`` (of the monotonic clock) no training is begun.
    """

    exported: Exported
    running: dict[str, Library]
    missing: dict[str, str]
    until: float = np.inf

    def compare(self, pairs: Sequence[Pair], seeds: int) -> list[Result]:
        """A round a seed: each pair's theirs, then ours. A pair that no seed changes is in the first round alone."""
        chosen = [self._chosen(pair) for pair in pairs]
        results = [Result(pair, [], [], {name: settings[name] for name in pair.tried})
                   for pair, settings in zip(pairs, chosen, strict=True)]
        for seed in range(seeds):
            for result, settings in zip(results, chosen, strict=True):
                if not result.error and (seed == 0 or result.pair.random):
                    self._round(result, settings, seed)
        return results

    def _round(self, result: Result, settings: dict[str, Any], seed: int) -> None:
        pair = result.pair
        theirs = self.fitted(Fit(pair.library, pair.theirs, settings, seed, _told(pair)))
        ours = self.fitted(_ours(pair, self.exported.dataset.name, seed))
        if seed and LATE in (theirs.error, ours.error):  # the seeds that are there are compared
            return
        result.theirs.append(theirs)
        result.ours.append(ours)

    def _chosen(self, pair: Pair) -> dict[str, Any]:
        """Of the settings of theirs that are tried, those with the best validation Recall@20 with seed 0."""
        settings = pair.their_settings()
        if len(settings) == 1:
            return settings[0]
        tried = [self.fitted(Fit(pair.library, pair.theirs, one, 0, _told(pair))) for one in settings]
        scores = [-np.inf if one.error else float(np.nanmean(one.recall["validation"])) for one in tried]
        return settings[int(np.argmax(scores))]

    def fitted(self, fit: Fit) -> Fitted:
        """The training of ``fit``: kept, or made now; a failure is not kept."""
        kept = workspace() / "runs" / "peers-quality" / self.exported.dataset.name / f"{self.key(fit)}.npy"
        facts = kept.with_suffix(".json")
        if not facts.exists():
            if time.monotonic() > self.until:
                return Fitted(error=LATE)
            kept.parent.mkdir(parents=True, exist_ok=True)
            print(f"  {self.exported.dataset.name}: {fit.library} {fit.model}, seed {fit.seed} ...", flush=True)
            said = self._asked(fit, kept)
            if "error" in said:
                print(f"    {said['error']}", flush=True)
                return Fitted(error=reason(said["error"]))
            write_text(facts, json.dumps({**vars(fit), **said}, indent=1))
        try:
            recall = recalls(self.exported, kept)
        except ValueError as error:
            return Fitted(error=str(error))
        told = json.loads(facts.read_text(encoding="utf-8"))
        print(f"    {np.nanmean(recall['test']):.4f}, {told['epochs']} epochs, {told['fit_seconds']:.1f} s", flush=True)
        return Fitted(recall, told)

    def key(self, fit: Fit) -> str:
        """Names what was trained: hash of all that its numbers depend on."""
        own = file_hash(Path(__file__).parent / "peers" / f"fit_{fit.library}.py")
        read = [self.exported.keys[kind] for kind in ("interactions", *fit.order.get("reads", ()))]
        if fit.library != OURS:
            return content_hash(vars(fit), own, read, requirements(fit.library).read_text(encoding="utf-8"))
        return content_hash(vars(fit), own, read, run_key(_spec(fit), self.exported.dataset))

    def _asked(self, fit: Fit, kept: Path) -> dict[str, Any]:
        if fit.library not in self.running:
            return {"error": f"cannot be installed here: {self.missing[fit.library]}"}
        order = {name: value for name, value in fit.order.items() if name != "reads"}
        threads = {} if fit.library == OURS else {"threads": THREADS}
        return self.running[fit.library].ask({
            "task": "fit", "folder": str(self.exported.folder), "model": fit.model, "settings": fit.settings,
            "seed": fit.seed, "kept": str(kept), **threads, **order,
        })


def _told(pair: Pair) -> dict[str, Any]:
    return {**pair.order, "reads": list(pair.reads)}


def _ours(pair: Pair, dataset: str, seed: int) -> Fit:
    only = None if pair.modalities is None else list(pair.modalities)
    return Fit(OURS, pair.ours, pair.our_settings, seed, {"dataset": dataset, "modalities": only})


def _spec(fit: Fit) -> RunSpec:
    only = fit.order["modalities"]
    return RunSpec(fit.order["dataset"], fit.model, seed=fit.seed, hyperparameters=fit.settings,
                   modalities=None if only is None else tuple(only))


def _intro(pairs: Sequence[Pair]) -> list[str]:
    libraries = dict.fromkeys(pair.library for pair in pairs)
    return [
        f"{', '.join(f'{name} {version_of(name)}' for name in libraries)}, each in an environment of its own, trained"
        " on the training positives of the same split (70/10/20, seed 0) and at the same settings as ours (last table)."
        f" Every library hands over each user's {CUTOFF} best items without those rated in training or validation,"
        " liked or not; all lists are checked for such items and judged by our `recall_at` on the same users. The test"
        " part is in none of the files that the peers read.", "",
        f"The interval is of ours minus theirs, a paired bootstrap over users, seeds averaged (up to {SEEDS} seeds"
        " where training is random, one where it is not). Positives/s: those trained on in all epochs, by the seconds"
        " of the whole fit (sampling, graph building and, where a library stops early, validation); median of the"
        " seeds, theirs and ours in turn. Beside it the same by seconds of processor time, which other programs on the"
        " machine change less.", "",
    ]

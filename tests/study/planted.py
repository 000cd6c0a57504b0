"""Run records whose level is planted, and the verdicts on them."""

from pathlib import Path

import numpy as np
import pandas as pd

from mrlm_core.study import claims
from mrlm_core.study.claims import Source
from mrlm_core.study.record import RunRecord
from mrlm_core.study.released import RELEASED_METRICS
from mrlm_core.study.verdicts import Verdict, judge

USERS = 120


def runs(model: str, level: float, seeds: int = 3, noise: float = 0.01, **data: object) -> list[RunRecord]:
    """Runs whose every metric has mean ``level``: users differ alike for all models, runs by ``noise`` of their own."""
    made = []
    for seed in range(seeds):
        shared = np.random.default_rng(seed).random(USERS) - 0.5
        own = np.random.default_rng([seed, len(model), int(level * 1e6)]).normal(0, noise, USERS)
        values = level + 0.2 * shared + own - own.mean()
        frame = pd.DataFrame(dict.fromkeys(RELEASED_METRICS, values), index=pd.RangeIndex(USERS, name="user"))
        made.append(record(model, seed, frame, {"recall@20": level}, data))
    return made


def record(model: str, seed: int, frame: pd.DataFrame | None, validation: dict, data: dict) -> RunRecord:
    spec = {"model": model, "split_seed": seed, "seed": seed, "modalities": None, "clusters": "own"}
    row = {"spec": spec, "status": "done", "error": "", "validation": validation, "report": {},
           "selected_on": "validation recall@20", **data}
    return RunRecord(Path("nowhere"), row, frame)


def not_run(model: str, lack: str) -> list[RunRecord]:
    return [record(model, 0, None, {}, {"status": "not run", "error": lack})]


def source(dataset: str = "shop", **levels: float) -> Source:
    """Records of the models, "plus" for +; names as in claim_tests.yml with _ for a blank."""
    names = {name.replace("plus", "+").replace("_", " ").replace("U GFRL", "U-GFRL"): level
             for name, level in levels.items()}
    return Source(dataset, {name: runs(name, level) for name, level in names.items()})


def verdict(claim: str, where: Source) -> Verdict:
    return judge(claims.claims()[claim], where)


def noisy_about(name: str, level: float) -> list[RunRecord]:
    made = runs(name, level)
    for run in made:
        run.per_user[:] *= np.random.default_rng(7).exponential(size=(USERS, 1))
    return made


def with_parts(made: list[RunRecord], gap: float) -> list[RunRecord]:
    """With the metrics on a fixed test part as well, and what they are higher by for the training part."""
    return [RunRecord(run.folder, run.data, run.per_user.join(
                [run.per_user.add_prefix("fixed_"), (run.per_user - run.per_user.mean() + gap).add_prefix("gap_")]))
            for run in made]

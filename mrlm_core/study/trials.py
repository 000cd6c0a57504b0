"""What the trials of hyperparameter searches came to, as tables; ``tune`` makes the trials."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

COLUMNS = ("model", "trial", "value", "state", "seconds", "hyperparameters", "error", "search", "device")
STOPPED = "stopped at its share of the time"  # in place of an error: the trial counts with what it had reached
TO_ITS_END = "trained to its end"  # the same, of a final
FINALS = 1000  # numbers of trials from here on are finals


def best_so_far(trials: pd.DataFrame) -> pd.DataFrame:
    """Columns model, trial, best: the best value of a model's trials up to each; NaN before the first that ran.

    Finals are left out.
    """
    trials = trials[trials["trial"] < FINALS]
    ordered = trials.sort_values(["model", "trial"], kind="stable")
    best = ordered["value"].astype(float).fillna(-np.inf).groupby(ordered["model"]).cummax().replace(-np.inf, np.nan)
    return ordered[["model", "trial"]].assign(best=best).loc[trials.index].reset_index(drop=True)


def outcome(trials: pd.DataFrame) -> pd.DataFrame:
    """One row a model: settings tried, failed, stopped by the clock, minutes of the search and of the finals beyond it,
    the default's value, the best value, where there was a final the values of the default and of the best other
    trained to their end, and the settings chosen."""
    rows = {}
    for model, both in trials.groupby("model", sort=False):
        own, finals = both[both["trial"] < FINALS], both[both["trial"] >= FINALS]
        values = own.set_index("trial")["value"]
        best = None if values.isna().all() else _chosen(own, finals)
        is_default = finals["hyperparameters"] == as_json({})
        rows[model] = {
            "tried": len(own), "failed": int(values.isna().sum()), "stopped": int((own["error"] == STOPPED).sum()),
            "minutes": own["seconds"].sum() / 60, "minutes of finals": finals["seconds"].sum() / 60,
            "default": values.get(0, np.nan), "best": values.max(),
            "default at its end": finals.loc[is_default, "value"].max(),
            "best other at its end": finals.loc[~is_default, "value"].max(),
            "chosen": "none ran" if best is None else _readable(best),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="Model")


def _chosen(own: pd.DataFrame, finals: pd.DataFrame) -> str:
    """The settings that ``tune`` takes: of the finals, where the default or the best other was stopped and they ran.

    Finals may be of a search that went on afterwards and found what was not stopped. Where they failed, the default
    stays.
    """
    best = _first_best(own)
    others = own[own["trial"] != 0]
    rivals = [own[own["trial"] == 0], others.loc[[_first_best(others)]] if others["value"].notna().any() else others]
    stopped = len(rivals[1]) > 0 and (pd.concat(rivals)["error"] == STOPPED).any()
    if not stopped or finals.empty:
        return str(own.loc[best, "hyperparameters"])
    return as_json({}) if finals["value"].isna().all() else str(finals.loc[_first_best(finals), "hyperparameters"])


def _first_best(trials: pd.DataFrame) -> Any:
    return trials["value"].astype(float).idxmax()


def undecided(trials: pd.DataFrame) -> list[str]:
    """Models of which the clock stopped all trials and no final was run: of one trial, or released by older code."""
    table = outcome(trials)
    no_final = table[["default at its end", "best other at its end"]].isna().all(axis="columns")
    return list(table.index[(table["stopped"] == table["tried"]) & no_final])


def as_json(values: Mapping[str, Any]) -> str:
    """Hyperparameter values as the column ``hyperparameters`` holds them."""
    return json.dumps(values, sort_keys=True)


def _readable(hyperparameters: str) -> str:
    values = json.loads(hyperparameters)
    return ", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
                     for name, value in values.items()) or "the default"

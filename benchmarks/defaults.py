"""Is a default weak? One model trained with and without changes of it, compared on validation alone.

``python -m benchmarks.defaults DATASET MODEL ['{"l2": 0.001}' ...]``: each change is some hyperparameters as JSON;
without any, the learning rate is taken times each of RATES. One training each on split 0, kept as any run is.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mrlm_core.baselines import registry
from mrlm_core.config import settings_of
from mrlm_core.errors import ConfigError, UserError, problem
from mrlm_core.study.run import run_or_load
from mrlm_core.study.spec import RunSpec
from mrlm_core.study.tune import with_values

RATES = (1 / 3, 3, 10)
METRIC = "recall@20"


def rates_of(spec: RunSpec) -> list[dict[str, float]]:
    """The model's learning rate times each of RATES; raises ConfigError for a model that has none."""
    usual = {**settings_of(spec.config), **registry.row(spec.model).defaults}
    name = next((key for key in registry.row(spec.model).search if key.endswith("learning_rate")), None)
    if name is None:
        raise ConfigError(problem(f"model {spec.model!r}", "a learning rate to change", "a model that has none",
                                  "Give the changes to try, as JSON."))
    return [{name: usual[name] * times} for times in RATES]


def lines(spec: RunSpec, changes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for the default and for each of ``changes``, as soon as it is trained: what it reached and when."""
    for change in ({}, *changes):
        record = run_or_load(with_values(spec, change))
        what = f"{spec.dataset}, {spec.model} {json.dumps(change)}"
        if record.failed:
            yield f"{what}: failed: {record.data['error']}"
            continue
        epochs = record.data.get("epochs") or {}
        reached = f"best at epoch {epochs['best']} of {epochs['run']}" if epochs else "trained without epochs"
        seconds = record.data["stages"]["training"]["cpu_seconds"]
        yield f"{what}: validation {METRIC} {record.validation[METRIC]:.4f}, {reached}, {seconds:.0f} s of processor"


def main(argv: Sequence[str] | None = None) -> None:
    """Train and print; a wrong name or an unusable change ends it with what to do."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.defaults", description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("model")
    parser.add_argument("changes", nargs="*", type=json.loads, metavar="CHANGE", help="hyperparameters as JSON")
    given = parser.parse_args(argv)
    spec = RunSpec(given.dataset, given.model)
    try:
        for line in lines(spec, given.changes or rates_of(spec)):
            print(line, flush=True)
    except UserError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()

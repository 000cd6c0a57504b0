"""The registry: names, nearest names, checked hyperparameters, rows that agree with their classes."""

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mrlm_core.baselines.registry import build, names, row
from mrlm_core.baselines.row import FAMILIES, INPUTS, RAW
from mrlm_core.config import preset
from mrlm_core.errors import ConfigError


def test_order_of_the_tables():
    assert names()[:5] == ("Popularity", "ItemKNN", "EASE", "iALS", "BPR-MF")
    assert names()[-3:] == ("U-GFRL", "MRLM", "MRLM-R")


@pytest.mark.parametrize(("wrong", "near"), [("Popularty", "Popularity"), ("ials", "iALS"), ("bprmf", "BPR-MF")])
def test_an_unknown_model_names_the_nearest(wrong, near):
    with pytest.raises(ConfigError, match=f"Did you mean '{near}'"):
        row(wrong)


def test_an_unknown_hyperparameter_names_the_nearest():
    with pytest.raises(ConfigError, match=r"iALS hyperparameter 'dims'.*Did you mean 'dim'"):
        build("iALS", {"dims": 8})
    with pytest.raises(ConfigError, match="There are none"):
        build("Popularity", {"k": 8})


@pytest.mark.parametrize(
    ("name", "hyperparameters"),
    [
        ("EASE", {"l2": -1.0}),
        ("EASE", {"l2": "much"}),
        ("EASE", {"l2": float("nan")}),
        ("EASE", {"l2": True}),
        ("iALS", {"dim": 0}),
        ("iALS", {"dim": 8.5}),
        ("ItemKNN", {"weighting": "bm26"}),
    ],
)
def test_impossible_values_are_refused(name, hyperparameters):
    with pytest.raises(ConfigError, match=next(iter(hyperparameters))):
        build(name, hyperparameters)


def test_hyperparameters_reach_the_model():
    model = build("ItemKNN", {"neighbours": 7, "shrink": 3})
    assert (model.neighbours, model.shrink, model.weighting) == (7, 3, row("ItemKNN").defaults["weighting"])


@pytest.mark.parametrize("name", [name for name in names() if row(name).family != "mrlm"])
def test_defaults_are_exactly_the_constructor(name):
    entry = row(name)
    model = getattr(importlib.import_module(entry.module), entry.cls)
    assert set(entry.defaults) == set(inspect.signature(model).parameters)


@pytest.mark.parametrize("name", names())
def test_search_spaces_are_well_formed_and_of_known_hyperparameters(name):
    entry = row(name)
    for key, (kind, *arguments) in entry.search.items():
        assert len(arguments) == {"float": 3, "int": 2, "choice": 1}[kind]
        values = arguments[0] if kind == "choice" else arguments[:2]
        for value in values:
            if entry.family == "mrlm":
                preset("tiny", {key: value})
            else:
                build(name, {key: value})


@pytest.mark.parametrize("name", names())
def test_rows_say_what_they_cite_and_how_they_differ(name):
    entry = row(name)
    bibliography = Path(__file__).parents[2] / "book" / "references.bib"
    assert re.search(rf"@\w+{{{entry.citation},", bibliography.read_text(encoding="utf-8"))
    assert entry.fidelity in ("faithful", "adapted")
    assert bool(entry.adaptation) == (entry.fidelity == "adapted")
    assert set(entry.inputs) <= set(INPUTS)
    assert entry.family in FAMILIES
    assert not set(entry.reads) & set(entry.needs)
    assert all(entry.takes(role) for role, raw in RAW.items() if raw in entry.inputs)
    assert entry.family == "mrlm" or not entry.settings


def test_listing_models_loads_no_heavy_library():
    code = "import sys; from mrlm_core.baselines.registry import names; names(); print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"

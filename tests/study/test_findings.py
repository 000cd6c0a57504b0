"""The sentences of a comparison follow its numbers."""

from pathlib import Path

import numpy as np
import pandas as pd

from mrlm_core.study.findings import difference, findings, stopped_soon
from mrlm_core.study.record import RunRecord


def _records(model: str, mean: float, clusters: str = "own", failed: bool = False) -> list[RunRecord]:
    """Two splits of 200 users; models differ by a shift alone, so that paired differences have no spread."""
    made = []
    for seed in (0, 1):
        spec = {"model": model, "split_seed": seed, "seed": seed, "modalities": None, "clusters": clusters}
        values = mean + 0.1 * np.random.default_rng(seed).random(200)
        table = None if failed else pd.DataFrame({"recall@20": values}, index=pd.RangeIndex(200, name="user"))
        data = {"spec": spec, "status": "failed" if failed else "done", "error": "planted" if failed else ""}
        made.append(RunRecord(Path("nowhere"), data, table))
    return made


ALL = [
    *_records("Popularity", 0.15), *_records("EASE", 0.3), *_records("CKE", 0.1), *_records("CKE+", 0.2),
    *_records("NARRE", 0.18), *_records("NARRE+", 0.18), *_records("HAUP", 0.0, failed=True),
    *_records("U-GFRL", 0.12), *_records("MRLM", 0.13), *_records("MRLM", 0.13, "permuted"),
]


def test_findings_say_who_wins_and_what_the_method_beats() -> None:
    winner, place, *rest = findings(ALL, "recall@20")
    assert winner.startswith("Best at Recall@20 of 9: **EASE**, 0.3")
    assert winner.endswith("over 2 splits, clear of all others.")
    assert place.startswith("MRLM is number 6, ")
    text = " ".join(rest)
    assert "Against EASE it is below: -" in text
    assert "Against Popularity it is below" in text
    assert "Against U-GFRL it is above" in text
    assert "Against MRLM, permuted clusters it is not told apart from: +0.0%" in text
    assert "no gain" not in text
    none = " ".join(findings([*ALL, *_records("U-GFRL", 0.14)], "recall@20"))  # beside 0.12: the same on average
    assert "There is no gain over U-GFRL, which reads no modality, for the clusters to explain; MRLM is not" in none
    assert "Best of the paper's baselines: CKE+" in text
    assert "Of these 4, 1 rank below plain popularity: CKE." in text
    assert "make of 2 models 1 better (CKE+); 0 worse; 1 no different (NARRE+)." in text


def test_findings_say_how_far_the_repaired_variant_got() -> None:
    text = " ".join(findings([*ALL, *_records("MRLM-R", 0.25), *_records("iALS", 0.25)], "recall@20"))
    assert "MRLM-R, the repaired variant of chapter 11, is number 2: not told apart from iALS (0.0000 " in text
    assert "; below EASE (-0.0500 " in text
    assert "VBPR" not in text  # has not run
    assert "MRLM-R" not in " ".join(findings(ALL, "recall@20"))


def test_findings_name_models_that_were_not_trained_to_their_end() -> None:
    assert "Trained for less" not in " ".join(findings(ALL, "recall@20"))
    short, long = _records("HAUP", 0.2), _records("CAMN", 0.2)
    for record, best in zip((*short, *long), (49, 30, 30, 30), strict=True):
        record.data["epochs"] = {"run": 50, "best": best}
    assert findings([*_records("EASE", 0.3), *short, *long], "recall@20")[-1].endswith(": HAUP (1 of 2 runs).")
    for record in (*short, *long):
        record.data["epochs"] = {"run": 20, "best": 18}
    (told,) = stopped_soon([*short, *long])
    assert told.endswith("higher: all 2, in every run."), "a list of every name says no more"


def test_findings_of_few_models_leave_out_what_is_not_there() -> None:
    assert findings(_records("EASE", 0.0, failed=True), "recall@20") == ["No model has run."]
    only, none = findings([*_records("EASE", 0.3), *_records("iALS", 0.3)], "recall@20")
    assert none == "MRLM has not run on this dataset."
    assert "not told apart from it: iALS." in only


def test_difference_is_paired() -> None:
    gap = difference(ALL, "recall@20", "EASE", "Popularity")
    np.testing.assert_allclose([gap.mean, gap.low, gap.high], 0.15, atol=1e-12)


def test_models_without_a_common_split_are_not_called_level() -> None:
    there = _records("U-GFRL", 0.12)
    moved = [run.data["spec"] | {"split_seed": 7 + run.data["spec"]["seed"]} for run in _records("MRLM", 0.13)]
    elsewhere = [RunRecord(run.folder, run.data | {"spec": spec}, run.per_user)
                 for run, spec in zip(_records("MRLM", 0.13), moved, strict=True)]
    text = " ".join(findings([*there, *elsewhere], "recall@20"))
    assert "on no split together with" in text
    assert "not told apart" not in text

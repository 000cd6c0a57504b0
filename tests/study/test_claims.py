"""The list of claims: each has a test, which holds no verdict; the paper's numbers against themselves."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mrlm_core.config import source_folder
from mrlm_core.datasets import load_dataset
from mrlm_core.errors import ConfigError
from mrlm_core.study import claims
from mrlm_core.study.paper_checks import against_itself, auc_readings
from mrlm_core.study.spec import RunSpec
from mrlm_core.study.variants import Variant
from mrlm_core.study.verdicts import VERDICTS


def test_every_claim_has_a_test_and_a_known_kind() -> None:
    listed = [row["id"] for row in json.loads((source_folder("data/paper", "claims.json") / "claims.json").read_text())
              ["claims"]]
    assert len(listed) == 38
    assert list(claims.claims()) == listed
    assert {claim.test["kind"] for claim in claims.claims().values()} == {"above", "same", "level", "definitions",
                                                                          "growth"}


def test_no_verdict_stands_in_the_tests() -> None:
    """A verdict can only come from ``judge``: neither the data nor the chapter holds one of its words."""
    for folder, name in (("data/paper", "claim_tests.yml"), ("data/paper", "claims.json")):
        text = (source_folder(folder, name) / name).read_text("utf-8")
        body = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
        assert [word for word in VERDICTS if f": {word}" in body or f'"{word}"' in body] == []
    cells = json.loads((source_folder("notebooks", "09*.ipynb") / "09_verdict.ipynb").read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert [word for word in VERDICTS if word in code] == []


def test_a_claim_without_a_test_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lessened = {name: test for name, test in claims.claim_tests()["claims"].items() if name != "C07"}
    monkeypatch.setattr(claims, "claim_tests", lambda: {"claims": lessened})
    with pytest.raises(ConfigError, match="C07"):
        claims.claims.__wrapped__()


def test_the_papers_numbers_are_recomputed() -> None:
    """The counts that data/paper/tables.json states as found by hand."""
    forensics = json.loads((source_folder("data/paper", "tables.json") / "tables.json").read_text())
    forensics = forensics["derived_forensics"]["cells_AUC_gt_(1+Recall)/2"]
    assert auc_readings()["LAUC"] == sum(int(text.split("/")[0]) for text in forensics.values())
    assert auc_readings()["LibRec's"] == 20
    checks = against_itself()
    percentages = checks[checks["claim"].isin(["C06", "C07"])]
    assert len(percentages) == 20
    assert percentages["agrees"].all()
    assert not checks[checks["claim"] == "C11"]["agrees"].any()


def test_variants_are_those_that_tests_name(workspace: Path) -> None:
    data = load_dataset(workspace / "data" / "shop")
    made: list[Variant] = claims.claimed_variants(RunSpec("shop", "MRLM", preset="tiny"), data)
    names = [variant.name for variant in made]
    assert {"MRLM", "U-GFRL", "text alone", "without knowledge", "without L_g3, verification", "permuted clusters",
            "without latest items", "CKE+ [text + image]"} <= set(names)
    assert "k-means clusters" not in names
    assert "CKE [text + image]" not in names  # the same, so it need not run
    entries = {("plot" if name == "text" else name): entry for name, entry in data.modalities.items()}
    renamed = claims.claimed_variants(RunSpec("shop", "MRLM", preset="tiny"), replace(data, modalities=entries))
    told = {variant.name: variant.spec.modalities for variant in renamed}
    assert told["text alone"] == ("plot",), "tests ask by what a modality is, whatever it is called"
    assert "plot" not in told["without text"]

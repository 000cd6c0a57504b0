"""Released results: whole, with provenance, and one row of them computed again where the raw data is at hand."""

from pathlib import Path

import pytest

from mrlm_core.datasets.movielens import make_movielens
from mrlm_core.study import RunSpec, encoders, run_or_load
from mrlm_core.study.comparison import released, released_datasets

ROOT = Path(__file__).resolve().parent.parent.parent
RAW = ROOT.parent / "shared" / "data" / "movielens-latest-small"
PROVENANCE = ("commit", "versions", "device", "data_hash", "code_hash", "selected_on")


def test_released_records_carry_their_provenance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRLM_WORKSPACE", str(ROOT))
    for name in released_datasets():
        for record in released(name):
            assert all(record.data[key] for key in PROVENANCE), record.label
            assert record.failed or len(record.per_user) == record.data["users"]["test"]["evaluated"]


def test_released_encoders_carry_their_provenance_and_every_modality(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRLM_WORKSPACE", str(ROOT))
    for name, result in encoders.released().items():
        assert all(result[key] for key in ("commit", "versions", "device", "data_hash", "code_hash", "settings")), name
        modalities = {row["modality"] for row in result["encoders"]}
        assert {row["modality"] for row in result["links"]} <= modalities
        for row in result["encoders"]:
            assert "not run" in row or row["likeness of neighbours"] > 0, (name, row["variant"])


@pytest.mark.skipif(not RAW.is_dir(), reason="MovieLens latest-small is not beside the checkout (shared/data)")
def test_one_released_row_computes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRLM_WORKSPACE", str(ROOT))
    rows = [r for r in released("movielens-latest-small") if r.data["spec"]["model"] == "EASE"]
    monkeypatch.setenv("MRLM_WORKSPACE", str(tmp_path))
    make_movielens("movielens-latest-small", RAW, tmp_path / "data" / "movielens-latest-small")
    spec = rows[0].data["spec"]
    again = run_or_load(RunSpec("movielens-latest-small", "EASE", split_seed=spec["split_seed"], seed=spec["seed"]))
    for metric, value in rows[0].test.items():
        assert again.test[metric] == pytest.approx(value, abs=1e-3), metric  # another machine, another order of sums

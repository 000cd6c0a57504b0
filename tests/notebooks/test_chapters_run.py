"""Every chapter on the tiny dataset, through the command line, and the book built from them, warnings as errors."""

import re
import shutil
from pathlib import Path

import papermill
import pytest
from nbformat import NotebookNode

from mrlm_core.cli import main
from mrlm_core.config import source_folder

# What keeps the run short; the tiny preset does the rest.
SHORT = ["--preset", "tiny", "--seeds", "1", "--set", "models=[Popularity, EASE, ItemKNN (content), U-GFRL, MRLM]",
         "--set", "grid={model.theta_1: [0.25]}", "--set", "groups=[verification]", "--set", "ratios=[0.7, 0.75]",
         "--set", "gaps=[G15]", "--set", "cold_share=0.25", "--set", "steps=[m meets the user]",
         "--set", "rivals=[Popularity, iALS]", "--set", "clustered=200"]


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of its own in which `mrlm data make`, `mrlm study` and `mrlm book` have run on iot-shop-tiny."""
    folder = tmp_path_factory.mktemp("study")
    shutil.copytree(source_folder("book", "_toc.yml") / "results", folder / "book" / "results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MRLM_WORKSPACE", str(folder))
        patch.chdir(folder)
        assert main(["data", "make", "iot-shop-tiny"]) == 0
        assert main(["study", "iot-shop-tiny", *SHORT]) == 0
        assert main(["book", "--quiet"]) == 0
    return folder


def test_papermill_runs_a_chapter_from_any_folder_and_says_what_is_wrong(
    studied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a batch does: a dataset by its path, nothing else known of where things lie."""
    monkeypatch.delenv("MRLM_WORKSPACE", raising=False)
    chapters = source_folder("notebooks", "*.ipynb").resolve()

    def execute(name: str = "01_data", **parameters: object) -> NotebookNode:
        return papermill.execute_notebook(str(chapters / f"{name}.ipynb"), str(tmp_path / "out.ipynb"), parameters,
                                          cwd=str(tmp_path), progress_bar=False)

    there = str(studied / "data" / "iot-shop-tiny")
    assert any("Generated shop" in str(cell.get("outputs")) for cell in execute(dataset=there).cells)
    with pytest.raises(papermill.PapermillExecutionError, match=r"absent-shop.*(?s:.)*Make one with"):
        execute(dataset="absent-shop")
    with pytest.raises(papermill.PapermillExecutionError, match=r"parameter 'datset'.*Did you mean 'dataset'"):
        execute(datset="iot-shop-tiny")
    monkeypatch.setenv("MRLM_WORKSPACE", str(tmp_path))  # where the runs go
    trained = execute("05_modality_ablation", dataset=there, preset="tiny", seeds=1, groups=["verification"])
    assert any("U-GFRL, which reads no modality" in str(cell.get("outputs")) for cell in trained.cells)
    assert list((tmp_path / "runs" / "iot-shop-tiny").glob("*/record.json"))


def test_every_chapter_ran_and_is_in_the_book(studied: Path) -> None:
    sources = {path.stem for path in source_folder("notebooks", "*.ipynb").glob("*.ipynb")}
    executed = {path.stem for path in (studied / "book" / "executed" / "iot-shop-tiny").glob("*.ipynb")}
    pages = {path.stem for path in (studied / "_build" / "html" / "executed" / "iot-shop-tiny").glob("*.html")}
    assert sources == executed == pages


def test_pages_load_nothing_from_outside(studied: Path) -> None:
    pages = list((studied / "_build" / "html").rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        loaded = re.findall(r'<(?:script|img|iframe)[^>]+src="(https?:)?//', page.read_text(encoding="utf-8"))
        assert not loaded, page.name


def test_second_study_finds_everything_up_to_date(
    studied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MRLM_WORKSPACE", str(studied))
    assert main(["study", "iot-shop-tiny", *SHORT]) == 0
    assert "running" not in capsys.readouterr().out

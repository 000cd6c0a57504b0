"""The page of answers: what is gathered from executed chapters, and what is left out."""

from pathlib import Path

import nbformat
import pandas as pd
import pytest

from mrlm_core.study import verdict_tables
from mrlm_core.study.answers import RELEASED, SECTION, VERDICT, answers
from mrlm_core.study.claims import claims
from mrlm_core.study.notebooks import chapter_sources
from mrlm_core.study.verdicts import VERDICTS, Verdict

SILENT = "03_training"  # ends without a conclusion of its own


def chapter(folder: Path, stem: str, *told: str, opening: str = "# A title\n\nText.\n\n- A question?",
            words: str = "") -> Path:
    outputs = [nbformat.v4.new_output("display_data", {"text/markdown": text}) for text in told]
    cells = [nbformat.v4.new_markdown_cell(opening), nbformat.v4.new_code_cell("table", outputs=[
        nbformat.v4.new_output("display_data", {"text/markdown": "a table's caption"})])]
    if told:
        log = nbformat.v4.new_output("stream", name="stdout", text="a line of a log")
        cells += [nbformat.v4.new_markdown_cell(f"{SECTION}\n\nComputed.{words}"),
                  nbformat.v4.new_code_cell("told", outputs=[log, *outputs])]
    folder.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"{stem}.ipynb")
    return folder / f"{stem}.ipynb"


def test_each_chapter_gives_its_questions_and_what_it_came_to_by_dataset(tmp_path):
    first, second = chapter(tmp_path / "one", "04_a", "First.", "Second."), chapter(tmp_path / "two", "04_a", "Third.")
    text = answers({"one": [first], "two": [second]})
    assert text.startswith("## A title\n\n- A question?\n\n:::{dropdown} one\n\nFirst.\n\nSecond.\n")
    assert ":::{dropdown} two\n\nThird.\n" in text
    assert text.count("A question?") == 1
    assert "[The chapter](executed/two/04_a.ipynb)" in text
    assert "caption" not in text
    assert "log" not in text


def test_verdicts_come_first_and_open(tmp_path):
    made = [chapter(tmp_path / "one", stem, "Told.", opening=f"# {stem}") for stem in ("04_a", VERDICT, RELEASED)]
    text = answers({"one": made})
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [f"## {VERDICT}", f"## {RELEASED}", "## 04_a"]
    assert text.count(":open:") == 1
    assert text.index(":open:") < text.index("## 04_a")


def test_a_chapter_in_full_replaces_the_trimmed_one(tmp_path):
    trimmed = [chapter(tmp_path / "shop", stem, "Trimmed.") for stem in ("04_a", "05_b")]
    whole = chapter(tmp_path / "shop-in-full", "04_a", "Whole.")
    four, five = answers({"shop": trimmed, "shop-in-full": [whole]}).split("## ")[1:]
    assert "Whole." in four
    assert "Trimmed." not in four
    assert "Trimmed." in five


def test_the_released_results_are_of_all_datasets_and_stand_there_once(tmp_path):
    made = {name: [chapter(tmp_path / name, RELEASED, "The same.")] for name in ("one", "two")}
    text = answers(made)
    assert text.count("The same.") == 1
    assert ":::{dropdown} all released datasets" in text


def test_what_the_words_mean_stands_before_them(tmp_path):
    words = " *Above* means [what it says](../../verdicts.md)."
    text = answers({"one": [chapter(tmp_path / "one", "04_a", "A is above B.", words=words)]})
    assert "\n\n*Above* means [what it says](verdicts.md).\n\nA is above B.\n" in text
    assert "Computed" not in text


def test_a_chapter_without_an_answer_does_not_appear(tmp_path):
    assert answers({"one": [chapter(tmp_path / "one", "03_a")]}) == ""


@pytest.mark.parametrize("alone", [False, True])
def test_each_claim_stands_below_its_verdict_in_words(tmp_path, alone):
    rows = list(claims().values())
    verdicts = [Verdict(claim, "shop", VERDICTS[place % len(VERDICTS)], "", splits=1 if alone else 3)
                for place, claim in enumerate(rows)]
    checks = pd.DataFrame({"claim": ["C01"], "agrees": [True]})
    told = " ".join(verdict_tables.sentences(verdicts, checks))
    text = answers({"shop": [chapter(tmp_path / "shop", VERDICT, told)]})
    groups = {group.split("**")[0].lower(): group for group in text.split("\n**")[1:]}
    for verdict in verdicts:
        shown = f"- {verdict.claim.name}, " in groups.get(verdict.verdict, "")
        assert shown != verdict.alone, verdict.claim.name  # one split gives no verdict
    assert "L\\_g1" in text or alone


def test_the_chapters_of_the_study_have_answers():
    lacking = [path.stem for path in chapter_sources() if SECTION not in path.read_text(encoding="utf-8")]
    assert lacking == [SILENT]

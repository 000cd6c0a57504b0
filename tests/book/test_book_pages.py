"""The book built from its real pages and one small executed chapter; and what makes a build fail."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml

from mrlm_core.errors import ConfigError
from mrlm_core.stopping import PATIENCE
from mrlm_core.study import answers, book
from mrlm_core.study.claims import claims

ROOT = Path(__file__).resolve().parent.parent.parent
EQUATIONS = 17


class Page(HTMLParser):
    """Anchors, links and loaded files of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and given.get("rel") not in ("index", "search", "next", "prev", "canonical"):
            self.loaded.append(given["href"])
        self.loaded += [given["src"]] if "src" in given else []


def write_chapter(path: Path, *cells) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=list(cells), metadata={"kernelspec": kernel})
    nbformat.write(notebook, path)
    return path


def markdown(text: str):
    return nbformat.v4.new_markdown_cell(text)


def code(source: str, output):
    return nbformat.v4.new_code_cell(source, outputs=[output], execution_count=1)


TEXT = nbformat.v4.new_output("execute_result", {"text/plain": "2", "text/html": "<b>2</b>"}, execution_count=1)
BAR = nbformat.v4.new_output("stream", name="stderr", text="epoch 1 of 9, a progress bar")


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    place = tmp_path_factory.mktemp("book")
    text = "# Data\n\nSee {eq}`eq-triplet`, {doc}`/protocol` and {cite}`huang2019mrlm`: $\\boldsymbol x$."
    for dataset in ("another", "iot-shop"):
        write_chapter(place / "executed" / dataset / "01_data.ipynb", markdown(text), code("1 + 1", TEXT),
                      code("train()", BAR))
    told = nbformat.v4.new_output("display_data", {"text/markdown": "Of 2: **2 contradicted** (C01, C22)."})
    write_chapter(place / "executed" / "another" / f"{answers.VERDICT}.ipynb", markdown("# 09. Verdict\n\n- Why?"),
                  markdown(answers.SECTION), code("told", told))
    return book.build_book(place / "executed", place, quiet=True).parent


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A workspace with one page and one chapter, whose build takes a second."""
    pages = tmp_path / "book"
    pages.mkdir()
    shutil.copy(ROOT / "_config.yml", tmp_path)
    shutil.copy(ROOT / "book" / "references.bib", pages)
    toc = "format: jb-book\nroot: intro\nparts:\n  - caption: A\n    chapters: [{file: page}]\n"
    (pages / "_toc.yml").write_text(toc)
    (pages / "intro.md").write_text("# Start\n\nSee [page](page.md).\n")
    (pages / "page.md").write_text("# A page\n\nText.\n")
    write_chapter(pages / "executed" / "iot-shop" / "01_data.ipynb", markdown("# Data\n\nText."), code("1 + 1", TEXT))
    monkeypatch.setenv("MRLM_WORKSPACE", str(tmp_path))
    return tmp_path


def pages(html: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in html.rglob("*.html") if "_static" not in path.parts}


def test_pages_load_nothing_from_the_network(html):
    found = pages(html)
    assert len(found) > 8
    loaded = {(path.name, address) for path, page in found.items() for address in page.loaded}
    assert any(address.split("?")[0].endswith("mathjax/tex-svg-full.js") for _, address in loaded)
    assert [entry for entry in loaded if urlsplit(entry[1]).netloc] == []
    sheets = "\n".join(path.read_text(encoding="utf-8") for path in html.rglob("*.css"))
    assert len(sheets) > 10_000
    assert re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//[^)'\";]*", sheets) == []


def test_loaded_files_and_internal_links_exist(html):
    found = pages(html)
    broken = []
    for path, page in found.items():
        for address in page.links + page.loaded:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = found[target].anchors if target in found else {unquote(parts.fragment)}
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in anchors):
                broken.append((path.name, address))
    assert broken == []


def test_answers_stand_below_the_text_of_their_page(html):
    text = (html / "answers.html").read_text(encoding="utf-8")
    where = [text.index(part) for part in ("ends with sentences", "Why?", "Of 2: ", claims()["C22"].text)]
    assert where == sorted(where)


def test_scale_out_states_the_measured_ratio(html):
    measured = (ROOT / "book" / "measured" / "scale_out.md").read_text(encoding="utf-8")
    (ratio,) = re.findall(r"[\d.]+ times as fast", measured)[:1]
    assert ratio in (html / "scale_out.html").read_text(encoding="utf-8")


def test_method_has_the_papers_equations_with_the_papers_numbers(html):
    text = (html / "method.html").read_text(encoding="utf-8")
    assert re.findall(r'class="eqno">\((.*?)\)', text) == [str(number) for number in range(1, EQUATIONS + 1)]
    others = [path.name for path in html.glob("*.html") if path.name != "method.html" and "eqno" in path.read_text()]
    assert others == []


def test_a_chapter_can_refer_to_an_equation_of_the_method_and_cite(html):
    text = (html / "executed/iot-shop/01_data.html").read_text(encoding="utf-8")
    assert 'href="../../method.html#equation-eq-triplet"' in text
    assert "Huang" in text


def test_progress_bars_are_not_shown_and_results_are(html):
    text = (html / "executed/iot-shop/01_data.html").read_text(encoding="utf-8")
    assert "<b>2</b>" in text
    assert "a progress bar" not in text


def test_embedded_dataset_comes_first_and_after_the_method(html):
    text = (html / "intro.html").read_text(encoding="utf-8")
    captions = re.findall(r'class="caption-text">(.*?)<', text)
    first = yaml.safe_load((ROOT / "book/_toc.yml").read_text())["parts"][0]["caption"]
    assert captions[:3] == [first, "Results on iot-shop", "Results on another"]


def test_the_settings_that_the_method_names_exist():
    from mrlm_core.config import preset, settings_of

    known = set(settings_of(preset("paper")))
    text = (ROOT / "book/method.md").read_text()
    named = set(re.findall(r"`((?:model|preprocessing|training|preference|protocol)\.[a-z_0-9]+)(?:\[0\])?`", text))
    modules = {"model.losses", "model.gfrl", "model.mfrl"}
    assert len(named) > 12
    assert named - known - modules == set()


def test_the_protocol_and_the_gap_tell_the_patience_that_is_in_force():
    words = f"when {PATIENCE} epochs have brought nothing better"
    assert words in (ROOT / "book" / "protocol.md").read_text()
    gap = " ".join((ROOT / "data" / "paper" / "gaps.yml").read_text().split())
    assert words in gap


def test_the_example_of_an_own_dataset_loads(tmp_path):
    from PIL import Image

    from mrlm_core.datasets import load_dataset

    text = (ROOT / "book/own_dataset.md").read_text()
    blocks = re.findall(r"```(?:yaml|text)\n(.*?)```", text, flags=re.DOTALL)
    starts = {"dataset.yml": "name:", "ratings.csv": "user", "items.csv": "item_id,title", "text.csv": "item_id,text"}
    for name, first in starts.items():
        (tmp_path / name).write_text(next(block for block in blocks if block.startswith(first)))
    with (tmp_path / "ratings.csv").open("a") as ratings:
        ratings.writelines(f"user-{number},hub-2,3,1700000000\n" for number in range(8))
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "images" / "lamp-1.png")
    dataset = load_dataset(tmp_path)
    assert (dataset.n_users, dataset.n_items, set(dataset.modalities)) == (10, 3, {"text", "image"})


def test_bibliography_lists_every_entry_once(html):
    text = (html / "bibliography.html").read_text(encoding="utf-8")
    entries = re.findall(r"@\w+\{", (ROOT / "book/references.bib").read_text())
    assert len(re.findall(r'class="citation"', text)) == len(entries)


def test_warning_fails_the_build_also_when_nothing_changed_since(small):
    page = small / "book" / "page.md"
    page.write_text("# A page\n\nSee {ref}`nowhere`.\n")
    for _ in range(2):
        with pytest.raises(book.BookError):
            book.build_book(quiet=True)
    page.write_text("# A page\n\nText.\n")
    assert book.build_book(quiet=True) == small / "_build" / "html" / "index.html"


def test_staging_touches_only_what_changed_and_forgets_what_vanished(small):
    source, target = small / "book", small / "stage"
    second = write_chapter(source / "executed" / "iot-shop" / "02_more.ipynb", markdown("# More"))
    book.stage(source, book.executed_chapters(source / "executed"), target)
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*") if path.is_file()}
    (source / "page.md").write_text("# Another page\n")
    second.unlink()
    book.stage(source, book.executed_chapters(source / "executed"), target)
    after = {path: path.stat().st_mtime_ns for path in target.rglob("*") if path.is_file()}
    changed = {path.name for path in after if after[path] != before[path]}
    assert changed == {"page.md", "_toc.yml"}
    assert set(before) - set(after) == {target / "executed" / "iot-shop" / "02_more.ipynb"}


def test_links_of_a_part_lead_to_the_first_one_where_it_lacks_the_chapter(small):
    links = " ".join(f'<a href="{name}.html">{name[:2]}</a>' for name in ("01_data", "09_verdict", "08_complexity"))
    output = nbformat.v4.new_output("execute_result", {"text/html": links}, execution_count=1)
    executed = small / "book" / "executed"
    write_chapter(executed / "another" / "09_verdict.ipynb", markdown("# Verdict"), code("table", output))
    book.stage(small / "book", book.executed_chapters(executed), small / "stage")
    notebook = nbformat.read(small / "stage/executed/another/09_verdict.ipynb", as_version=4)
    assert notebook.cells[1].outputs[0]["data"]["text/html"] == (
        '<a href="../iot-shop/01_data.html">01</a> <a href="09_verdict.html">09</a> 08')


def test_a_failed_cell_is_refused(small):
    failed = nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
    write_chapter(small / "book/executed/iot-shop/02_bad.ipynb", markdown("# Bad"), code("boom()", failed))
    with pytest.raises(ConfigError, match=r"02_bad\.ipynb, cell 2.*mrlm study iot-shop"):
        book.build_book(quiet=True)


def test_a_chapter_older_than_its_notebook_is_announced(small):
    chapter = small / "book/executed/iot-shop/01_data.ipynb"
    notebook = json.loads(chapter.read_text())
    notebook["metadata"]["mrlm"] = {"source": "of another time"}
    chapter.write_text(json.dumps(notebook))
    shutil.copytree(chapter.parent, small / "notebooks")
    said = []
    book.build_book(quiet=True, say=said.append)
    assert [line for line in said if "iot-shop/01_data.ipynb" in line and "older notebook" in line]


def test_nothing_executed_says_what_to_run(small):
    shutil.rmtree(small / "book" / "executed")
    with pytest.raises(ConfigError, match="mrlm study iot-shop"):
        book.build_book(quiet=True)

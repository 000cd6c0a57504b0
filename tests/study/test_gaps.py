"""The paper's gaps and the program that fills them: each row names code that names the row, and no id hangs loose."""

import ast
import importlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import yaml

import mrlm_core
from mrlm_core.baselines import registry
from mrlm_core.config import PRESETS, SPLITS, preset, settings_of, source_folder
from mrlm_core.datasets.bookcrossing import ZEROS
from mrlm_core.errors import ConfigError
from mrlm_core.preprocessing.pipeline import CLUSTER_ASSIGNMENTS
from mrlm_core.study import gaps as paper_gaps
from mrlm_core.study import repair
from mrlm_core.study.claims import claims
from mrlm_core.study.paper_tables import paper_numbers, paper_table
from mrlm_core.study.sensitivity import with_references

ROWS = paper_gaps.gaps()
SETTINGS = settings_of(preset("paper"))
PACKAGE = Path(mrlm_core.__file__).resolve().parent
ID = re.compile(r"\bG\d\d\b")
NAMES = [(row, name) for row in ROWS for name in row.code]
OPTIONS = [(row, option) for row in ROWS for option in row.options]


def found(name: str):
    """The module, class or function of a dotted name."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            value = getattr(value, part)
        return value
    raise ModuleNotFoundError(name)


def documentation(setting: str) -> str:
    """What the source of the config says of a setting: the comment on its line."""
    section, name = setting.split(".")
    owner = type(getattr(preset("paper"), section))
    module = importlib.import_module(owner.__module__)
    lines = Path(str(module.__file__)).read_text(encoding="utf-8").splitlines()
    tree = ast.parse("\n".join(lines))
    (declared,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == owner.__name__]
    (line,) = [node for node in declared.body if isinstance(node, ast.AnnAssign) and node.target.id == name]
    return lines[line.end_lineno - 1].partition("#")[2]


def test_ids_are_numbered_without_a_hole():
    assert sorted(row.id for row in ROWS) == [f"G{number:02d}" for number in range(1, len(ROWS) + 1)]


def test_every_part_stands_in_one_block():
    parts = [row.part for row in ROWS]
    assert [part for before, part in zip(["", *parts], parts, strict=False) if part != before] == paper_gaps.parts()


@pytest.mark.parametrize(("row", "name"), NAMES, ids=lambda value: getattr(value, "id", value))
def test_the_code_of_a_row_exists_and_cites_it(row, name):
    text = documentation(name) if name in SETTINGS else found(name).__doc__
    assert row.id in ID.findall(text or ""), f"{name} does not cite {row.id}"


def test_every_id_that_is_cited_is_a_row():
    known = {row.id for row in ROWS}
    root = PACKAGE.parent
    pages = [*PACKAGE.rglob("*.py"), *(root / "notebooks").glob("*.ipynb"), *(root / "book").glob("*.md")]
    cited = {(path.name, name) for path in pages for name in ID.findall(path.read_text(encoding="utf-8"))}
    assert len(cited) > len(ROWS)
    assert {pair for pair in cited if pair[1] not in known} == set()


def documented(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    """Dotted name and docstring of a module and of the classes and functions in it."""
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
        yield name, ast.get_docstring(node) or ""
    for child in ast.iter_child_nodes(node):
        inside = isinstance(child, (ast.ClassDef, ast.FunctionDef))
        yield from documented(child, f"{name}.{child.name}" if inside else name)


def citing() -> Iterator[tuple[str, str]]:
    """Row and dotted name of each docstring or setting that cites it."""
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for name, text in documented(ast.parse(path.read_text(encoding="utf-8")), module):
            yield from ((row, name) for row in ID.findall(text))
    for setting in SETTINGS:
        yield from ((row, setting) for row in ID.findall(documentation(setting)))


def unnamed(cited: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of ``cited`` that the row itself does not name."""
    return set(cited) - {(row.id, name) for row, name in NAMES}


def test_whoever_cites_a_row_is_named_by_it():
    """The other direction: no docstring or setting cites a row that does not name it, though another row may."""
    cited = list(citing())
    assert len(cited) > len(ROWS)
    assert unnamed(cited) == set()


def test_a_name_that_another_row_has_is_not_enough():
    row, name = next((row, name) for row, name in NAMES if name not in SETTINGS)
    other = next(another.id for another in ROWS if name not in another.code)
    assert unnamed([(row.id, name), (other, name)]) == {(other, name)}


@pytest.mark.parametrize(("row", "option"), OPTIONS, ids=lambda value: getattr(value, "id", getattr(value, "name", "")))
def test_options_are_accepted(row, option):
    for size in ("laptop", "tiny", "paper"):
        usual = settings_of(preset(size))
        changed = settings_of(preset(size, with_references(option.settings, usual)))
        if set(option.settings) & set(PRESETS[size]):  # a size that chooses for itself, as the row says
            continue
        if option.name == row.default:  # what is called ours is what the config has
            assert changed == usual
        elif option.settings:
            assert changed != usual
    assert not option.model or registry.row(option.model).family == "mrlm"
    assert not option.clusters or option.clusters in CLUSTER_ASSIGNMENTS


def test_the_chapters_default_rows_can_be_run():
    text = (source_folder("notebooks", "10_*.ipynb") / "10_sensitivity.ipynb").read_text(encoding="utf-8")
    sources = ["".join(cell["source"]) for cell in json.loads(text)["cells"]]
    (line,) = re.findall(r"^gaps = .*$", "\n".join(sources), re.M)
    ids = ID.findall(line)
    assert [row.id for row in paper_gaps.chosen(ids)] == ids != []


# What the rows on printed numbers say, recomputed from the printed numbers.


def test_the_rows_on_tables_3_and_4_are_true():
    recall, auc = paper_table("table3_recall"), paper_table("table4_auc")
    ml, bx = "MovieLens-20M", "BookCrossing"
    for name in ("CAMN", "CKE"):  # G35
        assert all(table[bx].loc[name].equals(table[bx].loc[f"{name}+"]) for table in (recall, auc))
    base = [name for name in recall.index if f"{name}+" in recall.index]
    gain = (recall.loc[[f"{name}+" for name in base]].to_numpy() / recall.loc[base].to_numpy() - 1).ravel()
    assert (gain.max() > 0.5, int((gain < 0).sum())) == (True, 1)  # G36
    assert [n for n in (10, 20, 50, 100) if recall.loc["ConvMF+", (bx, n)] < recall.loc["ConvMF", (bx, n)]] == [100]
    assert (recall[bx, 100] / recall[bx, 10]).idxmax() == "ConvMF"  # G37
    ratio = auc.loc["xDeepFM+", (bx, 100)] / auc.loc["xDeepFM", (bx, 100)]
    assert (round(100 * (ratio - 1), 2), round(100 * (1 - 1 / ratio), 2)) == (2.45, 2.39)  # G38
    for other in ("HAUP", "SRSCHAN"):  # G39
        assert recall.loc["CAMN", (ml, 100)] > recall.loc[other, (ml, 100)]
        assert auc.loc["CAMN", (ml, 100)] < auc.loc[other, (ml, 100)]
    best = {n: auc.drop(index="MRLM")[bx, n].idxmax() for n in (10, 20, 50, 100)}
    assert best == {10: "ORAMAS+", 20: "HAUP+", 50: "HAUP+", 100: "HAUP+"}  # G40
    others = [recall.drop(index="MRLM")[dataset, n].idxmax() for dataset, n in recall.columns]
    assert {name.removesuffix("+") for name in others} == {"CKE"}


def test_the_rows_on_quoted_margins_are_true():
    recall, auc = (paper_table(name)["MovieLens-20M"] for name in ("table3_recall", "table4_auc"))
    over, average = (paper_numbers("fig4_text")[name] for name in
                     ("MRLM_over_variant_AUC100_ML20M_pct", "MRLM_T_average_over_pct"))
    of = {name: auc.loc["MRLM", 100] / (1 + percent / 100) for name, percent in over.items()}
    for name, percent in average.items():  # G46
        assert 1.8 < 100 * (of["T"] / of[name] - 1) / percent < 2.4
    assert of["K"] < auc[100].min()  # G47
    without = recall.loc["MRLM", 50] / (1 + paper_numbers("fig3_text")["MRLM_over_UGFRL_Recall50_pct"]["ML20M"] / 100)
    assert without > 1.1 * recall.loc["xDeepFM", 50]


def test_the_row_on_auc_names_the_claims_that_one_reading_decides():
    """G30: those on AUC alone whose test asks no other reading, neither beside it nor in its place."""
    def others(test):
        return [*test.get("readings", ()), *(part for part in test.get("parts", ()) if part and part[-1] != "_")]

    alone = [name for name, claim in claims().items()
             if all(metric.startswith("auc") for metric in claim.metrics) and not others(claim.test)]
    (row,) = [row for row in ROWS if row.id == "G30"]
    assert re.findall(r"\bC\d\d\b", row.reason) == alone != []


# Rows that are not complete.


def write(path: Path, **changes) -> Path:
    row = {"id": "G01", "part": "A", "kind": "open", "place": "Eq. 1", "gap": "What?", "options": [{"name": "this"}],
           "default": "this", "reason": "So.", "code": ["model.dropout"]}
    path.write_text(yaml.safe_dump({"rows": [{**row, **changes}]}), encoding="utf-8")
    return path


def test_a_complete_row_is_read(tmp_path):
    (row,) = paper_gaps.gaps(write(tmp_path / "gaps.yml"))
    assert (row.id, row.can_run, row.options[0].runs) == ("G01", False, False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reason": ""}, "row G01.*'reason'.*not empty"),
        ({"code": []}, "row G01.*'code'.*not empty"),
        ({"kind": "odd"}, "kind.*'open'.*'odd'"),
        ({"default": "that"}, "default.*'this'.*'that'"),
        ({"raeson": "So."}, "key 'raeson'.*Did you mean 'reason'"),
        ({"options": [{"name": "this", "setting": {}}]}, "option this.*'setting'.*Did you mean 'settings'"),
        ({"options": [{"settings": {"model.dropout": 0.1}}]}, "option None.*'name'"),
    ],
)
def test_an_incomplete_row_is_refused_by_name(tmp_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        paper_gaps.gaps(write(tmp_path / "gaps.yml", **changes))


def test_an_id_twice_is_refused(tmp_path):
    file = write(tmp_path / "gaps.yml")
    rows = yaml.safe_load(file.read_text())["rows"]
    file.write_text(yaml.safe_dump({"rows": rows + rows}))
    with pytest.raises(ConfigError, match=r"row G01.*twice"):
        paper_gaps.gaps(file)


def test_a_row_is_chosen_by_its_id_and_only_where_it_can_be_run():
    assert [row.id for row in paper_gaps.chosen(["G15", "G02"])] == ["G15", "G02"]
    assert {row.id for row in paper_gaps.chosen()} == {row.id for row in ROWS if row.can_run}
    for wrong in ("G99", "G01", "g15"):
        with pytest.raises(ConfigError, match=f"gap '{wrong}'"):
            paper_gaps.chosen([wrong])


def test_the_page_shows_every_row_with_its_default_and_what_is_missing():
    shown = "".join(paper_gaps.page(part).to_html() for part in paper_gaps.parts())
    assert all(f">{row.id}<" in shown for row in ROWS)
    assert "<b>uniform</b>" in shown
    assert "<i>the border repeated</i>" in shown
    assert "(chapter 06)" in shown
    missing = paper_gaps.not_in_program()
    assert ("G03", "the border repeated") in set(missing.itertuples(index=False, name=None))
    assert not {"uniform", "explicit"} & set(missing["option"])
    assert paper_gaps.summary().startswith(f"{len(ROWS)} rows: ")


def test_what_is_had_elsewhere_is_there():
    shown = {option.name: option.shown for row in ROWS for option in row.options if option.shown}
    for kind, name in (("within-user", "within each user"), ("by-time", "by time")):
        assert shown[name] == f"protocol.split: {kind}"
        assert kind in SPLITS
    for name in ("negatives", "positives"):
        assert shown[name] == f"mrlm data make bookcrossing --zeros {name}"
        assert name in ZEROS
    step = shown["m trained against the m of a user's latest items"].removeprefix("chapter 11, the step: ")
    assert step in {one.name for one in repair.STEPS}

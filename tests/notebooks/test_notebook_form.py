"""The form of every chapter: clean, short, prose before code, one set of parameters, an exercise at the end."""

import ast
import itertools
import json
import re
from pathlib import Path

import nbformat
import pytest

CHAPTERS = sorted((Path(__file__).resolve().parent.parent.parent / "notebooks").glob("*.ipynb"))
LONGEST_CELL = 20  # lines
CODE_IN_A_ROW = 3  # code cells without a word between them
SHARED_PARAMETERS = {"dataset", "scheduler"}  # so that a batch may give them to any chapter

# Kinds of fault; each is a function of the cells that gives what is wrong.


def tags(cell) -> list[str]:
    return cell.get("metadata", {}).get("tags", [])


def outputs(cells) -> list[str]:
    return [cell["id"] for cell in cells if cell["cell_type"] == "code"
            and (cell["outputs"] or cell["execution_count"] is not None)]


def ids(cells) -> list[str]:
    names = [cell.get("id", "") for cell in cells]
    return [name for name in names if names.count(name) > 1 or not re.fullmatch(r"[a-z][a-z0-9-]*", name)]


def long_cells(cells) -> list[str]:
    return [cell["id"] for cell in cells
            if cell["cell_type"] == "code" and len(cell["source"].splitlines()) > LONGEST_CELL]


def title(cells) -> list[str]:
    first = cells[0]
    good = first["cell_type"] == "markdown" and re.match(r"# \d\d\. \w", first["source"])
    questions = sum(line.rstrip().endswith("?") for line in first["source"].splitlines())
    return [] if good and questions >= 2 else [f"{first['id']}: title `# NN. ...` and at least two questions"]


def headings(cells) -> list[str]:
    """One chapter title, and no level left out on the way down (Sphinx warns of it)."""
    text = "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")
    levels = [len(marks) for marks in re.findall(r"^(#+) ", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.M)]
    jumps = [str(after) for before, after in itertools.pairwise(levels) if after > before + 1]
    return jumps + (["several titles"] if levels.count(1) != 1 else [])


def bare_code(cells) -> list[str]:
    """Code that follows no prose: a heading alone is none, nor are words many code cells ago."""
    wrong, in_a_row, prose = [], 0, False
    for cell in cells:
        if cell["cell_type"] == "markdown":
            in_a_row, prose = 0, bool(re.sub(r"^#.*$", "", cell["source"], flags=re.M).strip())
            continue
        in_a_row += 1
        if not prose or in_a_row > CODE_IN_A_ROW:
            wrong.append(cell["id"])
    return wrong


def parameters(cells) -> list[str]:
    """One cell, plain assignments of literals, each with a comment, the shared name among them."""
    found = [cell for cell in cells if "parameters" in tags(cell)]
    if len(found) != 1:
        return [f"{len(found)} parameters cells"]
    names = set()
    for line in found[0]["source"].splitlines():
        statement = ast.parse(line).body
        if len(statement) != 1 or not isinstance(statement[0], ast.Assign) or "#" not in line:
            return [f"not an assignment with a comment: {line}"]
        ast.literal_eval(statement[0].value)
        names |= {target.id for target in statement[0].targets}
    return sorted(SHARED_PARAMETERS - names)


def exercise(cells) -> list[str]:
    """The last heading is the exercise; what follows it is prose or a folded solution."""
    text = [(cell["id"], re.findall(r"^##+ (.*)$", cell["source"], re.M)) for cell in cells
            if cell["cell_type"] == "markdown"]
    last = [heading for _, found in text for heading in found][-1:]
    if not last or not last[0].startswith("Exercise"):
        return [f"the last heading is {last}"]
    start = next(i for i, cell in enumerate(cells) if re.search(r"^##+ Exercise", cell["source"], re.M))
    after = cells[start:]
    folded = any("dropdown" in cell["source"] or "hide-cell" in tags(cell) for cell in after)
    open_code = [cell["id"] for cell in after if cell["cell_type"] == "code" and "hide-cell" not in tags(cell)]
    return open_code + ([] if folded else ["no folded solution"])


def loops_that_train(cells) -> list[str]:
    """Training belongs in the package; a cell that steps an optimiser is a training loop."""
    sign = re.compile(r"GradientTape|apply_gradients|train_on_batch|train_step|optimi[sz]er\.")
    return [cell["id"] for cell in cells if cell["cell_type"] == "code" and sign.search(cell["source"])]


def unchecked_parameters(cells) -> list[str]:
    """Papermill only warns of a parameter that a notebook does not have: the chapter must refuse it itself."""
    first = next((cell for cell in cells if cell["cell_type"] == "code" and "import " in cell["source"]), None)
    return [] if first and "check_parameters()" in first["source"] else ["the imports do not end in check_parameters()"]


def keras_too_early(cells) -> list[str]:
    """The package chooses TensorFlow's kernels, which it can only before TensorFlow is imported."""
    code = "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "code")
    imported = re.findall(r"^(?:import|from) (keras|tensorflow|mrlm_core)\b", code, re.M)
    return [] if imported[:1] in ([], ["mrlm_core"]) else [f"{imported[0]} is imported before mrlm_core"]


def machine_paths(cells) -> list[str]:
    return [cell["id"] for cell in cells if re.search(r"[\"'(\s]/(home|work|tmp|Users|root|mnt)/", cell["source"])]


FORM = (outputs, ids, long_cells, title, headings, bare_code, parameters, unchecked_parameters, exercise,
        loops_that_train, keras_too_early, machine_paths)


def read(path: Path) -> list:
    notebook = nbformat.read(path, as_version=4)
    return notebook.cells


def test_there_are_chapters():
    assert [path.name for path in CHAPTERS[:2]] == ["01_data.ipynb", "02_preprocessing.ipynb"]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
@pytest.mark.parametrize("fault", FORM, ids=lambda fault: fault.__name__)
def test_form(path, fault):
    assert fault(read(path)) == []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_file_is_a_valid_notebook_of_python3(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata["kernelspec"]["name"] == "python3"
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert path.read_text(encoding="utf-8").endswith("\n")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_cited_works_are_in_the_bibliography(path):
    root = path.parent.parent
    known = set(re.findall(r"@\w+\{([^,]+),", (root / "book" / "references.bib").read_text(encoding="utf-8")))
    text = "\n".join(cell["source"] for cell in read(path) if cell["cell_type"] == "markdown")
    cited = {key.strip() for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text) for key in keys.split(",")}
    assert cited - known == set()


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_linked_pages_exist(path):
    """Links are relative to book/executed/<dataset>/, where the executed copies lie."""
    root = path.parent.parent
    text = "\n".join(cell["source"] for cell in read(path) if cell["cell_type"] == "markdown")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        page = (root / "book" / "executed" / "any" / target).resolve()
        page = root / "notebooks" / page.name if page.suffix == ".ipynb" else page
        assert page.exists(), target


def chapter(*sources, **changes) -> list:
    """A good chapter of few cells, with ``changes`` to the cell of that id; code starts with a >."""
    made = {
        "aim": "# 01. A chapter\n\n- Why?\n- How?",
        "parameters": ">dataset = 'x'  # a\nseeds = 1  # b\nscheduler = None  # c",
        "about-work": "## Work\n\nWords.",
        "imports": ">from mrlm_core.study import check_parameters\n\ncheck_parameters()",
        "work": ">1 + 1",
        "exercise": "## Exercise\n\nDo it.\n\n```{admonition} A solution\n:class: dropdown\nDone.\n```",
    }
    cells = []
    for name, source in {**made, **{key.replace("_", "-"): value for key, value in changes.items()}}.items():
        new = nbformat.v4.new_code_cell if source.startswith(">") else nbformat.v4.new_markdown_cell
        cells.append(new(source.removeprefix(">"), id=name))
    cells[1].metadata["tags"] = ["parameters"]
    return json.loads(json.dumps(cells))


def test_a_good_chapter_has_no_fault():
    assert {fault.__name__: fault(chapter()) for fault in FORM} == {fault.__name__: [] for fault in FORM}


@pytest.mark.parametrize(
    ("fault", "changes"),
    [
        (long_cells, {"work": ">" + "x = 1\n" * (LONGEST_CELL + 1)}),
        (title, {"aim": "# A chapter\n\n- Why?\n- How?"}),
        (title, {"aim": "# 01. A chapter\n\nNo questions."}),
        (headings, {"about_work": "#### Work\n\nWords."}),
        (bare_code, {"about_work": "## Work"}),
        (parameters, {"parameters": ">seeds = 1  # c"}),
        (parameters, {"parameters": ">dataset = 'x'\nseeds = 1  # c"}),
        (exercise, {"exercise": "## Exercise\n\nDo it."}),
        (exercise, {"exercise": "## The end\n\nDone."}),
        (loops_that_train, {"work": ">optimizer.apply(gradients)"}),
        (unchecked_parameters, {"imports": ">import numpy"}),
        (keras_too_early, {"imports": ">import keras\n\nfrom mrlm_core.study import check_parameters"}),
        (machine_paths, {"work": ">open('/home/me/x')"}),
    ],
)
def test_faults_are_found(fault, changes):
    assert fault(chapter(**changes)) != []


def test_kept_outputs_and_repeated_ids_are_found():
    cells = chapter()
    cells[4]["execution_count"] = 1
    cells[2]["id"] = "work"
    assert outputs(cells) == ["work"]
    assert ids(cells) == ["work", "work"]

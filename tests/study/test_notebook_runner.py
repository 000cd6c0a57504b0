"""The chapter runner on tiny notebooks that this file writes."""

import json
import os
import sys
from pathlib import Path

import nbformat
import pytest

from mrlm_core.errors import ConfigError
from mrlm_core.study import notebooks as runner
from mrlm_core.study.released_chapters import release_chapters, with_released


def write_chapter(folder: Path, name: str, parameters: str, *cells: str) -> None:
    code = nbformat.v4.new_code_cell
    first = code(parameters, metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell(f"# {name}"), first, *map(code, cells)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index}"
    nbformat.write(notebook, folder / f"{name}.ipynb")


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("MRLM_WORKSPACE", str(tmp_path))
    monkeypatch.setattr(runner, "study_code_hash", lambda: "c")  # somebody may be editing while the tests run
    return tmp_path


@pytest.fixture
def two_chapters(workspace):
    folder = workspace / "notebooks"
    write_chapter(folder, "01_first", 'dataset = "none"\nseeds = 1', "print(dataset, seeds)")
    write_chapter(folder, "02_second", 'dataset = "none"\nwidth = 1', "open('ran.txt', 'a').write('x')")
    return workspace


def printed(executed: Path) -> str:
    cells = json.loads(executed.read_text())["cells"]
    return "".join("".join(output.get("text", "")) for cell in cells for output in cell.get("outputs", []))


def keys(parameters=(), data_hash="d", dataset="shop"):
    return [chapter.key for chapter in runner.plan(dataset, data_hash, dict(parameters))]


def test_chapters_run_in_the_workspace_with_the_parameters_they_declare_and_then_are_up_to_date(two_chapters):
    said = []
    executed = runner.run_notebooks("shop", "d", {"seeds": 3}, say=said.append)
    assert [path.relative_to(two_chapters).as_posix() for path in executed] == [
        "book/executed/shop/01_first.ipynb", "book/executed/shop/02_second.ipynb"
    ]
    assert printed(executed[0]) == "shop 3\n"
    assert (two_chapters / "ran.txt").read_text() == "x"
    said.clear()
    runner.run_notebooks("shop", "d", {"seeds": 3}, say=said.append)
    assert said == ["[1/2] 01_first: up to date", "[2/2] 02_second: up to date"]
    runner.run_notebooks("shop", "d", {"seeds": 3}, only=["2"], force=True, say=said.append)
    assert (two_chapters / "ran.txt").read_text() == "xx"
    assert not list((two_chapters / "runs").rglob("*.ipynb"))


def test_executed_copies_hold_no_clock_times_and_no_machine_paths(workspace):
    write_chapter(workspace / "notebooks", "01_only", 'dataset = "none"', "1 + 1")
    executed, = runner.run_notebooks("shop", "d", {}, say=lambda text: None)
    first = executed.read_bytes()
    runner.run_notebooks("shop", "d", {}, force=True, say=lambda text: None)
    assert executed.read_bytes() == first
    assert str(workspace).encode() not in first


def test_key_changes_with_source_parameters_and_data_but_not_with_outputs(two_chapters):
    before = keys()
    assert keys({"width": 2})[0] == before[0]  # the first chapter does not know this parameter
    assert keys({"width": 2})[1] != before[1]
    assert all(new != old for new, old in zip(keys(data_hash="e"), before, strict=True))
    path = two_chapters / "notebooks" / "01_first.ipynb"
    notebook = nbformat.read(path, 4)
    notebook.cells[2].outputs = [nbformat.v4.new_output("stream", text="old\n")]
    nbformat.write(notebook, path)
    assert keys() == before
    notebook.cells[2].source += "\n"
    nbformat.write(notebook, path)
    assert keys()[0] != before[0]
    assert keys()[1] == before[1]


def test_key_changes_with_the_code_that_chapters_use(two_chapters, monkeypatch):
    before = keys()
    monkeypatch.setattr(runner, "study_code_hash", lambda: "d")
    assert all(new != old for new, old in zip(keys(), before, strict=True))


def test_code_hash_covers_the_model_and_leaves_out_the_command_line(monkeypatch):
    seen = []
    monkeypatch.setattr(runner, "code_hash", lambda *modules: seen.extend(modules) or "h")
    runner.study_code_hash()
    assert {"mrlm_core.config", "mrlm_core.model.losses", "mrlm_core.datasets.splits"} <= set(seen)
    assert not {"mrlm_core.cli", "mrlm_core.study.book", "mrlm_core.study.notebooks"} & set(seen)


def test_failing_cell_is_reported_and_leaves_no_executed_copy_and_the_study_goes_on(workspace):
    folder = workspace / "notebooks"
    write_chapter(folder, "01_good", 'dataset = "none"', "open('ran.txt', 'a').write('x')")
    write_chapter(folder, "02_bad", 'dataset = "none"', "print('so far')", "raise KeyError('no such\\nfield')")
    with pytest.raises(runner.NotebookError) as caught:
        runner.run_notebooks("shop", "d", {}, say=lambda text: None)
    text = str(caught.value)
    assert "02_bad, cell 4" in text
    assert "KeyError" in text
    assert "runs/shop/notebooks/02_bad.ipynb" in text
    assert "so far\n" in printed(workspace / "runs/shop/notebooks/02_bad.ipynb")
    assert not (workspace / "book/executed/shop/02_bad.ipynb").exists()
    write_chapter(folder, "02_bad", 'dataset = "none"', "print('mended')")
    executed = runner.run_notebooks("shop", "d", {}, say=lambda text: None)
    assert printed(executed[1]) == "mended\n"
    assert (workspace / "ran.txt").read_text() == "x"  # the first chapter was not run again


def test_kernel_is_this_interpreter_whatever_kernelspec_the_user_has(workspace, monkeypatch):
    spec = workspace / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    broken = {"argv": ["/nonexistent/python", "-f", "{connection_file}"], "display_name": "x", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(broken))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(workspace / "jupyter"))
    write_chapter(workspace / "notebooks", "01_which", 'dataset = "none"', "import sys; print(sys.prefix)")
    executed, = runner.run_notebooks("shop", "d", {}, say=lambda text: None)
    assert os.path.samefile(printed(executed).strip(), sys.prefix)


def test_unknown_parameter_is_an_error_that_names_the_nearest(two_chapters):
    with pytest.raises(ConfigError, match=r"'seed'.*Did you mean 'seeds'"):
        runner.run_notebooks("shop", "d", {"seed": 3})
    assert not (two_chapters / "book").exists()


def test_unknown_chapter_is_an_error_that_lists_the_known(two_chapters):
    with pytest.raises(ConfigError, match=r"'07'.*01_first, 02_second"):
        runner.plan("shop", "d", {}, only=["07"])


def test_a_damaged_executed_copy_is_not_taken_for_up_to_date(two_chapters):
    executed = two_chapters / "book/executed/shop/01_first.ipynb"
    executed.parent.mkdir(parents=True)
    executed.write_text('{"metadata": {"mrlm"')
    assert runner.recorded_key(executed) is None


def test_notebook_without_kernelspec_is_a_clear_error(workspace):
    write_chapter(workspace / "notebooks", "01_bare", "dataset = 1")
    path = workspace / "notebooks" / "01_bare.ipynb"
    notebook = json.loads(path.read_text())
    notebook["metadata"] = {}
    path.write_text(json.dumps(notebook))
    with pytest.raises(ConfigError, match="kernelspec"):
        runner.plan("shop", "d", {})


def test_a_released_chapter_keeps_its_output_and_says_once_what_made_it(two_chapters):
    executed = runner.run_notebooks("shop", "d", {"seeds": 3}, only=["1"], say=lambda text: None)
    first, = release_chapters(executed, "shop")
    assert first.relative_to(two_chapters).as_posix() == "book/results/shop/chapters/01_first.ipynb"
    assert printed(first) == "shop 3\n"
    again, = release_chapters([first], "shop")
    cells = json.loads(again.read_text())["cells"]
    assert [cell["id"] for cell in cells].count("released-chapter") == 1
    assert "".join(cells[0]["source"]) == "# 01_first"
    assert "admonition} Released" in cells[1]["source"]
    assert "Commit" in cells[1]["source"]
    nbformat.validate(nbformat.read(again, 4))
    assert runner.recorded(again)["key"] == runner.recorded_key(executed[0])


def test_a_released_chapter_is_shown_where_none_was_executed(two_chapters):
    executed = runner.run_notebooks("shop", "d", {}, say=lambda text: None)
    released = release_chapters(executed, "shop") + release_chapters(executed[1:], "films")
    assert with_released({"shop": executed[:1]}) == {"shop": [executed[0], released[1]], "films": [released[2]]}
    assert with_released({"shop": executed})["shop"] == executed


def test_released_chapters_of_the_embedded_dataset_are_a_part_of_their_own(two_chapters):
    """Every build executes them with what it can afford; the longer run is shown too."""
    executed = runner.run_notebooks("shop", "d", {}, say=lambda text: None)
    released = release_chapters(executed[1:], "iot-shop")
    assert with_released({"iot-shop": executed}) == {"iot-shop": executed, "iot-shop-in-full": released}

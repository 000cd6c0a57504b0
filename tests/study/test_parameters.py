"""Names given to a notebook by papermill itself."""

from pathlib import Path

import nbformat
import papermill
import pytest

from mrlm_core.errors import ConfigError
from mrlm_core.study.parameters import check_parameters

OWN = 'dataset = "iot-shop"  # a name\nseeds = 1'


def test_known_names_pass_and_without_papermill_there_is_nothing_to_check() -> None:
    check_parameters([OWN, "# Parameters\nseeds = 3\n", "import x"])
    check_parameters([OWN, "sedes = 3"])


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"parameter 'sedes'.*'seeds'"):
        check_parameters([OWN, "# Parameters\nsedes = 3\n"])


def test_papermill_marks_its_cell_as_we_expect(tmp_path: Path) -> None:
    """A real run of papermill: the wrong name stops the notebook with our words."""
    cells = [nbformat.v4.new_code_cell(OWN, metadata={"tags": ["parameters"]}),
             nbformat.v4.new_code_cell("from mrlm_core.study.parameters import check_parameters\n\ncheck_parameters()")]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), tmp_path / "in.ipynb")
    papermill.execute_notebook(tmp_path / "in.ipynb", tmp_path / "out.ipynb", {"seeds": 2}, progress_bar=False)
    with pytest.raises(papermill.PapermillExecutionError, match="parameter 'sedes'"):
        papermill.execute_notebook(tmp_path / "in.ipynb", tmp_path / "out.ipynb", {"sedes": 2}, progress_bar=False)

"""The command line: quick to start, clear about mistakes, faithful in what it hands on."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mrlm_core import cli, cli_data
from mrlm_core.config import preset, settings_of
from mrlm_core.errors import ConfigError

HEAVY = ("tensorflow", "keras", "pandas", "numba", "numpy", "sklearn", "papermill", "sphinx")


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("MRLM_WORKSPACE", str(tmp_path))
    return tmp_path


@pytest.fixture
def made(monkeypatch):
    """What the two makers are called with, in place of making."""
    calls = []

    def stand_in(name):
        def make(*arguments, **options):
            calls.append((name, arguments, options))
            out = arguments[0] if name == "iot" else arguments[2]
            out.mkdir(parents=True)
            (out / "dataset.yml").write_text(f"name: {out.name}\ntitle: A made one\n")

        return make

    import mrlm_core.datasets.bookcrossing as bookcrossing
    import mrlm_core.datasets.iot_shop as iot_shop
    import mrlm_core.datasets.movielens as movielens

    monkeypatch.setattr(iot_shop, "make_iot_shop", stand_in("iot"))
    monkeypatch.setattr(movielens, "make_movielens", stand_in("movielens"))
    monkeypatch.setattr(bookcrossing, "make_bookcrossing", stand_in("bookcrossing"))
    return calls


@pytest.mark.parametrize("arguments", [["--help"], ["data", "list"], ["study", "--help"]])
def test_light_commands_import_nothing_heavy(arguments, workspace):
    program = (
        "import sys\nfrom mrlm_core.cli import main\n"
        f"try: code = main({arguments!r})\nexcept SystemExit as end: code = end.code\n"
        f"print('HEAVY', code, [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY 0 []"


def test_module_and_console_script_are_the_same_command():
    script = Path(sys.executable).with_name("mrlm")
    outputs = [
        subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
        for command in ([str(script)], [sys.executable, "-m", "mrlm_core.cli"])
    ]
    assert outputs[0] == outputs[1]
    assert all(command in outputs[0] for command in ("data", "study", "book"))


def test_user_error_is_told_without_traceback_with_exit_code_2(workspace):
    done = subprocess.run([sys.executable, "-m", "mrlm_core.cli", "study", "nowhere"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("mrlm: dataset 'nowhere': expected")
    assert "Traceback" not in done.stderr


def test_unknown_dataset_lists_what_is_there(workspace, capsys):
    (workspace / "data" / "mine").mkdir(parents=True)
    (workspace / "data" / "mine" / "dataset.yml").write_text("title: My shop\n")
    assert cli.main(["study", "mein"]) == 2
    assert "There: mine." in capsys.readouterr().err
    assert cli.main(["data", "list"]) == 0
    assert "My shop" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["data", "make", "iot-shob"], "Did you mean 'iot-shop'"),
        (["data", "make", "movielens-1m"], "--raw"),
        (["data", "make", "iot-shop", "--plots", "p.csv"], "--plots: expected with a converted dataset"),
        (["data", "make", "movielens-1m", "--raw", "r", "--seed", "0"], "--seed: expected with a generated dataset"),
        (["data", "make", "movielens-1m", "--raw", "r", "--features", "video"], "'video': expected NAME=VALUE"),
        (["data", "make", "movielens-1m", "--raw", "r", "--covers", "c"], "--covers: expected with bookcrossing..."),
        (["data", "make", "bookcrossing", "--raw", "r", "--plots", "p"], "--plots: expected with movielens-..."),
        (["data", "make", "iot-shop", "--zeros", "negatives"], "--zeros: expected with a converted dataset"),
        (["data", "check", "nowhere"], "nowhere"),
        (["book"], "mrlm study iot-shop"),
    ],
)
def test_mistakes_are_told_with_a_remedy(arguments, told, workspace, capsys):
    assert cli.main(arguments) == 2
    assert told in capsys.readouterr().err


def test_unknown_preset_is_told_before_anything_runs(workspace, capsys):
    (workspace / "data" / "mine").mkdir(parents=True)
    (workspace / "data" / "mine" / "dataset.yml").write_text("")
    assert cli.main(["study", "mine", "--preset", "laptob"]) == 2
    assert "Did you mean 'laptop'" in capsys.readouterr().err
    for option, told in ((["--scheduler", "foo"], "an address like tcp://"),
                         (["--set", "settings={model.dropuot: 0.2}"], "Did you mean 'model.dropout'"),
                         (["--set", "preset=laptob"], "Did you mean 'laptop'")):
        assert cli.main(["study", "mine", *option]) == 2
        assert told in capsys.readouterr().err


@pytest.mark.parametrize("name", ["laptop", "paper"])
def test_settings_are_listed_as_a_study_takes_them(workspace, capsys, name):
    """Each line, as YAML, sets what is set already."""
    assert cli.main(["settings", "--preset", name]) == 0
    listed = yaml.safe_load(capsys.readouterr().out)
    assert listed["training.learning_rate"] == settings_of(preset(name))["training.learning_rate"]
    assert settings_of(preset(name, listed)) == settings_of(preset(name))
    assert cli.main(["settings", "--preset", "tinny"]) == 2


def test_generated_dataset_gets_only_the_options_given(workspace, made):
    assert cli.main(["data", "make", "iot-shop", "--users", "7", "--seed", "0"]) == 0
    assert cli.main(["data", "make", "iot-shop-tiny"]) == 0
    assert made == [
        ("iot", (workspace / "data/iot-shop",), {"size": "small", "n_users": 7, "seed": 0}),
        ("iot", (workspace / "data/iot-shop-tiny",), {"size": "tiny"}),
    ]


def test_converted_dataset_gets_its_files(workspace, made, tmp_path):
    out = tmp_path / "elsewhere"
    given = ["--raw", "r", "--plots", "p.csv", "--features", "video=v.npz", "--features", "audio=a.npz"]
    assert cli.main(["data", "make", "movielens-1m", *given, "--out", str(out)]) == 0
    (_, arguments, options), = made
    assert arguments == ("movielens-1m", Path("r"), out)
    assert options["plots"] == Path("p.csv")
    assert options["posters"] is None
    assert options["features"] == {"video": Path("v.npz"), "audio": Path("a.npz")}


def test_books_get_their_own_files(workspace, made):
    given = ["--raw", "r", "--covers", "c.tar", "--zeros", "positives"]
    assert cli.main(["data", "make", "bookcrossing", *given]) == 0
    assert made == [("bookcrossing", ("bookcrossing", Path("r"), workspace / "data/bookcrossing"),
                     {"blurbs": None, "covers": Path("c.tar"), "zeros": "positives"})]


def test_a_dataset_that_is_there_is_replaced_only_by_force(workspace, made, capsys):
    assert cli.main(["data", "make", "iot-shop"]) == 0
    old = workspace / "data/iot-shop/old.txt"
    old.write_text("old")
    assert cli.main(["data", "make", "iot-shop"]) == 2
    assert "--force" in capsys.readouterr().err
    assert old.exists()
    assert cli.main(["data", "make", "iot-shop", "--force"]) == 0
    assert not old.exists()


def test_a_dataset_is_kept_when_the_new_one_cannot_be_made(workspace, made, monkeypatch):
    import mrlm_core.datasets.iot_shop as iot_shop
    from mrlm_core.errors import DatasetError

    assert cli.main(["data", "make", "iot-shop"]) == 0

    def broken(out, **options):
        out.mkdir()
        raise DatasetError("no")

    monkeypatch.setattr(iot_shop, "make_iot_shop", broken)
    assert cli.main(["data", "make", "iot-shop", "--force"]) == 2
    assert [path.name for path in (workspace / "data").rglob("*")] == ["iot-shop", "dataset.yml"]


def test_force_never_removes_a_folder_that_is_no_dataset(workspace, made, capsys):
    precious = workspace / "home" / "letter.txt"
    precious.parent.mkdir()
    precious.write_text("dear")
    assert cli.main(["data", "make", "iot-shop", "--out", str(precious.parent), "--force"]) == 2
    assert precious.exists()


def test_study_hands_on_parameters_and_reports_a_failed_chapter(workspace, monkeypatch, capsys):
    import mrlm_core.datasets
    import mrlm_core.study.notebooks as notebooks

    (workspace / "data" / "mine").mkdir(parents=True)
    (workspace / "data" / "mine" / "dataset.yml").write_text("")
    monkeypatch.setattr(mrlm_core.datasets, "load_dataset", lambda path: type("D", (), {"data_hash": "h"}))
    calls = []
    monkeypatch.setattr(notebooks, "run_notebooks", lambda *arguments: calls.append(arguments))
    options = ["--preset", "tiny", "--seeds", "2", "--only", "01,03", "--set", "width=[1, 2]", "--set", "arm=mixed"]
    assert cli.main(["study", "mine", *options]) == 0
    parameters = {"preset": "tiny", "seeds": 2, "width": [1, 2], "arm": "mixed"}
    assert calls[0][:5] == ("mine", "h", parameters, ["01", "03"], False)

    made = workspace / "02.ipynb"
    made.write_text('{"cells": [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Two"}]}')
    monkeypatch.setattr(notebooks, "run_notebooks", lambda *arguments: [made])
    assert cli.main(["study", "mine", "--only", "02", "--release"]) == 0
    assert (workspace / "book/results/mine/chapters/02.ipynb").exists()
    assert "released: " in capsys.readouterr().out

    def fail(*arguments):
        raise notebooks.NotebookError("02_bad, cell 4: KeyError")

    monkeypatch.setattr(notebooks, "run_notebooks", fail)
    assert cli.main(["study", "mine"]) == 1
    assert "02_bad, cell 4" in capsys.readouterr().err


def test_listing_survives_a_broken_description(workspace, capsys):
    (workspace / "data" / "mine").mkdir(parents=True)
    (workspace / "data" / "mine" / "dataset.yml").write_text("title: [")
    assert cli.main(["data", "list"]) == 0
    assert "cannot be read" in capsys.readouterr().out


def test_a_pair_needs_a_name_and_an_equals_sign():
    assert cli_data.pair("video=a=b.npz") == ("video", "a=b.npz")
    for text in ("video", "=f.npz"):
        with pytest.raises(ConfigError, match="NAME=VALUE"):
            cli_data.pair(text)


def test_generated_and_checked_for_real(workspace, capsys):
    assert cli.main(["data", "make", "iot-shop-tiny"]) == 0
    capsys.readouterr()
    assert cli.main(["data", "check", str(workspace / "data" / "iot-shop-tiny")]) == 0
    out = capsys.readouterr().out
    assert "sers" in out
    assert "roblems" in out

"""The three descriptions of the environment agree, and the lock names no package index."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
LOCKED_EXTRAS = [text for extra in ("dask", "dev") for text in PROJECT["optional-dependencies"][extra]]
KERNELS = "TF_ENABLE_ONEDNN_OPTS"
LOCK = (ROOT / "requirements.lock").read_text()


def pins() -> dict[str, str]:
    """Package -> pinned version, of the lock's lines that are not hashes."""
    lines = [line.split("\\")[0].split(";")[0].strip() for line in LOCK.splitlines() if line and line[0].isalnum()]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def test_environment_yml_names_what_pyproject_names():
    nested = next(entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))
    assert sorted(nested) == sorted(PROJECT["dependencies"])


def test_environment_yml_has_the_python_that_the_lock_was_made_for():
    python = next(entry for entry in ENVIRONMENT["dependencies"] if str(entry).startswith("python="))
    version = python.removeprefix("python=")
    assert version == "3.11"
    assert f"--python-version {version}" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("text", [*PROJECT["dependencies"], *LOCKED_EXTRAS])
def test_lock_pins_satisfy_each_dependency(text):
    wanted = Requirement(text)
    pinned = pins().get(canonicalize_name(wanted.name))
    assert pinned is not None, f"{wanted.name} is not in requirements.lock; run `make lock`"
    assert wanted.specifier.contains(pinned), f"{wanted.name} is pinned to {pinned}, wanted {wanted.specifier}"


def test_every_pin_has_a_hash():
    blocks = re.split(r"\n(?=[A-Za-z0-9])", LOCK.strip())
    assert len(blocks) == len(pins()) > 100
    assert [block.split("==")[0] for block in blocks if "--hash=sha256:" not in block] == []


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml", "environment.yml", "Makefile", ".ci/run"])
def test_no_file_names_a_package_index(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"--(extra-)?index-url|--find-links|--trusted-host|https?://", text)


def test_setup_can_build_the_package_from_the_lock_alone():
    # `make setup` installs the project without build isolation, so the build backend must be pinned too.
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    for text in build["requires"]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(pins()[canonicalize_name(wanted.name)])


@pytest.mark.parametrize(("chosen", "used"), [(None, "1"), ("0", "0")])
def test_package_chooses_tensorflows_kernels_unless_the_user_has(chosen, used):
    """By itself TensorFlow takes others on other processors, which round differently."""
    environment = {name: value for name, value in os.environ.items() if name != KERNELS}
    asked = {**environment, **({KERNELS: chosen} if chosen else {})}
    code = f"import os, mrlm_core; print(os.environ[{KERNELS!r}])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=asked, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == used


@pytest.mark.parametrize(("given", "trimmed"), [([], True), (["EPOCHS="], False)])
def test_make_book_ends_trainings_sooner_unless_told_otherwise(given, trimmed):
    environment = {name: value for name, value in os.environ.items() if name != "EPOCHS"}
    make = ["make", "-n", "book", *given]
    planned = subprocess.run(make, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert "mrlm study iot-shop" in planned
    assert ("training.max_epochs: 20" in planned) == trimmed

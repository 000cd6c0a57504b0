"""Each peer's own virtual environment: made once from its requirements file, used again while that is unchanged."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.section import ROOT

PEERS = ("recbole", "cornac", "implicit", "ranx")
PLACE = "MRLM_PEERS_VENVS"  # environment variable: where the environments are, instead of .venv-peers/


class Unavailable(Exception):
    """A peer cannot be measured here; the message says why."""


def interpreter(peer: str) -> Path:
    """The Python of ``peer``'s environment, which is made when missing or out of date; raises Unavailable."""
    wanted = requirements(peer).read_text(encoding="utf-8")
    folder = Path(os.environ.get(PLACE, ROOT / ".venv-peers")).absolute() / peer
    stamp, python = folder / ".installed", folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"  making the environment of {peer} in {folder}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _command([sys.executable, "-m", "venv", str(folder)])
        # --no-deps: the file lists all that is needed and leaves out what the measured parts never import.
        _command([str(python), "-m", "pip", "install", "-q", "--no-deps", "-r", str(requirements(peer))])
        stamp.write_text(wanted, encoding="utf-8")  # last, so that a broken installation is made again
    return python


def requirements(peer: str) -> Path:
    """The file of ``peer``'s pinned packages."""
    return Path(__file__).with_name(f"requirements-{peer}.txt")


def version_of(peer: str) -> str:
    """The pinned version of ``peer`` itself."""
    found = re.search(rf"^{peer}==(\S+)", requirements(peer).read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ValueError(f"{requirements(peer).name}: expected a line {peer}==VERSION, found none; add it.")
    return found[1]


def reason(text: str) -> str:
    """The last line of an error output without addresses and folders, which mean nothing elsewhere."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else "ended without a message"
    return re.sub(r"(?<![\w.])/(?:[^\s/:'\"]+/)+", ".../", re.sub(r"\w+://\S+", "(address)", last)).replace("|", "/")


def _command(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(reason(done.stderr or done.stdout))

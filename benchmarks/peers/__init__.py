"""RecBole, Cornac, implicit and ranx against ours: same data, same machine, taken in turn, each in its own environment.

The modules ``serve_<library>`` run inside the libraries' own processes; the others drive and report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.section import Section


def run(dataset: str = "movielens-latest-small") -> Section:
    """The peers' section; makes missing environments, which takes minutes the first time."""
    from benchmarks.peers.report import section  # the peers' processes import this package without our libraries

    return section(dataset)

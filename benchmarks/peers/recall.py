"""Recall of many lists at once, ours and ranx's, to the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.peers.data import export_lists
from benchmarks.peers.rounds import OURS, Case, Library, in_rounds
from benchmarks.peers.tables import against, target
from benchmarks.section import Target

CUTOFFS = [10, 20, 50, 100]
TASKS = {  # task -> library, what the table calls it
    "recall_at_once": (OURS, "as `evaluate` does"),
    "recall": (OURS, "`recall_at` four times"),
}
THEIRS = {"recall": "ranx, arrays", "recall_of_objects": "ranx, `Qrels` and `Run`"}
WHY = ("ours marks each user's relevant items in a table of the whole catalogue and then walks his list; theirs"
       " compares the list with its few relevant items; ours also counts the listed items and the pairs for AUC")


def measure(
    folder: Path, running: dict[str, Library], missing: dict[str, str], *, users: int = 138_493, items: int = 27_278,
    relevant: int = 14, few: int = 10_000, repeats: int = 5,
) -> tuple[list[str], list[Target]]:
    """The table and targets; ranx's own objects, slow to build, are timed on the first ``few`` users."""
    export_lists(folder, users, items, max(CUTOFFS), relevant)
    few = min(few, users)
    cases = [*(_case(folder, OURS, task, users, name) for task, (_, name) in TASKS.items()),
             _case(folder, "ranx", "recall", users, THEIRS["recall"]),
             _case(folder, "ranx", "recall_of_objects", few, THEIRS["recall_of_objects"])]
    at_once, one_by_one, arrays, objects = measured = in_rounds(cases, running, missing, repeats)
    apart = agreement([Path(one.case.order["kept"]) for one in measured if not one.error])
    lines = [
        "### Recall", "",
        f"Recall at {', '.join(map(str, CUTOFFS))} of {users:,} lists of {max(CUTOFFS)}, 1 to {relevant} relevant items"
        f" a user of {items:,}; ranx's own objects on {few:,} of them. All values agree to {apart:.0e}.", "",
        *against("users", [(at_once, arrays), (one_by_one, arrays), (at_once, objects), (one_by_one, objects)]),
    ]
    targets = [target(f"Recall, {at_once.case.name}, against {other.case.name}", at_once, other, WHY)
               for other in (arrays, objects)]
    return lines, targets


def agreement(files: list[Path]) -> float:
    """How far the kept values are apart at most; raises AssertionError beyond 1e-9."""
    values = [np.load(file) for file in files]
    few = min(value.shape[1] for value in values)
    apart = max((float(np.abs(value[:, :few] - values[0][:, :few]).max()) for value in values[1:]), default=0.0)
    whole = [value for value in values if value.shape == values[0].shape]
    apart = max([apart, *(float(np.abs(value - values[0]).max()) for value in whole)])
    assert apart <= 1e-9, f"recall differs by {apart}"
    return max(apart, 1e-9)


def _case(folder: Path, library: str, task: str, users: int, name: str) -> Case:
    kept = str(folder / f"recall-{library}-{task}.npy")
    return Case(name, library, {"task": task, "folder": str(folder), "cutoffs": CUTOFFS, "users": users, "kept": kept})

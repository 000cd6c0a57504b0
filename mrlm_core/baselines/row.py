"""One row of the registry: where a model lives, what it reads, its hyperparameters and how faithful it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

INPUTS = ("interactions", "initial_vectors", "clusters", "attributes", "sentences", "features", "triples", "content",
          "checkpoint")
FAMILIES = ("simple", "deep", "control", "mrlm")


@dataclass(frozen=True)
class Row:
    """One model.

    ``inputs`` are what ``fit`` takes, of ``INPUTS``: "attributes" the fields of users and items, "sentences" the words
    of the items' texts, "features" vectors of the modalities in ``needs`` and ``reads``, "triples" the knowledge graph,
    "content" the vectors of all other modalities side by side (a "+" model), "checkpoint" a folder to save progress
    in. Without a modality in ``needs`` the model cannot run; those in ``reads`` it takes where they are there. Roles
    are ``datasets.contract.Modality.role``.

    ``defaults`` are the constructor's arguments, their only home. ``search`` maps a hyperparameter to ("float", low,
    high, log), ("int", low, high) or ("choice", values). ``citation`` is a key of the bibliography; ``fidelity``
    "faithful", or "adapted" with one sentence of ``adaptation``.
    """

    name: str
    module: str
    cls: str
    citation: str
    family: str
    inputs: tuple[str, ...] = ("interactions",)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    search: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    fidelity: str = "faithful"
    adaptation: str = ""
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()

    @property
    def base(self) -> str:
        """The model without its "+"."""
        return self.name.removesuffix("+")


def plus(row: Row) -> Row:
    """The "+" version of a model of the paper: all modalities that it does not read, as further content of an item."""
    return replace(row, name=f"{row.name}+", inputs=(*row.inputs, "content"))

"""One row of the registry: where a model lives, what it reads, its hyperparameters and how faithful it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

INPUTS = ("interactions", "initial_vectors", "clusters", "attributes", "sentences", "features", "triples", "content")
FAMILIES = ("simple", "deep", "control", "mrlm")
EVERY = "every"  # in ``reads``: all modalities that are there, whatever their role
RAW = {"text": "sentences", "knowledge": "triples"}  # what a model may read of a role in place of its vectors


@dataclass(frozen=True)
class Row:
    """One model.

    ``inputs`` are what ``fit`` takes, of ``INPUTS``: "attributes" the fields of users and items, "sentences" the words
    of the items' texts, "triples" the knowledge graph (None where there is none), "features" vectors of the other
    modalities in ``needs`` and ``reads``, "content" the vectors of all further modalities side by side (a "+" model).
    One that trains by epochs also takes ``checkpoint``, a folder to save progress in. Without a modality in ``needs``
    the model cannot run; those in ``reads`` it takes where they are there. Roles are those of
    ``datasets.contract.Modality.role``, or ``EVERY``. A "+" version takes the further modalities as ``others_as``:
    "content", or one by one among the "features".

    ``defaults`` are the constructor's arguments, their only home. ``search`` maps a hyperparameter to ("float", low,
    high, log), ("int", low, high) or ("choice", values). ``citation`` is a key of the bibliography; ``fidelity``
    "faithful", or "adapted" with one sentence of ``adaptation``. ``settings`` are settings of the config that make this
    model what it is (family "mrlm"); no run changes them. Gap G27.
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
    others_as: str = "content"
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """The model without its "+"."""
        return self.name.removesuffix("+")

    def takes(self, role: str) -> bool:
        """Whether the model itself reads modalities of this role."""
        return role in (*self.needs, *self.reads) or EVERY in self.reads

    def takes_vectors(self, role: str) -> bool:
        """Whether it reads them as vectors."""
        return "features" in self.inputs and self.takes(role) and RAW.get(role) not in self.inputs


def plus(row: Row) -> Row:
    """The "+" version of a model of the paper: all modalities that it does not read, as further content of an item."""
    version = replace(row, name=f"{row.name}+", inputs=tuple(dict.fromkeys((*row.inputs, row.others_as))))
    return replace(version, reads=(*row.reads, EVERY)) if row.others_as == "features" else version

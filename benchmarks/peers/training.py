"""Training: pairs of a positive and a negative a second, ours and theirs on the same positives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.peers.data import FEATURE_DIM, Shared
from benchmarks.peers.rounds import OURS, THREADS, Case, Library, Measured, in_rounds
from benchmarks.peers.tables import against, number, ratios, spread, target, unmeasured
from benchmarks.section import Target

DIM = 64
BATCHES = (128, 2048)  # Table 2's, and what RecBole takes by default
# RecBole's deep and knowledge-aware models: what gives them vectors DIM wide.
RECBOLE = {
    "NeuMF": {"mf_embedding_size": DIM, "mlp_embedding_size": DIM},
    "xDeepFM": {"embedding_size": DIM},
    "CKE": {"embedding_size": DIM, "kg_embedding_size": DIM},
}
CORNAC = ("VBPR", "AMR")


def measure(
    data: Shared, running: dict[str, Library], missing: dict[str, str], *, preset: str = "laptop",
    pairs: int = 8192, batches: Sequence[int] = BATCHES, epochs: int = 100, repeats: int = 3,
) -> tuple[list[str], list[Target]]:
    """The tables and targets; deep models train on ``pairs`` positives, BPR in single steps ``epochs`` times a call."""
    bpr = in_rounds(bpr_cases(data, batches, epochs), running, missing, repeats)
    deep = in_rounds(deep_cases(data, preset, batches, pairs), running, missing, repeats)
    lines, targets = bpr_part(bpr)
    return [*_intro(data, pairs), *models(deep + bpr), "", *mrlm_part(deep, len(batches)), "", *lines], targets


def bpr_cases(data: Shared, batches: Sequence[int], epochs: int) -> list[Case]:
    """BPR of all: RecBole's in batches, ours, Cornac's and implicit's in single steps, from one thread and from all."""
    single = {"folder": str(data.folder), "dim": DIM, "task": "train_bpr", "epochs": epochs}
    return [
        Case("BPR-MF, 1 a step", OURS, single),
        *(_recbole(data, "BPR", {"embedding_size": DIM}, size, None) for size in batches),
        *(Case(f"{name} BPR, 1 a step by {words}", name.lower(), {**single, "threads": threads})
          for threads, words in ((1, "1 thread"), (THREADS, f"{THREADS} threads")) for name in ("Cornac", "implicit")),
    ]


def deep_cases(data: Shared, preset: str, batches: Sequence[int], pairs: int) -> list[Case]:
    """MRLM and the others' deep, knowledge-aware and multimodal models; each model at each batch size."""
    shared = {"folder": str(data.folder), "pairs": pairs}
    return [
        *(Case(f"MRLM ({preset}), {size:,} a step", OURS,
               {**shared, "task": "train_mrlm", "preset_name": preset, "batch_size": size}) for size in batches),
        *(_recbole(data, name, settings, size, pairs) for name, settings in RECBOLE.items() for size in batches),
        *(Case(f"Cornac {name}, {size:,} a step", "cornac",
               {**shared, "task": "train_multimodal", "name": name, "dim": DIM, "batch_size": size, "threads": THREADS})
          for name in CORNAC for size in batches),
    ]


def models(measured: Sequence[Measured]) -> list[str]:
    """One line a model: its size, its work a pair, its speed."""
    head = "| model, pairs a step | parameters | MFLOP a pair | pairs/s | range | GFLOP/s |"
    rows = [head, "|---|--:|--:|--:|--:|--:|"]
    for one in measured:
        if one.error:
            rows.append(f"| {one.case.name} | | | not measured | | |")
            continue
        work = one.facts.get("mflop", 0)
        products = (f"{work:,.3f}", f"{np.median(one.rates) * work / 1e3:,.1f}") if work else ("0", "0")
        rates = f"{np.median(one.rates):,.0f} | {one.rates.min():,.0f} to {one.rates.max():,.0f}"
        rows.append(f"| {one.case.name} | {one.facts['parameters']:,} | {products[0]} | {rates} | {products[1]} |")
    return [*rows, *unmeasured(measured)]


def mrlm_part(deep: Sequence[Measured], n_batches: int) -> list[str]:
    """MRLM against each other deep model at the same batch size: pairs a second, and work a second."""
    rows = ["MRLM against them at the same pairs a step, in pairs and in the work that each model does for a pair:", "",
            "| against | times the pairs/s | range | times the GFLOP/s | range |", "|---|--:|--:|--:|--:|"]
    ours, theirs = deep[:n_batches], deep[n_batches:]
    for place, other in enumerate(theirs):
        mine = ours[place % n_batches]
        if mine.error or other.error:
            rows.append(f"| {other.case.name} | not measured | | | |")
            continue
        ratio = ratios(mine, other)
        work = ratio * mine.facts["mflop"] / other.facts["mflop"]
        rows.append(f"| {other.case.name} | {number(np.median(ratio))} | {spread(ratio)} "
                    f"| **{number(np.median(work))}** | {spread(work)} |")
    return rows


def bpr_part(measured: Sequence[Measured]) -> tuple[list[str], list[Target]]:
    """BPR at the same width: ours in single steps against theirs in batches and in single steps."""
    ours, theirs = measured[0], measured[1:]
    lines = [f"BPR, {DIM} wide, all training positives in each pass. Ours steps in one thread while another draws its"
             " next epoch, the passes between two looks at validation in its defaults:", "",
             *against("pairs", [(ours, other) for other in theirs])]
    targets = [target(f"Training, {ours.case.name}, against {other.case.name}", ours, other, _why_slower(other.case))
               for other in theirs]
    return lines, targets


def _why_slower(case: Case) -> str:
    if case.library == "recbole":
        return "theirs steps less often"
    if case.order["threads"] == 1:
        return "both step alike; ours reads and writes Keras' weights each epoch, though it draws beside its steps"
    return ("theirs steps from several threads without locks; ours from one, while another draws, which gives the same"
            " result every time")


def _recbole(data: Shared, name: str, settings: dict[str, Any], size: int, pairs: int | None) -> Case:
    order = {"task": "train", "folder": str(data.folder), "name": name, "batch_size": size, "pairs": pairs,
             "threads": THREADS, "settings": settings}
    return Case(f"RecBole {name}, {size:,} a step", "recbole", order)


def _intro(data: Shared, pairs: int) -> list[str]:
    return [
        "### Training", "",
        f"{data.title}: {data.n_users:,} users, {data.n_items:,} items, {data.n_positives:,} training positives."
        f" {data.note}".rstrip(), "",
        "A pair is a positive with one sampled negative; sampling is timed, validation is not. Where a model takes the"
        f" two as rows by themselves (NeuMF, xDeepFM), a step has twice as many rows. All vectors are {DIM} wide, but"
        f" for MRLM's, which its preset says. The deep models train on {min(pairs, data.n_positives):,} positives. MRLM"
        f" has five modalities with arbitrary cluster numbers, VBPR and AMR random content vectors {FEATURE_DIM} wide;"
        " that changes no speed. xDeepFM and CKE read the items' attributes. MFLOP: products and convolutions, forward"
        " and backward, by TensorFlow's and PyTorch's own counters; BPR's dot products are not among them.", "",
    ]

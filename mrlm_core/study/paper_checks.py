"""The paper against itself: what its printed numbers say of one another, recomputed from data/paper/tables.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from mrlm_core.baselines.rows_paper import ORDER
from mrlm_core.study.claims import claim_tests
from mrlm_core.study.paper_tables import MEASURES, PAPER_DATASETS, paper_numbers, paper_table

METHOD, CUTOFFS = "MRLM", (10, 20, 50, 100)
ML, BX = PAPER_DATASETS.values()
NAMES = [*ORDER, *(f"{name}+" for name in ORDER), METHOD]
HALF_DIGIT = 0.00005  # of Tables 3 and 4, which print four
Row = tuple[str, str, str, str, bool | None]


def against_itself() -> pd.DataFrame:
    """One row a check: the claim it bears on, what is said, as printed, as recomputed, and whether they agree."""
    rows = [*_table_1(), *_superiority(), *_plus(), *_figures(), *_readings()]
    return pd.DataFrame(rows, columns=["claim", "what", "printed", "recomputed", "agrees"])


def auc_readings() -> dict[str, int]:
    """By reading of AUC@N, how many of the cells of Table 4 are impossible given Tables 1 and 3.

    A full AUC has no cutoff, so it may not change along a row (counted: cells unlike the first of their row). LAUC@N is
    at most (1 + Recall@N) / 2. LibRec's AUC@N is at least that less 2 N Recall@N / items, what missed items can cost.
    """
    recall, auc = (_grid(measure) for measure in ("recall", "auc"))
    n_items = np.array([_stats(short)["items"] for short in PAPER_DATASETS], float)
    share = np.array(CUTOFFS) / n_items[:, None]  # [datasets, cutoffs]
    straight, slack = (1 + recall) / 2, 2 * HALF_DIGIT
    return {
        "full AUC": int(np.sum(np.abs(auc - auc[:, :, :1]) > slack)),
        "LAUC": int(np.sum(auc > straight + slack)),
        "LibRec's": int(np.sum(auc < straight - 2 * recall * share - slack)),
    }


def _table_1() -> Iterator[Row]:
    for name, per in product(("ML20M", "BX"), ("users", "items")):
        printed = _stats(name)[f"ratings_per_{per[:-1]}"]
        exact = _stats(name)["ratings"] / _stats(name)[per]
        yield _same("Table 1", f"ratings per {per[:-1]}, {name}", printed, exact, 0.05)
    for name in ("ML20M", "BX"):
        weights = paper_numbers("table2_hyperparameters")[name]
        yield _same("Table 2", f"theta_1 + theta_2, {name}", 1, weights["theta_1"] + weights["theta_2"], 1e-9)
        yield _same("Table 2", f"sum of nu, {name}", 1, sum(weights["nu"]), 1e-9)


def _superiority() -> Iterator[Row]:
    wins = sum(int((_grid(measure)[:-1] < _grid(measure)[-1]).sum()) for measure in MEASURES)
    cells = sum(_grid(measure)[:-1].size for measure in MEASURES)
    yield "C01", "MRLM above each baseline in each cell", "all", f"{wins} of {cells}", wins == cells
    quotes: Any = paper_numbers("text_claims_recall100_ML20M")
    for quoted in quotes:
        gain = 100 * (_cell("recall", METHOD, ML, 100) / _cell("recall", quoted["baseline"], ML, 100) - 1)
        claim = "C07" if quoted["baseline"].endswith("+") else "C06"
        yield _same(claim, f"MRLM over {quoted['baseline']}, Recall@100, %", quoted["claimed_pct"], gain, 0.005)
    recall, auc = (_grid(measure)[:-1] for measure in MEASURES)
    first = int((recall[NAMES.index("CKE+")] >= recall.max(axis=0)).sum())
    columns = recall[0].size
    yield "C33", "CKE+ best baseline on Recall", "all", f"{first} of {columns} columns", first == columns
    best = sorted({NAMES[place] for place in auc[:, 1].argmax(axis=0)})
    yield "C05", "best baseline on AUC, BookCrossing", "not printed", ", ".join(best), None


def _plus() -> Iterator[Row]:
    both = np.stack([_grid(measure) for measure in MEASURES])  # [metrics, models, datasets, cutoffs]
    base, plus = (both[:, [NAMES.index(name + sign) for name in ORDER]] for sign in ("", "+"))
    higher, equal = int((plus > base).sum()), int((plus == base).sum())
    yield ("C08", 'cells where "+" is above its base', "most", f"{higher} of {base.size}, {equal} equal",
           2 * higher > base.size)
    gains = plus / base - 1
    margin, median = claim_tests()["claims"]["C09"]["margin"], float(np.median(gains))
    small = int((gains < margin).sum())
    yield ("C09", 'gain of "+", "slight"', f"median below {margin:.0%}",
           f"median {median:.1%}, {gains.min():.1%} to {gains.max():.1%}, {small} of {gains.size} below {margin:.0%}",
           median < margin)
    same = [name for place, name in enumerate(ORDER) if (base == plus)[:, place, 1].all()]
    yield "C10", "equal to their + on BookCrossing", "CAMN, CKE", ", ".join(same), same == ["CAMN", "CKE"]
    pair = [_cell("auc", name, BX, 100) for name in ("xDeepFM", "xDeepFM+")]
    yield _same("C11", "xDeepFM below xDeepFM+, AUC@100 BookCrossing, %",
                paper_numbers("text_claim_xdeepfm_auc100_BX")["gain_of_plus_over_base_pct"],
                100 * (1 - pair[0] / pair[1]), 0.005)
    falls = [ORDER[place] for _, place, *_ in np.argwhere(plus < base)]
    yield "C12", 'cells where "+" is below its base', "not printed", f"{len(falls)} ({', '.join(falls)})", None


def _figures() -> Iterator[Row]:
    for (short, name), claim in zip(PAPER_DATASETS.items(), ("C14", "C15"), strict=True):
        own = _cell("recall", METHOD, name, 50) / (1 + _percent("fig3_text", "MRLM_over_UGFRL_Recall50_pct", short))
        above = sum(_cell("recall", other, name, 50) > own for other in NAMES[:-1])
        yield claim, f"U-GFRL's Recall@50, {name}", "not printed", f"{own:.4f}, below {above} of 20 baselines", None
    over = {letter: _percent("fig4_text", "MRLM_over_variant_AUC100_ML20M_pct", letter) for letter in "TIVK"}
    alone = {letter: _cell("auc", METHOD, ML, 100) / (1 + share) for letter, share in over.items()}
    lowest = min(_cell("auc", other, ML, 100) for other in NAMES[:-1])
    # Beneficial would mean above U-GFRL, whose AUC@100 is not printed.
    yield "C22", "knowledge alone, AUC@100", "not printed", f"{alone['K']:.4f}; lowest baseline {lowest:.4f}", None
    falling = alone["T"] > alone["I"] > alone["V"] > alone["K"]
    yield "C20", "order of T, I, V, K at AUC@100", "T > I > V > K", _numbers(alone), falling
    for letter in "IVK":
        printed = paper_numbers("fig4_text")["MRLM_T_average_over_pct"][letter]
        exact = 100 * (alone["T"] / alone[letter] - 1)
        # Nothing to agree with: what was averaged is not said, and one cell of four does not follow from their mean.
        yield "C21", f'text alone over {letter}, %', f"{printed:g} averagely", f"{exact:.4g} at AUC@100", None
    by_ratio = paper_numbers("fig5_text")["AUC100_ML20M_by_train_ratio"]
    yield _same("C24", "AUC@100 at 70% for training: Fig. 5 and Table 4", by_ratio["0.70"],
                _cell("auc", METHOD, ML, 100), HALF_DIGIT)


def _readings() -> Iterator[Row]:
    cells = _grid("auc").size
    for name, impossible in auc_readings().items():
        yield "C37", f"AUC@N as {name}", "possible", f"{impossible} of {cells} cells impossible", impossible == 0


def _same(claim: str, what: str, printed: float, exact: float, tolerance: float) -> Row:
    return claim, what, f"{printed:g}", f"{exact:.4g}", bool(abs(printed - exact) <= tolerance + 1e-9)


def _grid(measure: str) -> np.ndarray:
    """Table 3 or 4 as ``[models, datasets, cutoffs]``, models as in ``NAMES``."""
    table = paper_table(MEASURES[measure]).loc[NAMES]
    return np.stack([table[name].to_numpy(float) for name in PAPER_DATASETS.values()], axis=1)


def _cell(measure: str, name: str, dataset: str, cutoff: int) -> float:
    return float(_grid(measure)[NAMES.index(name), [ML, BX].index(dataset), CUTOFFS.index(cutoff)])


def _percent(table: str, row: str, key: str) -> float:
    return paper_numbers(table)[row][key] / 100


def _numbers(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items())


def _stats(name: str) -> Mapping[str, Any]:
    return paper_numbers("table1_dataset_stats")[name]

"""The ablation of MRLM (§4.3, Figs. 3-4, and what the paper left out): which variants, and what each part adds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mrlm_core.datasets import Dataset
from mrlm_core.errors import ConfigError, nearest, problem
from mrlm_core.model_config import MODEL_CHOICES
from mrlm_core.preprocessing.pipeline import chosen_modalities
from mrlm_core.study.paper_tables import PAPER_DATASETS, paper_numbers
from mrlm_core.study.record import RunRecord
from mrlm_core.study.spec import RunSpec
from mrlm_core.study.tables import differences, intervals
from mrlm_core.study.variants import METHOD, Variant, changes

FULL, GLOBAL = METHOD, "U-GFRL"
LOSS_TERMS = ("L_g1, metric", "L_g2, identity", "L_g3, verification")  # in the order of Eq. 11
PAPER_ROLES = {"T": "text", "I": "image", "V": "video", "K": "knowledge"}  # the letters of Fig. 4
Specs = dict[str, RunSpec]


def alone(modality: str) -> str:
    """Name of the variant that reads one modality (Fig. 4)."""
    return f"{modality} alone"


def without(part: str) -> str:
    """Name of the variant that lacks one part."""
    return f"without {part}"


def ablation(base: RunSpec, dataset: Dataset, groups: Sequence[str] = ()) -> list[Variant]:
    """MRLM as ``base`` has it, U-GFRL, and the variants of ``groups`` (names of ``GROUPS``; none means all).

    Each differs from ``base`` in what its name says and in nothing else; one that would not differ at all is left out.
    Raises ConfigError for a group that does not exist.
    """
    for name in groups:
        if name not in GROUPS:
            raise ConfigError(problem("groups", f"some of {list(GROUPS)}", repr(name), nearest(name, GROUPS)))
    made = [Variant(FULL, "whole", base), Variant(GLOBAL, "whole", replace(base, model=GLOBAL))]
    names = chosen_modalities(dataset, base.modalities)
    for group in groups or GROUPS:
        specs = GROUPS[group].specs(base, names)
        made += [Variant(name, group, spec) for name, spec in specs.items() if changes(spec, base)]
    return made


def _single(base: RunSpec, modalities: tuple[str, ...]) -> Specs:
    return {alone(name): replace(base, modalities=(name,)) for name in modalities if len(modalities) > 1}


def _leave_one_out(base: RunSpec, modalities: tuple[str, ...]) -> Specs:
    return {without(name): replace(base, modalities=tuple(other for other in modalities if other != name))
            for name in modalities if len(modalities) > 1}


def _losses(base: RunSpec, modalities: tuple[str, ...]) -> Specs:
    """Eq. 11 without one of its terms, the weights of the other two scaled to sum 1, so that L_GFRL keeps its size."""
    model = base.config.model
    weights = (model.lambda_1, model.lambda_2, round(1 - model.lambda_1 - model.lambda_2, 12))
    specs = {}
    for place, (term, weight) in enumerate(zip(LOSS_TERMS, weights, strict=True)):
        if 0 < weight < 1:
            first, second, _ = (0.0 if other == place else own / (1 - weight) for other, own in enumerate(weights))
            second = 1 - first if place == 2 else second  # the third is what these two leave: exactly nothing
            specs[without(term)] = _with(base, **{"model.lambda_1": first, "model.lambda_2": second})
    return specs


def _metric(base: RunSpec, modalities: tuple[str, ...]) -> Specs:
    return {"L_g1 with a margin": _with(base, **{"model.metric_loss": "hinge"}),
            "L_g1 as BPR": _with(base, **{"model.metric_loss": "bpr"})}


def _verification(base: RunSpec, modalities: tuple[str, ...]) -> Specs:
    kinds = MODEL_CHOICES["verification"]
    return {f"verification {kind}": _with(base, **{"model.verification": kind}) for kind in kinds}


def _latest(base: RunSpec, modalities: tuple[str, ...]) -> Specs:
    preference = base.config.preference
    below_one = tuple(weight for weight in preference.global_weights if weight < 1)
    specs = {
        "without latest items": _with(base, **{"preference.form": "global-only"}),
        "latest items alone": _with(base, **{"preference.form": "multimodal-only"}),
    }
    if preference.form == "blockwise" and below_one:
        specs["latest items always"] = _with(base, **{"preference.global_weights": below_one})
    return specs


def _modules(base: RunSpec, modalities: tuple[str, ...]) -> Specs:
    """The two modules one after the other (claim C29); descriptions at the input and no second module (claim C31)."""
    specs = {"modules in sequence": _with(base, **{"training.schedule": "sequential"}),
             "modalities at the input": _with(base, **{"model.modalities": "input"})}
    return specs if modalities else {}


def _controls(base: RunSpec, modalities: tuple[str, ...]) -> Specs:
    return {
        "permuted clusters": replace(base, clusters="permuted"),
        "random clusters": replace(base, clusters="random"),
        "clusters of initial vectors": replace(base, clusters="initial"),
        "k-means clusters": _with(base, **{"preprocessing.clustering": "kmeans"}),
        "permuted coordinates": _with(base, **{"model.coordinates": "permuted"}),
        "MLP trunk": replace(base, model="MRLM (MLP trunk)"),
    }


def _with(base: RunSpec, **settings: Any) -> RunSpec:
    return replace(base, settings={**base.settings, **settings})


@dataclass(frozen=True)
class Group:
    """One question: its ``title``, and the variants that answer it, from MRLM and its modalities."""

    title: str
    specs: Callable[[RunSpec, tuple[str, ...]], Specs]


GROUPS = {
    "single": Group("one modality alone", _single),
    "leave-one-out": Group("all modalities but one", _leave_one_out),
    "losses": Group("one loss term of the global module left out", _losses),
    "metric": Group("the metric loss in a form that is not printed", _metric),
    "verification": Group("the other form of the verification task", _verification),
    "latest": Group("the latest items in the preference score", _latest),
    "modules": Group("the two modules joined otherwise", _modules),
    "controls": Group("controls", _controls),
}


def contributions(records: Sequence[RunRecord], dataset: Dataset, metric: str) -> pd.DataFrame:
    """What each modality adds on ``metric``, measured both ways, beside what was planted; a row a modality.

    ``left out``: MRLM minus MRLM without it. ``alone``: MRLM with it alone minus U-GFRL, which has none. Both are
    paired, with ``low`` and ``high``, NaN where the variant was not run. ``planted``: the share of the variance of a
    user's utility that the modality's factor explains, NaN where nothing was planted.
    """
    names = list(dataset.modalities)
    shares = dataset.description["planted"].get("shares", {})
    lost = -_gaps(records, metric, FULL, [without(name) for name in names])
    table = pd.concat({
        "planted": pd.DataFrame({"share": [shares.get(name, np.nan) for name in names]}),
        "left out": lost.rename(columns={"low": "high", "high": "low"})[["mean", "low", "high"]],
        "alone": _gaps(records, metric, GLOBAL, [alone(name) for name in names]),
    }, axis=1).set_axis(pd.Index(names, name="modality"))
    return table.sort_values(("planted", "share"), ascending=False, kind="stable")


def _gaps(records: Sequence[RunRecord], metric: str, reference: str, labels: Sequence[str]) -> pd.DataFrame:
    """Mean, low and high of each label minus ``reference``, rows in the order of ``labels``."""
    table = differences(records, metric, reference).rename(columns={f"{metric} minus {reference}": "mean"})
    return table.reindex(index=pd.Index(labels), columns=["mean", "low", "high"]).astype(float).reset_index(drop=True)


@dataclass(frozen=True)
class Agreement:
    """Spearman's ``rank_correlation`` of ``n`` pairs; ``chance``: the share of all orders that agree as well or better.

    Both are NaN for fewer than three pairs, or where one side is all alike.
    """

    rank_correlation: float
    chance: float
    n: int


def agreement(planted: pd.Series, measured: pd.Series) -> Agreement:
    """How far ``measured`` puts the modalities in the order of ``planted``; pairs with a NaN are left out."""
    from scipy import stats

    pairs = pd.DataFrame({"planted": planted, "measured": measured}).dropna()
    if len(pairs) < 3 or (pairs.nunique() == 1).any():
        return Agreement(np.nan, np.nan, len(pairs))
    x, y = pairs["planted"].to_numpy(), pairs["measured"].to_numpy()
    found = stats.permutation_test((x,), lambda order: stats.spearmanr(order, y).statistic, n_resamples=np.inf,
                                   permutation_type="pairings", alternative="greater")
    return Agreement(float(found.statistic), float(found.pvalue), len(pairs))


def beside_paper(records: Sequence[RunRecord], dataset: Dataset, papers: Sequence[str]) -> pd.DataFrame:
    """By how much MRLM is above a variant: the percentages that §4.3 prints in its text, and ours of the same metric.

    Figs. 3 and 4 are bars without numbers; these percentages are all that can be compared, of ``papers``, the paper's
    datasets that ours stands for. NaN where we have no run.
    """
    rows = [("recall@50", GLOBAL, PAPER_DATASETS[name], percent)
            for name, percent in paper_numbers("fig3_text")["MRLM_over_UGFRL_Recall50_pct"].items() if name in papers]
    names = {entry.role: alone(name) for name, entry in dataset.modalities.items()}
    rows += [("auc@100", names.get(PAPER_ROLES[letter], alone(PAPER_ROLES[letter])), PAPER_DATASETS["ML20M"], percent)
             for letter, percent in paper_numbers("fig4_text")["MRLM_over_variant_AUC100_ML20M_pct"].items()
             if "ML20M" in papers]
    means = intervals(records, sorted({metric for metric, *_ in rows})).set_index(["model", "metric"])["mean"]
    ours = [100 * (means.get((FULL, metric), np.nan) / means.get((label, metric), np.nan) - 1)
            for metric, label, *_ in rows]
    table = pd.DataFrame(rows, columns=["metric", "MRLM above", "paper's dataset", "paper, %"])
    return table.assign(**{"ours, %": ours}).set_index(["metric", "MRLM above"])

"""A verdict on every claim of the paper, computed from run records; book/verdicts.md says what each verdict means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mrlm_core.evaluation.significance import combined, equivalence_p, holm
from mrlm_core.study.claims import Claim, Pair, Source, at, claims, level, pairs, paper_dataset, stands_for
from mrlm_core.study.effects import (
    Effect,
    at_hand,
    cells,
    effects_of,
    order_fails,
    panel,
    ratio_text,
    trend,
)
from mrlm_core.study.evidence import (
    ALPHA,
    Family,
    against_best,
    beside,
    family,
    of_differences,
    of_order,
    trainings,
    unseen,
)
from mrlm_core.study.findings import cut_short, listed, named
from mrlm_core.study.paper_checks import auc_readings
from mrlm_core.study.paper_tables import PAPER_DATASETS

REPRODUCED, DIRECTION, NOT, CONTRADICTED, UNTESTED = VERDICTS = (
    "reproduced", "direction only", "not reproduced", "contradicted", "cannot be tested here")
LEVEL_MARGIN = 0.1  # of the paper's level: an interval that reaches further than this from it bears out nothing
GROWTH_MARGIN = 0.1  # of a power: caches and a busy machine make more of an exponent than its interval knows


@dataclass(frozen=True)
class Verdict:
    """What became of one claim on one dataset: the verdict, the numbers behind it, how many splits they are from."""

    claim: Claim
    dataset: str
    verdict: str
    evidence: str
    splits: int = 0  # 0 where no split is drawn: the paper's own numbers, timings
    chapter: str = ""

    @property
    def alone(self) -> bool:
        """Whether it is of one split, which shows nothing of how splits differ, so that it is no verdict yet."""
        return self.splits == 1 and self.verdict != UNTESTED

    @property
    def word(self) -> str:
        """The verdict as it is to be read."""
        return f"{self.verdict} on one split alone" if self.alone else self.verdict


def verdicts(sources: Sequence[Source]) -> list[Verdict]:
    """Each claim on each source, claims in the paper's order."""
    own = {claim.name for claim in claims().values() if claim.test["kind"] == "definitions"}  # of the paper's tables
    return [judge(claim, source) for claim in claims().values()
            for source in (sources[:1] if claim.name in own else sources)]


def headline(found: Sequence[Verdict]) -> list[Verdict]:
    """One verdict a claim, of those that could be tested.

    A dataset that stands for one of the paper's goes before one that stands for neither, several splits before one.
    Among the rest the least favourable verdict, for a claim about a method does not hold where it fails somewhere; then
    the most splits, by which a level that is shown goes before none, then the first given.
    """
    chosen: dict[str, Verdict] = {}
    for verdict in found:
        before = chosen.get(verdict.claim.name)
        if before is None or _weight(verdict) > _weight(before):
            chosen[verdict.claim.name] = verdict
    return list(chosen.values())


def judge(claim: Claim, source: Source) -> Verdict:
    """The verdict on ``claim`` by the records of ``source``."""
    test, about = claim.test, paper_dataset(claim, source)
    if test["kind"] == "definitions":  # of the paper's own numbers
        return _by_definitions(claim)
    if about is None:
        theirs = " and ".join(PAPER_DATASETS[name] for name in claim.datasets)
        return _untested(claim, source, f"the claim is about {theirs}, and {source.dataset} stands for another")
    kinds: dict[str, Callable[[Claim, Source], Verdict]] = {
        "above": _compared, "same": _compared, "level": _by_level, "growth": _by_growth}
    return kinds[test["kind"]](claim, source)


def _compared(claim: Claim, source: Source) -> Verdict:
    """Tests of pairs, of those whose runs are there.

    A claim about all pairs can fail on some of them; to hold it needs all. One about most of them is decided either way
    once more than half of all agree, and one about their median not before all are there.
    """
    wanted = pairs(claim, source)
    equal = [pair for pair in wanted if pair.over == pair.under]
    there, lacks = at_hand([pair for pair in wanted if pair.over != pair.under], claim, source)
    if equal and not there and not lacks:
        names = ", ".join(dict.fromkeys(pair.over for pair in equal))
        return Verdict(claim, source.dataset, REPRODUCED, f"the same model by construction: {names}", 0,
                       _chapter(claim, source))
    effects, n_splits, chosen = effects_of(there, source) if there else ([], 0, "")
    full = {cells(effect.pair.metrics) for effect in effects if effect.full}
    lacks += [f"a larger catalogue ({metric} is 1 for everyone)" for metric in sorted(full)]
    effects = [effect for effect in effects if not effect.full]
    if not effects:
        return _untested(claim, source, f"needs {'; '.join(lacks)}" if lacks else "no split that all models have")
    if claim.test["kind"] == "same":
        verdict, evidence = _same(claim, effects)
    else:
        tested, order = family(effects), order_fails(claim, there, source)
        verdict = _above(claim, tested, len(wanted) - len(equal), order)
        evidence = of_differences(claim, tested) + (unseen(tested) if verdict == NOT else "") + chosen
        evidence += of_order(claim, there, order, not lacks) + trend(claim, there, source)
        evidence += against_best(effects, source) if claim.test.get("best") else ""
    evidence += beside(claim, source)
    if lacks and verdict not in _decided_by_some(claim):
        text = f"of {len(wanted)} comparisons {len(effects)} are at hand ({verdict} on these: {evidence})"
        return _untested(claim, source, f"needs {'; '.join(lacks)}; {text}")
    compared = [name for effect in effects for name in (effect.pair.over, effect.pair.under)]
    notes = [f"{n_splits} split{'s' * (n_splits > 1)}, {trainings(compared, source)}"]
    notes += ["spread of users alone"] * (n_splits == 1)
    notes += [f"not at hand: {'; '.join(lacks)}"] * bool(lacks)
    notes += [f"left out: {part}" for part in [claim.test.get("left_out")] if part]
    notes += [f"stopped sooner than validation asked: {listed(cut)}" for cut in [_stopped_soon(there, source)] if cut]
    return Verdict(claim, source.dataset, verdict, f"{evidence}. ({'; '.join(notes)})", n_splits,
                   _chapter(claim, source))


def _decided_by_some(claim: Claim) -> tuple[str, ...]:
    """The verdicts that a part of the comparisons can give."""
    if claim.test.get("quantifier") == "most":
        return REPRODUCED, CONTRADICTED
    return () if claim.test.get("summary") == "median" else (NOT, CONTRADICTED)


def _stopped_soon(there: Sequence[Pair], source: Source) -> list[str]:
    names = dict.fromkeys(name for pair in there for name in (pair.over, pair.under))
    return [name for name in names if cut_short(source.done(name))]


def _above(claim: Claim, tested: Family, wanted: int, order: Mapping[str, float]) -> str:
    """Whether all effects are above 0 after Holm's correction and as large as the paper's; or most of ``wanted``.

    An order holds where all of it does at once: ``order`` is the p of "it does not", by metric.
    """
    up, down = int(tested.up.sum()), int(tested.down.sum())
    if claim.test.get("quantifier") == "most":
        return REPRODUCED if 2 * up > wanted else CONTRADICTED if 2 * down > wanted else NOT
    if down:
        return CONTRADICTED
    holds = bool((holm(list(order.values())) <= ALPHA).all()) if order else up == len(tested.effects)
    return NOT if not holds else REPRODUCED if all(e.magnitude_inside for e in tested.effects) else DIRECTION


def _same(claim: Claim, effects: Sequence[Effect]) -> tuple[str, str]:
    """Whether each ratio, or the median of all, is within the margin around 1: two one-sided tests."""
    margin = claim.test["margin"]
    low, high = 1 - margin, 1 + margin
    ratios = [effect.ratio for effect in effects]
    within = sum(low < ratio.value < high for ratio in ratios)
    if claim.test.get("summary") == "median":
        ratios = [combined(lambda drawn: np.median(drawn, axis=0), ratios)]
    equivalent = [equivalence_p(ratio, low, high) <= ALPHA for ratio in ratios]
    outside = holm([min(1.0, 2 * min(ratio.p_below(low), ratio.p_above(high))) for ratio in ratios]) <= ALPHA
    verdict = CONTRADICTED if outside.any() else REPRODUCED if all(equivalent) else NOT
    text = f"{within} of {len(effects)} ratios within {margin:.0%} of 1; "
    if claim.test.get("summary") == "median":
        higher = sum(effect.gain.value > 0 for effect in effects)
        return verdict, text + f"median {ratio_text(ratios[0])}; {higher} of {len(effects)} means higher"
    return verdict, text + f"{sum(equivalent)} shown to be"


def _by_level(claim: Claim, source: Source) -> Verdict:
    """The paper's means beside ours; a mean belongs to its dataset, so only that one can bear it out."""
    dataset, inside, narrow, parts, n_splits = paper_dataset(claim, source), [], [], [], []
    rows = [(name, metric, where) for name, where in claim.test["levels"].items() for metric in claim.metrics]
    lacks = list(dict.fromkeys(why for name, *_ in rows if (why := source.why_not(name))))
    for name, metric, where in rows:
        drawn, splits = panel(source, [name], (metric,))
        if drawn:
            ours = drawn[name, metric].interval()
            paper = level(name, metric, str(dataset)) if where == "tables" else at(where)
            inside.append(ours.low <= paper <= ours.high)
            narrow.append(max(paper - ours.low, ours.high - paper) <= LEVEL_MARGIN * paper)
            n_splits.append(splits)
            parts.append(f"{name} at {named(metric)} {ours} (the paper: {paper})")
    text = "; ".join(parts)
    if source.dataset != claim.test["only_on"]:
        reason = f"a level belongs to its dataset: needs {claim.test['only_on']}"
        return _untested(claim, source, reason + (f"; here {text}" if text else ""), min(n_splits, default=0))
    if lacks or not inside:
        return _untested(claim, source, f"needs {'; '.join(lacks or claim.metrics)}")
    verdict = CONTRADICTED if not any(inside) else REPRODUCED if all(inside) and all(narrow) else NOT
    text += f"; an interval reaches further than {LEVEL_MARGIN:.0%} from the paper's" * (not all(narrow))
    text += f" (left out: {claim.test['left_out']})" if "left_out" in claim.test else ""
    return Verdict(claim, source.dataset, verdict, text, min(n_splits), _chapter(claim, source))


def _by_definitions(claim: Claim) -> Verdict:
    """Whether a reading of AUC@N allows every cell of Tables 3 and 4."""
    readings = auc_readings()
    # Not contradicted: the AUC inside the list alone could still be the one.
    verdict = REPRODUCED if 0 in readings.values() else NOT
    text = "; ".join(f"{name}: {cells} impossible" for name, cells in readings.items())
    return Verdict(claim, "the paper's tables", verdict, f"{text}. No bound follows from Recall for the AUC inside "
                   f"the list alone, so that reading can be neither excluded nor borne out. "
                   f"(left out: {claim.test['left_out']})")


def _by_growth(claim: Claim, source: Source) -> Verdict:
    """Measured exponents beside the counted ones."""
    if not source.growth:
        return _untested(claim, source, "needs timings of growing sizes, which are made on the study's own dataset")
    rows = source.growth.values()
    faster = any(growth.low > counted + GROWTH_MARGIN for growth, counted in rows)
    grows = all(growth.low > 0 for growth, _ in rows)
    inside = all(growth.low <= counted <= growth.high for growth, counted in rows)
    verdict = CONTRADICTED if faster else REPRODUCED if inside and grows else DIRECTION if grows else NOT
    text = "; ".join(f"{name}: exponent {growth}, counted {counted:g}"
                     for name, (growth, counted) in source.growth.items())
    text += f" (left out: {claim.test['left_out']})"
    return Verdict(claim, source.dataset, verdict, text, 0, _chapter(claim, source))


def _weight(verdict: Verdict) -> tuple[bool, bool, bool, int, int]:
    papers = stands_for(verdict.dataset)
    theirs = len(papers) == 1 and papers[0] in verdict.claim.datasets
    against = VERDICTS.index(verdict.verdict)  # from reproduced to contradicted
    return verdict.verdict != UNTESTED, theirs, not verdict.alone, against, verdict.splits


def _untested(claim: Claim, source: Source, reason: str, splits: int = 0) -> Verdict:
    return Verdict(claim, source.dataset, UNTESTED, reason, splits, _chapter(claim, source))


def _chapter(claim: Claim, source: Source) -> str:
    return source.chapter or claim.test.get("chapter", "")

"""What stands beside a verdict: the counts, sizes and further comparisons that it rests on, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mrlm_core.evaluation.significance import holm
from mrlm_core.study.claims import Claim, Pair, Source, compared_beside
from mrlm_core.study.effects import Effect, at_hand, best_on_validation, effects_of, half_width
from mrlm_core.study.findings import listed, named
from mrlm_core.study.panel import split_of

ALPHA = 0.05  # of a claim's family of tests


@dataclass(frozen=True)
class Family:
    """The comparisons of one claim, and which of them are told apart: after Holm's correction, and each alone."""

    effects: Sequence[Effect]
    found: np.ndarray  # bool [comparisons]
    alone: np.ndarray  # bool [comparisons]

    @property
    def up(self) -> np.ndarray:
        """Which are told apart and above."""
        return self.found & (self._signs > 0)

    @property
    def down(self) -> np.ndarray:
        """Which are told apart and below."""
        return self.found & (self._signs < 0)

    @property
    def _signs(self) -> np.ndarray:
        return np.sign([effect.gain.value for effect in self.effects])

    def part(self, which: Sequence[bool]) -> Family:
        """Some of the comparisons, corrected as members of the whole."""
        return Family([effect for effect, chosen in zip(self.effects, which, strict=True) if chosen],
                      self.found[np.array(which)], self.alone[np.array(which)])

    def counts(self) -> str:
        """How many are above, below and not told apart, and how many of the latter would be without the correction."""
        n, up, down = len(self.effects), int(self.up.sum()), int(self.down.sum())
        by_number = int(np.sum(self.alone & ~self.found))
        text = f"{up} above, {down} below, {n - up - down} not told apart"
        return text + (f" after Holm's correction ({by_number} of these would be if each were asked alone)"
                       if by_number else "")


def family(effects: Sequence[Effect]) -> Family:
    """The comparisons with their two-sided tests."""
    p_values = [effect.gain.p_differs() for effect in effects]
    return Family(effects, holm(p_values) <= ALPHA, np.array(p_values) <= ALPHA)


def of_differences(claim: Claim, tested: Family) -> str:
    """The counts, the smallest and the largest ratio, and how often the paper's size is inside the interval."""
    effects = tested.effects
    if len(effects) == 1:
        text = f"{effects[0]}, p = {effects[0].gain.p_differs():.2g}"
    else:
        ordered = sorted(effects, key=lambda effect: effect.ratio.value)
        text = f"of {len(effects)} comparisons {tested.counts()}; lowest {ordered[0]}, highest {ordered[-1]}"
        text += _by_arm(claim, tested)
        stated = [effect for effect in effects if effect.pair.magnitude is not None]
        inside = [effect for effect in stated if effect.magnitude_inside]
        models = list(dict.fromkeys(effect.pair.under for effect in inside))
        by_name = f" ({listed(models)})" if models and len({effect.pair.under for effect in stated}) > 1 else ""
        text += f"; the paper's size inside the interval in {len(inside)} of {len(stated)}{by_name}" if stated else ""
    if claim.test.get("quantifier") == "most" or claim.test.get("sign_test"):
        higher = sum(effect.gain.value > 0 for effect in effects)
        p = stats.binomtest(higher, len(effects), alternative="greater").pvalue
        text += f"; {higher} of {len(effects)} means higher (binomial p = {p:.2g} if they were independent)"
    return text


def _by_arm(claim: Claim, tested: Family) -> str:
    """The counts apart for each arm of the test: the comparisons whose metrics begin alike."""
    told = []
    arms: Mapping[str, str] = claim.test.get("arms", {})
    starts = [max((start for start in arms if effect.pair.metrics[0].startswith(start)), key=len, default="")
              for effect in tested.effects]
    for start, name in arms.items():
        part = tested.part([other == start for other in starts])
        told += [f"{name}: {part.counts()}"] if part.effects else []
    return f" ({'; '.join(told)})" if told else ""


def unseen(tested: Family) -> str:
    """How large a difference may be there among the comparisons that are not told apart even alone.

    Half of the 95% interval of the ratio of the lower mean to the higher, so that it is a share of the higher.
    """
    widths = [half_width(effect.ratio.turned_below_1()) if np.isfinite(effect.ratio.value) else np.inf
              for effect, alone in zip(tested.effects, tested.alone, strict=True) if not alone]
    if not widths:
        return ""
    usual, widest = (f"{width:.0%}" if np.isfinite(width) else "any size"  # where the higher one may be 0
                     for width in (np.median(widths), max(widths)))
    size = f"up to {widest}" if len(widths) == 1 else f"{usual} as a rule and up to {widest}"
    return f"; differences of {size} could pass unseen"


def against_best(effects: Sequence[Effect], source: Source) -> str:
    """The comparisons with that one of the others which is best on validation, as a family of their own."""
    best = best_on_validation(source, list(dict.fromkeys(effect.pair.under for effect in effects)))
    own = family([effect for effect in effects if effect.pair.under == best])
    return f"; of {len(own.effects)} comparisons with {best}, the best of them on validation, {own.counts()}"


def of_order(claim: Claim, there: Sequence[Pair], p_values: Mapping[str, float], whole: bool) -> str:
    """How often all of a claimed order holds in the repetitions, on each metric; ``whole``: nothing lacks."""
    if not p_values:
        return ""
    first = {pair.over for pair in there}
    one = len({over for over, _ in claim.test["compare"]}) == 1  # else a part of an order may begin with one
    part = f"{first.pop()} first of all" if one else f"all of the order{' at hand' * (not whole)}"
    shares = listed([f"{1 - p:.1%} at {named(metric)}" for metric, p in p_values.items()])
    return f"; {part} in {shares} of the repetitions"


def beside(claim: Claim, source: Source) -> str:
    """What the claim's test asks for besides, where it has run: told, and not judged."""
    wanted = compared_beside(claim, source)
    there, lacks = at_hand(wanted, claim, source)
    effects, *_ = effects_of(there, source) if there else ([], 0, "")
    tested, told = family(effects), []
    names = [(effect.pair.over, effect.pair.under) for effect in effects]
    for over, under in dict.fromkeys(names):
        own = tested.part([name == (over, under) for name in names])
        told.append(str(own.effects[0]) if len(own.effects) == 1 else f"{over} / {under}: {own.counts()}")
    told += [f"needs {listed(lacks)}"] if lacks else []
    return f"; besides, not judged: {'; '.join(told)}" if told else ""


def trainings(names: Sequence[str], source: Source) -> str:
    """How often each model was trained on a split: one number, or the least and the most."""
    counts = []
    for name in dict.fromkeys(names):
        splits = [split_of(record) for record in source.done(name)]
        counts += [splits.count(split) for split in dict.fromkeys(splits)]
    least, most = min(counts, default=0), max(counts, default=0)
    return f"{least} training{'s' * (least > 1)} a split" if least == most else f"{least} to {most} trainings a split"

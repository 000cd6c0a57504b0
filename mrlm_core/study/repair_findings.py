"""What the chain of repairs came to: its table, how its end differs from MRLM-R, and sentences, all from its runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from mrlm_core.evaluation.places import bucket_names
from mrlm_core.study import cold_tables
from mrlm_core.study.findings import INITIAL, RIVALS, against, difference, listed, stopped_soon
from mrlm_core.study.record import RunRecord
from mrlm_core.study.repair import END, METRIC, PRINTED, REPAIRED, Link, differing, fate, links_kept, told
from mrlm_core.study.spec import RunSpec
from mrlm_core.study.variants import in_words, shown


def chain_table(links: Sequence[Link]) -> pd.DataFrame:
    """A row a link: ``fate`` or error, validation (mean), how it moved (mean, least, most), what it changes and why."""
    rows, end = {}, links_kept(links)[-1].spec
    for link in links:
        failed = [record.data["error"] for record in link.records if record.failed]
        moved = np.array([np.nan]) if link is links[0] else link.moved
        rows[link.name] = {"kept": f"failed: {failed[0]}" if failed else fate(link, end),
                           "validation": link.validation.mean(), "moved": moved.mean(), "least": moved.min(),
                           "most": moved.max(), "changes": _changes(link), "why": link.why}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="step")
    # Of one split the least and the most are the mean.
    return table if len(links[0].validation) > 1 else table.drop(columns=["least", "most"])


def _changes(link: Link) -> str:
    return in_words(link.changed) + (f"; as before: {in_words(link.held)}" if link.held else "")


def end_table(links: Sequence[Link], row: RunSpec) -> pd.DataFrame:
    """A row for all that the chain's end and ``row``, a spec of MRLM-R, have otherwise: its values in both."""
    end = links_kept(links)[-1].spec
    values = {name: {END: shown(told(end)[name]), REPAIRED: shown(told(row)[name])} for name in differing(end, row)}
    return pd.DataFrame.from_dict(values, orient="index", columns=[END, REPAIRED]).rename_axis(index="hyperparameter")


def sentences(
    links: Sequence[Link], row: RunSpec, records: Sequence[RunRecord], others: Sequence[str]
) -> list[str]:
    """What the chain came to on validation, how its end differs from ``row``, and how both do on test.

    ``records`` holds the test runs of all: those of ``END``, of ``REPAIRED`` where it ran, and of ``others``.
    """
    return [*_on_validation(links), _end_and_row(links, row), *_on_test(records, others), *stopped_soon(records)]


def _on_validation(links: Sequence[Link]) -> Iterator[str]:
    end = links_kept(links)[-1]
    fates = {link.name: fate(link, end.spec) for link in links}
    gains = [link for link in links if fates[link.name] == "yes"]
    tried = [link for link in links[1:] if not link.other_model]
    yield (f"From {links[0].validation.mean():.4f} to {end.validation.mean():.4f} on validation; {len(gains)} of "
           f"{len(tried)} steps that validation had a say in are part of the end.")
    if gains:
        best = max(gains, key=lambda link: link.moved.mean())
        yield f"The largest gain of one of them is **{best.name}**: {_moved(best)}."
    for link in links:
        if fates[link.name] == "not a choice":
            yield f"Not a choice, but the change to the model {link.spec.model}: {link.name}, {_moved(link)}."
    for what, said in (("left behind", f"Kept while the model was {PRINTED}, and left behind with it, because "
                                       f"{end.spec.model} has nothing of the kind"),
                       ("replaced", "Kept, and replaced by a later step"), ("no", "Not kept")):
        found = [f"{link.name} ({_moved(link)})" for link in links if fates[link.name] == what]
        if found:
            yield f"{said}: {'; '.join(found)}."  # names hold commas


def _moved(link: Link) -> str:
    return f"{link.moved.mean():+.4f}"


def _end_and_row(links: Sequence[Link], row: RunSpec) -> str:
    table = end_table(links, row)
    if links_kept(links)[-1].spec.model != REPAIRED:
        return f"The {END} is no {REPAIRED}: the model was not changed."
    if table.empty:
        return f"The {END} has every hyperparameter as {REPAIRED}, the row of chapters 04 and 12."
    apart = [f"{name} {ours} (there {theirs})" for name, ours, theirs in table.itertuples()]
    return (f"The {END} is not {REPAIRED}, the row of chapters 04 and 12, which has the same parts on every dataset. "
            f"The two differ in {listed(apart)}.")


def _on_test(records: Sequence[RunRecord], others: Sequence[str]) -> Iterator[str]:
    there = {record.label for record in records if not record.failed}
    for name, rivals in ((END, [*others, REPAIRED]), (REPAIRED, others)):
        if name in there and (present := [other for other in rivals if other in there]):
            yield f"On test, {name}: {against({other: difference(records, METRIC, name, other) for other in present})}."


def on_rare_items(records: Sequence[RunRecord], ends: Sequence[int], n: int) -> list[str]:
    """Where the chain's end and MRLM-R stand on items with few ratings, one sentence a bucket but the most popular.

    Against ``RIVALS``, and against what they were made from: the printed method and the vectors it is fed.

    ``records`` are of ``cold.placed``; buckets as ``cold_tables.by_bucket``.
    """
    popular = bucket_names(ends)[-1]
    return [_on_bucket(records, ends, n, table, str(name))
            for name, table in cold_tables.by_bucket(records, ends, n).groupby("bucket", sort=False)
            if name != popular]


def _on_bucket(records: Sequence[RunRecord], ends: Sequence[int], n: int, table: pd.DataFrame, bucket: str) -> str:
    count = f"{table['positives'].iloc[0]:.0f} test positives a run"
    where = f"Recall@{n} on items with {bucket} training positives ({count})"
    if not table["mean"].any():
        return f"{where}: 0 for all models of this chapter."
    told_of = []
    for name in (END, REPAIRED):
        gaps = cold_tables.bucket_gaps(records, ends, n, name, (*RIVALS, PRINTED, INITIAL)).get(bucket)
        if gaps:
            mean = float(table.set_index("model")["mean"][name])
            told_of.append(f"{name} reaches {mean:.4f}, {against(gaps)}")
    what = ". ".join(told_of) or "none of the two ran beside a rival"
    return f"{where}: {what}."

"""A dataset folder with MovieLens-20M's counts and skew, generated: nobody's ratings, to measure speed and memory on.

``python -m benchmarks.generate FOLDER [SCALE]`` makes one at a place of your choice.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import yaml
from numba import njit
from scipy.optimize import brentq
from scipy.special import ndtri

from mrlm_core.cache import content_hash
from mrlm_core.config import workspace

RATINGS, USERS, ITEMS, RATED = 20_000_263, 138_493, 27_278, 26_744
LEAST, MOST = 20, 9_254  # ratings of a user
SPREAD = 1.37  # of the logarithm of a user's ratings above the least: gives MovieLens-20M's median of 68
# Share of items less wanted -> logarithm of how much an item is wanted; found by fitting the counts of ratings an item.
WANTED = ((0, -13.2), (0.25, -12.1), (0.5, -9.95), (0.6, -8.75), (0.75, -7.3), (0.8, -6.82), (0.9, -5.68),
          (0.95, -4.54), (0.97, -3.7), (0.98, -3.08), (0.99, -2.13), (0.995, -1.36), (0.998, -0.67), (0.999, -0.364),
          (0.9995, -0.15), (1, 0.13))  # fmt: skip
GROUPS = 16  # of taste: a user rates items of his own group more often and higher
OWN_GROUP = 4.0  # how much more his own group's items are wanted
SHARES = (0.012, 0.034, 0.014, 0.072, 0.044, 0.214, 0.110, 0.278, 0.077, 0.145)  # of the ratings 0.5, 1, ... 5
DESCRIBED = {"text": 0.95, "image": 0.9}  # share of the items that have these features
WIDTH = 64  # of the features
_BLOCK = 1_000_000  # rows written at a time


def generated(scale: float = 1.0) -> Path:
    """The folder at ``scale`` in the workspace's data/, made when it is not there or this module has changed."""
    folder = workspace() / "data" / f"movielens-like-{scale:g}"
    yml = folder / "dataset.yml"
    code = content_hash(Path(__file__).read_bytes())
    if not yml.is_file() or yaml.safe_load(yml.read_text(encoding="utf-8"))["generated"]["code"] != code:
        shutil.rmtree(folder, ignore_errors=True)
        movielens_like(folder, scale=scale)
    return folder


def movielens_like(
    folder: Path, n_ratings: int = RATINGS, n_users: int = USERS, n_items: int = ITEMS, seed: int = 0,
    scale: float = 1.0, parquet: bool = False,
) -> Path:
    """Write the whole dataset folder ``folder`` (it must not exist) or nothing, counts times ``scale``.

    98 % of the items are rated; users have 20 to 9,254 ratings, fewer where the items do not suffice. Rows as the
    publisher's: by user, then item. Modalities ``text`` and ``image`` are ready-made features. Equal arguments, equal
    bytes.
    """
    n_ratings, n_users, n_items = (round(count * scale) for count in (n_ratings, n_users, n_items))
    rng = np.random.default_rng(seed)
    group = rng.integers(0, GROUPS, n_items)
    ids = np.cumsum(rng.integers(1, 9, n_items))  # with gaps, as the publisher's
    users, items = _who_rates_what(rng, n_ratings, n_users, group)
    with _whole_folder(folder) as place:
        _write_ratings(place, parquet, users, items, ids, *_ratings(rng, users, items, n_users, group))
        pd.DataFrame({"item_id": ids, "title": [f"Film {name}" for name in ids], "genres": _genres(rng, group)}).to_csv(
            place / "items.csv", index=False)
        (place / "features").mkdir()
        for name, share in DESCRIBED.items():
            _write_features(place / "features" / f"{name}.npz", rng, ids, group, share)
        description = _description(n_ratings, n_users, n_items, seed)
        (place / "dataset.yml").write_text(yaml.safe_dump(description, sort_keys=False), encoding="utf-8")
    return folder


def _who_rates_what(
    rng: np.random.Generator, n_ratings: int, n_users: int, group: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """User and item (index) of each rating, no pair twice, by user, then item; int32."""
    n_items = len(group)
    rated = rng.permutation(n_items)[: round(n_items * RATED / ITEMS)]  # from the least to the most wanted
    counts = rng.permutation(_activity(n_ratings, n_users, len(rated)))
    places, logarithms = zip(*WANTED, strict=True)
    wanted = np.exp(np.interp((np.arange(len(rated)) + 0.5) / len(rated), places, logarithms))
    first = np.full(n_users, -1)  # so that every rated item has a rating, one user rates it before he chooses
    first[rng.permutation(n_users)[: len(rated)]] = np.arange(min(n_users, len(rated)))
    tastes = np.where(group[rated] == np.arange(GROUPS)[:, None], OWN_GROUP * wanted, wanted)
    starts = np.concatenate([[0], np.cumsum(counts)])
    items = np.empty(n_ratings, np.int32)
    _choose(rng, starts, first, _user_groups(n_users), tastes, tastes.cumsum(axis=1), rated.astype(np.int32), items)
    return np.repeat(np.arange(n_users, dtype=np.int32), counts), items


def _user_groups(n_users: int) -> np.ndarray:
    return np.arange(n_users) % GROUPS


def _activity(n_ratings: int, n_users: int, n_rated: int) -> np.ndarray:
    """Ratings of each user, ascending: 20 and a lognormal number, capped, with the total asked for."""
    most = min(MOST, int(0.8 * n_rated))
    if not LEAST * n_users < n_ratings < most * n_users:
        raise ValueError(f"{n_ratings:,} ratings do not spread over {n_users:,} users and {n_rated:,} rated items")
    normal = SPREAD * ndtri((np.arange(n_users) + 0.5) / n_users)

    def counts(middle: float) -> np.ndarray:
        return np.floor(np.minimum(LEAST + np.exp(middle + normal), most)).astype(np.int64)

    found = counts(brentq(lambda middle: counts(middle).sum() - n_ratings, -20, 20, xtol=1e-9))
    missing = n_ratings - found.sum()  # a few, for counts are whole
    found[n_users // 2 :][: abs(missing)] += np.sign(missing)
    assert found.sum() == n_ratings
    return found


@njit(cache=True)
def _choose(rng, starts, first, taste_of, tastes, cumulative, rated, items):  # type: ignore[no-untyped-def]
    """Fill ``items`` user by user: without replacement, each next one drawn by the weights of those left."""
    n = len(rated)
    taken = np.full(n, -1)
    for user in range(len(starts) - 1):
        mine = items[starts[user] : starts[user + 1]]
        found = 0
        if first[user] >= 0:
            mine[0], taken[first[user]], found = rated[first[user]], user, 1
        bounds = cumulative[taste_of[user]]
        if len(mine) * 8 > n:  # drawing and refusing would take long: the first to ring of n exponential clocks
            rings = np.array([rng.standard_exponential() for _ in range(n)]) / tastes[taste_of[user]]
            for place in np.argsort(rings):
                if found < len(mine) and taken[place] != user:
                    mine[found], taken[place] = rated[place], user
                    found += 1
        while found < len(mine):
            place = min(np.searchsorted(bounds, rng.random() * bounds[-1], side="right"), n - 1)
            if taken[place] != user:
                mine[found], taken[place] = rated[place], user
                found += 1
        mine.sort()


def _ratings(
    rng: np.random.Generator, users: np.ndarray, items: np.ndarray, n_users: int, group: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Half stars 1 to 10 (uint8) from the item's quality, the user's mildness, a common taste and chance; seconds."""
    score = rng.standard_normal(len(users), dtype=np.float32)
    score += (0.5 * rng.standard_normal(len(group), dtype=np.float32))[items]
    score += (0.4 * rng.standard_normal(n_users, dtype=np.float32))[users]
    score += np.float32(0.8) * (group[items] == _user_groups(n_users)[users])
    limits = np.quantile(score[:: max(1, len(score) // 200_000)], np.cumsum(SHARES)[:-1])
    stars = (1 + np.searchsorted(limits.astype(np.float32), score)).astype(np.uint8)
    begin = rng.integers(789_652_009, 1_427_784_002, n_users)  # 1995 to 2015
    length = np.exp(rng.normal(10, 3, n_users)).clip(600, 3e8)  # minutes to years
    return stars, begin[users] + (length[users] * rng.random(len(users), dtype=np.float32)).astype(np.int64)


def _write_ratings(
    folder: Path, parquet: bool, users: np.ndarray, items: np.ndarray, ids: np.ndarray, stars: np.ndarray,
    seconds: np.ndarray,
) -> None:
    """ratings.csv as the publisher writes it ("4.0", no quotes), or ratings.parquet with ids as whole numbers."""
    values = pa.float32() if parquet else pa.string()
    schema = pa.schema({"user_id": pa.int32(), "item_id": pa.int32(), "rating": values, "timestamp": pa.int64()})
    choices = pa.array([str(half / 2) for half in range(11)])
    options = pa_csv.WriteOptions(quoting_style="none")
    with (pa_parquet.ParquetWriter(folder / "ratings.parquet", schema) if parquet
          else pa_csv.CSVWriter(folder / "ratings.csv", schema, write_options=options)) as writer:
        for start in range(0, len(users), _BLOCK):
            rows = slice(start, start + _BLOCK)
            columns = [1 + users[rows], ids[items[rows]], choices.take(pa.array(stars[rows])).cast(values),
                       seconds[rows]]
            writer.write_table(pa.table(columns, names=schema.names).cast(schema))


def _genres(rng: np.random.Generator, group: np.ndarray) -> list[str]:
    """Each item's own group and one by chance; a fifth of the items name none."""
    other = rng.integers(0, GROUPS, len(group))
    silent = rng.random(len(group)) < 0.2
    return ["" if none else f"genre {own}|genre {more}" if own != more else f"genre {own}"
            for own, more, none in zip(group, other, silent, strict=True)]


def _write_features(path: Path, rng: np.random.Generator, ids: np.ndarray, group: np.ndarray, share: float) -> None:
    """Rows around their group's centre, for a ``share`` of the items."""
    centres = rng.standard_normal((GROUPS, WIDTH))
    has = np.sort(rng.permutation(len(ids))[: round(share * len(ids))])
    rows = centres[group[has]] + rng.standard_normal((len(has), WIDTH))
    np.savez(path, ids=ids[has].astype(str), features=rows.astype(np.float32))


def _description(n_ratings: int, n_users: int, n_items: int, seed: int) -> dict[str, Any]:
    return {
        "name": f"movielens-like-{n_ratings}",
        "title": "Generated, with the counts and skew of MovieLens 20M",
        "licence": "CC0-1.0",
        "source": "python -m benchmarks.generate",
        "rating_scale": [0.5, 5],
        "positive_threshold": 4,
        "minimum_ratings_per_user": LEAST,
        "item_fields": {"genres": "multi"},
        "modalities": {name: {"kind": "features", "path": f"features/{name}.npz"} for name in DESCRIBED},
        "generated": {"ratings": n_ratings, "users": n_users, "items": n_items, "seed": seed,
                      "code": content_hash(Path(__file__).read_bytes())},
    }


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """A hidden folder beside ``out`` that becomes ``out`` when the block ends well and vanishes when not."""
    if out.exists():
        raise FileExistsError(f"{out} is there already; remove it or choose another place")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        place = Path(temporary) / "new"
        place.mkdir()
        yield place
        place.rename(out)


if __name__ == "__main__":
    print(movielens_like(Path(sys.argv[1]), scale=float(sys.argv[2]) if len(sys.argv) > 2 else 1.0))

"""The embedded dataset: a generated shop of connected devices whose taste factors are planted and known."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from mrlm_core.datasets import iot_catalogue, iot_media
from mrlm_core.errors import ConfigError, problem

# name -> (users, items, ratings)
SIZES = {"tiny": (60, 60, 1500), "small": (600, 500, 30_000)}
# Share of the variance of a user's utility for an item that each factor explains; `hidden` shows in no modality.
SHARES = {"text": 0.30, "image": 0.20, "video": 0.14, "audio": 0.06, "knowledge": 0.10, "hidden": 0.10, "noise": 0.10}
LEVELS = {
    "text": len(iot_catalogue.STYLES), "image": iot_media.IMAGE_LEVELS, "video": iot_media.VIDEO_LEVELS,
    "audio": iot_media.AUDIO_LEVELS, "knowledge": len(iot_catalogue.STYLES), "hidden": 8,
}
MISSING = {"text": 0.05, "image": 0.01, "video": 0.10, "audio": 0.10, "knowledge": 0.05}  # about Table 1's shares
POSITIVE_THRESHOLD = 4
RATING_QUANTILES = (0.06, 0.20, 0.50, 0.80)  # of the observed utilities; half of the ratings are 4 or 5
CHOICE_STRENGTH = 1.4  # how much users rate what they like: factor on utility in the choice of items
POPULARITY_EXPONENT = 0.7  # an item's attraction falls as (rank + 10) to the minus this, as in Zipf's law
USER_BIAS = 0.4  # standard deviation of users' generosity, in standard deviations of utility
GROUP_TASTE = 0.3  # weight of what an age group has in common in its members' tastes
MOST_RATED = 0.9  # no user rates more than this share of the catalogue
_FIRST_DAY, _SPAN = 1_577_836_800, 2 * 365 * 86_400  # 2020-01-01, users start within two years; seconds
_BLOCK = 1024  # users in memory at once


@dataclass(frozen=True)
class Counts:
    """How much to generate; ``least`` is the smallest number of ratings of a user."""

    users: int
    items: int
    ratings: int

    @property
    def least(self) -> int:
        return max(5, min(20, self.ratings // self.users // 2))

    @property
    def most(self) -> int:
        return int(MOST_RATED * self.items)


def make_iot_shop(
    out: Path, size: str = "small", seed: int = 0, *, n_users: int | None = None, n_items: int | None = None,
    n_ratings: int | None = None, progress: bool = True,
) -> Path:
    """Generate the dataset folder ``out`` and return it; the same arguments give the same bytes.

    Counts that are not given are those of ``size``, ratings in proportion to users. The folder appears when it is
    complete. Raises ConfigError for an unknown size, impossible counts and an ``out`` that holds something.
    """
    counts = _counts(size, n_users, n_items, n_ratings)
    if not isinstance(seed, int) or seed < 0:
        raise ConfigError(problem("seed", "a whole number from 0", repr(seed), "Choose another."))
    with _folder(Path(out)) as folder:
        levels = _levels(seed, counts.items)
        names = [f"p{i + 1:0{len(str(counts.items))}d}" for i in range(counts.items)]
        described = _described(seed, counts.items)
        items = iot_catalogue.attributes(_stream(seed, "attributes"), counts.items)
        users = _users(_stream(seed, "users"), counts.users)
        _write_table(folder / "items.csv", {"item_id": names, **items})
        _write_table(folder / "users.csv", users)
        _write_table(folder / "planted.csv", {"item_id": names, **levels})
        _write_descriptions(folder, seed, names, items, levels, described, progress)
        ratings = planted_ratings(seed, counts, users["age_group"], levels)
        ids = {"user_id": users["user_id"][ratings["user"]], "item_id": np.array(names)[ratings["item"]]}
        _write_table(folder / "ratings.csv", {**ids, "rating": ratings["rating"], "timestamp": ratings["timestamp"]})
        description = _description(size, seed, counts)
        text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True, width=110)
        (folder / "dataset.yml").write_text(text, encoding="utf-8")
    return Path(out)


def utility(seed: int, age_group: np.ndarray, levels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each factor's part of the utility, by user and level, ``[users, levels of the factor]``.

    Part m is sqrt(share_m) times the affinity, standardised over all pairs of users and items; the affinity of a
    user with a level is the product of his taste vector and the level's unit vector (three dimensions).
    """
    parts = {}
    group = np.unique(age_group, return_inverse=True)[1]
    for factor, level in levels.items():
        rng = _stream(seed, "taste", factor)
        common = rng.normal(size=(group.max() + 1, 3))
        taste = rng.normal(size=(len(group), 3)) + GROUP_TASTE * common[group]
        affinity = taste @ _level_vectors(LEVELS[factor]).T
        weights = np.bincount(level, minlength=LEVELS[factor]) / len(level)
        mean = (affinity @ weights).mean()
        deviation = np.sqrt((((affinity - mean) ** 2) @ weights).mean())
        parts[factor] = np.sqrt(SHARES[factor]) * (affinity - mean) / deviation
    return parts


def planted_ratings(
    seed: int, counts: Counts, age_group: np.ndarray, levels: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Columns user, item (indices), rating (1-5), timestamp (seconds), ordered by user and time.

    A user draws items by popularity and utility (Gumbel top-k, Kool et al. 2019, sampling without replacement) and
    rates them by utility, noise and his own generosity.
    """
    parts = utility(seed, age_group, levels)
    rng = _stream(seed, "popularity")
    popularity = -POPULARITY_EXPONENT * np.log(rng.permutation(counts.items) + 10)
    activity = _activity(_stream(seed, "activity"), counts)
    users, items, values = [], [], []
    for start in range(0, counts.users, _BLOCK):
        rng = _stream(seed, "choice", start)
        block = np.arange(start, min(start + _BLOCK, counts.users))
        liking = sum(part[block][:, levels[factor]] for factor, part in parts.items())
        keys = CHOICE_STRENGTH * liking + popularity + rng.gumbel(size=liking.shape)
        order = np.argsort(-keys, axis=1)[:, : activity[block].max()]
        chosen = np.arange(order.shape[1]) < activity[block, None]
        row, column = np.nonzero(chosen)
        picked = order[row, column]
        noise = np.sqrt(SHARES["noise"]) * rng.normal(size=len(row))
        bias = USER_BIAS * rng.normal(size=len(block))
        users.append(block[row])
        items.append(picked)
        values.append(liking[row, picked] + noise + bias[row])
    user, value = np.concatenate(users), np.concatenate(values)
    rating = 1 + np.searchsorted(np.quantile(value, RATING_QUANTILES), value)
    rng = _stream(seed, "time")
    mixed = np.lexsort((rng.random(len(user)), user))  # the order of choice would put the favourites first
    time = _timestamps(rng, activity)
    return {"user": user, "item": np.concatenate(items)[mixed], "rating": rating[mixed], "timestamp": time}


def _counts(size: str, n_users: int | None, n_items: int | None, n_ratings: int | None) -> Counts:
    if size not in SIZES:
        raise ConfigError(problem("size", f"one of {', '.join(SIZES)}", repr(size), "Choose one, or give counts."))
    users, items, ratings = SIZES[size]
    chosen_users = users if n_users is None else n_users
    counts = Counts(
        chosen_users, items if n_items is None else n_items,
        round(chosen_users * ratings / users) if n_ratings is None else n_ratings,
    )
    for name, least in (("users", 10), ("items", 20)):
        if getattr(counts, name) < least:
            raise ConfigError(problem(f"number of {name}", f"at least {least}", str(getattr(counts, name)), "Ask for "
                                      "more."))
    low, high = counts.users * 5, counts.users * counts.most
    if not low <= counts.ratings <= high:
        raise ConfigError(
            problem("number of ratings", f"{low:,} to {high:,} for {counts.users:,} users and {counts.items:,} items",
                    f"{counts.ratings:,}", "Change one of the three counts.")
        )
    return counts


def _stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """A generator of its own for each purpose, so that one part never shifts the numbers of another."""
    words = [part if isinstance(part, int) else int.from_bytes(part.encode(), "little") for part in purpose]
    return np.random.default_rng([seed, *words])


def _levels(seed: int, n_items: int) -> dict[str, np.ndarray]:
    """The level of each item for each factor, ``[items]``: as even as can be, independent of one another."""
    return {
        factor: _stream(seed, "levels", factor).permutation(np.arange(n_items) % n_levels)
        for factor, n_levels in LEVELS.items()
    }


def _level_vectors(n_levels: int) -> np.ndarray:
    """Unit vectors ``[levels, 3]``: the corners of a cube for eight levels, of an octahedron for six."""
    if n_levels == 6:
        return np.concatenate([np.eye(3), -np.eye(3)])
    return np.stack(np.meshgrid(*[[-1, 1]] * 3), axis=-1).reshape(8, 3) / np.sqrt(3)


def _described(seed: int, n_items: int) -> dict[str, np.ndarray]:
    """Which items have each modality, bool ``[items]``; what lacks is drawn independently of everything."""
    masks = {}
    for modality, share in MISSING.items():
        masks[modality] = np.ones(n_items, bool)
        lacking = _stream(seed, "missing", modality).permutation(n_items)[: max(1, round(share * n_items))]
        masks[modality][lacking] = False
    return masks


def _users(rng: np.random.Generator, n_users: int) -> dict[str, np.ndarray]:
    pick = {"age_group": iot_catalogue.AGE_GROUPS, "home": iot_catalogue.HOMES, "city": iot_catalogue.CITIES}
    names = np.array([f"u{i + 1:0{len(str(n_users))}d}" for i in range(n_users)])
    return {"user_id": names} | {key: np.array(values)[rng.integers(len(values), size=n_users)]
                                 for key, values in pick.items()}


def _activity(rng: np.random.Generator, counts: Counts) -> np.ndarray:
    """Number of ratings of each user: skewed, at least ``counts.least``, in sum exactly ``counts.ratings``."""
    activity = np.full(counts.users, counts.least)
    weights = rng.lognormal(0, 0.7, counts.users)
    while (left := counts.ratings - activity.sum()) > 0:
        room = weights * (activity < counts.most)
        activity = np.minimum(activity + rng.multinomial(left, room / room.sum()), counts.most)
    return activity


def _timestamps(rng: np.random.Generator, activity: np.ndarray) -> np.ndarray:
    """Increasing seconds for each user in turn, about three days between two ratings."""
    gaps = 60 + rng.exponential(3 * 86_400, int(activity.sum())).astype(np.int64)
    ends = np.cumsum(activity)
    elapsed = np.cumsum(gaps)
    before = np.repeat(np.concatenate([[0], elapsed[ends[:-1] - 1]]), activity)
    start = _FIRST_DAY + rng.integers(_SPAN, size=len(activity))
    return np.repeat(start, activity) + elapsed - before


def _write_descriptions(
    folder: Path, seed: int, names: list[str], items: dict[str, np.ndarray], levels: dict[str, np.ndarray],
    described: dict[str, np.ndarray], progress: bool,
) -> None:
    from tqdm import tqdm

    for name in ("images", "videos", "audio"):
        (folder / name).mkdir()
    texts: dict[str, str] = {}
    for i, name in enumerate(tqdm(names, desc="iot-shop", unit="item", disable=None if progress else True)):
        item = {key: str(values[i]) for key, values in items.items()}
        rngs = {modality: _stream(seed, modality, i) for modality in MISSING}
        if described["text"][i]:
            texts[name] = iot_catalogue.introduction(rngs["text"], item, levels["text"][i])
        if described["image"][i]:
            picture = iot_media.picture(rngs["image"], item["category"], levels["image"][i])
            (folder / "images" / f"{name}.png").write_bytes(picture)
        if described["video"][i]:
            clip = iot_media.clip(rngs["video"], item["category"], levels["video"][i])
            (folder / "videos" / f"{name}.mp4").write_bytes(clip)
        if described["audio"][i]:
            (folder / "audio" / f"{name}.wav").write_bytes(iot_media.sound(rngs["audio"], levels["audio"][i]))
    _write_table(folder / "text.csv", {"item_id": list(texts), "text": list(texts.values())})
    known = [name for name, has in zip(names, described["knowledge"], strict=True) if has]
    entities = [f"product:{name}" for name in known]
    found = iot_catalogue.triples(_stream(seed, "knowledge"), items, levels["knowledge"],
                                  [f"product:{name}" for name in names], described["knowledge"])
    heads, relations, tails = zip(*found, strict=True)
    _write_table(folder / "knowledge.tsv", {"head": heads, "relation": relations, "tail": tails}, separator="\t")
    _write_table(folder / "entities.csv", {"item_id": known, "entity": entities})


def _write_table(path: Path, columns: dict[str, Any], separator: str = ",") -> None:
    pd.DataFrame(columns).to_csv(path, index=False, sep=separator, lineterminator="\n")


def _description(size: str, seed: int, counts: Counts) -> dict[str, Any]:
    standard = (counts.users, counts.items, counts.ratings) == SIZES[size]
    suffix = "" if size == "small" else f"-{size}"
    if not standard:
        suffix = f"-{counts.users}x{counts.items}x{counts.ratings}"
    media = {"image": "images", "video": "videos", "audio": "audio"}
    return {
        "name": f"iot-shop{suffix}",
        "title": "Generated shop of connected devices",
        "licence": "CC0-1.0",
        "citation": "Generated by mrlm_core.datasets.iot_shop; no real users, products or brands.",
        "source": f"mrlm data make, size {size}, seed {seed}",
        "positive_threshold": POSITIVE_THRESHOLD,
        "rating_scale": [1, 5],
        "minimum_ratings_per_user": counts.least,
        "user_fields": {"age_group": "categorical", "home": "categorical", "city": "categorical"},
        "item_fields": {"category": "categorical", "brand": "categorical", "power": "categorical", "rooms": "multi",
                        "price": "numeric", "year": "numeric"},
        "title_column": "title",
        "modalities": {
            "text": {"kind": "text", "path": "text.csv"},
            **{kind: {"kind": kind, "path": path} for kind, path in media.items()},
            "knowledge": {"kind": "knowledge", "path": "knowledge.tsv", "entities": "entities.csv"},
        },
        "planted": {
            "shares": dict(SHARES), "levels": dict(LEVELS), "levels_file": "planted.csv", "seed": seed,
            "choice_strength": CHOICE_STRENGTH, "popularity_exponent": POPULARITY_EXPONENT, "user_bias": USER_BIAS,
        },
    }


@contextmanager
def _folder(out: Path) -> Iterator[Path]:
    """A hidden folder beside ``out`` that becomes ``out`` when the block ends well and vanishes when not."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ConfigError(problem(str(out), "a place that is free", "files", "Choose another folder or remove it."))
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.replace(out)
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)

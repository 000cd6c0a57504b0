"""The embedded dataset: a generated shop of connected devices whose taste factors are planted and known."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from mrlm_core.datasets import iot_catalogue, iot_media, iot_ratings
from mrlm_core.datasets.iot_ratings import Counts, planted_levels, planted_ratings, random_stream
from mrlm_core.errors import ConfigError, problem

# name -> (users, items, ratings)
SIZES = {"tiny": (60, 60, 1500), "small": (600, 500, 30_000)}
MISSING = {"text": 0.05, "image": 0.01, "video": 0.10, "audio": 0.10, "knowledge": 0.05}  # about Table 1's shares
POSITIVE_THRESHOLD = 4


def make_iot_shop(
    out: Path, size: str = "small", seed: int = 0, *, n_users: int | None = None, n_items: int | None = None,
    n_ratings: int | None = None, progress: bool = True,
) -> Path:
    """Generate the dataset folder ``out`` and return it; the same arguments give the same bytes.

    Counts that are not given are those of ``size``, ratings in proportion to users. The folder appears when it is
    complete. Raises ConfigError for an unknown size, impossible counts and an ``out`` that holds something. Gap G34.
    """
    counts = _counts(size, n_users, n_items, n_ratings)
    if not isinstance(seed, int) or seed < 0:
        raise ConfigError(problem("seed", "a whole number from 0", repr(seed), "Choose another."))
    with _folder(Path(out)) as folder:
        levels = planted_levels(seed, counts.items)
        items = {"item_id": _ids("p", counts.items)}
        items |= iot_catalogue.attributes(random_stream(seed, "attributes"), counts.items)
        users = {"user_id": _ids("u", counts.users)} | _users(random_stream(seed, "users"), counts.users)
        _write_table(folder / "items.csv", items)
        _write_table(folder / "users.csv", users)
        _write_table(folder / "planted.csv", {"item_id": items["item_id"], **levels})
        described = _described(seed, counts.items)
        _write_media(folder, seed, items, levels, described, progress)
        _write_knowledge(folder, seed, items, levels["knowledge"], described["knowledge"])
        ratings = planted_ratings(seed, counts, users["age_group"], levels)
        ids = {"user_id": users["user_id"][ratings["user"]], "item_id": items["item_id"][ratings["item"]]}
        _write_table(folder / "ratings.csv", {**ids, "rating": ratings["rating"], "timestamp": ratings["timestamp"]})
        description = _description(size, seed, counts)
        text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True, width=110)
        (folder / "dataset.yml").write_text(text, encoding="utf-8")
    return Path(out)


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


def _described(seed: int, n_items: int) -> dict[str, np.ndarray]:
    """Which items have each modality, bool ``[items]``; what lacks is drawn independently of everything."""
    masks = {}
    for modality, share in MISSING.items():
        masks[modality] = np.ones(n_items, bool)
        lacking = random_stream(seed, "missing", modality).permutation(n_items)[: max(1, round(share * n_items))]
        masks[modality][lacking] = False
    return masks


def _ids(letter: str, count: int) -> np.ndarray:
    return np.array([f"{letter}{i + 1:0{len(str(count))}d}" for i in range(count)])


def _users(rng: np.random.Generator, n_users: int) -> dict[str, np.ndarray]:
    pick = {"age_group": iot_catalogue.AGE_GROUPS, "home": iot_catalogue.HOMES, "city": iot_catalogue.CITIES}
    return {key: np.array(values)[rng.integers(len(values), size=n_users)] for key, values in pick.items()}


def _write_media(
    folder: Path, seed: int, items: dict[str, np.ndarray], levels: dict[str, np.ndarray],
    described: dict[str, np.ndarray], progress: bool,
) -> None:
    """text.csv, images, videos and audio; each file from a random stream of its own."""
    from tqdm import tqdm

    for name in ("images", "videos", "audio"):
        (folder / name).mkdir()
    texts: dict[str, str] = {}
    for i in tqdm(range(len(items["item_id"])), desc="iot-shop", unit="item", disable=None if progress else True):
        item = {key: str(values[i]) for key, values in items.items()}
        name = item["item_id"]
        rngs = {modality: random_stream(seed, modality, i) for modality in MISSING}
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


def _write_knowledge(
    folder: Path, seed: int, items: dict[str, np.ndarray], levels: np.ndarray, described: np.ndarray
) -> None:
    entities = np.array([f"product:{name}" for name in items["item_id"]])
    found = iot_catalogue.triples(random_stream(seed, "knowledge"), items, levels, entities, described)
    heads, relations, tails = zip(*found, strict=True)
    _write_table(folder / "knowledge.tsv", {"head": heads, "relation": relations, "tail": tails}, separator="\t")
    _write_table(folder / "entities.csv", {"item_id": items["item_id"][described], "entity": entities[described]})


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
        "source": "mrlm data make iot-shop",
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
        "generated": {
            "seed": seed, "users": counts.users, "items": counts.items, "ratings": counts.ratings,
            "choice_strength": iot_ratings.CHOICE_STRENGTH, "user_bias": iot_ratings.USER_BIAS,
            "popularity_exponent": iot_ratings.POPULARITY_EXPONENT,
        },
        "planted": {
            "shares": dict(iot_ratings.SHARES), "levels": dict(iot_ratings.LEVELS), "levels_file": "planted.csv",
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

"""The planted factors of the generated shop: items' levels, users' tastes, and the ratings they lead to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Share of the variance of a user's utility for an item that each factor explains; `hidden` shows in no modality.
SHARES = {"text": 0.30, "image": 0.20, "video": 0.14, "audio": 0.06, "knowledge": 0.10, "hidden": 0.10, "noise": 0.10}
LEVELS = {"text": 8, "image": 8, "video": 8, "audio": 6, "knowledge": 8, "hidden": 8}
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
    """How much to generate; a user has from ``least`` to ``most`` ratings."""

    users: int
    items: int
    ratings: int

    @property
    def least(self) -> int:
        return max(5, min(20, self.ratings // self.users // 2))

    @property
    def most(self) -> int:
        return int(MOST_RATED * self.items)


def random_stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """A generator of its own for each purpose, so that one part never shifts the numbers of another."""
    words = [part if isinstance(part, int) else int.from_bytes(part.encode(), "little") for part in purpose]
    return np.random.default_rng([seed, *words])


def planted_levels(seed: int, n_items: int) -> dict[str, np.ndarray]:
    """The level of each item for each factor, ``[items]``: as even as can be, independent of one another."""
    return {
        factor: random_stream(seed, "levels", factor).permutation(np.arange(n_items) % n_levels)
        for factor, n_levels in LEVELS.items()
    }


def _level_vectors(n_levels: int) -> np.ndarray:
    """Unit vectors ``[levels, 3]``: the corners of a cube for eight levels, of an octahedron for six."""
    if n_levels == 6:
        return np.concatenate([np.eye(3), -np.eye(3)])
    return np.stack(np.meshgrid(*[[-1, 1]] * 3), axis=-1).reshape(8, 3) / np.sqrt(3)


def utility(seed: int, age_group: np.ndarray, levels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each factor's part of the utility, by user and level, ``[users, levels of the factor]``.

    Part m is sqrt(share_m) times the affinity, standardised over all pairs of users and items; the affinity of a
    user with a level is the product of his taste vector and the level's unit vector (three dimensions).
    """
    parts = {}
    group = np.unique(age_group, return_inverse=True)[1]
    for factor, level in levels.items():
        rng = random_stream(seed, "taste", factor)
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
    order = random_stream(seed, "popularity").permutation(counts.items)
    popularity = -POPULARITY_EXPONENT * np.log(order + 10)
    activity = _activity(random_stream(seed, "activity"), counts)
    items, values = [], []
    for start in range(0, counts.users, _BLOCK):
        block = np.arange(start, min(start + _BLOCK, counts.users))
        liking = np.zeros((len(block), counts.items))
        for factor, part in parts.items():
            liking += part[block][:, levels[factor]]
        chosen, value = _choose_and_rate(random_stream(seed, "choice", start), liking, popularity, activity[block])
        items.append(chosen)
        values.append(value)
    item, value = np.concatenate(items), np.concatenate(values)
    user = np.repeat(np.arange(counts.users), activity)
    rating = 1 + np.searchsorted(np.quantile(value, RATING_QUANTILES), value)
    rng = random_stream(seed, "time")
    mixed = np.lexsort((rng.random(len(user)), user))  # the order of choice would put the favourites first
    return {"user": user, "item": item[mixed], "rating": rating[mixed], "timestamp": _timestamps(rng, activity)}


def _choose_and_rate(
    rng: np.random.Generator, liking: np.ndarray, popularity: np.ndarray, activity: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The items that users with this ``liking`` ``[users, items]`` rate, user by user, and what they think of them."""
    keys = CHOICE_STRENGTH * liking + popularity + rng.gumbel(size=liking.shape)
    order = np.argsort(-keys, axis=1)[:, : activity.max()]
    row, column = np.nonzero(np.arange(order.shape[1]) < activity[:, None])
    chosen = order[row, column]
    noise = np.sqrt(SHARES["noise"]) * rng.normal(size=len(row))
    bias = USER_BIAS * rng.normal(size=len(liking))
    return chosen, liking[row, chosen] + noise + bias[row]


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

"""Generated data is as it says; ours and the naive ways to ratings, splits and triplets make the same bits."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import issparse

from mrlm_core.datasets import load_dataset, ratings
from mrlm_core.datasets.splits import Split, interactions, random_split
from mrlm_core.errors import DatasetError
from mrlm_core.training.triplets import TripletSampler

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    import benchmarks.data
    import benchmarks.generate

    assert Path(benchmarks.__file__ or "").parent == ROOT / "benchmarks"
    return sys.modules["benchmarks"]


@pytest.fixture
def generate(benchmarks: Any) -> Any:
    return benchmarks.generate


@pytest.fixture
def naive(benchmarks: Any) -> Any:
    return benchmarks.naive_data


def test_counts_skew_and_structure(generate: Any, tmp_path: Path) -> None:
    dataset = load_dataset(generate.movielens_like(tmp_path / "made", 60_000, 600, 900))
    ratings = dataset.ratings
    assert (len(ratings), dataset.n_users, dataset.n_items) == (60_000, 600, 900)
    assert not ratings.duplicated(["user", "item"]).any()
    per_user, per_item = ratings["user"].value_counts(), ratings["item"].value_counts()
    assert per_user.min() >= 20
    assert per_user.median() < 0.8 * per_user.mean()
    assert len(per_item) == round(900 * generate.RATED / generate.ITEMS)  # the rest are never rated
    assert per_item.iloc[: len(per_item) // 10].sum() > 0.3 * len(ratings)
    assert set(ratings["rating"]) == {half / 2 for half in range(1, 11)}
    assert (ratings["rating"] >= 4).mean() == pytest.approx(0.5, abs=0.02)
    assert dataset.described("text").sum() == round(0.95 * 900)
    # Learning is possible: users rate the films of their own taste more often and higher.
    group = np.random.default_rng(0).integers(0, generate.GROUPS, 900)
    own = group[ratings["item"]] == generate._user_groups(600)[ratings["user"]]
    assert own.mean() > 1.5 / generate.GROUPS
    assert ratings["rating"][own].mean() > ratings["rating"][~own].mean() + 0.3


def test_both_files_say_the_same_and_equal_arguments_give_equal_bytes(generate: Any, tmp_path: Path) -> None:
    made = [generate.movielens_like(tmp_path / name, 20_000, 200, 300, seed=3) for name in "ab"]
    kept = generate.movielens_like(tmp_path / "c", 20_000, 200, 300, seed=3, parquet=True)
    files = sorted(file.relative_to(made[0]) for file in made[0].rglob("*.*"))
    assert len(files) == 5
    assert all((made[0] / file).read_bytes() == (made[1] / file).read_bytes() for file in files)
    pd.testing.assert_frame_equal(pd.read_csv(made[0] / "ratings.csv"), pd.read_parquet(kept / "ratings.parquet"),
                                  check_dtype=False)


def test_a_scale_shrinks_every_count_and_a_place_that_is_taken_is_refused(generate: Any, tmp_path: Path) -> None:
    dataset = load_dataset(generate.movielens_like(tmp_path / "made", scale=0.01))
    assert (len(dataset.ratings), dataset.n_users, dataset.n_items) == (200_003, 1_385, 273)
    with pytest.raises(FileExistsError):
        generate.movielens_like(tmp_path / "made", scale=0.01)
    with pytest.raises(ValueError, match="do not spread over 277 users"):
        generate.movielens_like(tmp_path / "small", scale=0.002)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def some_ratings(seed: int) -> tuple[pd.DataFrame, int, int]:
    """(ratings by index in any order, users, items); no pair twice, many of the same time, some without time."""
    rng = np.random.default_rng(seed)
    n_users, n_items = int(rng.integers(2, 60)), int(rng.integers(9, 60))
    pairs = rng.permutation(n_users * n_items)[: rng.integers(15, 2000)]
    frame = pd.DataFrame({
        "user": (pairs // n_items).astype(np.int32), "item": (pairs % n_items).astype(np.int32),
        "rating": rng.integers(1, 6, len(pairs)).astype(np.float32), "timestamp": rng.integers(0, 9, len(pairs)),
    })  # fmt: skip
    if seed % 2:
        frame = frame.sort_values(["user", "item"], ignore_index=True)
    return (frame.drop(columns="timestamp") if seed % 3 == 0 else frame), n_users, n_items


def assert_same(ours: Any, other: Any) -> None:
    for name, value in vars(other).items():
        found = getattr(ours, name)
        pairs = [(found, value)]
        if issparse(value):
            pairs = [(getattr(found, key), getattr(value, key)) for key in ("data", "indices", "indptr")]
        for one, two in pairs:
            np.testing.assert_array_equal(one, two, err_msg=name, strict=True)


@pytest.mark.parametrize("seed", range(24))
def test_splits_and_matrices_are_those_of_the_naive_way(naive: Any, seed: int) -> None:
    frame, n_users, n_items = some_ratings(seed)
    split = random_split(len(frame), 0.7, 0.2, seed)
    assert_same(split, naive.random_split(len(frame), 0.7, 0.2, seed))
    rows = np.random.default_rng(seed).permutation(len(frame))
    for part in (split, Split(rows[:9], rows[9:12], rows[12:14])):  # also unordered, and not all rows
        arguments = (frame, n_users, n_items, 4.0, part, seed)
        assert_same(interactions(*arguments), naive.interactions(*arguments))


@pytest.mark.parametrize("arm", ["uniform", "explicit", "mixed"])
@pytest.mark.parametrize("seed", range(24))
def test_triplets_are_those_of_the_naive_way(naive: Any, arm: str, seed: int) -> None:
    frame, n_users, n_items = some_ratings(seed)
    parts = interactions(frame, n_users, n_items, 4.0, random_split(len(frame), 0.7, 0.2, seed), seed)
    for repeats in (1, 3):
        other = naive.Sampler(parts, arm, repeats)
        if not len(other.users):
            with pytest.raises(DatasetError):
                TripletSampler(parts, arm, repeats)
            continue
        ours = TripletSampler(parts, arm, repeats)
        assert ours.left_out == other.left_out
        one, two = np.random.default_rng(seed), np.random.default_rng(seed)
        for _ in range(3):
            np.testing.assert_array_equal(ours.epoch(one, 16), other.epoch(two, 16), strict=True)
        assert one.random() == two.random()  # the same numbers were drawn, so the next epoch is the same too


def test_a_part_that_rates_an_item_twice_is_refused() -> None:
    twice = pd.DataFrame({"user": [0, 0, 0, 1], "item": [1, 1, 2, 0], "rating": 5.0})
    with pytest.raises(AssertionError, match="two ratings of one user and item"):
        interactions(twice, 2, 3, 4.0, Split(np.array([0, 1]), np.array([2]), np.array([3])), seed=0)


def test_every_step_runs_and_the_section_compares_them(
    benchmarks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MRLM_WORKSPACE", str(tmp_path / "work"))
    monkeypatch.setattr(ratings, "KEPT_FROM", 0)
    folder = benchmarks.generate.movielens_like(tmp_path / "made", 20_000, 200, 300)
    taken: dict[str, list[Any]] = {}
    for name in benchmarks.data.STEPS:
        benchmarks.data.main([name, str(folder)])
        taken[name] = [json.loads(capsys.readouterr().out)]
    section = benchmarks.data.section(folder / "ratings.csv", taken)
    assert [target.wanted for target in section.targets] == ["≤ 4 s, ≤ 1.2 GB", "≤ 1 s", "≤ 20 s, ≤ 4 GB"]
    assert "20,000 ratings" in section.lines[0]
    assert len(list((tmp_path / "work" / "artefacts" / "ratings").iterdir())) == 2
    for row in taken["prepare-naive"]:
        row["made"] = "something else"
    with pytest.raises(AssertionError, match="prepare: another result"):
        benchmarks.data.section(folder / "ratings.csv", taken)
    few = [{**row, "seconds": 2.0, "peak": 1000} for row in taken["read"]]
    assert benchmarks.data._target("reading", few, 4, 1.2, "").met
    assert not benchmarks.data._target("reading", [{**few[0], "peak": 1200}], 4, 1.2, "").met
    slow = [{**row, "seconds": 30.0, "cpu": 12.0} for row in taken["read"]]
    target = benchmarks.data._target("reading", slow, 4, 1.2, "the parser alone takes 50% of it")
    assert "**not met**: 12.0 CPU seconds; the parser alone takes 50% of it" in target.row()


def test_steps_run_in_processes_of_their_own(
    benchmarks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmarks.data, "STEPS", {"sha256": "", "read": ""})
    folder = benchmarks.generate.movielens_like(tmp_path / "made", 20_000, 200, 300)
    taken = benchmarks.data._in_turn(folder, tmp_path / "work", 1)
    assert taken["read"][0]["amount"] == 20_000
    assert all(row["seconds"] > 0 and row["peak"] > row["before"] * 0.9 for rows in taken.values() for row in rows)

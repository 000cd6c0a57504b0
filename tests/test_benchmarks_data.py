"""The generated data has the counts and the skew that it says, and loads like any other dataset."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mrlm_core.datasets import load_dataset

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import generate

    assert Path(sys.modules["benchmarks"].__file__ or "").parent == ROOT / "benchmarks"
    return generate


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

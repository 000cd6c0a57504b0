"""MovieLens folders in the publisher's layouts, written small, and the real one where it is at hand."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrlm_core.datasets import Dataset, describe, load_dataset
from mrlm_core.datasets.feature_audit import audit_features
from mrlm_core.datasets.movielens import make_movielens
from mrlm_core.errors import DatasetError

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
MOVIES = range(1, 31)


@pytest.fixture
def csv_folder(tmp_path: Path) -> Path:
    """latest-small's and 20M's layout: 12 users with 20 ratings, one with 19; film 30 has no year and no genre."""
    raw = tmp_path / "raw"
    raw.mkdir()
    counts = {**dict.fromkeys(range(1, 13), 20), 13: 19}
    rows = [f"{u},{m},{0.5 + (u * m) % 10 / 2},{1000 * u + m}" for u, n in counts.items() for m in range(1, n + 1)]
    (raw / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *rows]) + "\n")
    movies = [f'{m},"Film, the {m}th ({1970 + m})",Drama|Film-Noir' for m in MOVIES[:-1]]
    (raw / "movies.csv").write_text("\n".join(["movieId,title,genres", *movies, "30,Série,(no genres listed)"]) + "\n")
    (raw / "links.csv").write_text("movieId,imdbId,tmdbId\n1,0114709,862\n")
    return raw


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Any]:
    """Descriptions of films 1, 2 and others, each source with something that must be left out."""
    (tmp_path / "plots.csv").write_text(
        'movie_id,source,text\n1,tmdb,"He said ""no"".\nThen yes."\n2,omdb,A plot\n2,tmdb,Another\n99,tmdb,Elsewhere\n'
    )
    with tarfile.open(tmp_path / "posters.tar", "w") as archive:
        for name in ("posters/2.jpg", "posters/99.jpg", "posters/1.jpg"):
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    (tmp_path / "knowledge.tsv").write_text(
        'head\trelation\ttail\nm:1\tby\tdbr:"Al"\nx\tsequel\tm:2\nm:99\tby\tdbr:Bo\nx\tby\ty\n', encoding="utf-8"
    )
    (tmp_path / "entities.csv").write_text("movie_id,entity\n1,m:1\n2,m:2\n99,m:99\n")
    rows = np.random.default_rng(0).normal(1, 0.1, (7, 4)).astype(np.float32)
    rows[:, 1] = 5  # constant
    rows[:5, 2] = np.inf  # not finite in most rows
    rows[1, 0] = -np.inf
    rows[2, 0] = 1e9
    np.savez(tmp_path / "trailers.npz", ids=np.array(["1", "2", "3", "4", "5", "6", "99"]), features=rows)
    files = {"plots": "plots.csv", "posters": "posters.tar", "knowledge": "knowledge.tsv", "entities": "entities.csv"}
    return {**{k: tmp_path / v for k, v in files.items()}, "features": {"video": tmp_path / "trailers.npz"}}


def problems(dataset: Dataset) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {problem.what: (problem.count, problem.examples) for problem in dataset.problems}


@pytest.mark.parametrize("variant", ["movielens-latest-small", "movielens-20m"])
def test_csv_layout_with_every_source(csv_folder: Path, sources: dict[str, Any], tmp_path: Path, variant: str) -> None:
    dataset = load_dataset(make_movielens(variant, csv_folder, tmp_path / "out", **sources))
    assert (dataset.n_users, dataset.n_items, len(dataset.ratings)) == (12, 30, 240)
    assert dataset.positive_threshold == 4
    assert dataset.ratings["rating"].head(3).tolist() == [1.0, 1.5, 2.0]
    assert dataset.ratings["timestamp"].head(3).tolist() == [1001, 1002, 1003]
    assert dataset.items.loc["1"].to_dict() == {
        "title": "Film, the 1th (1971)", "genres": "Drama|Film-Noir", "year": "1971", "decade": "1970s"
    }  # fmt: skip
    assert dataset.items.loc["30"].to_dict() == {"title": "Série", "genres": "", "year": "", "decade": ""}
    assert list(dataset.modalities) == ["text", "image", "video", "knowledge"]
    assert dataset.texts("text") == {0: 'He said "no".\nThen yes.', 1: "A plot"}
    assert [(item, content) for item, _, content in dataset.media("image")] == [
        (1, b"posters/2.jpg"), (0, b"posters/1.jpg")
    ]  # fmt: skip
    triples, entities = dataset.knowledge("knowledge")
    assert triples.to_numpy().tolist() == [["m:1", "by", 'dbr:"Al"'], ["x", "sequel", "m:2"]]
    assert entities == {0: "m:1", 1: "m:2"}
    found = problems(dataset)
    assert found["users with fewer ratings than minimum_ratings_per_user, left out"] == (1, ("13",))
    assert found["plots of films outside the catalogue, left out"] == (1, ("99",))
    assert found["second plots of a film, left out"] == (1, ("2",))
    assert found["posters of films outside the catalogue, left out"] == (1, ("99.jpg",))
    assert found["triples of films outside the catalogue, left out"] == (2, ("m:99", "x"))
    assert found["modalities without a source given, absent"] == (1, ("audio",))


def test_unsound_features_are_masked_and_reported(
    csv_folder: Path, sources: dict[str, Any], tmp_path: Path
) -> None:
    dataset = load_dataset(make_movielens("movielens-latest-small", csv_folder, tmp_path / "out", **sources))
    values, mask = dataset.features("video")
    raw = np.load(sources["features"]["video"])["features"]
    assert np.flatnonzero(mask).tolist() == [0, 3, 4, 5]  # film 2 has an infinity, film 3 a blow-up
    np.testing.assert_array_equal(values[mask], raw[[0, 3, 4, 5]][:, [0, 3]])
    found = problems(dataset)
    assert found["rows of films outside the catalogue, left out"] == (1, ("99",))
    assert found["columns not finite in most rows, left out"] == (1, ("2",))
    assert found["constant columns, left out"] == (1, ("1",))
    assert found["films with a value that is not finite, masked"] == (1, ("2",))
    assert found["films with a value over 1,000,000 times its column's median size, masked"] == (1, ("3",))


def test_audit_passes_sound_features_and_columns_of_many_zeros() -> None:
    values = np.random.default_rng(1).normal(size=(50, 3))
    values[:40, 1] = 0
    audit = audit_features(values)
    assert audit.rows.all()
    assert audit.columns.all()


def write_1m(raw: Path, timestamps: bool) -> Path:
    raw.mkdir()
    rows = [(u, m, 1 + (u * m) % 5, 100 * u + m) for u in range(1, 13) for m in range(1, 21)]
    if timestamps:
        (raw / "ratings.dat").write_text("".join(f"{u}::{m}::{r}::{t}\n" for u, m, r, t in rows))
    else:
        (raw / "ratings.csv").write_text("userId,movieId,rating\n" + "".join(f"{u},{m},{r}\n" for u, m, r, _ in rows))
    films = ["1::Misérables, Les: \x85 part (1995)::Drama|Musical"]
    films += [f"{m}::Film {m} (19{m + 10})::Comedy" for m in MOVIES[1:]]
    (raw / "movies.dat").write_text("\n".join(films) + "\n", encoding="latin-1")
    (raw / "users.dat").write_text("".join(f"{u}::F::25::12::0{u}\n" for u in range(1, 13)))
    return raw


@pytest.mark.parametrize("timestamps", [True, False])
def test_1m_layout(tmp_path: Path, timestamps: bool) -> None:
    dataset = load_dataset(make_movielens("movielens-1m", write_1m(tmp_path / "raw", timestamps), tmp_path / "out"))
    assert (dataset.n_users, dataset.n_items, len(dataset.ratings)) == (12, 30, 240)
    assert dataset.titles()[0] == "Misérables, Les: \x85 part (1995)"
    assert dataset.users.loc["3"].to_dict() == {"gender": "F", "age": "25-34", "occupation": "programmer"}
    assert dataset.user_fields == dict.fromkeys(("gender", "age", "occupation"), "categorical")
    assert ("timestamp" in dataset.ratings) == timestamps
    assert any("without a timestamp" in what for what in problems(dataset)) != timestamps
    if timestamps:
        assert dataset.ratings["timestamp"].head(2).tolist() == [101, 102]


def test_the_same_sources_give_the_same_bytes(csv_folder: Path, sources: dict[str, Any], tmp_path: Path) -> None:
    hashes = [
        load_dataset(make_movielens("movielens-latest-small", csv_folder, tmp_path / place, **sources)).data_hash
        for place in ("one", "two", "one")  # the third replaces the first
    ]
    assert len(set(hashes)) == 1


@pytest.mark.parametrize("missing", ["ratings.csv", "movies.csv"])
def test_a_wrong_raw_folder_names_the_file(csv_folder: Path, tmp_path: Path, missing: str) -> None:
    (csv_folder / missing).unlink()
    with pytest.raises(DatasetError, match=rf"expected the file {missing}.*MovieLens latest-small"):
        make_movielens("movielens-latest-small", csv_folder, tmp_path / "out")
    with pytest.raises(DatasetError, match="no such folder"):
        make_movielens("movielens-1m", tmp_path / "nowhere", tmp_path / "out")


def test_nothing_half_written_is_left(csv_folder: Path, sources: dict[str, Any], tmp_path: Path) -> None:
    place = tmp_path / "made"
    with (csv_folder / "ratings.csv").open("a") as file:
        file.write("1,1,7,5\n")
    with pytest.raises(DatasetError, match=r"Making .*out from .*raw: ratings\.csv, row 260.*0\.5 to 5.*found 7"):
        make_movielens("movielens-latest-small", csv_folder, place / "out", **sources)
    assert list(place.iterdir()) == []
    (place / "out").mkdir()
    (place / "out" / "thesis.txt").write_text("precious")
    with pytest.raises(DatasetError, match="a free place"):
        make_movielens("movielens-latest-small", csv_folder, place / "out")
    assert (place / "out" / "thesis.txt").read_text() == "precious"


def test_wrong_options(csv_folder: Path, sources: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(DatasetError, match="Did you mean 'movielens-20m'"):
        make_movielens("movielens-20", csv_folder, out)
    with pytest.raises(DatasetError, match="both or neither"):
        make_movielens("movielens-latest-small", csv_folder, out, knowledge=sources["knowledge"])
    with pytest.raises(DatasetError, match=r"posters .*none\.tar"):
        make_movielens("movielens-latest-small", csv_folder, out, posters=tmp_path / "none.tar")
    crossed = {"knowledge": sources["knowledge"], "entities": sources["plots"]}
    with pytest.raises(DatasetError, match=r"plots\.csv: expected the column 'entity'"):
        make_movielens("movielens-latest-small", csv_folder, out, **crossed)


@pytest.mark.skipif(not (REAL / "movielens-latest-small").is_dir(), reason="no real data in ../shared/data")
def test_real_latest_small(tmp_path: Path) -> None:
    films = REAL / "movies"
    out = make_movielens(
        "movielens-latest-small", REAL / "movielens-latest-small", tmp_path / "out", plots=films / "plots.csv",
        posters=films / "posters.tar", knowledge=films / "knowledge.tsv", entities=films / "entities.csv",
        features={"video": films / "trailer_video_avf.npz", "audio": films / "trailer_audio_ivector.npz"},
    )  # fmt: skip
    dataset = load_dataset(out)
    table = describe(dataset).iloc[:, 0]
    assert table[["Users", "Items", "Items rated", "Ratings"]].tolist() == [610, 9742, 9724, 100836]
    assert 0.95 < np.isin(dataset.ratings["item"], list(dataset.texts("text"))).mean() < 0.96
    assert dataset.features("video")[0].shape == (9742, 104)
    assert table["Items having audio"] == 1807

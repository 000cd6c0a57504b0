"""MovieLens as published (latest-small, 20M, 1M), with descriptions of the films, as a dataset folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from mrlm_core.datasets.conversion import (
    Catalogue,
    check_variant,
    publishers,
    whole_folder,
    write_description,
    write_features,
    write_knowledge,
    write_pictures,
    write_texts,
)
from mrlm_core.datasets.tables import read_table
from mrlm_core.errors import DatasetError, problem

TITLES = {
    "movielens-latest-small": "MovieLens latest-small",
    "movielens-20m": "MovieLens 20M",
    "movielens-1m": "MovieLens 1M",
}
MODALITIES = ("text", "image", "video", "audio", "knowledge")
# The publisher's codes in users.dat.
_AGES = {"1": "under 18", "18": "18-24", "25": "25-34", "35": "35-44", "45": "45-49", "50": "50-55", "56": "56+"}
_OCCUPATIONS = (
    "other", "academic or educator", "artist", "clerical or admin", "college or grad student", "customer service",
    "doctor or health care", "executive or managerial", "farmer", "homemaker", "K-12 student", "lawyer", "programmer",
    "retired", "sales or marketing", "scientist", "self-employed", "technician or engineer", "tradesman or craftsman",
    "unemployed", "writer",
)  # fmt: skip


def make_movielens(
    variant: str,
    raw: str | Path,
    out: str | Path,
    *,
    plots: str | Path | None = None,
    posters: str | Path | None = None,
    knowledge: str | Path | None = None,
    entities: str | Path | None = None,
    features: Mapping[str, str | Path] | None = None,
) -> Path:
    """Turn the publisher's folder ``raw`` into the dataset folder ``out``, whole or not at all.

    ``plots``: CSV movie_id, text. ``posters``: folder or archive of <movieId>.jpg. ``knowledge``: TSV head,
    relation, tail, with ``entities``: CSV movie_id, entity. ``features``: modality name -> npz (ids, features).
    Films outside the catalogue are counted and left out. Raises DatasetError. Gap G17.
    """
    raw, out = Path(raw), Path(out)
    check_variant(variant, TITLES)
    if (knowledge is None) != (entities is None):
        raise DatasetError(problem("knowledge and entities", "both or neither", "one", "Give the other file too."))
    with whole_folder(raw, out) as folder:
        ids = (_write_1m if variant == "movielens-1m" else _write_csv_layout)(variant, raw, folder)
        films = Catalogue(ids, "films", "movie_id")
        modalities: dict[str, Any] = {}
        if plots is not None:
            modalities["text"] = write_texts(Path(plots), "plots", folder, films)
        if posters is not None:
            modalities["image"] = write_pictures(Path(posters), "posters", folder, films)
        if knowledge is not None and entities is not None:
            modalities["knowledge"] = write_knowledge(Path(knowledge), Path(entities), folder, films)
        for name, file in (features or {}).items():
            if name in modalities:
                raise DatasetError(problem(f"features {name!r}", "another modality's name", "it twice", "Rename it."))
            modalities[name] = write_features(name, Path(file), folder, films)
        write_description(folder, _describe(variant), modalities, MODALITIES)
    return out


def _describe(variant: str) -> dict[str, Any]:
    one_million = variant == "movielens-1m"
    return {
        "name": variant,
        "title": TITLES[variant],
        "licence": "GroupLens's terms in its README: research use, with citation; not for redistribution or commerce",
        "citation": "Harper and Konstan (2015), The MovieLens Datasets, ACM TiiS 5(4), doi:10.1145/2827872",
        "source": "https://grouplens.org/datasets/movielens/",
        "rating_scale": [1, 5] if one_million else [0.5, 5],
        "positive_threshold": 4,
        "minimum_ratings_per_user": 20,
        "user_fields": {name: "categorical" for name in ("gender", "age", "occupation")} if one_million else {},
        "item_fields": {"genres": "multi", "decade": "categorical"},
        "notes": [],
    }


def _write_csv_layout(variant: str, raw: Path, folder: Path) -> set[str]:
    """ratings.csv and movies.csv of latest-small and 20M; returns the catalogue's ids."""
    movies = read_table(publishers(raw, "movies.csv", TITLES[variant]), ["movieId", "title", "genres"])
    large = variant == "movielens-20m"
    columns = ["userId", "movieId", "rating", "timestamp"]
    _write_ratings(_arrow_csv(publishers(raw, "ratings.csv", TITLES[variant]), columns, large), folder, parquet=large)
    return _write_items(movies, folder)


def _write_1m(variant: str, raw: Path, folder: Path) -> set[str]:
    """ratings.dat (or a ratings.csv without timestamps), users.dat and movies.dat, all Latin-1."""
    if (raw / "ratings.csv").is_file() and not (raw / "ratings.dat").is_file():
        ratings = _arrow_csv(raw / "ratings.csv", ["userId", "movieId", "rating"])
    else:
        ratings = _arrow_dat(publishers(raw, "ratings.dat", TITLES[variant]))
    movies = _read_dat(publishers(raw, "movies.dat", TITLES[variant]), ["movieId", "title", "genres"])
    users = _read_dat(publishers(raw, "users.dat", TITLES[variant]), ["user_id", "gender", "age", "occupation", "zip"])
    for column, codes in (("age", _AGES), ("occupation", {str(i): name for i, name in enumerate(_OCCUPATIONS)})):
        unknown = sorted(set(users[column]) - set(codes))
        if unknown:
            raise DatasetError(problem(f"{raw / 'users.dat'}, {column}", f"the codes {', '.join(codes)}",
                                       repr(unknown[0]), "Unpack the publisher's archive again."))
        users[column] = users[column].map(codes)
    users.drop(columns="zip").to_csv(folder / "users.csv", index=False)
    _write_ratings(ratings, folder, parquet=False)
    return _write_items(movies, folder)


def _arrow_csv(path: Path, columns: Sequence[str], numbers: bool = False) -> pa.Table:
    """Ids as text; the rest as the text it is, or as numbers where millions of rows are to be kept small."""
    text = pa.dictionary(pa.int32(), pa.string())
    types = {"userId": text, "movieId": text, "rating": text, "timestamp": pa.string()}
    types |= {"rating": pa.float32(), "timestamp": pa.int64()} if numbers else {}
    return _arrow(path, lambda: pa_csv.read_csv(
        path, convert_options=pa_csv.ConvertOptions(include_columns=list(columns), column_types=types)))


def _arrow_dat(path: Path) -> pa.Table:
    """``user::item::rating::timestamp``: between the two colons lies a column that is always empty."""
    names = ["userId", "_1", "movieId", "_2", "rating", "_3", "timestamp"]
    kept = names[::2]
    return _arrow(path, lambda: pa_csv.read_csv(
        path, read_options=pa_csv.ReadOptions(column_names=names), parse_options=pa_csv.ParseOptions(delimiter=":"),
        convert_options=pa_csv.ConvertOptions(include_columns=kept, column_types={name: pa.string() for name in kept})))


def _arrow(path: Path, read: Callable[[], pa.Table]) -> pa.Table:
    try:
        return read()
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        remedy = "Unpack the publisher's archive again."
        raise DatasetError(problem(str(path), "the publisher's ratings", str(error), remedy)) from error


def _read_dat(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    rows = [line.split("::") for line in path.read_text(encoding="latin-1").split("\n") if line]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(columns):
            raise DatasetError(problem(f"{path}, line {number}", "::".join(columns), "::".join(row)[:60],
                                       "Unpack the publisher's archive again."))
    return pd.DataFrame(rows, columns=list(columns), dtype=object)


def _write_ratings(table: pa.Table, folder: Path, parquet: bool) -> None:
    table = table.rename_columns(["user_id", "item_id", "rating", "timestamp"][: table.num_columns])
    if parquet:
        pa_parquet.write_table(table, folder / "ratings.parquet")
    else:
        pa_csv.write_csv(table, folder / "ratings.csv", pa_csv.WriteOptions(quoting_style="none"))


def _write_items(movies: pd.DataFrame, folder: Path) -> set[str]:
    """items.csv: title, year and decade (from the title's end), genres ("" where none are listed)."""
    year = movies["title"].str.extract(r"\((\d{4})(?:[-\u2013]\d{0,4})?\)\s*$")[0].fillna("")
    pd.DataFrame({
        "item_id": movies["movieId"],
        "title": movies["title"].str.strip(),
        "genres": movies["genres"].replace("(no genres listed)", ""),
        "year": year,
        "decade": year.str.slice(0, 3).map(lambda start: f"{start}0s" if start else ""),
    }).to_csv(folder / "items.csv", index=False)
    return set(movies["movieId"])

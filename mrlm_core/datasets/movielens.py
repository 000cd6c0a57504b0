"""MovieLens as published (latest-small, 20M, 1M), with descriptions of the films, as a dataset folder."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import yaml

from mrlm_core.datasets.contract import load_dataset
from mrlm_core.datasets.feature_audit import BLOW_UP, audit_features
from mrlm_core.datasets.modalities import open_media, read_feature_rows
from mrlm_core.datasets.tables import read_table
from mrlm_core.errors import DatasetError, nearest, problem

TITLES = {
    "movielens-latest-small": "MovieLens latest-small",
    "movielens-20m": "MovieLens 20M",
    "movielens-1m": "MovieLens 1M",
}
_MODALITIES = ("text", "image", "video", "audio", "knowledge")
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
    if variant not in TITLES:
        raise DatasetError(problem(f"dataset {variant!r}", f"one of {', '.join(TITLES)}", "another name",
                                   nearest(variant, TITLES)))
    if (knowledge is None) != (entities is None):
        raise DatasetError(problem("knowledge and entities", "both or neither", "one", "Give the other file too."))
    with _whole_folder(out) as folder:
        description = _describe(variant)
        catalogue = (_write_1m if variant == "movielens-1m" else _write_csv_layout)(variant, raw, folder)
        modalities: dict[str, Any] = {}
        if plots is not None:
            modalities["text"] = _write_texts(Path(plots), folder, catalogue)
        if posters is not None:
            modalities["image"] = _write_posters(Path(posters), folder, catalogue)
        if knowledge is not None and entities is not None:
            modalities["knowledge"] = _write_knowledge(Path(knowledge), Path(entities), folder, catalogue)
        for name, file in (features or {}).items():
            if name in modalities:
                raise DatasetError(problem(f"features {name!r}", "another modality's name", "it twice", "Rename it."))
            modalities[name] = _write_features(name, Path(file), folder, catalogue)
        absent = [name for name in _MODALITIES if name not in modalities]
        if absent:
            what = "modalities without a source given, absent"
            description["notes"].append({"count": len(absent), "what": what, "examples": absent})
        ordered = [*_MODALITIES, *(name for name in modalities if name not in _MODALITIES)]
        description["modalities"] = {name: modalities[name] for name in ordered if name in modalities}
        text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True, width=110)
        (folder / "dataset.yml").write_text(text, encoding="utf-8")
        _check(folder, raw, out)
    return out


def _check(folder: Path, raw: Path, out: Path) -> None:
    """Nothing that breaks the contract is put in place; the temporary folder's name would help nobody."""
    try:
        load_dataset(folder)
    except DatasetError as error:
        raise DatasetError(f"Making {out} from {raw}: {str(error).replace(f'{folder}/', '')}") from error


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside ``out`` that becomes ``out`` when the block ends well and vanishes when not."""
    if out.exists() and not (out / "dataset.yml").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(problem(str(out), "a free place or a dataset folder to replace", "other files",
                                   "Choose another place."))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as place:
        folder = Path(place) / "new"
        folder.mkdir()
        yield folder
        if out.exists():
            out.rename(Path(place) / "old")
        folder.rename(out)


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
    movies = read_table(_raw(raw, "movies.csv", variant), ["movieId", "title", "genres"])
    large = variant == "movielens-20m"
    columns = ["userId", "movieId", "rating", "timestamp"]
    _write_ratings(_arrow_csv(_raw(raw, "ratings.csv", variant), columns, large), folder, parquet=large)
    return _write_items(movies, folder)


def _write_1m(variant: str, raw: Path, folder: Path) -> set[str]:
    """ratings.dat (or a ratings.csv without timestamps), users.dat and movies.dat, all Latin-1."""
    if (raw / "ratings.csv").is_file() and not (raw / "ratings.dat").is_file():
        ratings = _arrow_csv(raw / "ratings.csv", ["userId", "movieId", "rating"])
    else:
        ratings = _arrow_dat(_raw(raw, "ratings.dat", variant))
    movies = _read_dat(_raw(raw, "movies.dat", variant), ["movieId", "title", "genres"])
    users = _read_dat(_raw(raw, "users.dat", variant), ["user_id", "gender", "age", "occupation", "zip"])
    for column, codes in (("age", _AGES), ("occupation", {str(i): name for i, name in enumerate(_OCCUPATIONS)})):
        unknown = sorted(set(users[column]) - set(codes))
        if unknown:
            raise DatasetError(problem(f"{raw / 'users.dat'}, {column}", f"the codes {', '.join(codes)}",
                                       repr(unknown[0]), "Unpack the publisher's archive again."))
        users[column] = users[column].map(codes)
    users.drop(columns="zip").to_csv(folder / "users.csv", index=False)
    _write_ratings(ratings, folder, parquet=False)
    return _write_items(movies, folder)


def _raw(raw: Path, name: str, variant: str) -> Path:
    if (raw / name).is_file():
        return raw / name
    found = ", ".join(sorted(file.name for file in raw.iterdir())[:8]) if raw.is_dir() else "no such folder"
    remedy = f"Give the folder unpacked from the publisher's archive of {TITLES[variant]}."
    raise DatasetError(problem(str(raw), f"the file {name}", found or "an empty folder", remedy))


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


def _write_texts(path: Path, folder: Path, catalogue: set[str]) -> dict[str, Any]:
    plots = read_table(_given(path, "plots"), ["movie_id", "text"]).rename(columns={"movie_id": "item_id"})
    inside = plots["item_id"].isin(catalogue)
    repeated = inside & plots["item_id"].duplicated()
    plots.loc[inside & ~repeated, ["item_id", "text"]].to_csv(folder / "text.csv", index=False)
    notes = _note(plots["item_id"][~inside], "plots of films outside the catalogue, left out")
    return _entry("text", "text.csv", notes + _note(plots["item_id"][repeated], "second plots of a film, left out"))


def _write_posters(path: Path, folder: Path, catalogue: set[str]) -> dict[str, Any]:
    """images.tar, one poster at a time from archive to archive, with nothing in it that changes between runs."""
    outside = []
    with open_media(_given(path, "posters")) as (names, read), tarfile.open(folder / "images.tar", "w") as archive:
        for name in names:
            file = PurePosixPath(name)
            if file.stem not in catalogue:
                outside.append(file.name)
                continue
            content = read(name)
            member = tarfile.TarInfo(f"images/{file.name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return _entry("image", "images.tar", _note(outside, "posters of films outside the catalogue, left out"))


def _write_knowledge(path: Path, entities: Path, folder: Path, catalogue: set[str]) -> dict[str, Any]:
    """Triples whose head or tail is a film of the catalogue, and the entities of those films."""
    links = read_table(_given(entities, "entities"), ["movie_id", "entity"]).rename(columns={"movie_id": "item_id"})
    triples = read_table(_given(path, "knowledge"), ["head", "relation", "tail"])[["head", "relation", "tail"]]
    links = links[links["item_id"].isin(catalogue)]
    near = triples["head"].isin(links["entity"]) | triples["tail"].isin(links["entity"])
    lines = map("\t".join, triples[near].to_numpy().tolist())
    (folder / "knowledge.tsv").write_text("\n".join(["head\trelation\ttail", *lines]) + "\n", encoding="utf-8")
    links[["item_id", "entity"]].to_csv(folder / "entities.csv", index=False)
    notes = _note(triples["head"][~near], "triples of films outside the catalogue, left out")
    return {**_entry("knowledge", "knowledge.tsv", notes), "entities": "entities.csv"}


def _write_features(name: str, path: Path, folder: Path, catalogue: set[str]) -> dict[str, Any]:
    """features/<name>.npz with sound columns and rows of the catalogue; what is not sound is masked and noted."""
    ids, rows = read_feature_rows(_given(path, f"features {name}"))
    inside = np.array([key in catalogue for key in ids], dtype=bool)
    outside = [key for key, known in zip(ids, inside, strict=True) if not known]
    names, rows = np.array(ids)[inside], rows[inside].astype(np.float64)
    if not len(names):
        raise DatasetError(problem(str(path), "films of the catalogue", "none", "Its ids must be MovieLens movieIds."))
    audit = audit_features(rows)
    (folder / "features").mkdir(exist_ok=True)
    sound = rows[audit.rows][:, audit.columns].astype(np.float32)
    np.savez(folder / "features" / f"{name}.npz", ids=names[audit.rows], features=sound)
    notes = [
        *_note(outside, "rows of films outside the catalogue, left out"),
        *_note(np.flatnonzero(audit.broken_columns), "columns not finite in most rows, left out"),
        *_note(np.flatnonzero(audit.constant_columns), "constant columns, left out"),
        *_note(names[audit.broken_rows], "films with a value that is not finite, masked"),
        *_note(names[audit.blown_up_rows], f"films with a value over {BLOW_UP:,.0f} times its column's median size, "
               "masked"),
    ]
    return _entry("features", f"features/{name}.npz", notes)


def _given(path: Path, option: str) -> Path:
    if not path.exists():
        raise DatasetError(problem(f"{option} {path}", "a file that exists", "none", "Correct the path."))
    return path


def _entry(kind: str, path: str, notes: list[dict[str, Any]]) -> dict[str, Any]:
    return {"kind": kind, "path": path, **({"notes": notes} if notes else {})}


def _note(which: Any, what: str) -> list[dict[str, Any]]:
    names = [str(name) for name in which]
    return [{"count": len(names), "what": what, "examples": list(dict.fromkeys(names))[:5]}] if names else []

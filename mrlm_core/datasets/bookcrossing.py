"""BookCrossing as a dataset folder: as published in 2004, or a filtered copy that kept who read what and no ratings."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mrlm_core.datasets.conversion import (
    Catalogue,
    check_variant,
    note,
    publishers,
    whole_folder,
    write_description,
    write_pictures,
    write_texts,
)
from mrlm_core.datasets.tables import read_table
from mrlm_core.errors import DatasetError, problem

TITLES = {"bookcrossing": "BookCrossing", "bookcrossing-implicit": "BookCrossing, filtered, without ratings"}
ZEROS = ("left-out", "negatives", "positives")  # what a 0 is: read but not rated
LIKED = 5  # from the paper, on a scale of 1 to 10
MODALITIES = ("text", "image")
# The publisher's collection ended in 2004; of years before printing and ages nobody has, both files are full.
YEARS, AGES = (1450, 2005), (5, 100)
_USER = re.compile(r'"(\d+)";"(.*)";(?:"(\d+)"|NULL)')
_RATING = re.compile(r'"(\d+)";"([^;]*)";"(\d+)"')


def make_bookcrossing(
    variant: str,
    raw: str | Path,
    out: str | Path,
    *,
    blurbs: str | Path | None = None,
    covers: str | Path | None = None,
    zeros: str | None = None,
) -> Path:
    """Turn the publisher's folder ``raw`` into the dataset folder ``out``, whole or not at all.

    ``blurbs``: CSV isbn, text. ``covers``: folder or archive of <isbn>.jpg. ``zeros``: what a rating of 0 becomes, one
    of ``ZEROS``, by default the first. Rows that cannot be read and values that cannot be are counted and left out.
    Raises DatasetError. Gap G16.
    """
    raw, out = Path(raw), Path(out)
    check_variant(variant, TITLES)
    if zeros is not None and (variant != "bookcrossing" or zeros not in ZEROS):
        expected = f"one of {', '.join(ZEROS)}" if variant == "bookcrossing" else "nothing: there are no ratings"
        raise DatasetError(problem("zeros", expected, repr(zeros), "Correct it or leave it out."))
    with whole_folder(raw, out) as folder:
        if variant == "bookcrossing":
            ids, description = _write_published(raw, folder, zeros or ZEROS[0])
        else:
            ids, description = _write_implicit(raw, folder)
        books = Catalogue(ids, "books", "isbn")
        modalities: dict[str, Any] = {}
        if blurbs is not None:
            modalities["text"] = write_texts(Path(blurbs), "blurbs", folder, books)
        if covers is not None:
            modalities["image"] = write_pictures(Path(covers), "covers", folder, books)
        write_description(folder, {**_describe(variant), **description}, modalities, MODALITIES)
    return out


def _describe(variant: str) -> dict[str, Any]:
    return {
        "name": variant,
        "title": TITLES[variant],
        "licence": "free for research by its publisher, with citation; what readers wrote is their own",
        "citation": "Ziegler et al. (2005), Improving Recommendation Lists Through Topic Diversification, WWW, "
                    "doi:10.1145/1060745.1060754",
        "source": "http://www2.informatik.uni-freiburg.de/~cziegler/BX/",
    }


def _write_published(raw: Path, folder: Path, zeros: str) -> tuple[set[str], dict[str, Any]]:
    """The three files of the dump of 2004, Latin-1, semicolons, quotation marks within quotation marks."""
    title = TITLES["bookcrossing"]
    paths = {what: publishers(raw, f"BX-{name}.csv", title) for what, name in
             {"ratings": "Book-Ratings", "books": "Books", "users": "Users"}.items()}
    ratings, unread = _matched(paths["ratings"], _RATING, ["user_id", "item_id", "rating"])
    notes = note(unread, "lines of ratings that cannot be read, left out")
    ratings["item_id"] = ratings["item_id"].str.strip()
    nameless = ratings["item_id"] == ""
    again = ~nameless & ratings.duplicated(["user_id", "item_id"])
    notes += note(ratings["user_id"][nameless], "ratings of a book without a number, by user, left out")
    notes += note(ratings["item_id"][again], "second ratings of a book by the same user, left out")
    ratings = ratings[~nameless & ~again]
    ratings, scale, more = _with_zeros(ratings, zeros)
    books, of_books = _books(paths["books"])
    books.to_csv(folder / "items.csv", index=False)
    ratings.to_csv(folder / "ratings.csv", index=False)
    users, unread = _matched(paths["users"], _USER, ["user_id", "location", "age"])
    of_users = _write_users(users, folder) + note(unread, "lines of users that cannot be read, left out")
    return set(books["item_id"]), {
        "rating_scale": scale, "positive_threshold": LIKED, **_fields(),
        "item_fields": {"author": "categorical", "publisher": "categorical", "decade": "categorical"},
        "notes": [*notes, *more, *of_books, *of_users],
    }


def _with_zeros(ratings: pd.DataFrame, zeros: str) -> tuple[pd.DataFrame, list[int], list[dict[str, Any]]]:
    """The ratings with what ``zeros`` makes of those that are 0, the scale, and what is to be said of it."""
    unrated = ratings["rating"] == "0"
    books = ratings["item_id"][unrated]
    if zeros == "left-out":
        return ratings[~unrated], [1, 10], note(books, "books read but not rated (0), left out")
    if zeros == "negatives":
        return ratings, [0, 10], note(books, "books read but not rated (0), counted as disliked")
    liked = ratings.assign(rating=ratings["rating"].mask(unrated, str(LIKED)))
    return liked, [1, 10], note(books, f"books read but not rated (0), counted as liked: written as {LIKED}")


def _books(path: Path) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """items.csv of BX-Books.csv: title, author, publisher, year and decade, those that cannot be empty."""
    rows, unread = [], []
    for line in _lines(path):
        cells = line.strip('"').split('";"')  # ISBN, title, author, year, publisher, three addresses of pictures
        if len(cells) < 8 or not cells[0].strip():
            unread.append(line[:40])
            continue
        # A title may hold what parts the columns; the ISBN before and six columns after it do not.
        rows.append([cells[0].strip(), '";"'.join(cells[1:-6]), *cells[-6:-3]])
    table = pd.DataFrame(rows, columns=["item_id", "title", "author", "year", "publisher"], dtype=object)
    for column in ("title", "author", "publisher"):
        table[column] = table[column].map(lambda text: html.unescape(text.replace('\\"', '"')).strip())
    again = table["item_id"].duplicated()
    table, repeated = table[~again], table["item_id"][again]
    table["year"], impossible = _within(table["year"], YEARS)
    table["decade"] = table["year"].map(lambda year: f"{year[:3]}0s" if year else "")
    notes = note(unread, "lines of books that cannot be read, left out")
    notes += note(repeated, "books that are listed again, left out")
    return table, notes + note(impossible, f"books of a year outside {YEARS[0]}-{YEARS[1]}, without a year")


def _write_implicit(raw: Path, folder: Path) -> tuple[set[str], dict[str, Any]]:
    """interactions.csv, books.csv and users.csv: who read what; every interaction counts as liked."""
    title = TITLES["bookcrossing-implicit"]
    read = read_table(publishers(raw, "interactions.csv", title), ["user_id", "isbn"])
    books = read_table(publishers(raw, "books.csv", title), ["isbn", "title"]).rename(columns={"isbn": "item_id"})
    users = read_table(publishers(raw, "users.csv", title), ["user_id", "location", "age"])
    again = read.duplicated(["user_id", "isbn"])
    pd.DataFrame({"user_id": read["user_id"], "item_id": read["isbn"], "rating": 1})[~again].to_csv(
        folder / "ratings.csv", index=False)
    books[["item_id", "title"]].to_csv(folder / "items.csv", index=False)
    notes = [{"count": int((~again).sum()), "what": "interactions without a rating, counted as liked", "examples": []}]
    notes += note(read["isbn"][again], "second interactions of a user with a book, left out")
    description = {"rating_scale": [1, 1], "positive_threshold": 1, **_fields(), "item_fields": {}}
    return set(books["item_id"]), {**description, "notes": notes + _write_users(users, folder)}


def _fields() -> dict[str, Mapping[str, str]]:
    return {"user_fields": {"country": "categorical", "age": "numeric"}}


def _write_users(users: pd.DataFrame, folder: Path) -> list[dict[str, Any]]:
    """users.csv: country, the last part of the place they gave, and age; the impossible ones empty and noted."""
    country = users["location"].fillna("").map(lambda place: place.split(",")[-1].strip().strip('."').lower())
    age, impossible = _within(users["age"].fillna("").str.removesuffix(".0"), AGES)
    table = pd.DataFrame({"user_id": users["user_id"], "country": country.replace("n/a", ""), "age": age})
    table.to_csv(folder / "users.csv", index=False)
    of_users = users["user_id"][impossible.index]
    return note(of_users, f"users with an age outside {AGES[0]}-{AGES[1]}, without an age")


def _within(numbers: pd.Series, limits: tuple[int, int]) -> tuple[pd.Series, pd.Series]:
    """The whole numbers within ``limits`` as text, "" for others; and those that are neither within nor empty."""
    parsed = pd.to_numeric(numbers, errors="coerce")
    inside = parsed.between(*limits)
    return numbers.where(inside, ""), numbers[~inside & (numbers != "") & (numbers != "0")]


def _matched(path: Path, pattern: re.Pattern[str], columns: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """The groups of ``pattern`` in each line, "" for an absent one, and the lines that it does not match."""
    found = [(line, pattern.fullmatch(line)) for line in _lines(path)]
    rows = [match.groups("") for _, match in found if match]
    if not rows:
        raise DatasetError(problem(str(path), "the publisher's rows below a header", "none that can be read",
                                   "Unpack the publisher's archive again."))
    return pd.DataFrame(rows, columns=columns, dtype=object), [line[:40] for line, match in found if not match]


def _lines(path: Path) -> Iterable[str]:
    """The lines below the header."""
    return [line.rstrip("\r") for line in path.read_text(encoding="latin-1").split("\n")[1:] if line.strip()]

"""BookCrossing in the publisher's layout with its known defects, written small, and the real filtered copy."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from mrlm_core.datasets import Dataset, describe, load_dataset
from mrlm_core.datasets.bookcrossing import make_bookcrossing
from mrlm_core.errors import DatasetError

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "bookcrossing-implicit"
BOOKS = r""""ISBN";"Book-Title";"Book-Author";"Year-Of-Publication";"Publisher";"Image-URL-S";"and-two-more"
"0001";"Plain";"Ann Author";"1999";"House &amp; Sons";"u";"u";"u"
"0002";"Called \"Best\"; a story";"José";"0";"Casa";"u";"u";"u"
"0003";"Parted \";"here";"B";"1376";"P";"u";"u";"u"
"0004";"Later";"C";"2037";"P";"u";"u";"u"
"0001";"Plain again";"Ann Author";"1999";"H";"u";"u";"u"
"0005";"Cut short
"""
USERS = """"User-ID";"Location";"Age"
"1";"nyc, new york, usa";NULL
"2";"cernusco s"n, milan, italy.";"239"
"3";"somewhere, n/a";"34"
"4";"n/a, n/a, n/a";"1"
broken line
"""


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Twelve readers; reader 1 has the defects: a 0, an unknown book, a book twice, a book without a number."""
    folder = tmp_path / "raw"
    folder.mkdir()
    rows = [f'"{user}";"000{book}";"{3 + (user + book) % 8}"' for user in range(1, 13) for book in range(2, 5)]
    rows += ['"1";"0001";"0"', '"2";"0001";"0"', '"1";"X 9";"8"', '"1";"0002";"9"', '"1";" ";"7"', 'no rating']
    (folder / "BX-Book-Ratings.csv").write_text("\r\n".join(['"User-ID";"ISBN";"Book-Rating"', *rows]), "latin-1")
    (folder / "BX-Books.csv").write_text(BOOKS, "latin-1")
    (folder / "BX-Users.csv").write_text(USERS, "latin-1")
    return folder


def problems(dataset: Dataset) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {problem.what: (problem.count, problem.examples) for problem in dataset.problems}


def test_the_published_files_with_their_defects(raw: Path, tmp_path: Path) -> None:
    dataset = load_dataset(make_bookcrossing("bookcrossing", raw, tmp_path / "out"))
    assert (dataset.n_users, dataset.n_items, len(dataset.ratings)) == (12, 5, 37)
    assert dataset.positive_threshold == 5
    assert dataset.ratings["rating"].between(1, 10).all()
    assert dataset.items.loc["0001"].to_dict() == {
        "title": "Plain", "author": "Ann Author", "year": "1999", "publisher": "House & Sons", "decade": "1990s"}
    assert dataset.items.loc["0002", "title"] == 'Called "Best"; a story'
    assert dataset.items.loc["0002", "author"] == "José"
    assert dataset.items.loc["0003", "title"] == 'Parted ";"here'
    assert dataset.items.loc[["0002", "0003", "0004"], "year"].tolist() == ["", "", ""]
    assert dataset.users.loc[["1", "2", "3", "4"], "country"].tolist() == ["usa", "italy", "", ""]
    assert dataset.users["age"].fillna(0).astype(float).loc[["1", "2", "3", "4"]].tolist() == [0, 0, 34, 0]
    found = problems(dataset)
    assert found["books read but not rated (0), left out"] == (2, ("0001",))
    assert found["second ratings of a book by the same user, left out"] == (1, ("0002",))
    assert found["ratings of a book without a number, by user, left out"] == (1, ("1",))
    assert found["lines of ratings that cannot be read, left out"] == (1, ("no rating",))
    assert found["lines of books that cannot be read, left out"] == (1, ('"0005";"Cut short',))
    assert found["books that are listed again, left out"] == (1, ("0001",))
    assert found["books of a year outside 1450-2005, without a year"] == (2, ("1376", "2037"))
    assert found["users with an age outside 5-100, without an age"] == (2, ("2", "4"))
    assert found["lines of users that cannot be read, left out"] == (1, ("broken line",))
    assert found["modalities without a source given, absent"] == (2, ("text", "image"))
    assert any("X 9" in examples for _, examples in found.values()), "a rated book that is not listed is reported"


@pytest.mark.parametrize(("zeros", "rating", "scale"), [("negatives", 0, (0, 10)), ("positives", 5, (1, 10))])
def test_a_book_read_but_not_rated_is_what_zeros_says(
    raw: Path, tmp_path: Path, zeros: str, rating: int, scale: tuple[int, int]
) -> None:
    """Gap G16."""
    dataset = load_dataset(make_bookcrossing("bookcrossing", raw, tmp_path / "out", zeros=zeros))
    (item,) = (place for place, name in enumerate(dataset.item_ids) if name == "0001")
    assert dataset.ratings.loc[dataset.ratings["item"] == item, "rating"].tolist() == [rating, rating]
    assert tuple(dataset.description["rating_scale"]) == scale
    assert (rating >= dataset.positive_threshold) == (zeros == "positives")
    assert any("not rated (0), counted as" in what for what in problems(dataset))


def test_descriptions_join_by_isbn(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "blurbs.csv").write_text("isbn,text\n0002,A story\n9999,Unknown\n")
    with tarfile.open(tmp_path / "covers.tar", "w") as archive:
        member = tarfile.TarInfo("covers/0003.jpg")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"jpg"))
    made = make_bookcrossing("bookcrossing", raw, tmp_path / "out", blurbs=tmp_path / "blurbs.csv",
                             covers=tmp_path / "covers.tar")
    dataset = load_dataset(made)
    assert [dataset.item_ids[item] for item in dataset.texts("text")] == ["0002"]
    assert [dataset.item_ids[item] for item, *_ in dataset.media("image")] == ["0003"]
    assert problems(dataset)["blurbs of books outside the catalogue, left out"] == (1, ("9999",))


def test_mistakes_are_told(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="zeros: expected one of left-out, negatives, positives"):
        make_bookcrossing("bookcrossing", raw, tmp_path / "out", zeros="ignored")
    with pytest.raises(DatasetError, match="zeros: expected nothing: there are no ratings"):
        make_bookcrossing("bookcrossing-implicit", raw, tmp_path / "out", zeros="negatives")
    with pytest.raises(DatasetError, match=r"the file interactions\.csv.*found BX-Book-Ratings\.csv"):
        make_bookcrossing("bookcrossing-implicit", raw, tmp_path / "out")
    with pytest.raises(DatasetError, match="Did you mean 'bookcrossing'"):
        make_bookcrossing("bookcrosing", raw, tmp_path / "out")
    (raw / "BX-Book-Ratings.csv").write_text("<html>moved</html>\n<p>")
    with pytest.raises(DatasetError, match=r"BX-Book-Ratings\.csv: expected the publisher's rows"):
        make_bookcrossing("bookcrossing", raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not REAL.is_dir(), reason="no real data in ../shared/data")
def test_the_real_filtered_copy(tmp_path: Path) -> None:
    made = make_bookcrossing("bookcrossing-implicit", REAL, tmp_path / "out", covers=REAL / "covers.tar")
    dataset = load_dataset(made)
    table = describe(dataset).iloc[:, 0]
    assert table[["Users", "Items", "Ratings", "Positive ratings"]].tolist() == [6616, 8853, 110662, 110662]
    assert table["Items having image"] == 8010

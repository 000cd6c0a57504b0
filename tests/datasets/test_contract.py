"""The dataset folder: what load_dataset gives, and the error for each way to break the contract."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from mrlm_core.datasets import describe, load_dataset
from mrlm_core.errors import DatasetError

ITEMS = [f"p{number}" for number in range(1, 13)]
Edit = Callable[[Path], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """12 users with 4-7 ratings each, 12 items of which p12 is never rated, one modality of each sort of file."""
    path = tmp_path / "shop"
    path.mkdir()
    rows = [f"u{u},{ITEMS[i]},{1 + (u * i) % 5},{1000 - u * i}" for u in range(12) for i in range(11) if (u + i) % 2]
    (path / "ratings.csv").write_text("\n".join(["user_id,item_id,rating,timestamp", *rows]) + "\n")
    items = [f'{name},"Lamp, no. {k}",light|smart,{k if k else ""}' for k, name in enumerate(ITEMS)]
    (path / "items.csv").write_text("\n".join(["item_id,title,tags,price", *items]) + "\n")
    (path / "users.csv").write_text("user_id,home\n" + "".join(f"u{u},flat\n" for u in range(11)))
    (path / "text.csv").write_text('item_id,text\np1,"two\nlines"\np3,NA\np2,\n')
    (path / "images").mkdir()
    for name in ("p1.png", "p4.jpg", ".hidden", "notes.txt"):
        (path / "images" / name).write_bytes(name.encode())
    (path / "knowledge.tsv").write_text('head\trelation\ttail\ne:1\tmade_by\t"Acme"\ne:1\tmade_by\t"Acme"\n')
    (path / "entities.csv").write_text("item_id,entity\np1,e:1\np2,e:2\n")
    (path / "features").mkdir()
    np.savez(path / "features" / "audio.npz", ids=np.array(["p2", "p1"]), features=np.array([[1.0, 2], [3, 4]]))
    describe_as(path, **DESCRIPTION)
    return path


DESCRIPTION: dict[str, Any] = {
    "name": "shop",
    "positive_threshold": 4,
    "rating_scale": [1, 5],
    "minimum_ratings_per_user": 2,
    "user_fields": {"home": "categorical"},
    "item_fields": {"tags": "multi", "price": "numeric"},
    "modalities": {
        "text": {"kind": "text", "path": "text.csv"},
        "image": {"kind": "image", "path": "images", "notes": [{"count": 2, "what": "pictures too small, left out"}]},
        "knowledge": {"kind": "knowledge", "path": "knowledge.tsv", "entities": "entities.csv"},
        "audio": {"kind": "features", "path": "features/audio.npz"},
    },
}


def describe_as(path: Path, **description: Any) -> None:
    (path / "dataset.yml").write_text(yaml.safe_dump(description))


def append(name: str, text: str) -> Edit:
    def edit(path: Path) -> None:
        with (path / name).open("a") as file:
            file.write(text)

    return edit


def replace(name: str, old: str, new: str) -> Edit:
    def edit(path: Path) -> None:
        text = (path / name).read_text()
        assert old in text
        (path / name).write_text(text.replace(old, new, 1))

    return edit


def declare(**changes: Any) -> Edit:
    return lambda path: describe_as(path, **{**DESCRIPTION, **changes})


def features(ids: list[Any], rows: Any) -> Edit:
    return lambda path: np.savez(path / "features" / "audio.npz", ids=np.array(ids), features=np.array(rows))


def test_ratings_keep_their_order_and_become_indices(folder: Path) -> None:
    dataset = load_dataset(folder)
    raw = pd.read_csv(folder / "ratings.csv")
    assert list(dataset.user_ids[dataset.ratings["user"]]) == list(raw["user_id"])
    assert list(dataset.item_ids[dataset.ratings["item"]]) == list(raw["item_id"])
    assert dataset.ratings["rating"].tolist() == raw["rating"].tolist()
    assert dataset.ratings["timestamp"].tolist() == raw["timestamp"].tolist()
    assert [str(kind) for kind in dataset.ratings.dtypes] == ["int32", "int32", "float32", "int64"]
    assert list(dataset.user_ids) == [f"u{u}" for u in range(12)]  # u2 before u10
    assert (dataset.name, dataset.title, dataset.positive_threshold) == ("shop", "shop", 4.0)


def test_the_catalogue_holds_unrated_and_unlisted_items(folder: Path) -> None:
    append("ratings.csv", "u1,extra,3,5\n")(folder)
    dataset = load_dataset(folder)
    assert list(dataset.item_ids) == [*ITEMS, "extra"]
    assert dataset.items.loc["extra", "tags"] == ""
    assert np.isnan(dataset.items.loc["extra", "price"])
    assert [(p.what, p.examples) for p in dataset.problems if p.where == "items"] == [
        ("rated items without a row of attributes", ("extra",))
    ]
    assert dataset.titles()[0] == "Lamp, no. 0"
    assert dataset.titles()[-1] == "extra"
    assert dataset.users.loc["u0", "home"] == "flat"
    assert dataset.users.loc["u11", "home"] == ""
    assert list(dataset.users.index) == list(dataset.user_ids)


def test_what_each_modality_reads(folder: Path) -> None:
    dataset = load_dataset(folder)
    assert dataset.texts("text") == {0: "two\nlines", 2: "NA"}
    assert list(dataset.media("image")) == [(0, "p1.png", b"p1.png"), (3, "p4.jpg", b"p4.jpg")]
    triples, entities = dataset.knowledge("knowledge")
    assert triples.to_numpy().tolist() == [["e:1", "made_by", '"Acme"']]
    assert entities == {0: "e:1"}
    values, mask = dataset.features("audio")
    assert values.dtype == np.float32
    assert values[:3].tolist() == [[3, 4], [1, 2], [0, 0]]
    assert np.flatnonzero(mask).tolist() == [0, 1]
    described = {name: np.flatnonzero(dataset.described(name)).tolist() for name in dataset.modalities}
    assert described == {"text": [0, 2], "image": [0, 3], "knowledge": [0], "audio": [0, 1]}


def test_problems_count_what_was_left_out(folder: Path) -> None:
    found = {(p.where, p.what): (p.count, p.examples) for p in load_dataset(folder).problems}
    assert found == {
        ("users", "users without a row of attributes"): (1, ("u11",)),
        ("text.csv", "empty texts, masked"): (1, ("p2",)),
        ("images", "files that are no image, ignored"): (1, ("notes.txt",)),
        ("modality image", "pictures too small, left out"): (2, ()),
        ("knowledge.tsv", "repeated triples, left out"): (1, ("1",)),
        ("entities.csv", "items whose entity is in no triple, masked"): (1, ("p2",)),
    }


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_media_from_archives(folder: Path, kind: str) -> None:
    names = ["any/where/p4.jpg", "any/where/p1.png", "any/.DS_Store", "__MACOSX/any/._p4.jpg"]
    if kind == "tar":
        with tarfile.open(folder / "pictures.tar", "w") as archive:
            for name in names:
                member = tarfile.TarInfo(name)
                member.size = len(name)
                archive.addfile(member, io.BytesIO(name.encode()))
    else:
        with zipfile.ZipFile(folder / "pictures.zip", "w") as archive:
            for name in names:
                archive.writestr(name, name)
    declare(modalities={"image": {"kind": "image", "path": f"pictures.{kind}"}})(folder)
    assert list(load_dataset(folder).media("image")) == [
        (3, names[0], names[0].encode()), (0, names[1], names[1].encode())
    ]  # fmt: skip


def test_users_with_few_ratings_are_left_out_and_counted(folder: Path) -> None:
    append("ratings.csv", "late,only_here,5,1\n")(folder)
    dataset = load_dataset(folder)
    assert "late" not in dataset.user_ids
    assert len(dataset.ratings) == 66
    assert "only_here" in dataset.item_ids  # still in the catalogue: somebody rated it
    assert dataset.problems[0].count == 1
    assert dataset.problems[0].examples == ("late",)


def test_table_1(folder: Path) -> None:
    table = describe(load_dataset(folder))
    assert list(table.columns) == ["shop"]
    assert table["shop"].to_dict() == {
        "Users": 12, "Items": 12, "Items rated": 11, "Ratings": 66, "Positive ratings": 18, "Ratings per user": 5.5,
        "Ratings per item": 5.5, "Items having text": 2, "Items having image": 2, "Items having knowledge": 1,
        "Items having audio": 2,
    }  # fmt: skip


def test_parquet_gives_the_same_ratings(folder: Path) -> None:
    from_csv = load_dataset(folder)
    frame = pd.read_csv(folder / "ratings.csv")
    (folder / "ratings.csv").unlink()
    frame.to_parquet(folder / "ratings.parquet")
    from_parquet = load_dataset(folder)
    pd.testing.assert_frame_equal(from_csv.ratings, from_parquet.ratings)
    assert list(from_csv.user_ids) == list(from_parquet.user_ids)


def test_the_hash_follows_contents_alone(folder: Path) -> None:
    before = load_dataset(folder).data_hash
    (folder / ".cache").write_text("hidden")
    (folder / "ratings.csv").touch()
    assert load_dataset(folder).data_hash == before
    (folder / "images" / "p1.png").write_bytes(b"another")
    assert load_dataset(folder).data_hash != before


def test_ids_are_text(folder: Path) -> None:
    text = (folder / "ratings.csv").read_text().replace("u1,", "007,").replace("u2,", "7,").replace("u3,", "NA,")
    (folder / "ratings.csv").write_text(text, encoding="utf-8-sig")  # with the mark that spreadsheets write
    (folder / "users.csv").unlink()
    declare(user_fields={})(folder)
    assert {"007", "7", "NA"} <= set(load_dataset(folder).user_ids)


BROKEN: dict[str, tuple[Edit, list[str]]] = {
    "missing column": (replace("ratings.csv", "rating,", "ratings,"), ["ratings.csv", "'rating'", "Did you mean 'rat"]),
    "off the scale": (replace("ratings.csv", "u0,p4,1", "u0,p4,9"), ["row 2 (line 3)", "1 to 5", "9", "rating_scale"]),
    "no rating": (append("ratings.csv", "u1,p12,,1\n"), ["row 67 (line 68)", "nothing"]),
    "no number": (append("ratings.csv", "u1,p12,good,1\n"), ["row 67 (line 68)", "number in 'rating'", "'good'"]),
    "no timestamp": (append("ratings.csv", "u1,p12,4,\n"), ["row 67", "a timestamp", "nothing"]),
    "no user": (append("ratings.csv", ",p12,4,1\n"), ["row 67", "a user_id", "nothing"]),
    "torn row": (append("ratings.csv", "u1,p12\n"), ["ratings.csv", "Expected 4 columns, got 2"]),
    "duplicate": (append("ratings.csv", "u0,p2,3,9\n"), ["row 67", "'u0'", "'p2'", "first in row 1 (line 2)"]),
    "empty file": (lambda path: (path / "ratings.csv").write_text(""), ["ratings.csv", "'user_id'"]),
    "no ratings": (lambda path: (path / "ratings.csv").unlink(), ["ratings.csv or ratings.parquet", "neither"]),
    "few users": (declare(minimum_ratings_per_user=6), ["at least 10 users", "found 6 after leaving out 6", "lower"]),
    "unknown item in text": (append("text.csv", "p99,hm\n"), ["text.csv, row 4", "'p99'", "items.csv"]),
    "second text": (append("text.csv", "p1,hm\n"), ["text.csv, row 4", "second row", "'p1'"]),
    "unknown picture": (lambda p: (p / "images" / "p99.png").touch(), ["p99.png", "'p99'"]),
    "two pictures": (lambda p: (p / "images" / "p1.jpg").touch(), ["one file for item 'p1'", "p1.jpg"]),
    "unknown entity item": (append("entities.csv", "p99,e:1\n"), ["entities.csv, row 3", "'p99'"]),
    "blank triple": (append("knowledge.tsv", "e:1\t\te:2\n"), ["knowledge.tsv, row 3", "a relation"]),
    "unknown item in features": (features(["p99"], [[1.0]]), ["audio.npz", "'p99'"]),
    "second features": (features(["p1", "p1"], [[1.0], [2.0]]), ["audio.npz", "'p1'", "each id once"]),
    "NaN": (features(["p1", "p2"], [[1, 2], [1, np.nan]]), ["audio.npz, item 'p2', column 1", "nan", "masked"]),
    "infinity": (features(["p1"], [[1, np.inf]]), ["audio.npz, item 'p1', column 1", "inf"]),
    "float32 overflow": (features(["p1"], [[1e300]]), ["audio.npz, item 'p1', column 0", "inf"]),
    "features misshapen": (features(["p1"], [[1.0], [2.0]]), ["audio.npz", "(1,)", "(2, 1)"]),
    "no array": (lambda p: np.savez(p / "features/audio.npz", ids=["p1"], feature=[[1]]), ["'features'", "'feature'"]),
    "no npz": (lambda p: (p / "features" / "audio.npz").write_text("x"), ["audio.npz", "numpy.savez"]),
    "repeated item": (append("items.csv", "p1,Again,a,1\n"), ["items.csv, row 13", "second row", "'p1'"]),
    "text for a number": (append("items.csv", "p77,Lamp,a,dear\n"), ["items.csv, row 13", "'price'", "'dear'"]),
    "field without column": (declare(item_fields={"tag": "multi"}), ["items.csv", "'tag'", "Did you mean 'tags'?"]),
    "malformed yml": (append("dataset.yml", "name: [1\n"), ["dataset.yml, line", "YAML"]),
    "unknown key": (declare(positive_treshold=4), ["'positive_treshold'", "Did you mean 'positive_threshold'?"]),
    "missing key": (declare(rating_scale=None), ["dataset.yml", "'rating_scale'"]),
    "odd scale": (declare(rating_scale=[5, 1]), ["rating_scale", "[lowest, highest]"]),
    "odd threshold": (declare(positive_threshold=6), ["positive_threshold", "1 to 5", "6"]),
    "odd kind": (declare(modalities={"t": {"kind": "texts", "path": "text.csv"}}), ["t.kind", "Did you mean 'text'?"]),
    "odd field": (declare(item_fields={"tags": "category"}), ["item_fields.tags", "'categorical'"]),
    "no file": (declare(modalities={"t": {"kind": "text", "path": "txt.csv"}}), ["modalities.t.path", "'text.csv'"]),
    "outside": (declare(modalities={"t": {"kind": "text", "path": "../t.csv"}}), ["inside the dataset folder"]),
    "odd encoder": (declare(modalities={"t": {"kind": "text", "path": "text.csv", "encoder": 3}}), ["t.encoder", "3"]),
    "no entities": (declare(modalities={"k": {"kind": "knowledge", "path": "knowledge.tsv"}}), ["k.entities"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_folder_gets_an_error_that_says_where_and_what(folder: Path, name: str) -> None:
    edit, expected = BROKEN[name]
    edit(folder)
    with pytest.raises(DatasetError) as caught:
        load_dataset(folder)
    for part in expected:
        assert part in str(caught.value)


def test_a_missing_folder_lists_those_that_exist(folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"no such folder.*Datasets in .*: shop\."):
        load_dataset(folder.parent / "sho")
    with pytest.raises(DatasetError, match=r"a folder without them.*: shop\."):
        load_dataset(folder.parent)


def test_asking_for_another_modality_or_kind(folder: Path) -> None:
    dataset = load_dataset(folder)
    with pytest.raises(DatasetError, match="Did you mean 'text'"):
        dataset.texts("txt")
    with pytest.raises(DatasetError, match="expected the kind text, found 'image'"):
        dataset.texts("image")

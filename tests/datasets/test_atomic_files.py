"""RecBole's atomic files read as a dataset folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mrlm_core.datasets import describe, load_dataset
from mrlm_core.errors import DatasetError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "toy"
    path.mkdir()
    rows = [f"{u}\ti{i}\t{1 + (u + i) % 5}\t{u * 10 + i}" for u in range(1, 13) for i in range(4)]
    (path / "toy.inter").write_text("user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + "\n".join(rows))
    (path / "toy.user").write_text("user_id:token\tage:float\tjob:token\n1\t24\twriter\n2\t\t\n")
    (path / "toy.item").write_text(
        'item_id:token\tmovie_title:token_seq\tclass:token_seq\ni0\tThe "Big" One\tDrama War\ni3\tTwo\t\n'
    )
    (path / "toy.kg").write_text("head_id:token\trelation_id:token\ttail_id:token\nm.1\tfilm.by\tm.2\n")
    (path / "toy.link").write_text("item_id:token\tentity_id:token\ni3\tm.1\n")
    return path


def test_fields_and_knowledge_come_from_the_headers(folder: Path) -> None:
    dataset = load_dataset(folder)
    assert (dataset.name, dataset.n_users, dataset.n_items, len(dataset.ratings)) == ("toy", 12, 4, 48)
    assert dataset.user_fields == {"age": "numeric", "job": "categorical"}
    assert dataset.item_fields == {"class": "multi"}
    assert dataset.titles()[0] == 'The "Big" One'
    assert dataset.items.loc["i0", "class"] == "Drama|War"
    assert dataset.users.loc["1", "age"] == 24
    assert np.isnan(dataset.users.loc["2", "age"])
    triples, entities = dataset.knowledge("knowledge")
    assert triples.to_numpy().tolist() == [["m.1", "film.by", "m.2"]]
    assert {dataset.item_ids[item]: entity for item, entity in entities.items()} == {"i3": "m.1"}
    assert describe(dataset)["toy"]["Items having knowledge"] == 1


def test_an_assumed_threshold_is_reported_and_a_dataset_yml_overrules_it(folder: Path) -> None:
    dataset = load_dataset(folder)
    assert dataset.positive_threshold == 4
    assert any("4 as the lowest positive" in problem.what for problem in dataset.problems)
    (folder / "dataset.yml").write_text("positive_threshold: 3\nrating_scale: [0, 5]\n")
    dataset = load_dataset(folder)
    assert dataset.positive_threshold == 3
    assert not any("lowest positive" in problem.what for problem in dataset.problems)


def test_interactions_without_ratings_are_positives(folder: Path) -> None:
    rows = [f"{u}\ti{i}" for u in range(1, 13) for i in range(4)]
    (folder / "toy.inter").write_text("user_id:token\titem_id:token\n" + "\n".join(rows))
    dataset = load_dataset(folder)
    assert (dataset.ratings["rating"] >= dataset.positive_threshold).all()
    assert any("no ratings" in problem.what for problem in dataset.problems)


def test_errors(folder: Path) -> None:
    (folder / "toy.item").write_text("item_id:token\tclass\ni0\tDrama\n")
    with pytest.raises(DatasetError, match=r"toy\.item, line 1.*name:type.*'class'"):
        load_dataset(folder)
    (folder / "toy.item").unlink()
    with (folder / "toy.inter").open("a") as file:
        file.write("\n1\ti0\t3\t5")
    with pytest.raises(DatasetError, match=r"toy\.inter, row 49 \(line 50\): expected one rating"):
        load_dataset(folder)
    (folder / "other.inter").write_text("")
    with pytest.raises(DatasetError, match=r"one \.inter file"):
        load_dataset(folder)

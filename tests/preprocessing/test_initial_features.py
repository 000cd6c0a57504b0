"""Which initial vectors there are, random ones, and how vectors rank alone."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from mrlm_core.config import preset
from mrlm_core.errors import ConfigError
from mrlm_core.preprocessing import initial_features as module
from mrlm_core.preprocessing_config import INITIAL_VECTORS

CONFIG = preset("tiny").preprocessing


def test_the_table_has_the_choices_of_the_settings_and_each_loads():
    assert tuple(module.INITIAL) == INITIAL_VECTORS
    for name, row in module.INITIAL.items():
        assert callable(row.load()), name
        assert row.module in sys.modules


def test_a_name_that_is_no_choice_gets_the_nearest():
    with pytest.raises(ConfigError, match=r"'xdeepfn'\. Did you mean 'xdeepfm'"):
        module.choose(dataclasses.replace(CONFIG, initial="xdeepfn"))


def test_records_tell_the_read_outs_apart():
    names = {module.name_of(dataclasses.replace(CONFIG, initial=name, read_out=read_out))
             for name in INITIAL_VECTORS for read_out in ("A", "D")}
    assert names == {"xdeepfm, read-out A", "xdeepfm, read-out D", "bpr", "random"}


def test_a_choice_reads_its_own_settings_only():
    bpr, random = (dataclasses.replace(CONFIG, initial=name) for name in ("bpr", "random"))
    assert module.choose(random).inputs(random) == {"initial": "random"}
    assert "initial_l2" in module.choose(bpr).inputs(bpr)
    assert not {"read_out", "field_dim", "cin_layers"} & set(module.choose(bpr).inputs(bpr))
    assert module.choose(CONFIG).inputs(CONFIG)["read_out"] == "D"


def test_random_vectors_are_normal_and_follow_the_seed(planted):
    dataset, parts, *_ = planted
    one, again, other = (module.random_vectors(dataset, parts, 64, CONFIG, seed) for seed in (0, 0, 1))
    for side, n in (("users", parts.n_users), ("items", parts.n_items)):
        values = one[side]
        assert values.shape == (n, 64)
        assert values.dtype == np.float32
        assert abs(values.mean()) < 0.1
        assert values.std() == pytest.approx(1, abs=0.05)
        np.testing.assert_array_equal(values, again[side])
        assert (values != other[side]).all()
    assert len(one["history"]) == 0


def test_notes_tell_how_the_vectors_rank_alone_and_how_they_were_chosen(planted):
    _, parts, of_users, of_items = planted
    users, items = np.eye(5)[of_users], np.eye(5)[of_items]
    notes = module.made(users, items, parts, [0.1, 0.3, 0.2], "luck")["notes"]
    recall = module.cosine_recall(users, items, parts)
    assert list(notes) == [f"validation Recall@20 {recall:.4f} by cosine, {recall:.4f} by inner product",
                           "best of 3 epochs by validation luck: 0.3000"]


def test_cosine_and_dot_differ_by_the_items_lengths(planted):
    _, parts, *_ = planted
    rng = np.random.default_rng(3)
    users, items = rng.normal(size=(parts.n_users, 4)), rng.normal(size=(parts.n_items, 4))
    longer = items * rng.uniform(0.1, 10, (len(items), 1))
    assert module.cosine_recall(users, items, parts) == module.cosine_recall(users, longer, parts)
    assert module.dot_recall(users, items, parts) != module.dot_recall(users, longer, parts)


def test_a_study_can_be_planned_without_tensorflow():
    code = "import sys, mrlm_core.study.run, mrlm_core.preprocessing.pipeline; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

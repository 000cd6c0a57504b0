"""Artefacts: made once, made again when inputs or code change, and never half-written."""

import threading
import time

import numpy as np
import pytest

import mrlm_core
from mrlm_core import cache
from mrlm_core.cache import artefact, atomic, code_hash, content_hash, write_text

SOURCE = '''"""A module."""
from mrlm_core.made_up_helper import twice


def four():
    """Four."""
    # two and two
    return twice(2)
'''
HELPER = "def twice(x):\n    return 2 * x\n"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Two modules of mrlm_core that live in a folder of this test; returns a function that rewrites one."""
    modules, space = tmp_path / "modules", tmp_path / "space"
    modules.mkdir()
    monkeypatch.setattr(mrlm_core, "__path__", [*mrlm_core.__path__, str(modules)])
    monkeypatch.setenv("MRLM_WORKSPACE", str(space))

    def write(source=SOURCE, helper=HELPER):
        (modules / "made_up.py").write_text(source)
        (modules / "made_up_helper.py").write_text(helper)
        code_hash.cache_clear()
        cache.importlib.invalidate_caches()

    write()
    yield write
    code_hash.cache_clear()


def made(compute, **inputs):
    return artefact("kind", inputs, "mrlm_core.made_up", compute)


def counted():
    calls = []

    def compute():
        calls.append(1)
        return {"x": np.arange(3), "name": np.array("é")}

    return compute, calls


def test_an_artefact_is_computed_once(package):
    compute, calls = counted()
    first, key = made(compute, seed=1)
    second, again = made(compute, seed=1)
    assert (len(calls), key) == (1, again)
    np.testing.assert_array_equal(second["x"], first["x"])
    assert str(second["name"]) == "é"


def test_changed_inputs_or_kind_or_module_compute_again(package):
    compute, calls = counted()
    keys = {made(compute, **inputs)[1] for inputs in ({"seed": 1}, {"seed": 2}, {"seed": 1, "dim": 3}, {"dim": 1})}
    keys.add(artefact("other", {"seed": 1}, "mrlm_core.made_up", compute)[1])
    keys.add(artefact("kind", {"seed": 1}, "mrlm_core.made_up_helper", compute)[1])
    assert len(keys) == len(calls) == 6


def test_changed_code_computes_again_also_in_what_it_imports(package):
    compute, calls = counted()
    made(compute)
    package(source=SOURCE.replace("twice(2)", "twice(3)"))
    made(compute)
    package(helper=HELPER.replace("2 * x", "x + x"))
    made(compute)
    package()
    made(compute)
    assert len(calls) == 3


def test_comments_docstrings_and_layout_leave_the_code_hash(package):
    before = code_hash("mrlm_core.made_up")
    for source in (
        SOURCE.replace("Four.", "The fourth number."),
        SOURCE.replace("# two and two", "# 2 + 2"),
        SOURCE.replace('    """Four."""\n', ""),
        SOURCE.replace('"""A module."""\n', "\n\n\n"),
        SOURCE.replace("twice(2)", "twice(\n        2,\n    )"),
    ):
        assert source != SOURCE
        package(source=source)
        assert code_hash("mrlm_core.made_up") == before
    package(source=SOURCE.replace("four", "five"))
    assert code_hash("mrlm_core.made_up") != before


def test_a_module_that_is_left_out_does_not_count_and_neither_does_what_it_alone_imports(package):
    whole, part = code_hash("mrlm_core.made_up"), code_hash("mrlm_core.made_up", without="mrlm_core.made_up_helper")
    package(helper=HELPER.replace("2 * x", "x + x"))
    assert code_hash("mrlm_core.made_up") != whole
    assert code_hash("mrlm_core.made_up", without="mrlm_core.made_up_helper") == part


def test_a_string_that_is_not_a_docstring_counts(package):
    package(source='NAME = "a"\n')
    before = code_hash("mrlm_core.made_up")
    package(source='NAME = "b"\n')
    assert code_hash("mrlm_core.made_up") != before


def test_of_two_that_want_an_artefact_at_once_one_computes_it(package):
    compute, calls = counted()
    entered, inside = threading.Event(), []

    def slow():
        entered.set()
        time.sleep(0.3)  # long enough for the other to find nothing and wait
        return compute()

    first = threading.Thread(target=lambda: made(slow))
    first.start()
    entered.wait()
    inside.append(made(compute)[0])
    first.join()
    assert len(calls) == 1
    np.testing.assert_array_equal(inside[0]["x"], np.arange(3))


def test_a_failed_computation_leaves_nothing(package, tmp_path):
    def fail():
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        made(fail)
    assert [path for path in (tmp_path / "space").rglob("*") if path.is_file()] == []
    compute, calls = counted()
    made(compute)
    assert calls == [1]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "folder" / "table.csv"
    write_text(path, "old")

    def interrupted():
        with atomic(path) as temporary:
            temporary.write_text("ne")
            assert path.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [file.name for file in path.parent.iterdir()] == ["table.csv"]
    assert path.read_text() == "old"
    write_text(path, "néw")
    assert path.read_text(encoding="utf-8") == "néw"
    assert path.stat().st_mode & 0o777 == 0o644


def test_content_hash_tells_contents_apart_and_nothing_else():
    array = np.arange(6)
    assert content_hash(array) == content_hash(array.copy()) == content_hash(np.arange(12)[::2] // 2)
    hashes = [
        content_hash(array), content_hash(array.reshape(2, 3)), content_hash(array.astype(np.int32)),
        content_hash(array + 1), content_hash("a"), content_hash("a", "b"), content_hash("ab"), content_hash(b"a"),
        content_hash({"a": 1}), content_hash({"a": "1"}), content_hash({"a": 1.5}), content_hash([1, 2], [3]),
        content_hash([1], [2, 3]),
    ]
    assert len(set(hashes)) == len(hashes)
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
    assert content_hash((1, 2)) == content_hash([1, 2])


def test_content_hash_sees_the_middle_of_a_long_array_in_a_mapping():
    one, other = np.zeros(5000), np.zeros(5000)
    other[2500] = 1
    assert str(one) == str(other)
    assert content_hash({"x": one}) != content_hash({"x": other})
    assert content_hash({"x": np.float64(0.5)}) == content_hash({"x": 0.5})


@pytest.mark.parametrize("value", [object(), np.array([object()]), {"x": {1, 2}}])
def test_content_hash_refuses_what_has_no_stable_bytes(value):
    with pytest.raises(TypeError, match="content_hash"):
        content_hash(value)

"""The copy of the vectors: what is not as it was stored counts as lacking, and a damaged file is made again."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from rag.index.vector_copy import COPY_NAME, VectorCopy, damage_of_copy


@pytest.fixture
def copy(tmp_path):
    with closing(VectorCopy(tmp_path)) as copy:
        yield copy


def vectors(*ids, dimension=384):
    return {
        vector_id: np.random.default_rng(number).normal(size=dimension).astype(np.float32)
        for number, vector_id in enumerate(ids)
    }


def test_vectors_come_back_bit_by_bit(copy, tmp_path):
    stored = vectors("a", "b", "c")
    copy.put("one", stored)
    copy.put("other", vectors("z"))
    copy.put("one", {})
    found = copy.get("one", ["c", "a", "z", "unknown"])
    assert found.keys() == {"a", "c"}
    assert all(np.array_equal(found[vector_id], stored[vector_id]) for vector_id in found)
    assert (copy.ids("one"), copy.count("one"), copy.count("none")) == ({"a", "b", "c"}, 3, 0)
    assert sorted(copy.collections()) == ["one", "other"]
    copy.close()
    assert damage_of_copy(tmp_path) == ""


def test_what_is_deleted_leaves_the_disk(copy, tmp_path):
    stored = vectors("a", "b")
    copy.put("one", stored)
    copy.put("other", vectors("a"))
    copy.delete("one", ["a"])
    copy.delete_collection("other")
    assert (copy.ids("one"), copy.collections()) == ({"b"}, ["one"])
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert stored["a"].tobytes() not in content
    assert stored["b"].tobytes() in content


def test_a_row_that_was_changed_counts_as_lacking(copy, tmp_path):
    copy.put("one", vectors("a", "b"))
    copy.close()
    with sqlite3.connect(tmp_path / COPY_NAME) as connection:
        connection.execute("UPDATE vectors SET vector = zeroblob(1540) WHERE id = 'a'")
    connection.close()
    with closing(VectorCopy(tmp_path)) as again:
        assert again.get("one", ["a", "b"]).keys() == {"b"}
    assert damage_of_copy(tmp_path) == "copy.sqlite3: 1 vectors are damaged"


@pytest.mark.parametrize("content", [b"no database" * 1_000, bytes(20_000)])
def test_a_damaged_file_is_made_again(tmp_path, content, caplog):
    (tmp_path / COPY_NAME).write_bytes(content)
    assert damage_of_copy(tmp_path)
    assert (tmp_path / COPY_NAME).read_bytes() == content
    with closing(VectorCopy(tmp_path)) as copy:
        assert copy.collections() == []
        copy.put("one", vectors("a"))
        assert copy.ids("one") == {"a"}
    assert "is damaged" in caplog.text


def test_a_file_that_is_damaged_while_it_is_open_is_made_again(copy, tmp_path, caplog):
    copy.put("one", vectors(*map(str, range(100))))
    copy.delete("one", ["0"])  # which empties the log, so that the file itself is read
    with (tmp_path / COPY_NAME).open("r+b") as file:
        file.seek(16_384)
        file.write(b"\xff" * 200_000)
    with closing(VectorCopy(tmp_path)) as other:
        assert other.get("one", ["1"]) == {}
        other.put("one", vectors("1"))
        assert other.ids("one") == {"1"}
    assert "is damaged" in caplog.text

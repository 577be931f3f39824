"""Vectors in Chroma, embedded and at a server: exact, complete, and overwritten when their id comes again."""

from __future__ import annotations

import uuid
from contextlib import closing

import numpy as np
import pytest

from rag.index.chroma_server import ChromaServer
from rag.index.dense import VectorIndex

DIMENSION = 16


def unit(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(params=["folder", "server"])
def place(request, tmp_path):
    """Where the vectors are: everything here holds for both."""
    if request.param == "folder":
        return tmp_path / "vectors"
    return ChromaServer(request.getfixturevalue("chroma").url, uuid.uuid4().hex)


@pytest.fixture
def vectors(place):
    with closing(VectorIndex(place, "fingerprint")) as vectors:
        yield vectors


def test_an_empty_index_finds_nothing(vectors):
    query = unit(1)[0]
    assert vectors.count("vs_1") == 0
    assert vectors.search("vs_1", query, 10) == vectors.compare("vs_1", query, ["a"], 10) == []
    assert vectors.compare("vs_1", query, [], 10) == vectors.ids("vs_1") == []
    vectors.delete("vs_1", ["not there"])
    vectors.delete("vs_1", [])
    vectors.add("vs_1", [], np.zeros((0, DIMENSION), dtype=np.float32))


def test_search_gives_cosine_similarity_best_first(vectors):
    data = unit(200)
    ids = [f"c{number}" for number in range(200)]
    vectors.add("vs_1", ids, data)
    query = unit(1, seed=7)[0]
    expected = np.sort(data @ query)[::-1][:20]
    found = vectors.search("vs_1", query, 20)
    assert [score for _, score in found] == pytest.approx(list(expected), abs=1e-4)
    for chunk_id, score in found:
        assert score == pytest.approx(float(data[ids.index(chunk_id)] @ query), abs=1e-4)


def test_compare_over_all_ids_is_the_same_as_search(vectors):
    data = unit(300, seed=3)
    ids = [f"c{number}" for number in range(300)]
    vectors.add("vs_1", ids, data)
    for seed in range(5):
        query = unit(1, seed=100 + seed)[0]
        searched, compared = vectors.search("vs_1", query, 10), vectors.compare("vs_1", query, ids, 10)
        assert [i for i, _ in searched] == [i for i, _ in compared]
        assert [s for _, s in searched] == pytest.approx([s for _, s in compared], abs=1e-4)
    assert {i for i, _ in vectors.compare("vs_1", query, [*ids[:3], "gone"], 10)} == set(ids[:3])


def test_more_than_one_batch_of_chroma(vectors):
    count = 5_461 + 700
    data = unit(count)
    ids = [f"c{number}" for number in range(count)]
    vectors.add("vs_1", ids, data)
    assert vectors.count("vs_1") == count
    assert vectors.search("vs_1", data[count - 1], 1)[0][0] == ids[-1]
    stored = vectors.get("vs_1", ids)
    assert len(stored) == count
    np.testing.assert_allclose(stored[ids[5_500]], data[5_500], atol=1e-6)
    vectors.delete("vs_1", ids[1:])
    assert vectors.ids("vs_1") == ids[:1]


def test_an_id_that_comes_again_gets_the_new_vector(vectors):
    data = unit(2)
    vectors.add("vs_1", ["a"], data[:1])
    vectors.add("vs_1", ["a"], data[1:])
    assert vectors.count("vs_1") == 1
    ((chunk_id, score),) = vectors.search("vs_1", data[1], 5)
    assert (chunk_id, round(score, 4)) == ("a", 1.0)


def test_collections_and_fingerprints_do_not_mix(place):
    data = unit(2)
    with closing(VectorIndex(place, "one")) as vectors:
        vectors.add("vs_1", ["a"], data[:1])
        vectors.add("vs_2", ["b"], data[1:])
        assert [i for i, _ in vectors.search("vs_1", data[1], 5)] == ["a"]
    with closing(VectorIndex(place, "two")) as vectors:
        assert vectors.count("vs_1") == 0
    with closing(VectorIndex(place, "one")) as vectors:
        assert (vectors.count("vs_1"), vectors.count("vs_2")) == (1, 1)


def test_what_other_models_made_can_be_dropped(place):
    with closing(VectorIndex(place, "old")) as vectors:
        kept, new = vectors.of_model("kept"), vectors.of_model("new")
        for index in (vectors, kept, new):
            index.add("vs_1", ["a"], unit(1))
            index.add("vs_2", ["a"], unit(1))
        new.delete_other_models(["kept"])
    counts = {}
    for name in ("old", "kept", "new"):
        with closing(VectorIndex(place, name)) as index:
            counts[name] = index.count("vs_1"), index.count("vs_2")
    assert counts == {"old": (0, 0), "kept": (1, 1), "new": (1, 1)}


def test_present_tells_which_are_there(vectors):
    vectors.add("vs_1", ["a", "b"], unit(2))
    assert vectors.present("vs_1", ["b", "c"]) == {"b"}
    assert vectors.present("vs_1", []) == set()


def test_the_graph_of_a_model_that_was_dropped_leaves_the_disk(tmp_path):
    folder = tmp_path / "vectors"
    (folder / "notes").mkdir(parents=True)
    with closing(VectorIndex(folder, "old")) as vectors:
        vectors.add("vs_1", [f"c{n}" for n in range(1_200)], unit(1_200))  # so many that Chroma writes a graph
        new = vectors.of_model("new")
        new.add("vs_1", [f"c{n}" for n in range(1_200)], unit(1_200))
        new.delete_other_models()
        assert len(list(folder.glob("*-*-*"))) == 2
    with closing(VectorIndex(folder, "new")) as vectors:
        assert len(list(folder.glob("*-*-*"))) == 1
        assert vectors.search("vs_1", unit(1_200)[7], 1)[0][0] == "c7"
    assert (folder / "notes").is_dir()

"""Imports: what comes in is what went out, nothing is embedded, and what is there is treated with care."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from rag.auth.users import Users
from rag.errors import IndexMismatch, NotFound
from rag.index.index import Index
from rag.models.embedding import LazyEmbedding, open_embedding
from rag.operations.archive.format import EmbeddingIdentity
from rag.operations.archive.import_ import import_archive
from rag.operations.archive.reader import Archive
from rag.operations.archive.writer import export
from rag.operations.services import open_dormant_index
from rag.settings import EmbeddingSettings
from rag.storage.attributes import set_attributes
from rag.storage.vector_stores import VectorStores
from tests.rag.index.test_index import assert_consistent
from tests.rag.operations.archive.archives import Mute, assert_nothing_is_lacking, last, put_file, state, take_in
from tests.rag.versions import make_version


def members_of(archive):
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_what_comes_in_is_what_went_out_and_nothing_is_embedded(tmp_path, storage, papers, archive, bag_of_words):
    before = state(storage, bag_of_words)
    moved = papers.rename(tmp_path / "elsewhere")  # as on another machine
    imported = take_in(archive, tmp_path / "new", bag_of_words)
    assert (imported.added, imported.replaced, imported.unchanged, imported.without_file) == (6, 0, 0, 2)
    assert state(tmp_path / "new", bag_of_words) == before
    with closing(Index(tmp_path / "new", Mute(bag_of_words))) as index:
        for name in ("apple.txt", "boiler.txt", "copy.txt", "pay.txt"):
            document = index.catalog.document(f"doc_{name[:-4]}")
            assert document.content.is_relative_to(tmp_path / "new")
            assert document.content.read_bytes() == (moved / name).read_bytes()
            assert document.file_id
        assert not index.catalog.document("doc_gone").content.exists()
        again = last(export(index, tmp_path / "again.zip"))
    assert (again.documents, again.files) == (6, 3)  # two documents have the same bytes
    first, second = members_of(archive), members_of(tmp_path / "again.zip")
    for folder in ("collections/1", "collections/3"):  # Chroma brings vectors to length 1, which may change a last bit
        rows = [np.load(io.BytesIO(members.pop(f"{folder}/vectors.npy"))) for members in (first, second)]
        np.testing.assert_allclose(*rows, atol=1e-6)
    assert (
        json.loads(first.pop("manifest.json"))["collections"] == json.loads(second.pop("manifest.json"))["collections"]
    )
    assert first == second
    with closing(Index(tmp_path / "new", Mute(bag_of_words))) as index:
        last(export(index, tmp_path / "once more.zip"))
    assert (tmp_path / "once more.zip").read_bytes() == (tmp_path / "again.zip").read_bytes()


def test_a_file_that_is_where_it_was_stays_there(tmp_path, archive, papers, bag_of_words):
    (papers / "boiler.txt").write_text("something else now")
    take_in(archive, tmp_path / "new", bag_of_words)
    with closing(Index(tmp_path / "new", Mute(bag_of_words))) as index:
        apple, boiler = (index.catalog.document(f"doc_{name}") for name in ("apple", "boiler"))
        assert (apple.content, apple.file_id) == (papers / "apple.txt", None)
        assert boiler.content.read_text() == "the boiler’s valve\nshared line"


def test_the_path_of_a_document_without_bytes_is_not_shown_as_its_source(tmp_path, storage, papers, bag_of_words):
    with closing(Index(storage, Mute(bag_of_words))) as index:
        exported = last(export(index, tmp_path / "small.zip", with_files=False))
    assert (exported.files, exported.left_out) == (0, ())
    (papers / "apple.txt").write_text("private")
    assert take_in(tmp_path / "small.zip", tmp_path / "new", bag_of_words).without_file == 3
    with closing(Index(tmp_path / "new", Mute(bag_of_words))) as index:
        assert not index.catalog.document("doc_apple").content.exists()
        assert index.catalog.document("doc_pay").content == papers / "pay.txt"


def test_files_that_come_later_are_put_to_their_documents(tmp_path, storage, papers, archive, bag_of_words):
    with closing(Index(storage, Mute(bag_of_words))) as index:
        last(export(index, tmp_path / "small.zip", with_files=False))
    papers.rename(tmp_path / "elsewhere")
    take_in(tmp_path / "small.zip", tmp_path / "new", bag_of_words)
    imported = take_in(archive, tmp_path / "new", bag_of_words)
    assert (imported.added, imported.unchanged, imported.without_file) == (0, 6, 2)
    with closing(Index(tmp_path / "new", Mute(bag_of_words))) as index:
        assert index.catalog.document("doc_apple").content.read_text().startswith("apple pie")


def test_one_collection(tmp_path, storage, archive, bag_of_words):
    with closing(Index(storage, Mute(bag_of_words))) as index:
        assert last(export(index, tmp_path / "staff.zip", ["staff"])).documents == 1
        with pytest.raises(NotFound):
            last(export(index, tmp_path / "x.zip", ["unknown"]))
    take_in(tmp_path / "staff.zip", tmp_path / "one", bag_of_words)
    take_in(archive, tmp_path / "two", bag_of_words, ["staff"])
    assert state(tmp_path / "one", bag_of_words) == state(tmp_path / "two", bag_of_words)
    with pytest.raises(NotFound, match="unknown"):
        take_in(archive, tmp_path / "two", bag_of_words, ["staff", "unknown"])


def test_a_users_collection_is_taken_in_under_a_name_that_tells_where_it_comes_from(tmp_path, storage, bag_of_words):
    with closing(Index(storage, bag_of_words)) as index:
        anna = Users(index.catalog.database).add("anna", "a password of hers")
        store = VectorStores(index.catalog.database).own(anna.id, "hers")
        index.replace_documents([make_version("doc_hers", ["a line of hers"], bag_of_words, collection=store)])
        last(export(index, tmp_path / "all.zip"))
    for added in (7, 0):
        assert take_in(tmp_path / "all.zip", tmp_path / "new", bag_of_words).added == added
    assert take_in(tmp_path / "all.zip", storage, bag_of_words).unchanged == 7  # where it was, it is known
    with closing(Index(tmp_path / "new", bag_of_words)) as index:
        document = index.catalog.document("doc_hers")
    assert (document.collection, document.owner_id) == (f"from hers ({store})", "prn_local")


def test_documents_that_are_there_stay_or_are_replaced(tmp_path, archive, papers, bag_of_words):
    new = tmp_path / "new"
    with closing(Index(new, bag_of_words)) as index:
        # the source of doc_apple with other content, the id of doc_boiler for something else, and a stranger
        put_file(index, bag_of_words, papers, "apple.txt", ["an older text\nshared line"], title="One", version=4)
        document = index.catalog.document("doc_apple")
        version = make_version("doc_boiler", ["about trains\nshared line"], bag_of_words)
        index.replace_documents([version, make_version("doc_stranger", ["a stranger"], bag_of_words)])
        shared = index.vectors_of(version.document)
    imported = take_in(archive, new, bag_of_words)
    assert (imported.added, imported.replaced, imported.unchanged) == (5, 1, 0)
    with closing(Index(new, bag_of_words)) as index:
        assert_consistent(index)
        apple = index.catalog.document("doc_apple")
        assert (apple.id, apple.version) == (document.id, 5)
        assert index.catalog.page_text("doc_apple", 1) == "cider 🦊"
        assert index.catalog.page_text("doc_boiler", 0).startswith("about trains")
        boiler = index.catalog.document_of_source(index.catalog.collection().id, str(papers / "boiler.txt"))
        assert boiler is not None
        assert boiler.id not in ("doc_boiler", "doc_stranger")
        assert index.catalog.page_text(boiler.id, 0) == "the boiler’s valve\nshared line"
        for name, vector in index.vectors_of(version.document).items():
            assert (vector == shared[name]).all()
    before = state(new, bag_of_words)
    imported = take_in(archive, new, bag_of_words)
    assert (imported.added, imported.replaced, imported.unchanged) == (0, 0, 6)
    assert state(new, bag_of_words) == before


def test_a_file_that_could_not_be_read_there_does_not_replace_what_could_be_read_here(tmp_path, archive, bag_of_words):
    with closing(Index(tmp_path / "new", bag_of_words)) as index:
        index.replace_documents([make_version("doc_failed", ["it is well here"], bag_of_words)])
    take_in(archive, tmp_path / "new", bag_of_words)
    with closing(Index(tmp_path / "new", bag_of_words)) as index:
        assert index.catalog.page_text("doc_failed", 0) == "it is well here"


@pytest.mark.parametrize("steps", range(1, 8))
def test_an_import_that_was_interrupted_is_run_again(tmp_path, archive, storage, papers, bag_of_words, steps):
    papers.rename(tmp_path / "elsewhere")
    before = state(storage, bag_of_words)
    new = tmp_path / "new"
    with Archive(archive) as opened:
        last(opened.verify())
        with closing(Index(new, Mute(bag_of_words))) as index:
            progresses = import_archive(index, opened, new)
            for _ in range(steps):
                next(progresses)
            progresses.close()
    take_in(archive, new, bag_of_words)
    assert state(new, bag_of_words) == before


# -------------------------------------------------------------------------------------------------- the embedding model


MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def settings_of(settings, tmp_path, **embedding):
    chosen = settings.embedding.model_copy(update=embedding)
    return settings.model_copy(
        update={"embedding": chosen, "storage": settings.storage.model_copy(update={"dir": tmp_path})}
    )


def identity_of(archive):
    with Archive(archive) as opened:
        last(opened.verify())
        return opened.manifest.embedding


def test_the_model_of_an_archive_must_be_that_of_settings_and_index(tmp_path, settings, archive, bag_of_words):
    coming = identity_of(archive)
    assert (coming.model, coming.fingerprint, coming.dimension) == ("bag-of-words", bag_of_words.fingerprint, 512)
    with (
        pytest.raises(IndexMismatch, match=r"bag-of-words.*sentence-transformers/all-MiniLM-L6-v2"),
        open_dormant_index(settings_of(settings, tmp_path / "new", model=MINILM), coming),
    ):
        pass
    with (
        pytest.raises(IndexMismatch, match="prefixes"),
        open_dormant_index(settings_of(settings, tmp_path / "new", query_prefix="query: "), coming),
    ):
        pass
    assert not (tmp_path / "new" / "catalog.sqlite3").exists()
    other = open_embedding(EmbeddingSettings(model="bag-of-words", query_prefix="query: "))
    with closing(Index(tmp_path / "other", other)) as index:
        index.replace_documents([make_version("doc_x", ["text"], other)])
    with pytest.raises(IndexMismatch), open_dormant_index(settings_of(settings, tmp_path / "other"), coming):
        pass


def test_the_default_model_is_known_without_being_loaded(tmp_path, settings, minilm):
    coming = EmbeddingIdentity(minilm.name, minilm.fingerprint, minilm.dimension)
    with open_dormant_index(settings_of(settings, tmp_path / "new", model=minilm.name), coming) as index:
        assert isinstance(index.embedding, LazyEmbedding)
        index.replace_documents([make_version("doc_x", ["a line\nanother"], minilm)])
        assert index.embedding._model is None
    with closing(Index(tmp_path / "new", minilm)) as index:
        assert_consistent(index)


def test_an_index_is_opened_whatever_model_the_settings_name(tmp_path, settings, storage, bag_of_words):
    with open_dormant_index(settings_of(settings, storage, model="no such model")) as index:
        assert last(export(index, tmp_path / "again.zip")).documents == 6
    shutil.rmtree(storage / "vectors")
    other = settings_of(settings, storage, query_prefix="query: ")
    with pytest.raises(IndexMismatch), open_dormant_index(other):  # it must be mended, and cannot be
        pass
    with open_dormant_index(settings_of(settings, storage)) as index:  # loads the model to mend it
        assert_nothing_is_lacking(index)
    with pytest.raises(NotFound), open_dormant_index(settings_of(settings, tmp_path / "nothing")):
        pass


def test_attributes_come_along_and_an_archive_without_them_takes_none_away(tmp_path, storage, archive, bag_of_words):
    old = tmp_path / "old.zip"
    with closing(Index(storage, bag_of_words)) as index:
        given = index.catalog.document("doc_apple").attributes
        set_attributes(index.catalog, "doc_apple", {})
        last(export(index, old))
    assert given == {"year": 2021, "ä": "🦊", "draft": False, "share": 0.1}
    new = tmp_path / "new"
    take_in(old, new, bag_of_words)
    with closing(Index(new, bag_of_words)) as index:
        known = index.catalog.document("doc_apple")
        assert known.attributes == {}
        index.catalog.put_record(replace(known, sha256="0" * 64))  # so that it is replaced
    assert take_in(archive, new, bag_of_words).replaced == 1
    with closing(Index(new, bag_of_words)) as index:
        assert index.catalog.document("doc_apple").attributes == given
        index.catalog.put_record(replace(index.catalog.document("doc_apple"), sha256="0" * 64))
    assert take_in(old, new, bag_of_words).replaced == 1
    with closing(Index(new, bag_of_words)) as index:
        assert index.catalog.document("doc_apple").attributes == given

"""Makes storage folders with archives of them, and takes archives in, with an embedding model that may not be asked."""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from rag.index.index import Index
from rag.operations.archive.import_ import import_archive
from rag.operations.archive.reader import Archive
from rag.operations.archive.writer import export
from rag.storage.attributes import set_attributes
from rag.types.documents import Chunking, Scope
from tests.rag.index.test_index import assert_consistent
from tests.rag.versions import make_version

QUESTIONS = ["apple pie", "the boiler’s valve", "naïve fox 🦊", "shared line", "payday"]


class Mute:
    """The embedding model of the tests, which may not be asked."""

    def __init__(self, embedding):
        self.name, self.fingerprint = embedding.name, embedding.fingerprint

    def embed_passages(self, texts):
        raise AssertionError(f"{len(texts)} passages were to be embedded")


def last(progresses):
    *_, result = progresses
    return result


def tree(folder):
    """The bytes of all files in a folder, by path."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def put_file(index, embedding, folder, name, pages, **options):
    """A document whose file exists: its pages, one after the other."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\f".join(pages), encoding="utf-8")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    version = make_version(f"doc_{path.stem}", pages, embedding, **options)
    document = replace(version.document, source=str(path), content=path, sha256=sha256, size=path.stat().st_size)
    index.replace_documents([replace(version, document=document)])
    return path


def build(folder, embedding):
    """A storage folder with two collections and an empty one: equal lines, equal files, headings, a file that failed,
    one whose file is gone."""
    papers = folder / "papers"
    with closing(Index(folder / "storage", embedding)) as index:
        for name in ("staff", "nothing"):
            index.catalog.create_collection(name)
        put_file(index, embedding, papers, "apple.txt", ["apple pie\nshared line\napple pie", "cider 🦊"], title="One")
        put_file(index, embedding, papers, "boiler.txt", ["the boiler’s valve\nshared line"], title="One", version=7)
        put_file(index, embedding, papers, "copy.txt", ["the boiler’s valve\nshared line"], heading="A › B")
        put_file(index, embedding, papers, "pay.txt", ["payday\nnaïve fox\nshared line"], collection="staff")
        gone = make_version("doc_gone", ["gone but not forgotten"], embedding)
        index.replace_documents([replace(gone, document=replace(gone.document, chunking=Chunking(100, 40)))])
        failed = make_version("doc_failed", [], embedding, version=0)
        index.catalog.put_record(replace(failed.document, status="failed", error="It is broken.", fingerprint="x"))
        set_attributes(index.catalog, "doc_apple", {"year": 2021, "ä": "🦊", "draft": False, "share": 0.1})
        last(export(index, folder / "backup.zip"))


def take_in(path, storage, embedding, collections=()):
    with Archive(path) as archive:
        last(archive.verify())
        with closing(Index(storage, Mute(embedding))) as index:
            result = last(import_archive(index, archive, storage, collections))
            assert_nothing_is_lacking(index)
            return result


def assert_nothing_is_lacking(index):
    """The index is whole, as far as that can be seen without embedding."""
    assert index.catalog.unfinished() == []
    assert not index.catalog.has_loose_vectors()
    for collection in index.catalog.collections():
        needed = {v for d in index.catalog.documents(collection.id) for v in index.catalog.vector_ids(d.id)}
        assert sorted(index._vectors.ids(collection.id)) == sorted(needed)


def state(storage, embedding):
    """All that a reader can see of a storage folder: documents, pages, chunks, search results."""
    seen = {}
    with closing(Index(storage, embedding)) as index:
        assert_consistent(index)
        for collection in index.catalog.collections():
            for d in index.catalog.documents(collection.id):
                chunks = [replace(chunk, id="", document_id="") for chunk in index.catalog.chunks_of(d.id)]
                record = replace(d, content=Path(), file_id=None)
                seen[collection.name, d.source] = (record, index.catalog.sections(d.id), chunks)
            scope = Scope((collection.id,))
            for question in QUESTIONS:
                dense = index.search_dense(question, scope, 50)
                assert dense or not index.catalog.documents(collection.id)
                lexical = index.search_lexical(question, scope, 50)
                seen[collection.name, question] = [
                    {name: round(score, 5) for name, score in leg} for leg in (dense, lexical)
                ]
    return seen

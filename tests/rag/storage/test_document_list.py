"""Documents as a table: every order, every filter, page by page."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from rag.storage.catalog import Catalog
from rag.storage.document_list import DocumentFilter, count_by_owner, count_documents, list_documents
from rag.types.documents import LOCAL_PRINCIPAL
from tests.rag.versions import commit, make_version

pytestmark = pytest.mark.databases
DOCUMENTS = {  # id → title, source, pages, size, status, media type, changed
    "doc_a": ("beta", "/x/one_1.pdf", 3, 200, "ready", "application/pdf", "2026-01-03"),
    "doc_b": ("Alpha", "/x/two.txt", 1, 900, "partial", "text/plain", "2026-01-01"),
    "doc_c": ("", "/x/Gamma 100%.pdf", 2, 50, "failed", "application/pdf", "2026-01-02"),
}


@pytest.fixture
def catalog(database, bag_of_words):
    with closing(Catalog(database)) as catalog:
        for document_id, (title, source, pages, size, status, media_type, changed) in DOCUMENTS.items():
            version = make_version(document_id, ["text"] * pages, bag_of_words, source=source)
            shown = {"title": title, "pages": pages, "size": size, "status": status, "media_type": media_type}
            times = {"created_at": changed, "updated_at": changed}
            commit(catalog, replace(version, document=replace(version.document, **shown, **times)))
        yield catalog


def found(catalog, order="changed", *, descending=True, limit=10, offset=0, **filters):
    wanted = DocumentFilter(catalog.collection().id, **filters)
    page = list_documents(catalog.database, wanted, limit, offset, order, descending=descending)
    return [document.id.removeprefix("doc_") for document in page.documents], page


@pytest.mark.parametrize(
    ("order", "ascending"),
    [("title", "cba"), ("pages", "bca"), ("size", "cab"), ("added", "bca"), ("changed", "bca"), ("status", "cba")],
)
def test_any_column_orders_them_both_ways(catalog, order, ascending):
    assert "".join(found(catalog, order, descending=False)[0]) == ascending
    assert "".join(found(catalog, order)[0]) == ascending[::-1]


def test_pages_of_them_make_the_whole(catalog):
    pages = [found(catalog, "size", limit=1, offset=offset) for offset in range(3)]
    assert [ids for ids, _ in pages] == [["b"], ["a"], ["c"]]
    assert {page.total for _, page in pages} == {3}
    assert found(catalog, offset=3)[0] == []


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({"containing": "ALPHA"}, "b"),
        ({"containing": "100%"}, "c"),
        ({"containing": "e_1"}, "a"),
        ({"containing": "nothing"}, ""),
        ({"containing": "nothing", "also": ["doc_b", "doc_x"]}, "b"),
        ({"status": "failed"}, "c"),
        ({"media_type": "application/pdf"}, "ac"),
        ({"media_type": "application/pdf", "status": "ready", "containing": "beta"}, "a"),
        ({"media_type": "application/pdf", "also": ["doc_b"], "containing": "nothing"}, ""),
    ],
)
def test_filters_narrow_them(catalog, filters, ids):
    shown, page = found(catalog, **filters)
    assert "".join(sorted(shown)) == ids
    assert page.total == len(ids)
    assert page.types == {"application/pdf": 2, "text/plain": 1}, "of the whole collection"


def test_counts(catalog):
    assert count_documents(catalog.database, catalog.collection().id) == 3
    assert count_documents(catalog.database, "nobody's") == 0
    assert count_by_owner(catalog.database) == {LOCAL_PRINCIPAL: 3}

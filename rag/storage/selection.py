"""What of a collection a question is put to: some of its documents, by name or by a filter, and some of their pages."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rag.errors import InvalidRequest, NotFound
from rag.storage.catalog import Catalog
from rag.storage.database import Row
from rag.storage.filters import FILE_NAME, condition, parse_filter
from rag.storage.vector_stores import IS_EXPIRED
from rag.text.unicode import without_half_characters
from rag.types.documents import Scope

_MOST_NAMES = 1_000
_PAGES = re.compile(r"\s*(\d{1,9})\s*(?:[-–]\s*(\d{1,9})\s*)?")


@dataclass(frozen=True, slots=True)
class Selection:
    """As a user says it; what is None narrows nothing.

    `documents` are ids, sources or file names; `filters` is one filter in OpenAI's grammar (rag/storage/filters.py);
    `pages` are the first and the last page, counted from 1. What a document must fulfil, it must fulfil all.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}  # a slip of the pen must not mean everything

    documents: tuple[str, ...] | None = None
    filters: dict[str, Any] | None = None
    pages: tuple[int, int] | None = None


EVERYTHING = Selection()


def scope_of(catalog: Catalog, collection: str, selection: Selection = EVERYTHING) -> Scope:
    """What a question to a collection (name or id) may search. Raises NotFound, InvalidRequest."""
    return scope_of_all(catalog, [collection], selection)


def scope_of_all(catalog: Catalog, collections: Sequence[str], selection: Selection = EVERYTHING) -> Scope:
    """What a question to several collections at once may search. Raises NotFound, InvalidRequest."""
    ids = tuple(dict.fromkeys(_open_collection(catalog, collection) for collection in collections))
    if selection.pages is not None and not 1 <= selection.pages[0] <= selection.pages[1] < 2**31:
        raise InvalidRequest(
            f"{'-'.join(map(str, selection.pages))} is no range of pages.",
            hint="Name the first and the last page, counted from 1, such as 3-7.",
            param="pages",
        )
    chosen: frozenset[str] | None = None
    if selection.documents is not None:
        chosen = _documents_called(catalog, ids, selection.documents)
    if selection.filters is not None:
        sql, values = condition(parse_filter(selection.filters))
        rows = catalog.database.read(
            f"SELECT d.id FROM documents d WHERE d.collection_id IN (SELECT value FROM json_each(:ids)) AND {sql}",
            ids=json.dumps(ids),
            **values,
        )
        found = frozenset(row.id for row in rows)
        chosen = found if chosen is None else chosen & found
    return Scope(ids, chosen, selection.pages)


def _open_collection(catalog: Catalog, name: str) -> str:
    """The id of a collection that has not expired."""
    collection = catalog.collection(name)
    if catalog.database.read(f"SELECT 1 FROM collections c WHERE c.id = :id AND {IS_EXPIRED}", id=collection.id):
        raise InvalidRequest(f"The collection {collection.title!r} has expired.", hint="Nobody used it for too long.")
    return collection.id


def _documents_called(catalog: Catalog, collection_ids: Sequence[str], names: Sequence[str]) -> frozenset[str]:
    """The ids of the documents with these names. Raises NotFound, or InvalidRequest when one may mean several."""
    if len(names) > _MOST_NAMES:
        raise InvalidRequest(
            f"{len(names)} documents are too many to name.", hint="Use a filter instead.", param="documents"
        )
    # by id and by source there is an index, so the file names are looked at only for what is left
    exact = [
        *_rows(catalog, "d.id", names, collection_ids, plus=catalog.database.UNINDEXED),
        *_rows(catalog, "d.source", names, collection_ids),
    ]
    found = {name: row.id for row in exact for name in (row.id, row.source)}
    left = [name for name in names if name not in found]
    rows = _rows(catalog, FILE_NAME, left, collection_ids) if left else []
    return frozenset([found[name] for name in names if name in found] + [_document_called(name, rows) for name in left])


def _rows(
    catalog: Catalog, column: str, names: Sequence[str], collection_ids: Sequence[str], plus: str = ""
) -> Sequence[Row]:
    """Id, source and file name of the documents in which the column has one of the names."""
    return catalog.database.read(
        "WITH wanted AS MATERIALIZED (SELECT value FROM json_each(:names)) "
        f"SELECT d.id, d.source, {FILE_NAME} AS file_name FROM documents d "
        f"WHERE {plus}d.collection_id IN (SELECT value FROM json_each(:collections)) "
        f"AND {column} IN (SELECT value FROM wanted)",
        # half a character, which PostgreSQL does not read, is in no name
        names=json.dumps([without_half_characters(name) for name in names]),
        collections=json.dumps(collection_ids),
    )


def _document_called(name: str, rows: Sequence[Row]) -> str:
    """The id of the one document with this file name."""
    found = [row.id for row in rows if name == row.file_name]
    if not found:
        raise NotFound(f"There is no document {name!r} here.", hint="`ingest ls` lists the documents.")
    if len(found) > 1:
        raise InvalidRequest(
            f"{name!r} may mean {len(found)} documents.",
            hint="Give the path or the id that `ingest ls` shows.",
            param="documents",
        )
    return str(found[0])


def as_typed(selection: Selection) -> str:
    """The options that say the selection; empty where it is everything."""
    options = [("--document", document) for document in selection.documents or ()]
    if selection.filters is not None:
        options.append(("--filter", json.dumps(selection.filters, ensure_ascii=False)))
    if selection.pages is not None:
        options.append(("--pages", "-".join(map(str, selection.pages))))
    return " ".join(f"{option} {shlex.quote(value)}" for option, value in options)


def read_pages(text: str) -> tuple[int, int]:
    """The pages that `3-7` or `3` names. Raises InvalidRequest."""
    match = _PAGES.fullmatch(text)
    if match is None:
        raise InvalidRequest(f"{text!r} is no range of pages.", hint="Name the first and the last one, such as 3-7.")
    return int(match[1]), int(match[2] or match[1])

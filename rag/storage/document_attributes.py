"""Giving attributes to documents, at once and for every search from then on: nothing is read or embedded anew."""

from __future__ import annotations

import json
from collections.abc import Mapping

from rag.errors import InvalidRequest
from rag.storage.attributes import check_attributes, check_key, read_value
from rag.storage.catalog import Catalog, unknown_document
from rag.storage.database import Connection
from rag.types.documents import AttributeValue, Document


def set_attributes(catalog: Catalog, document_id: str, attributes: Mapping[str, AttributeValue]) -> None:
    """Give a document these attributes instead of those it has. Raises NotFound, InvalidRequest."""
    with catalog.database.transaction() as connection:
        _store(connection, document_id, attributes)


def tag(catalog: Catalog, document_id: str, changes: Mapping[str, AttributeValue | None]) -> Document:
    """Give a document these attributes beside those it has; None takes one away. Raises NotFound, InvalidRequest."""
    with catalog.database.transaction() as connection:
        merged = {**catalog.document(document_id).attributes, **changes}
        _store(connection, document_id, {key: value for key, value in merged.items() if value is not None})
    return catalog.document(document_id)


def read_tags(words: tuple[str, ...]) -> dict[str, AttributeValue | None]:
    """Changes as they are typed: `year=2021 department=legal`; `department=` takes it away. Raises InvalidRequest."""
    changes: dict[str, AttributeValue | None] = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign:
            raise InvalidRequest(f"{word!r} is no attribute.", hint="It looks like year=2021 or department=legal.")
        changes[check_key(key.strip(), "attributes")] = read_value(value.strip()) if value.strip() else None
    return changes


def _store(connection: Connection, document_id: str, attributes: Mapping[str, AttributeValue]) -> None:
    text = json.dumps(check_attributes(attributes), ensure_ascii=False)
    if not connection.execute(
        "UPDATE documents SET attributes = :text WHERE id = :id", text=text, id=document_id
    ).rowcount:
        raise unknown_document(document_id)

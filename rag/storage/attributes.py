"""The attributes of documents: pairs of key and value that a user gives them, and what such a pair may be.

They hold at once and for every search from then on: nothing is read or embedded anew. The limits are those of OpenAI's
vector stores.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from rag.errors import InvalidRequest
from rag.storage.catalog import Catalog, unknown_document
from rag.storage.database import Connection
from rag.types.documents import AttributeValue, Document

_MOST = 16  # attributes a document
_LONGEST_KEY = 64  # characters
_LONGEST_TEXT = 512
_LARGEST_NUMBER = 2**63 - 1  # that SQLite keeps exactly
_HINT = (
    f"A document has up to {_MOST} attributes; a key is a text of 1 to {_LONGEST_KEY} characters, a value a text of up "
    f"to {_LONGEST_TEXT}, a number, true or false."
)


def check_attributes(given: Mapping[str, object]) -> dict[str, AttributeValue]:
    """The attributes as they may be stored. Raises InvalidRequest."""
    if len(given) > _MOST:
        raise InvalidRequest(f"{len(given)} attributes are too many.", hint=_HINT, param="attributes")
    return {check_key(key, "attributes"): check_value(value, "attributes") for key, value in given.items()}


def check_key(key: object, param: str) -> str:
    """The key of an attribute. Raises InvalidRequest about the field `param`."""
    if not isinstance(key, str) or not 1 <= len(key) <= _LONGEST_KEY or not _is_storable(key):
        raise InvalidRequest(f"{_shown(key)} cannot be the key of an attribute.", hint=_HINT, param=param)
    return key


def check_value(value: object, param: str) -> AttributeValue:
    """The value of an attribute. Raises InvalidRequest about the field `param`."""
    match value:
        case bool():
            return value
        case str() if len(value) <= _LONGEST_TEXT and _is_storable(value):
            return value
        case int() if abs(value) <= _LARGEST_NUMBER:
            return value
        case float() if math.isfinite(value):
            return value
    raise InvalidRequest(f"{_shown(value)} cannot be the value of an attribute.", hint=_HINT, param=param)


def read_value(text: str) -> AttributeValue:
    """A value as it is typed: `2021`, `0.5`, `true` and `"2021"` as in JSON, anything else as a text."""
    try:
        value = json.loads(text, parse_constant=str)  # NaN and Infinity are no JSON
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, str | int | float) else text


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


def _is_storable(text: str) -> bool:
    """Neither NUL, at which SQLite would end the text, nor half a character."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _shown(value: object) -> str:
    if isinstance(value, int) and abs(value) > _LARGEST_NUMBER:  # Python does not even write the largest
        return "So large a number"
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"

"""Answers of the Responses API that are kept, with the conversation that led to them, so that it can go on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rag.errors import NotFound
from rag.storage import schema
from rag.storage.database import Connection, Database
from rag.storage.ids import now
from rag.storage.rows import upsert
from rag.types.chat import ToolCall
from rag.types.documents import Message, Owned

_KEPT = 10_000  # of one owner; the oldest go first
_PUT = upsert(schema.responses, "body", "input", "messages", "documents")


@dataclass(frozen=True, slots=True)
class ResponseRecord:
    """A response as it was sent (`body`), its input, the whole conversation up to its answer, and the ids of the
    documents it rests on: with one of these it goes."""

    id: str
    body: dict[str, Any]
    input: list[dict[str, Any]]
    messages: list[Message]
    documents: list[str]
    owned: Owned


def unknown_response(response_id: str) -> NotFound:
    """The error for a response that is not there, or not for who asks."""
    return NotFound(f"There is no response {response_id!r}.", hint="Only those with `store` are kept.")


class ResponseRecords:
    """The table of responses."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, record: ResponseRecord) -> None:
        """Keep a response."""
        with self._database.transaction() as connection:
            connection.execute(
                _PUT,
                id=record.id,
                owner_id=record.owned.owner_id,
                key_id=record.owned.key_id,
                body=_text(record.body),
                input=_text(record.input),
                messages=_text([asdict(message) for message in record.messages]),
                documents=_text(record.documents),
                created_at=now(),
            )
            connection.execute(
                "DELETE FROM responses WHERE owner_id = :owner AND rowid <= "
                "(SELECT rowid FROM responses WHERE owner_id = :owner ORDER BY rowid DESC LIMIT 1 OFFSET :kept)",
                owner=record.owned.owner_id,
                kept=_KEPT,
            )

    def get(self, response_id: str) -> ResponseRecord:
        """A response. Raises NotFound."""
        row = self._database.first(
            "SELECT body, input, messages, documents, owner_id, key_id FROM responses WHERE id = :id", id=response_id
        )
        if row is None:
            raise unknown_response(response_id)
        return ResponseRecord(
            id=response_id,
            body=json.loads(row.body),
            input=json.loads(row.input),
            messages=[_message(message) for message in json.loads(row.messages)],
            documents=json.loads(row.documents),
            owned=Owned(row.owner_id, row.key_id),
        )

    def delete(self, response_id: str) -> None:
        """Delete a response. Raises NotFound."""
        if not self._database.write("DELETE FROM responses WHERE id = :id", id=response_id):
            raise unknown_response(response_id)


def delete_of_document(connection: Connection, document_id: str) -> None:
    """Delete the responses that rest on a document."""
    connection.execute(
        "DELETE FROM responses WHERE EXISTS (SELECT 1 FROM json_each(documents) WHERE value = :id)", id=document_id
    )


def _message(stored: dict[str, Any]) -> Message:
    calls = tuple(ToolCall(**call) for call in stored.get("tool_calls", ()))  # older ones have none
    return Message(**{**stored, "tool_calls": calls, "images": tuple(stored.get("images", ()))})


def _text(value: Sequence[Any] | dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)

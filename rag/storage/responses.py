"""Answers of the Responses API that are kept, with the conversation that led to them, so that it can go on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rag.errors import NotFound
from rag.storage.catalog import now
from rag.storage.database import Database
from rag.types.chat import ToolCall
from rag.types.documents import Message, Owned

_KEPT = 10_000  # of one owner; the oldest go first


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
                "INSERT INTO responses (id, owner_id, key_id, body, input, messages, documents, created_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body, "
                "input = excluded.input, messages = excluded.messages, documents = excluded.documents",
                (
                    *(record.id, record.owned.owner_id, record.owned.key_id, _text(record.body), _text(record.input)),
                    *(_text([asdict(message) for message in record.messages]), _text(record.documents), now()),
                ),
            )
            connection.execute(
                "DELETE FROM responses WHERE owner_id = ?1 AND rowid <= "
                "(SELECT rowid FROM responses WHERE owner_id = ?1 ORDER BY rowid DESC LIMIT 1 OFFSET ?2)",
                (record.owned.owner_id, _KEPT),
            )

    def get(self, response_id: str) -> ResponseRecord:
        """A response. Raises NotFound."""
        rows = self._database.read(
            "SELECT body, input, messages, documents, owner_id, key_id FROM responses WHERE id = ?", (response_id,)
        )
        if not rows:
            raise unknown_response(response_id)
        body, told, messages, documents = (json.loads(text) for text in rows[0][:4])
        turns = [_message(message) for message in messages]
        return ResponseRecord(response_id, body, told, turns, documents, Owned(*rows[0][4:]))

    def remove(self, response_id: str) -> None:
        """Forget a response. Raises NotFound."""
        self.get(response_id)
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM responses WHERE id = ?", (response_id,))


def _message(told: dict[str, Any]) -> Message:
    calls = tuple(ToolCall(**call) for call in told.get("tool_calls", ()))  # older ones have none
    return Message(**{**told, "tool_calls": calls})


def _text(value: Sequence[Any] | dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)

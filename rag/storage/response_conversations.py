"""Conversations of the Responses API: their items in the order in which they came, as they are on the wire.

What rests on a document goes with it: the items of that turn, and those of its conversation that came after them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rag.errors import NotFound
from rag.storage import schema
from rag.storage.database import Connection, Database
from rag.storage.ids import new_id, now
from rag.storage.paging import Cursor, Page
from rag.storage.rows import insert
from rag.types.documents import Owned

_KEPT = 10_000  # conversations of one owner, and items of a conversation; the oldest go first
_INSERT_ITEM = insert(schema.response_items)

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ConversationRecord:
    """A conversation without its items; the time is ISO 8601 (UTC)."""

    id: str
    metadata: dict[str, str]
    created_at: str
    owned: Owned


def unknown_conversation(conversation_id: str) -> NotFound:
    """The error for a conversation that is not there, or not for who asks."""
    return NotFound(
        f"There is no conversation {conversation_id!r}.",
        hint="`POST /v1/conversations` makes one.",
    )


class ResponseConversations:
    """The tables of conversations and their items."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, owned: Owned, metadata: dict[str, str], items: Sequence[Item] = ()) -> str:
        """Make a conversation; its id (`conv_…`)."""
        conversation_id = new_id("conv")
        row = {"id": conversation_id, **asdict(owned), "metadata": json.dumps(metadata), "created_at": now()}
        with self._database.transaction() as connection:
            connection.execute(insert(schema.response_conversations), **row)
            connection.execute(
                "DELETE FROM response_conversations WHERE owner_id = :owner AND rowid <= (SELECT rowid FROM "
                "response_conversations WHERE owner_id = :owner ORDER BY rowid DESC LIMIT 1 OFFSET :kept)",
                owner=owned.owner_id,
                kept=_KEPT,
            )
            _append(connection, conversation_id, items, ())
        return conversation_id

    def get(self, conversation_id: str) -> ConversationRecord:
        """A conversation. Raises NotFound."""
        row = self._database.first("SELECT * FROM response_conversations WHERE id = :id", id=conversation_id)
        if row is None:
            raise unknown_conversation(conversation_id)
        return ConversationRecord(row.id, json.loads(row.metadata), row.created_at, Owned(row.owner_id, row.key_id))

    def update(self, conversation_id: str, metadata: dict[str, str]) -> None:
        """Put other metadata in place of what is there. Raises NotFound."""
        statement = "UPDATE response_conversations SET metadata = :metadata WHERE id = :id"
        if not self._database.write(statement, id=conversation_id, metadata=json.dumps(metadata)):
            raise unknown_conversation(conversation_id)

    def delete(self, conversation_id: str) -> None:
        """Delete a conversation with its items. Raises NotFound."""
        if not self._database.write("DELETE FROM response_conversations WHERE id = :id", id=conversation_id):
            raise unknown_conversation(conversation_id)

    def append(self, conversation_id: str, items: Sequence[Item], documents: Collection[str] = ()) -> None:
        """Add the items of a turn, which rests on the documents of these ids. Raises NotFound."""
        with self._database.transaction() as connection:
            statement = "SELECT 1 FROM response_conversations WHERE id = :id"
            if not connection.execute(statement, id=conversation_id).first():
                raise unknown_conversation(conversation_id)
            _append(connection, conversation_id, items, documents)

    def items(self, conversation_id: str) -> list[Item]:
        """The latest items, in their order."""
        page = self.page(conversation_id, Cursor(limit=_KEPT))
        return [*reversed(page.items)]

    def documents(self, conversation_id: str) -> set[str]:
        """The ids of the documents that its items rest on."""
        rows = self._database.read(
            "SELECT DISTINCT documents FROM response_items WHERE conversation_id = :id", id=conversation_id
        )
        return {document_id for row in rows for document_id in json.loads(row.documents)}

    def page(self, conversation_id: str, cursor: Cursor) -> Page[Item]:
        """A part of the items. Raises NotFound when the cursor's id is none of them."""
        where, order, values = cursor.clauses(
            ["rowid"],
            lambda item_id: self._database.read(
                "SELECT rowid FROM response_items WHERE id = :id AND conversation_id = :conversation",
                id=item_id,
                conversation=conversation_id,
            ),
        )
        rows = self._database.read(
            f"SELECT body FROM response_items WHERE conversation_id = :conversation AND {where} {order}",
            conversation=conversation_id,
            **values,
        )
        return cursor.page([json.loads(row.body) for row in rows])

    def item(self, conversation_id: str, item_id: str) -> Item:
        """An item. Raises NotFound."""
        row = self._database.first(
            "SELECT body FROM response_items WHERE id = :id AND conversation_id = :conversation",
            id=item_id,
            conversation=conversation_id,
        )
        if row is None:
            raise _unknown_item(conversation_id, item_id)
        item: Item = json.loads(row.body)
        return item

    def delete_item(self, conversation_id: str, item_id: str) -> None:
        """Delete an item. Raises NotFound."""
        statement = "DELETE FROM response_items WHERE id = :id AND conversation_id = :conversation"
        if not self._database.write(statement, id=item_id, conversation=conversation_id):
            raise _unknown_item(conversation_id, item_id)


def delete_of_document(connection: Connection, document_id: str) -> None:
    """Delete the items that rest on a document, and what came after them."""
    rows = connection.execute(
        "SELECT conversation_id AS conversation, min(rowid) AS first FROM response_items "
        "WHERE EXISTS (SELECT 1 FROM json_each(documents) WHERE value = :id) GROUP BY conversation_id",
        id=document_id,
    ).all()
    connection.executemany(
        "DELETE FROM response_items WHERE conversation_id = :conversation AND rowid >= :first",
        [row._asdict() for row in rows],
    )


def _append(connection: Connection, conversation_id: str, items: Sequence[Item], documents: Collection[str]) -> None:
    row = {"conversation_id": conversation_id, "documents": json.dumps(sorted(documents))}
    connection.executemany(
        _INSERT_ITEM, [{**row, "id": item["id"], "body": json.dumps(item, ensure_ascii=False)} for item in items]
    )
    connection.execute(
        "DELETE FROM response_items WHERE conversation_id = :conversation AND rowid <= (SELECT rowid FROM "
        "response_items WHERE conversation_id = :conversation ORDER BY rowid DESC LIMIT 1 OFFSET :kept)",
        conversation=conversation_id,
        kept=_KEPT,
    )


def _unknown_item(conversation_id: str, item_id: str) -> NotFound:
    return NotFound(
        f"There is no item {item_id!r} in the conversation {conversation_id!r}.",
        hint=f"`GET /v1/conversations/{conversation_id}/items` lists them.",
    )

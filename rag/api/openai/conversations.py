"""`/v1/conversations`: conversations that responses go on from, and are added to."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from rag.api.dependencies import Caller
from rag.api.json_body import JsonRoute, NullIsAbsent
from rag.api.openai.files import Order, listing
from rag.api.openai.response_stream import input_items
from rag.api.openai.responses import InputItem, turns_of
from rag.api.openai.vector_stores import Metadata
from rag.storage.paging import Cursor
from rag.storage.response_conversations import ConversationRecord, ResponseConversations
from rag.storage.vector_stores import unix_time

router = APIRouter(prefix="/v1/conversations", tags=["conversations"], route_class=JsonRoute)

_MOST_ITEMS = 20  # at a time


class CreateConversation(NullIsAbsent):
    """What was said already, if anything."""

    items: list[InputItem] = Field([], max_length=_MOST_ITEMS)
    metadata: Metadata = Field({})


class UpdateConversation(NullIsAbsent):
    """Other metadata."""

    metadata: Metadata = Field({})


class CreateItems(NullIsAbsent):
    """What is to be added at the end."""

    items: list[InputItem] = Field(min_length=1, max_length=_MOST_ITEMS)


@router.post("")
def create_conversation(caller: Caller, body: CreateConversation | None = None) -> dict[str, Any]:
    """Begin a conversation."""
    caller.require_writing()
    body = body or CreateConversation()
    conversation_id = _table(caller).create(caller.owned, body.metadata, _wire_items(body.items))
    return _conversation(caller.conversation(conversation_id))


@router.get("/{conversation_id}")
def get_conversation(conversation_id: str, caller: Caller) -> dict[str, Any]:
    """One conversation, without its items."""
    return _conversation(caller.conversation(conversation_id))


@router.post("/{conversation_id}")
def update_conversation(conversation_id: str, body: UpdateConversation, caller: Caller) -> dict[str, Any]:
    """Give it other metadata."""
    _table(caller).update(caller.conversation(conversation_id, "write").id, body.metadata)
    return _conversation(caller.conversation(conversation_id))


@router.delete("/{conversation_id}")
def delete_conversation(conversation_id: str, caller: Caller) -> dict[str, Any]:
    """Delete it with its items; the responses stay."""
    _table(caller).delete(caller.conversation(conversation_id, "write").id)
    return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}


@router.post("/{conversation_id}/items")
def create_items(conversation_id: str, body: CreateItems, caller: Caller) -> dict[str, Any]:
    """Add items at the end."""
    items = _wire_items(body.items)
    _table(caller).append(caller.conversation(conversation_id, "write").id, items)
    return listing(items, has_more=False)


@router.get("/{conversation_id}/items")
def list_items(
    conversation_id: str,
    caller: Caller,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Order = "desc",
) -> dict[str, Any]:
    """The items, a page at a time."""
    cursor = Cursor(after=after, limit=limit, newest_first=order == "desc")
    page = _table(caller).page(caller.conversation(conversation_id).id, cursor)
    return listing(list(page.items), has_more=page.has_more)


@router.get("/{conversation_id}/items/{item_id}")
def get_item(conversation_id: str, item_id: str, caller: Caller) -> dict[str, Any]:
    """One item."""
    return _table(caller).item(caller.conversation(conversation_id).id, item_id)


@router.delete("/{conversation_id}/items/{item_id}")
def delete_item(conversation_id: str, item_id: str, caller: Caller) -> dict[str, Any]:
    """Delete an item; the conversation is what is given back."""
    _table(caller).delete_item(caller.conversation(conversation_id, "write").id, item_id)
    return _conversation(caller.conversation(conversation_id))


def _table(caller: Caller) -> ResponseConversations:
    return ResponseConversations(caller.catalog.database)


def _wire_items(items: list[InputItem]) -> list[dict[str, Any]]:
    return [item for message in turns_of(items, "items") for item in input_items(message)]


def _conversation(record: ConversationRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "object": "conversation",
        "created_at": unix_time(record.created_at),
        "metadata": record.metadata,
    }

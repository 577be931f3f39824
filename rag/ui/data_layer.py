"""Chainlit's data layer over our own storage: what the page lists, shows again and stores of conversations.

Chainlit stores in tasks of their own, which nobody waits for: one after the other, in the order in which they began.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar, cast

from chainlit.data.base import BaseDataLayer
from chainlit.data.utils import queue_until_user_message
from chainlit.types import PageInfo, PaginatedResponse
from chainlit.user import PersistedUser

from rag.errors import NotFound, RagError, Unauthorized
from rag.storage.conversations import Conversations, Element, Step
from rag.storage.feedback import delete_feedback, feedback_in, put_feedback
from rag.ui.answer.footnotes import file_element, readable_now
from rag.ui.session import calling_principal, calling_session, principal_of
from rag.ui.turns import Turn, documents_read, turns_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chainlit.element import Element as ChainlitElement
    from chainlit.element import ElementDict
    from chainlit.step import StepDict
    from chainlit.types import Feedback, Pagination, ThreadDict, ThreadFilter
    from chainlit.user import User

    from rag.auth.access import Access
    from rag.operations.services import Services
    from rag.storage.conversations import Conversation

log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

_MOST_LISTED = 200  # conversations at a time
_KEPT_SETTINGS = ("chat_profile", "chat_settings")  # of all that Chainlit notes about a session
_COLUMNS = ("id", "threadId", "type", "output", "parentId", "feedback", "streaming")  # of a step, kept elsewhere


class DataLayer(BaseDataLayer):
    """Every method asks for whom it works: see session.py. What is another's does not exist."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = asyncio.Lock()

    async def turns(self, thread_id: str) -> list[Turn]:
        """The turns of a conversation; none if the conversation was deleted."""
        try:
            return turns_of(await self._ask(lambda access: _conversations(access).steps(thread_id)))
        except NotFound:
            return []

    # --------------------------------------------------------------------------------------------------------- users

    async def get_user(self, identifier: str) -> PersistedUser | None:
        """The user of that session, if it holds (still)."""
        try:
            principal = await asyncio.to_thread(principal_of, self._services, identifier)
        except Unauthorized:
            return None
        return PersistedUser(id=principal.id, createdAt="", identifier=identifier, display_name=principal.name)

    async def create_user(self, user: User) -> PersistedUser:
        """The user who logged in; one whom there is no more may do nothing."""
        return await self.get_user(user.identifier) or PersistedUser(id="", createdAt="", identifier=user.identifier)

    # ------------------------------------------------------------------------------------------------- conversations

    async def get_thread_author(self, thread_id: str) -> str:
        """The user's session if it is theirs, else nothing, which Chainlit answers with 404."""

        def read(access: Access) -> str:
            _conversations(access).get(thread_id)
            return calling_session()

        try:
            return await self._ask(read)
        except RagError:
            return ""

    async def list_threads(self, pagination: Pagination, filters: ThreadFilter) -> PaginatedResponse[ThreadDict]:
        """One's own conversations, the last used first, or those in which something was said."""

        first = min(max(pagination.first, 1), _MOST_LISTED)

        def read(access: Access) -> PaginatedResponse[ThreadDict]:
            page, has_more = _conversations(access).page(first, pagination.cursor, filters.search or "")
            threads = [_thread(conversation, access, conversation.updated_at) for conversation in page]
            start, end = (page[0].id, page[-1].id) if page else (None, None)
            return PaginatedResponse(PageInfo(hasNextPage=has_more, startCursor=start, endCursor=end), threads)

        return await self._ask(read)

    async def get_thread(self, thread_id: str) -> ThreadDict | None:
        """A conversation with all that is shown of it; footnotes as they may be read now."""

        def read(access: Access) -> ThreadDict:
            conversations = _conversations(access)
            conversation = conversations.get(thread_id)
            opinions = feedback_in(access.catalog.database, thread_id)
            thread = _thread(conversation, access, conversation.created_at)
            thread["steps"] = [_step_dict(step, thread_id, opinions) for step in conversations.steps(thread_id)]
            elements = [readable_now(element, access) for element in conversations.elements(thread_id)]
            thread["elements"] = [_element_dict(element, thread_id) for element in elements]
            return thread

        try:
            return await self._ask(read)
        except RagError:
            return None

    async def update_thread(
        self,
        thread_id: str,
        name: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        tags: list[str] | None = None,
    ) -> None:
        """Begin a conversation, rename it, or note what it is asked with. Only a first message begins one: else a
        conversation that was deleted while it was open would come back."""

        def write(access: Access) -> None:
            conversations = _conversations(access)
            if user_id is not None:
                conversations.begin(thread_id, name or "")
            elif name is not None:
                conversations.rename(thread_id, name)
            if metadata is not None:
                conversations.set_settings(
                    thread_id, {key: metadata[key] for key in _KEPT_SETTINGS if metadata.get(key)}
                )

        await self._store(write)

    async def delete_thread(self, thread_id: str) -> None:
        """Delete a conversation with all that belongs to it."""
        await self._store(lambda access: _conversations(access).delete(thread_id))

    # ------------------------------------------------------------------------------------------- steps and elements

    @queue_until_user_message()
    async def create_step(self, step_dict: StepDict) -> None:
        """Keep something that was said or done."""
        metadata = step_dict.get("metadata") or {}
        await self._store(
            lambda access: _conversations(access).put_step(
                step_dict["threadId"], _step(step_dict), metadata.get("question", ""), documents_read(metadata)
            )
        )

    @queue_until_user_message()
    async def update_step(self, step_dict: StepDict) -> None:
        """Keep what has changed; a question that changes loses its answers."""
        if step_dict["type"] == "user_message":
            await self._store(lambda access: _conversations(access).edit(step_dict["threadId"], _step(step_dict)))
        else:
            await self.create_step(step_dict)

    @queue_until_user_message()
    async def delete_step(self, step_id: str) -> None:
        """Delete something that was said or done."""

        def write(access: Access) -> None:
            conversations = _conversations(access)
            conversations.delete_step(conversations.conversation_of(step_id), step_id)

        await self._store(write)

    @queue_until_user_message()
    async def create_element(self, element: ChainlitElement) -> None:
        """Keep what is shown with a step. Uploads are kept by `keep_files`: they became documents, or failed."""
        if element.url and element.for_id:
            body = {key: value for key, value in element.to_dict().items() if value is not None}
            stored = Element(element.id, element.for_id, body)
            await self._store(lambda access: _conversations(access).put_element(element.thread_id, stored))

    async def keep_files(self, thread_id: str, message_id: str, documents: Iterable[tuple[str, str]]) -> None:
        """Keep what came with a message, (name, document's id), for when the conversation is opened again."""
        elements = [file_element(message_id, name, document_id) for name, document_id in documents]

        def write(access: Access) -> None:
            for element in elements:
                _conversations(access).put_element(thread_id, element)

        if elements:
            await self._store(write)

    async def get_element(self, thread_id: str, element_id: str) -> ElementDict | None:
        """Something that is shown in a conversation."""
        thread = await self.get_thread(thread_id)
        elements = (thread and thread["elements"]) or []
        return next((element for element in elements if element["id"] == element_id), None)

    @queue_until_user_message()
    async def delete_element(self, element_id: str, thread_id: str | None = None) -> None:
        """Delete what was shown with a step."""
        if thread_id is not None:
            await self._store(lambda access: _conversations(access).delete_element(thread_id, element_id))

    # ------------------------------------------------------------------------------------------------------ feedback

    async def upsert_feedback(self, feedback: Feedback) -> str:
        """Keep what the user thinks of an answer; its id."""

        def write(access: Access) -> str:
            database, owner = access.catalog.database, access.principal.id
            is_good = feedback.value == 1
            return put_feedback(database, owner, feedback.forId, feedback.comment or "", is_good=is_good)

        return await self._ask(write)

    async def delete_feedback(self, feedback_id: str) -> bool:
        """Take it back."""
        return await self._ask(
            lambda access: delete_feedback(access.catalog.database, access.principal.id, feedback_id)
        )

    # ------------------------------------------------------------------------------ what Chainlit offers and we do not

    async def get_favorite_steps(self, user_id: str) -> list[StepDict]:
        """Favourites are switched off."""
        return []

    async def build_debug_url(self) -> str:
        """There is none."""
        return ""

    async def close(self) -> None:
        """The catalog is closed by who opened it."""

    # ---------------------------------------------------------------------------------------------------------------

    async def _ask(self, work: Callable[[Access], _Result]) -> _Result:
        """Work for who calls, in a thread. Raises what the work does, and Unauthorized."""
        async with self._lock:
            return await asyncio.to_thread(lambda: work(self._services.access(calling_principal(self._services))))

    async def _store(self, work: Callable[[Access], None]) -> None:
        """Work that nobody waits for: what belongs to a conversation that was deleted meanwhile is not kept."""
        try:
            await self._ask(work)
        except RagError as error:
            log.info("Not kept: %s", error)


def _conversations(access: Access) -> Conversations:
    return Conversations(access.catalog.database, access.principal.id)


def _thread(conversation: Conversation, access: Access, time: str) -> ThreadDict:
    return {
        "id": conversation.id,
        "createdAt": time,
        "name": conversation.title,
        "userId": access.principal.id,
        "userIdentifier": calling_session(),
        "tags": [],
        "metadata": dict(conversation.settings),
        "steps": [],
        "elements": [],
    }


def _step(step_dict: StepDict) -> Step:
    body = {key: value for key, value in step_dict.items() if key not in _COLUMNS and value not in (None, "", {}, [])}
    text = step_dict.get("output") or ""
    return Step(step_dict["id"], step_dict["type"], text, body, step_dict.get("parentId"))


def _step_dict(step: Step, thread_id: str, opinions: dict[str, tuple[str, bool, str]]) -> StepDict:
    columns = {
        "id": step.id,
        "threadId": thread_id,
        "type": step.type,
        "output": step.text,
        "parentId": step.parent_id,
    }
    shown = {"name": "", "input": "", "metadata": {}, "streaming": False, **step.body, **columns}
    if step.id in opinions:
        feedback_id, is_good, comment = opinions[step.id]
        shown["feedback"] = {"forId": step.id, "id": feedback_id, "value": int(is_good), "comment": comment or None}
    return cast("StepDict", shown)


def _element_dict(element: Element, thread_id: str) -> ElementDict:
    return cast("ElementDict", {**element.body, "id": element.id, "threadId": thread_id, "forId": element.step_id})

"""Answers and conversations to take away: the buttons under an answer, and the files they save."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi.responses import Response

from rag.conversations import Conversations
from rag.errors import NotFound, RagError
from rag.ui.caller import calling_principal
from rag.ui.footnotes import readable_now
from rag.ui.transcript import answer_markdown, entry_of, file_name, markdown, transcript_of
from rag.ui.transcript_pdf import pdf

if TYPE_CHECKING:
    from fastapi import FastAPI

    from rag.access import Access
    from rag.conversations import Conversation, Element, Step
    from rag.services import Services
    from rag.ui.transcript import Transcript

COPY = "copy"  # the name of the action that public/footnotes.js calls


async def copy(action: Any, access: Access, conversation_id: str) -> str:
    """The answer in Markdown, with its footnotes. Raises NotFound."""
    _, steps, elements = await asyncio.to_thread(_read, access, conversation_id)
    step = next((step for step in steps if step.id == action.payload.get("message")), None)
    if step is None:
        raise NotFound("This answer is not kept.", hint="Its conversation was deleted, perhaps in another window.")
    return answer_markdown(entry_of(step, elements))


def add_transcript_routes(app: FastAPI, services: Services) -> None:
    """`GET /conversations/{id}/transcript.md` and `.pdf`, for the user who is logged in to the chat."""

    def read(conversation_id: str) -> Transcript:
        access = services.access(calling_principal(services))
        return transcript_of(*_read(access, conversation_id))

    async def transcript(conversation_id: str, suffix: str) -> Response:
        try:
            found = await asyncio.to_thread(read, conversation_id)
        except RagError as error:
            return Response(f"{error.message}\n", 404, media_type="text/plain")
        if suffix == "pdf":
            content, media_type = await asyncio.to_thread(pdf, found), "application/pdf"
        elif suffix == "md":
            content, media_type = markdown(found).encode(), "text/markdown; charset=utf-8"
        else:
            return Response("There are .md and .pdf.\n", 404, media_type="text/plain")
        name = quote(file_name(found.title, suffix))
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}", "Cache-Control": "private, no-store"}
        return Response(content, media_type=media_type, headers=headers)

    path = "/conversations/{conversation_id}/transcript.{suffix}"
    app.add_api_route(path, transcript, methods=["GET"], include_in_schema=False)


def _read(access: Access, conversation_id: str) -> tuple[Conversation, list[Step], list[Element]]:
    own = Conversations(access.catalog.database, access.principal.id)
    elements = [readable_now(element, access) for element in own.elements(conversation_id)]
    return own.get(conversation_id), own.steps(conversation_id), elements

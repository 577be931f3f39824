"""`GET /documents/{id}/source`: the file a footnote points to, for the browser's own viewer."""

from __future__ import annotations

import asyncio
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse

from rag.api.dependencies import Caller
from rag.api.route_policy import SESSION
from rag.storage.source_files import SourceFiles

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

router = APIRouter(dependencies=[SESSION])

# A document is untrusted: if it is a page, it may be looked at, but runs nothing and fetches nothing.
_HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:",
    "X-Content-Type-Options": "nosniff",
}
_SHOWN_AS_TEXT = ("text/", "application/json", "application/xml")
_ANY_TYPE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("/documents/{document_id}/source", response_class=FileResponse, responses=_ANY_TYPE)
async def get_source(document_id: str, request: Request, caller: Caller) -> FileResponse:
    """The source file, shown in the browser; text of any kind as plain text. 404 when it is no longer there, 409 when
    it is not the one that was ingested."""
    document = await asyncio.to_thread(caller.document, document_id)
    source_files: SourceFiles = request.app.state.source_files
    file = await asyncio.to_thread(source_files.open, document)
    media_type = document.media_type
    if media_type.startswith(_SHOWN_AS_TEXT):
        media_type = "text/plain; charset=utf-8"
    # Chromium's PDF viewer does not start inside a sandbox; a PDF runs no script of ours anyway.
    headers = {} if media_type == "application/pdf" else _HEADERS
    return _OpenFileResponse(
        file,
        media_type=media_type,
        filename=PurePath(document.source).name,
        content_disposition_type="inline",
        headers=headers,
    )


class _OpenFileResponse(FileResponse):
    """A file that is open, whatever is at its path by now; it is closed at the end."""

    def __init__(self, file: BinaryIO, **options: Any) -> None:
        super().__init__(f"/dev/fd/{file.fileno()}", **options)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with self._file:
            await super().__call__(scope, receive, send)

"""`GET /documents/{id}/source`: the file a footnote points to, for the browser's own viewer."""

from __future__ import annotations

import asyncio
from pathlib import PurePath

from fastapi import APIRouter
from fastapi.responses import FileResponse

from rag.api.dependencies import Caller
from rag.api.route_policy import SESSION
from rag.errors import NotFound

router = APIRouter(dependencies=[SESSION])

# A document is untrusted: if it is a page, it may be looked at, but runs nothing and fetches nothing.
_HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:",
    "X-Content-Type-Options": "nosniff",
}
_SHOWN_AS_TEXT = ("text/", "application/json", "application/xml")


@router.get("/documents/{document_id}/source")
async def get_source(document_id: str, caller: Caller) -> FileResponse:
    """The source file, shown in the browser; text of any kind as plain text. 404 when it is no longer there."""
    document = await asyncio.to_thread(caller.document, document_id)
    if not await asyncio.to_thread(document.content.is_file):
        raise NotFound(
            f"{PurePath(document.source).name} is no longer where it was ingested from.",
            hint="Put it back, or ingest its folder again.",
        )
    media_type = document.media_type
    if media_type.startswith(_SHOWN_AS_TEXT):
        media_type = "text/plain; charset=utf-8"
    # Chromium's PDF viewer does not start inside a sandbox; a PDF runs no script of ours anyway.
    headers = {} if media_type == "application/pdf" else _HEADERS
    return FileResponse(
        document.content,
        media_type=media_type,
        filename=PurePath(document.source).name,
        content_disposition_type="inline",
        headers=headers,
    )

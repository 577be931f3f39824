"""`GET /documents/{id}/pdf`: the original file of a PDF document, which the side panel shows at the cited page.

One route instead of Chainlit's own file store, which copies the file anew for every footnote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse

from rag.errors import NotFound

if TYPE_CHECKING:
    from rag.services import Services

PDF = "application/pdf"


def pdf_address(document_id: str) -> str:
    """Where the browser finds the document's PDF."""
    return f"/documents/{document_id}/pdf"


def add_document_route(app: FastAPI, services: Services) -> None:
    """Let `app` serve the PDF documents of the catalog, and nothing else that lies on this machine."""

    def read_pdf(document_id: str) -> FileResponse:
        try:
            document = services.catalog.document(document_id)
        except NotFound as error:
            raise HTTPException(404, str(error)) from error
        if document.media_type != PDF or not document.content.is_file():
            raise HTTPException(404, "The document's PDF is not there any more.")
        return FileResponse(document.content, media_type=PDF, headers={"Cache-Control": "private, no-cache"})

    app.add_api_route(pdf_address("{document_id}"), read_pdf, methods=["GET"], include_in_schema=False)

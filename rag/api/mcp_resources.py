"""The documents as resources of the Model Context Protocol: `footnote://documents/{id}`, and `…/pages/{page}`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from mcp.server.fastmcp import FastMCP
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.shared.exceptions import McpError
from mcp.types import ErrorData, Resource, ResourceTemplate
from pydantic import AnyUrl

from rag.api.openai.chat_completions import source_url
from rag.errors import InvalidRequest, NotFound, RagError, words_for_caller
from rag.operations.backend import Library
from rag.types.documents import Document

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

MOST_LISTED = 200
_LONGEST_TEXT = 100_000  # characters of a whole document
_RESOURCE = re.compile(r"footnote://documents/(?P<document_id>[^/]+)(?:/pages/(?P<page>\d{1,7}))?")
_NO_RESOURCE = -32002  # the protocol's code


class DocumentServer(FastMCP[Any]):
    """The protocol's server; its resources are the documents of whoever asks."""

    def __init__(
        self,
        library_for: Callable[[HTTPConnection | None], Library],
        default_collection: str | None,
        **options: Any,
    ) -> None:
        """`library_for` gives the library for whoever sent a request; over stdin and stdout there are none."""
        super().__init__("footnote", **options)
        self._mcp_server.version = version("footnote")  # it would tell that of its library
        self._library_for = library_for
        self._default_collection = default_collection

    @property
    def library(self) -> Library:
        """The documents that who sent the present request may reach."""
        return self._library_for(self._sender)

    def source_address(self, document_id: str, page: int | None) -> str:
        """Where a browser opens a document at a page; where there is no server, its address as a resource."""
        request = self._sender
        if request is None:
            return resource_address(document_id, page)
        return source_url(str(request.base_url), document_id, None if page is None else page - 1)

    @property
    def _sender(self) -> HTTPConnection | None:
        sender: HTTPConnection | None = self.get_context().request_context.request
        return sender

    async def list_resources(self) -> list[Resource]:
        """The documents (the first 200)."""
        documents = await asyncio.to_thread(self.library.documents, self._default_collection)
        return [_resource(document) for document in documents if document.chunks][:MOST_LISTED]

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        """How a document's address is written, and a page's."""
        return [
            ResourceTemplate(uriTemplate=address, name=name, description=description, mimeType="text/plain")
            for address, name, description in (
                (resource_address("{document_id}"), "document", "The text of a document"),
                (resource_address("{document_id}", "{page}"), "page", "The text of a page, counted from 1"),
            )
        ]

    async def read_resource(self, uri: AnyUrl | str) -> list[ReadResourceContents]:
        """The text of a document or a page. Raises McpError."""
        named = _RESOURCE.fullmatch(str(uri))
        try:
            if named is None:
                raise NotFound(f"There is no resource {str(uri)!r}.", hint="List the resources.")
            _, text = await asyncio.to_thread(whole_text, self.library, named)
        except RagError as error:
            message = " ".join(words_for_caller(error)).strip()
            raise McpError(ErrorData(code=_NO_RESOURCE, message=message)) from error
        return [ReadResourceContents(content=text, mime_type="text/plain")]


def resource_address(document_id: str, page: int | str | None = None) -> str:
    """A document, or one of its pages, as a resource."""
    return f"footnote://documents/{document_id}" + (f"/pages/{page}" if page is not None else "")


def _resource(document: Document) -> Resource:
    name = PurePath(document.source).name
    return Resource(uri=AnyUrl(resource_address(document.id)), name=name, title=document.title, mimeType="text/plain")


def page_text(library: Library, document_id: str, page: int | None) -> tuple[Document, str]:
    """A document and the text of one of its pages, counted from 1. Raises NotFound, InvalidRequest."""
    document, text = library.page_text(document_id, None if page is None else page - 1)
    if not text:
        raise InvalidRequest(
            f"{document.title} has no text {'without a page' if page is None else f'on page {page}'}.",
            hint=f"It has {document.pages} page{'' if document.pages == 1 else 's'}.",
        )
    return document, text


def whole_text(library: Library, named: re.Match[str]) -> tuple[Document, str]:
    """The document that is named and its text, or that of the page. Raises NotFound, InvalidRequest."""
    document_id, page = named["document_id"], named["page"]
    if page:
        return page_text(library, document_id, int(page))
    document, text = library.page_text(document_id, None)
    for index in range(document.pages):
        if len(text) >= _LONGEST_TEXT:
            break
        text += library.page_text(document_id, index)[1] + "\n"
    return document, text[:_LONGEST_TEXT]

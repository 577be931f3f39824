"""The ASGI application: all routes on one port, errors turned into OpenAI's envelope in one place."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.metadata import version

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, HTTPConnection

from rag.api import control, docs, documents, health, metrics, page_images
from rag.api.compat import geniusrise, ollama, petals, tgi
from rag.api.errors import ERROR_RESPONSES, on_rag_error, on_validation_error, status_response
from rag.api.mcp import UserLibrary, create_mcp
from rag.api.middleware.authentication import Authentication, principal_of
from rag.api.middleware.concurrency import ConcurrencyLimit
from rag.api.middleware.errors import UnexpectedErrors
from rag.api.middleware.metrics import RequestMetrics
from rag.api.middleware.origin import OriginCheck
from rag.api.middleware.proxies import TrustedProxies
from rag.api.openai import (
    chat_completions,
    completions,
    conversations,
    embeddings,
    files,
    models,
    responses,
    uploads,
    vector_store_files,
    vector_stores,
)
from rag.api.rendering.renderer import PageDrawer
from rag.auth.authenticator import Authenticator
from rag.errors import NotFound, RagError
from rag.operations.services import Services
from rag.storage.source_files import SourceFiles

# What of OpenAI's API there is not, by the beginning of its paths, and what to use.
_NOT_HERE = {
    "moderations": "Nothing is moderated here: leave the call out, or ask OpenAI's own server for it.",
    "batches": "There are no batches: send the requests one by one; several may be under way at once.",
    "assistants": "Assistants are gone from OpenAI's API, too: use /v1/responses with file_search.",
    "threads": "Assistants are gone from OpenAI's API, too: use /v1/conversations with /v1/responses.",
    "realtime": "There is no speech here: use /v1/chat/completions or /v1/responses.",
    "audio": "There is no speech here: use /v1/chat/completions or /v1/responses.",
    "images": "No images are made here.",
    "videos": "No videos are made here.",
    "fine_tuning": "No models are trained here.",
}
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_api(services: Services, secret: str, lifespan: Lifespan | None = None) -> FastAPI:
    """The application without the chat UI. Who knows `secret` may use the command line's routes. What is added later is
    as closed as the rest: see rag/api/route_policy.py."""

    def library_for(request: HTTPConnection | None) -> UserLibrary:
        assert request is not None
        return UserLibrary(services.access(principal_of(request)), services.retriever)

    tools = create_mcp(library_for)
    tools_app = tools.streamable_http_app()

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(tools.session_manager.run())
            if lifespan is not None:
                await stack.enter_async_context(lifespan(app))
            yield

    app = FastAPI(
        title="Footnote",
        description="OpenAI's protocol. Errors come in OpenAI's envelope, with a hint.",
        version=version("footnote"),
        openapi_url=None,  # see rag/api/docs.py
        lifespan=running,
        responses=ERROR_RESPONSES,
    )
    app.state.services = services
    app.state.control_secret = secret
    app.state.source_files = SourceFiles()
    app.state.page_drawer = PageDrawer(app.state.source_files)
    app.add_exception_handler(RagError, on_rag_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    for module in (
        *(health, metrics, models, chat_completions, completions, responses, conversations, embeddings),
        *(files, uploads, vector_stores, vector_store_files, documents, page_images, docs, control),
        *(ollama, tgi, geniusrise, petals),
    ):
        app.include_router(module.router)
    app.router.routes.extend(tools_app.routes)
    app.add_api_route(
        "/v1/{path:path}",
        _unknown_route,
        methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        include_in_schema=False,
    )
    authenticator = Authenticator(services.settings, services.catalog.database)
    app.state.authenticator = authenticator
    app.add_middleware(ConcurrencyLimit)  # who may not come in waits for nothing
    app.add_middleware(Authentication, authenticator=authenticator)
    if origins := services.settings.server.allowed_origins:
        app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])
    app.add_middleware(OriginCheck, settings=services.settings)
    app.add_middleware(UnexpectedErrors)
    app.add_middleware(RequestMetrics, telemetry=services.telemetry)
    app.add_middleware(TrustedProxies, settings=services.settings)
    # outermost: a refusal has an id, too; a client cannot choose it
    app.add_middleware(CorrelationIdMiddleware, validator=None, transformer=_request_id)
    return app


def _request_id(_: str) -> str:
    return f"req_{secrets.token_hex(12)}"


async def _on_disconnect(_: Request, __: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it


async def _on_http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return status_response(error.status_code, error.detail, error.headers)


async def _unknown_route(path: str) -> JSONResponse:
    hint = _NOT_HERE.get(path.partition("/")[0], "/docs lists what there is.")
    raise NotFound(f"There is no /v1/{path}.", hint=hint)

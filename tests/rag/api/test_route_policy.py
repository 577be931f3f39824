"""What a route needs that says nothing, and what every route of the application needs."""

from __future__ import annotations

import httpx
import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from fastapi.routing import APIWebSocketRoute, iter_route_contexts
from starlette.responses import PlainTextResponse
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from rag.api.app import create_api
from rag.api.middleware.authentication import principal_of
from rag.api.route_policy import PUBLIC, SESSION, UPLOAD, RoutePolicy, policy_of_route
from rag.auth.api_keys import ApiKeys
from rag.auth.users import Users
from rag.ui import library
from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving

EVERYBODY = {"GET /healthz", "GET /readyz", "GET /library"}
BROWSERS = {
    *("GET /docs", "GET /redoc", "GET /docs/{name}", "GET /openapi.json"),
    "GET /documents/{document_id}/source",
    "GET /documents/{document_id}/pages/{number}",
    "GET /documents/{document_id}/pages/{number}.png",
}
TGI = {"GET /info", "POST /", "POST /generate", "POST /generate_stream"}
# What Chainlit serves before a log-in, and by it; all else of it wants the log-in, and takes no key.
CHAT_OF_EVERYBODY = {
    *("GET /auth/config", "POST /login", "POST /logout", "POST /auth/header", "GET /project/translations"),
    *("GET /auth/oauth/{provider_id}", "GET /auth/oauth/{provider_id}/callback", "GET /avatars/{avatar_id:str}"),
    *("POST /auth/oauth/azure-ad-hybrid/callback", "GET /favicon", "GET /logo", "HEAD /", "GET /health"),
    "GET /ws/socket.io",  # who connects there is asked then: see tests/rag/ui/test_sessions.py
}
CHAT_ALONE = {  # ours, for the chat's page
    *("PUT /feedback", "POST /project/action", "POST /project/file", "GET /project/file/{file_id}"),
}
# What changes nothing though it is no GET: a key that can only read may do it.
READS = {
    *("POST /v1/chat/completions", "POST /v1/completions", "POST /v1/embeddings", "POST /mcp"),
    *(
        "POST /v1/responses",
        "POST /v1/responses/{response_id}/cancel",
    ),  # an answer is kept for who asked; none is cancelled
    *("POST /api/v1/chat", "POST /api/v1/chat_vllm", "POST /api/v1/chat_llama_cpp", "POST /api/v1/generate"),
    *("POST /api/chat", "POST /api/generate", "POST /api/embed", "POST /api/embeddings", "POST /api/show"),
    *("POST /", "POST /generate", "POST /generate_stream"),
    "POST /v1/vector_stores/{store_id}/search",
}
ADMINS = {
    *("GET /metrics", "GET /library/users", "POST /library/users"),
    *("PATCH /library/users/{name}", "DELETE /library/users/{name}"),
}
UPLOADS = {
    "POST /v1/files",
    "POST /v1/uploads/{upload_id}/parts",
    "POST /library/collections/{collection_id}/files",
}


def routes_that_say_nothing():
    """A route of each kind, at /new/…, none with a word about access."""
    router = APIRouter()

    @router.get("/new/route")
    async def route() -> str:
        return "open"

    @router.websocket("/new/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(principal_of(socket).name)
        await socket.close()

    router.add_route("/new/plain", lambda _: PlainTextResponse("open"))
    router.mount("/new/mounted", PlainTextResponse("open"))
    mounted = FastAPI()
    mounted.add_api_route("/inner", route)
    router.mount("/new/application", mounted)
    return router


PATHS = [
    "/new/route",
    "/new/plain",
    "/new/mounted",
    "/new/mounted/x",
    "/new/application/inner",
    "/nothing",
    "/documents",
]


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    settings = api_settings(tmp_path_factory.mktemp("closed"))
    settings = settings.model_copy(update={"auth": settings.auth.model_copy(update={"required": True})})
    with serving(settings, [], routes_that_say_nothing()) as served:
        yield served


@pytest.fixture(scope="module")
def key(closed):
    database = closed.services.catalog.database
    return ApiKeys(database).create(Users(database).add("anna").id)


@pytest.mark.parametrize("path", PATHS)
def test_a_route_that_says_nothing_wants_a_key(closed, key, path):
    refused = httpx.get(closed.url + path)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    answered = httpx.get(closed.url + path, headers={"Authorization": f"Bearer {key}"}, follow_redirects=True)
    assert answered.status_code == (200 if path.startswith("/new") else 404)


async def test_a_socket_that_says_nothing_wants_a_key(closed, key):
    address = closed.url.replace("http", "ws") + "/new/socket"
    with pytest.raises(InvalidStatus):
        async with connect(address):
            pass
    async with connect(address, additional_headers={"Authorization": f"Bearer {key}"}) as socket:
        assert await socket.recv() == "anna"


def test_another_method_of_a_public_route_is_not_public(closed):
    assert httpx.get(f"{closed.url}/healthz").status_code == 200
    assert httpx.post(f"{closed.url}/healthz").status_code == 401


def test_what_every_route_needs(served):
    app = create_api(served.services, "token")
    app.include_router(library.router)
    found = {
        f"{method} {route.path}": policy_of_route(route)
        for route in iter_route_contexts(app.routes)
        if not isinstance(route.original_route, APIWebSocketRoute)
        for method in route.methods or {"POST"}
    }
    by_access = {
        access: {name for name, policy in found.items() if policy.access == access}
        for access in ("public", "session", "key")
    }
    control = {name for name in found if " /local/" in name}  # has a token of its own: see test_edges.py
    shelf = {name for name in found if " /library/" in name}
    assert by_access["public"] == EVERYBODY | control
    assert by_access["session"] == BROWSERS | shelf
    others = {name for name in by_access["key"] if " /v1/" not in name and " /api/" not in name}
    assert others == {"GET /metrics", "POST /mcp", *TGI}
    assert {name for name, policy in found.items() if policy.is_upload} == UPLOADS
    limited = {name for name, policy in found.items() if policy.is_limited and name.startswith("POST ")}
    posts = {name for name in by_access["key"] if name.startswith("POST ")}
    assert posts - limited == {"POST /v1/files", "POST /v1/uploads/{upload_id}/parts", "POST /mcp"}


def test_the_innermost_declaration_counts():
    inner = APIRouter(dependencies=[PUBLIC])
    inner.add_api_route("/session", lambda: None, dependencies=[SESSION])
    inner.add_api_route("/public", lambda: None, methods=["POST"])
    outer = APIRouter(dependencies=[SESSION])
    outer.include_router(inner)
    outer.add_api_route("/upload", lambda: None, methods=["POST"], dependencies=[UPLOAD])
    app = FastAPI()
    app.include_router(outer, prefix="/outer")
    app.mount("/mounted", FastAPI(dependencies=[PUBLIC]))
    own = ("/outer/session", "/outer/public", "/outer/upload", "/mounted")
    assert {route.path: policy_of_route(route) for route in iter_route_contexts(app.routes) if route.path in own} == {
        "/outer/session": RoutePolicy("session"),
        "/outer/public": RoutePolicy("public"),
        "/outer/upload": RoutePolicy("session", is_upload=True),
        "/mounted": RoutePolicy("public"),
    }

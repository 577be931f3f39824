"""Chainlit's routes that blame the server for what the sender got wrong, or tell of others' chats, and those that
nothing of ours needs.

The first have a route of ours before them, which looks at the request and hands it on. The others are shut: its own
pages about its API among them, which would answer to everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, StringConstraints

from rag.api.errors import error_response
from rag.api.json_body import JsonRoute
from rag.api.route_policy import PUBLIC, SESSION
from rag.errors import InvalidRequest, NotFound
from rag.ui.session import current_user

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.responses import JSONResponse

SHUT = frozenset({"/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/project/element", "/mcp"})

_User = Annotated[Any, Depends(current_user)]


class _Feedback(BaseModel):
    forId: str  # noqa: N815  (Chainlit's names, here and below)
    value: Literal[0, 1]
    comment: str | None = None


class _FeedbackUpdate(BaseModel):
    feedback: _Feedback


class _Action(BaseModel):
    name: str
    payload: dict[str, Any]
    id: str = ""
    forId: str | None = None  # noqa: N815


class _ActionCall(BaseModel):
    action: _Action
    sessionId: str  # noqa: N815


class _SessionCookie(BaseModel):
    session_id: Annotated[str, StringConstraints(pattern="^[0-9a-f-]{36}$")]


def shut_routes(chainlit_app: FastAPI) -> None:
    """Take what nothing of ours needs out of Chainlit's application."""
    from chainlit.server import router

    for routes in (chainlit_app.router.routes, router.routes):
        routes[:] = [route for route in routes if getattr(route, "path", "") not in SHUT]


async def refuse_half_characters(_: Request, __: Exception) -> JSONResponse:
    """For Chainlit's application, where a text that cannot be encoded is first met when it is to be looked up."""
    return error_response(InvalidRequest("The request has half a character.", hint="Send text that is Unicode."))


def chainlit_routes() -> APIRouter:
    """The routes that come before Chainlit's. To be called once Chainlit may be imported."""
    from chainlit import server
    from chainlit.data import get_data_layer
    from chainlit.session import WebsocketSession
    from chainlit.types import CallActionRequest, Feedback

    router = APIRouter(include_in_schema=False, route_class=JsonRoute)

    async def put_feedback(body: _FeedbackUpdate, _: _User) -> dict[str, Any]:
        """Raises NotFound for an answer that is not one's own."""
        data_layer = get_data_layer()
        assert data_layer is not None
        return {"success": True, "feedbackId": await data_layer.upsert_feedback(Feedback(**body.feedback.model_dump()))}

    def require_own_chat(session_id: str, user: Any) -> None:
        """Raises NotFound for a chat that has ended, and in the same words for somebody else's."""
        chat = WebsocketSession.get_by_id(session_id)
        if chat is None or chat.user is None or chat.user.identifier != user.identifier:
            raise NotFound("This chat has ended.", hint="Reload the page.")

    async def get_file(file_id: str, session_id: str, user: _User) -> Any:
        require_own_chat(session_id, user)
        return await server.get_file(file_id, session_id, user)

    async def call_action(body: _ActionCall, user: _User) -> Any:
        require_own_chat(body.sessionId, user)
        action = body.action.model_dump(exclude_defaults=True)
        return await server.call_action(CallActionRequest(action=action, sessionId=body.sessionId), user)

    async def set_session_cookie(_: _SessionCookie, request: Request, response: Response) -> Any:
        return await server.set_session_cookie(request, response)

    router.add_api_route("/feedback", put_feedback, methods=["PUT"], dependencies=[SESSION])
    router.add_api_route("/project/file/{file_id}", get_file, methods=["GET"], dependencies=[SESSION])
    router.add_api_route("/project/action", call_action, methods=["POST"], dependencies=[SESSION])
    router.add_api_route("/set-session-cookie", set_session_cookie, methods=["POST"], dependencies=[PUBLIC])
    return router

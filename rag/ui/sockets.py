"""What comes through the chat's WebSockets: only what the page sends, and only while its session holds.

Chainlit hands on whatever a client sends. Here a message of another shape is left out with a line in the log, and one
of a session that has ended closes the connection.

Chainlit makes a folder of a session's name, and removes that when the session ends. A name such as `../..` would remove
another one, so only those are let in that the page really makes.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Json, StringConstraints, TypeAdapter
from starlette.routing import Mount

from rag.errors import Unauthorized, set_caller
from rag.ui.markdown import escape
from rag.ui.session import calling_session, principal_of
from rag.ui.settings_panel import SentValues

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chainlit.session import WebsocketSession
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from rag.operations.services import Services

log = logging.getLogger(__name__)


def _written_as_usual(name: str) -> str:
    if str(UUID(name)) != name:
        raise ValueError("the page writes it in another way")
    return name


_Name = Annotated[str, AfterValidator(_written_as_usual)]


class _Connection(BaseModel):
    sessionId: _Name  # noqa: N815  (Chainlit's names, here and below)
    clientType: Literal["webapp", "copilot"]  # noqa: N815
    userEnv: Json[dict[str, str]] | None = None  # noqa: N815
    threadId: str | None = None  # noqa: N815
    chatProfile: str | None = None  # noqa: N815


class _Message(BaseModel):
    id: Annotated[_Name, StringConstraints(pattern="^.{14}4")]  # Chainlit takes version 4 alone
    type: Literal["user_message"]
    output: str
    createdAt: str  # noqa: N815
    name: str = ""
    parentId: str | None = None  # noqa: N815
    command: str | None = None
    language: str | None = None
    modes: dict[str, str] | None = None
    metadata: dict[str, Any] | None = None


class _File(BaseModel):
    id: str


class _NewMessage(BaseModel):
    message: _Message
    fileReferences: list[_File] | None = None  # noqa: N815


class _EditedMessage(BaseModel):
    class _Edited(BaseModel):
        id: str
        output: str

    message: _Edited


# What the page sends, and what comes with it. What is not here (audio, favourites) is switched off.
_EVENTS: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(payload)
    for name, payload in {
        "connection_successful": tuple[()],
        "clear_session": tuple[()],
        "stop": tuple[()],
        "fetch_favorites": tuple[()],
        "client_message": tuple[_NewMessage],
        "edit_message": tuple[_EditedMessage],
        "chat_settings_change": tuple[SentValues],
    }.items()
}


class _Handlers(dict[str, Any]):
    """Handlers by the names of events; a client may send any JSON for a name."""

    def __contains__(self, event: object) -> bool:
        return isinstance(event, str) and super().__contains__(event)


def guard_sockets(services: Services) -> None:
    """Look at everything before Chainlit's own handlers do. Call it once Chainlit may be imported."""
    import chainlit.socket  # noqa: F401  (adds the handlers)
    from chainlit.server import app as chainlit_app
    from chainlit.server import asgi_app, sio

    handlers = sio.handlers["/"]
    connect, disconnect = handlers["connect"], handlers["disconnect"]
    sio.handlers["/"] = _Handlers(
        connect=_guarded_connect(services, connect),
        disconnect=_guarded_disconnect(disconnect),
        **{event: _guarded(services, event, handlers[event]) for event in _EVENTS},
    )
    for name in ("engineio.server", "socketio.server"):
        logging.getLogger(name).addFilter(_without_trace)
    for route in chainlit_app.routes:
        if isinstance(route, Mount) and route.app is asgi_app:
            route.app = _Frames(route.app)


async def close_sockets(session: str) -> None:
    """Close the connections to this process that were opened with a session."""
    from chainlit.server import sio
    from chainlit.session import ws_sessions_id

    for chat in list(ws_sessions_id.values()):
        if chat.user is not None and chat.user.identifier == session:
            await sio.disconnect(chat.socket_id)


def _guarded_connect(services: Services, connect: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    from chainlit.server import sio
    from socketio.exceptions import ConnectionRefusedError as Refused

    async def guarded(sid: str, environ: object = None, auth: object = None, *_: object) -> Any:
        if environ is not sio.get_environ(sid):  # a message of that name, by a client that is connected
            return None
        try:
            _Connection.model_validate(auth)
            _require_whole_characters(auth)
        except ValueError as error:
            raise Refused("the session's name is none of the page's") from error
        try:
            await asyncio.to_thread(principal_of, services, calling_session())
        except Unauthorized as error:
            raise Refused("authentication failed") from error
        return await connect(sid, environ, auth)

    return guarded


def _guarded_disconnect(disconnect: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    from chainlit.server import sio

    async def guarded(sid: str, *_: object) -> None:
        if not sio.manager.is_connected(sid, "/"):  # else it is a message of that name
            await disconnect(sid)

    return guarded


def _guarded(services: Services, event: str, handler: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    import chainlit as cl
    from chainlit.context import init_ws_context
    from chainlit.server import sio
    from chainlit.session import WebsocketSession

    async def guarded(sid: str, *payload: Any) -> Any:
        chat = WebsocketSession.get(sid)
        try:
            _EVENTS[event].validate_python(payload, strict=True)
            _require_whole_characters(payload)
        except (ValueError, RecursionError):
            log.info("A message %r of another shape than the page's was left out.", event)
            return None
        if chat is None:  # it lost its connection for too long
            return await sio.disconnect(sid)
        try:
            principal = await asyncio.to_thread(principal_of, services, calling_session())
        except Unauthorized as error:
            init_ws_context(chat)
            await cl.ErrorMessage(f"{escape(error.message)}\n\n{escape(error.hint)}").send()
            return await sio.disconnect(sid)
        set_caller(runs_footnote=principal.runs_footnote)
        if event == "edit_message" and not _is_known(chat, payload[0]["message"]["id"]):
            return None
        return await handler(sid, *payload)

    return guarded


def _require_whole_characters(payload: object) -> None:
    """Raises ValueError for half a character, which cannot be stored."""
    json.dumps(payload, ensure_ascii=False).encode()


def _is_known(chat: WebsocketSession, message_id: str) -> bool:
    """Whether the chat has that message (still)."""
    from chainlit.chat_context import chat_context
    from chainlit.context import init_ws_context

    init_ws_context(chat)
    return any(message.id == message_id for message in chat_context.get())


def _without_trace(record: logging.LogRecord) -> bool:
    """What these libraries log with a trace is what a client sent: a line tells it."""
    if record.exc_info:
        record.msg, record.args = "%s (%r)", (record.getMessage(), record.exc_info[1])
        record.exc_info = None
    return True


class _Frames:
    """ASGI middleware: a frame that is none of the protocol's ends its connection."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = [await receive()] if scope["type"] == "http" else []
        if first and first[0]["type"] == "http.disconnect":
            return  # whoever asked is gone: engine.io would look for their request

        async def receive_all() -> Message:
            return first.pop() if first else await receive()

        try:
            await self._app(scope, receive_all, send)
        except (ValueError, IndexError, KeyError, TypeError, RecursionError) as error:
            if scope["type"] != "websocket":
                raise
            log.info("A WebSocket sent what is none of its protocol: %r", error)
            await send({"type": "websocket.close", "code": 1007})

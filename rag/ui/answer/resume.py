"""An answer that is still being written when its page is loaded anew: the new page gets the rest of it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import chainlit as cl
from chainlit.session import WebsocketSession, ws_sessions_id

if TYPE_CHECKING:
    from chainlit.types import ThreadDict

ANSWERING = "answering"  # in the session: the messages of the answer that is being written
_FOLLOWING = "following"  # a task that must not be collected as garbage
_SHOWN = 0.1  # seconds; Chainlit says that nothing runs when a conversation was resumed, and so we say it later


def follow(thread: ThreadDict) -> None:
    """Send what is still written for this conversation to the present session instead of the one that is gone.

    `thread` gets what there is by now; nothing may be awaited before it was sent.
    """
    session = cl.context.session
    assert isinstance(session, WebsocketSession)
    for other in list(ws_sessions_id.values()):
        task = other.current_task
        if other is session or task is None or task.done() or not _shows_same(other, session):
            continue
        other.emit = partial(_emit_to, session)
        session.current_task = task  # so that it can be stopped here, too
        for message in _being_written(other):
            thread["steps"].append(message.to_dict())
        cl.user_session.set(_FOLLOWING, asyncio.create_task(_announce_running(task)))


def _emit_to(session: WebsocketSession, event: str, data: Any) -> Any:
    return session.emit(event, data)  # another one after each reconnection


def _shows_same(other: WebsocketSession, session: WebsocketSession) -> bool:
    """Whether both show the same conversation of the same user."""
    users = [shown.user.identifier if shown.user else None for shown in (other, session)]
    return other.thread_id == session.thread_id and users[0] == users[1]


def _being_written(session: WebsocketSession) -> list[cl.Message]:
    from chainlit.user_session import user_sessions

    messages: dict[str, cl.Message] = user_sessions.get(session.id, {}).get(ANSWERING) or {}
    return [message for message in messages.values() if message.streaming]


async def _announce_running(task: asyncio.Task[Any]) -> None:
    await asyncio.sleep(_SHOWN)
    if not task.done():
        await cl.context.emitter.task_start()

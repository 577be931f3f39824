"""The name that a browser gives its session: Chainlit makes a folder of it, and removes that when the session ends.

A name such as `../..` would remove another one, so only those are let in that the page really makes.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID


def refuse_odd_sessions() -> None:
    """Put a look at the session's name before Chainlit's own handler of new connections. Call it once Chainlit may be
    imported."""
    import chainlit.socket  # noqa: F401  (adds the handlers)
    from chainlit.server import sio
    from socketio.exceptions import ConnectionRefusedError as Refused

    connect = sio.handlers["/"]["connect"]

    async def connect_if_named(sid: str, environ: dict[str, Any], auth: dict[str, Any]) -> Any:
        if not _is_uuid(auth.get("sessionId") if isinstance(auth, dict) else None):
            raise Refused("the session's name is none of the page's")
        return await connect(sid, environ, auth)

    sio.on("connect", connect_if_named)


def _is_uuid(name: object) -> bool:
    try:
        return str(UUID(str(name))) == name
    except ValueError:
        return False

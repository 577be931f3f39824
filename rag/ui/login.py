"""The log-in of the chat's page, where one is asked for.

On an open server everybody is the owner of the machine; the page logs them in by itself, because Chainlit keeps
conversations of known users only.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from rag.auth.principals import LOCAL, Principal
from rag.errors import RateLimited, Unauthorized
from rag.storage.private import shared_secret
from rag.ui.session import chat_session
from rag.ui.sockets import close_sockets

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import chainlit as cl
    from starlette.requests import Request
    from starlette.responses import Response

    from rag.auth.authenticator import Authenticator
    from rag.auth.sessions import Sessions
    from rag.storage.database import Database

_SECRET_NAME = "chat_secret"  # noqa: S105  (of the file in the storage folder that has it)


def prepare_login(storage: Path, database: Database) -> None:
    """Set what Chainlit signs its cookies with: it outlives a restart. To be called before Chainlit is imported.

    A cookie opens nothing without its session's row (rag/auth/sessions.py), whoever signed it. The secret is in a file
    of its own, so that no copy of the catalog, and no backup, has it; processes that share a catalog share the storage
    folder, too."""
    with database.exclusive(_SECRET_NAME):  # processes that start at once have one and the same
        os.environ["CHAINLIT_AUTH_SECRET"] = shared_secret(storage / _SECRET_NAME)


def offer_logout(sessions: Sessions) -> None:
    """Let the chat's log-out end the session itself: Chainlit's deletes the browser's cookie, and no copy of it."""
    import chainlit as cl

    async def log_out(request: Request, _: Response) -> dict[str, Any]:
        if token := chat_session(request):
            await asyncio.to_thread(sessions.end, token)
            await close_sockets(token)
        return {"success": True}

    cl.on_logout(log_out)


def offer_login(authenticator: Authenticator) -> None:
    """Tell Chainlit how to log in: by name and password where that is asked for (and by a proxy, or the OAuth providers
    of Chainlit's variables `OAUTH_…`, where they are set), else by itself."""
    import chainlit as cl
    from chainlit.oauth_providers import get_configured_oauth_providers

    async def with_session(principal: Principal) -> cl.User:
        token = await asyncio.to_thread(authenticator.sessions.begin, principal.id)
        return cl.User(identifier=token, display_name=principal.name)

    async def by_password(name: str, password: str) -> cl.User | None:
        try:
            principal = await asyncio.to_thread(authenticator.by_password, name, password)
        except (Unauthorized, RateLimited):
            return None
        return await with_session(principal)

    async def by_proxy(headers: Mapping[str, str]) -> cl.User | None:
        name = headers.get(authenticator.user_header, "")
        principal = await asyncio.to_thread(authenticator.by_trusted_name, name) if name else None
        return await with_session(authenticator.counted(principal)) if principal else None

    async def by_provider(provider: str, _: str, __: object, found: cl.User) -> cl.User | None:
        # with the provider's name: a stranger there may be called like somebody here
        principal = await asyncio.to_thread(authenticator.by_trusted_name, f"{provider}:{found.identifier}")
        return await with_session(principal) if principal else None

    async def by_itself(_: object) -> cl.User | None:
        return cl.User(identifier=LOCAL.id, display_name=LOCAL.name)  # who needs no session to come in

    if authenticator.is_closed:
        cl.password_auth_callback(by_password)
        if authenticator.user_header:
            cl.header_auth_callback(by_proxy)
        if get_configured_oauth_providers():
            cl.oauth_callback(by_provider)
    else:
        cl.header_auth_callback(by_itself)

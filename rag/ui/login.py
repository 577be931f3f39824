"""The log-in of the chat's page, where one is asked for.

On an open server everybody is the owner of the machine; the page logs them in by itself, because Chainlit keeps
conversations of known users only.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from typing import TYPE_CHECKING

from rag.auth.principals import LOCAL, Principal
from rag.errors import RateLimited, Unauthorized

if TYPE_CHECKING:
    from collections.abc import Mapping

    import chainlit as cl

    from rag.auth.authenticator import Authenticator
    from rag.storage.catalog import Catalog

_SECRET = "chat_secret"  # noqa: S105  (the name of the property that has it)


def prepare_login(catalog: Catalog) -> None:
    """Set what Chainlit signs its sessions with: it outlives a restart. To be called before Chainlit is imported."""
    with catalog.database.transaction() as connection:  # processes that start at once have one and the same
        insert = "INSERT INTO properties (name, value) VALUES (:name, :value) ON CONFLICT DO NOTHING"
        connection.execute(insert, name=_SECRET, value=secrets.token_urlsafe(48))
        os.environ["CHAINLIT_AUTH_SECRET"] = catalog.property(_SECRET) or ""


def offer_login(authenticator: Authenticator) -> None:
    """Tell Chainlit how to log in: by name and password where that is asked for (and by a proxy, or the OAuth providers
    of Chainlit's variables `OAUTH_…`, where they are set), else by itself."""
    import chainlit as cl
    from chainlit.oauth_providers import get_configured_oauth_providers

    def user_of(principal: Principal) -> cl.User:
        return cl.User(identifier=authenticator.users.session_of(principal.id), display_name=principal.name)

    async def by_password(name: str, password: str) -> cl.User | None:
        try:
            principal = await asyncio.to_thread(authenticator.by_password, name, password)
        except (Unauthorized, RateLimited):
            return None
        return user_of(principal)

    async def by_proxy(headers: Mapping[str, str]) -> cl.User | None:
        name = headers.get(authenticator.user_header, "")
        principal = await asyncio.to_thread(authenticator.by_trusted_name, name) if name else None
        return user_of(principal) if principal else None

    async def by_provider(provider: str, _: str, __: object, found: cl.User) -> cl.User | None:
        # with the provider's name: a stranger there may be called like somebody here
        principal = await asyncio.to_thread(authenticator.by_trusted_name, f"{provider}:{found.identifier}")
        return user_of(principal) if principal else None

    async def by_itself(_: object) -> cl.User | None:
        return user_of(LOCAL)

    if authenticator.is_closed:
        cl.password_auth_callback(by_password)
        if authenticator.user_header:
            cl.header_auth_callback(by_proxy)
        if get_configured_oauth_providers():
            cl.oauth_callback(by_provider)
    else:
        cl.header_auth_callback(by_itself)

"""Who chats: the log-in of the chat's page, where one is asked for, and the principal behind a session.

On an open server everybody is the owner of the machine; the page logs them in by itself, because Chainlit keeps
conversations of known users only.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from typing import TYPE_CHECKING

from rag.auth import LOCAL, LOCAL_NAME, Principal
from rag.errors import RateLimited, Unauthorized
from rag.users import Users

if TYPE_CHECKING:
    from collections.abc import Mapping

    import chainlit as cl
    from starlette.requests import HTTPConnection

    from rag.authenticator import Authenticator
    from rag.catalog import Catalog
    from rag.services import Services

_SECRET = "chat_secret"  # noqa: S105  (the name of the property that has it)


def prepare_login(catalog: Catalog) -> None:
    """Set what Chainlit signs its sessions with: it outlives a restart. To be called before Chainlit is imported."""
    secret = catalog.property(_SECRET)
    if secret is None:
        secret = secrets.token_urlsafe(48)
        catalog.set_property(_SECRET, secret)
    os.environ["CHAINLIT_AUTH_SECRET"] = secret


def offer_login(authenticator: Authenticator) -> None:
    """Tell Chainlit how to log in: by name and password where that is asked for (and by a proxy, or the OAuth providers
    of Chainlit's variables `OAUTH_…`, where they are set), else by itself."""
    import chainlit as cl
    from chainlit.oauth_providers import get_configured_oauth_providers

    async def by_password(name: str, password: str) -> cl.User | None:
        try:
            principal = await asyncio.to_thread(authenticator.by_password, name, password)
        except (Unauthorized, RateLimited):
            return None
        return _user(principal)

    async def by_proxy(headers: Mapping[str, str]) -> cl.User | None:
        name = headers.get(authenticator.user_header, "")
        principal = await asyncio.to_thread(authenticator.vouched, name) if name else None
        return _user(principal) if principal else None

    async def by_provider(provider: str, _: str, __: object, found: cl.User) -> cl.User | None:
        # with the provider's name: a stranger there may be called like somebody here
        principal = await asyncio.to_thread(authenticator.vouched, f"{provider}:{found.identifier}")
        return _user(principal) if principal else None

    async def by_itself(_: object) -> cl.User | None:
        return _user(LOCAL)

    if authenticator.is_closed:
        cl.password_auth_callback(by_password)
        if authenticator.user_header:
            cl.header_auth_callback(by_proxy)
        if get_configured_oauth_providers():
            cl.oauth_callback(by_provider)
    else:
        cl.header_auth_callback(by_itself)


def chat_user(connection: HTTPConnection) -> str | None:
    """The name of the user whose session the request's cookies have; None for nobody."""
    from chainlit.auth import decode_jwt, get_token_from_cookies
    from jwt import InvalidTokenError

    token = get_token_from_cookies(connection.cookies)
    try:
        return str(decode_jwt(token).identifier) if token else None
    except InvalidTokenError:
        return None


def principal_of(services: Services, name: str | None) -> Principal:
    """Who is behind a session with that user's name. Raises Unauthorized when there is no such user any more."""
    if not services.settings.is_closed:
        return LOCAL
    principal = Users(services.catalog.database).find(name) if name and name != LOCAL_NAME else None
    if principal is None:
        raise Unauthorized("You are not logged in any more.", hint="Reload the page and log in again.")
    return principal


def _user(principal: Principal) -> cl.User:
    import chainlit as cl

    return cl.User(identifier=principal.name, display_name=principal.name)

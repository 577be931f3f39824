"""Puts the chat at `/` of our own FastAPI application, beside the API.

Chainlit reads its environment and its files when it is imported, so everything is prepared first; hence the imports
inside the function.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rag.api.errors import on_rag_error
from rag.api.route_policy import PUBLIC
from rag.errors import NotFound, RagError
from rag.ui import export, library, reader
from rag.ui.chainlit_files import write_chainlit_files
from rag.ui.chainlit_routes import chainlit_routes, refuse_half_characters, shut_routes
from rag.ui.content_security_policy import ContentSecurityPolicy, content_security_policy
from rag.ui.login import offer_login, offer_logout, prepare_login
from rag.ui.profiles import banner
from rag.ui.session import CallerContext, chat_session, current_user
from rag.ui.sockets import guard_sockets
from rag.ui.translations import LANGUAGES, translations_in
from rag.ui.upload_route import add_upload_route

if TYPE_CHECKING:
    from fastapi import FastAPI

    from rag.operations.services import Services

# With these set, Chainlit would send conversations to a service, or to a database that has nothing to do with us.
FOREIGN_SETTINGS = ("LITERAL_API_KEY", "DATABASE_URL", "SLACK_BOT_TOKEN", "TEAMS_APP_ID", "DISCORD_BOT_TOKEN")


def mount_chat(app: FastAPI, services: Services) -> None:
    """Add the chat to `app`; call it after all other routes, because the chat answers every path that is left.

    The application brings the API's routes and its guard against foreign hosts and origins. Chainlit keeps its state in
    modules, so a process can have one chat.
    """
    is_open = not services.settings.is_closed
    # the start page is the log-in's, too, which tells strangers nothing of the model: who is in is told by handlers.py
    banners = {language: banner(services, translations_in(language)) if is_open else "" for language in LANGUAGES}
    folder = (services.settings.storage.dir / "chat").resolve()
    max_upload_mb = services.settings.server.max_upload_mb
    write_chainlit_files(
        folder,
        banners=banners,
        suffixes=services.ingest.suffixes,
        max_upload_mb=max_upload_mb,
        is_open=is_open,
    )
    os.environ["CHAINLIT_APP_ROOT"] = str(folder)
    for name in FOREIGN_SETTINGS:
        os.environ.pop(name, None)
    prepare_login(services.settings.storage.dir, services.catalog.database)
    logging.getLogger("chainlit").setLevel(logging.WARNING)

    from chainlit.auth import get_current_user
    from chainlit.server import app as chainlit_app
    from chainlit.server import get_html_template
    from chainlit.utils import mount_chainlit

    offer_login(app.state.authenticator)
    offer_logout(app.state.authenticator.sessions)
    app.state.chat_session = chat_session
    guard_sockets(services)
    app.include_router(library.router)
    app.include_router(reader.router)
    app.include_router(export.router)
    app.include_router(chainlit_routes())
    shut_routes(chainlit_app)
    # Chainlit's route makes a session that is about to end last for ever.
    app.add_api_route("/auth/jwt", _no_renewal, methods=["GET", "POST"], dependencies=[PUBLIC], include_in_schema=False)
    add_upload_route(app, suffixes=services.ingest.suffixes, max_upload_mb=max_upload_mb)
    chainlit_app.state.services = services
    chainlit_app.dependency_overrides[get_current_user] = current_user
    chainlit_app.add_exception_handler(RagError, on_rag_error)  # such as of a user who was just removed
    chainlit_app.add_exception_handler(UnicodeEncodeError, refuse_half_characters)
    chainlit_app.router.dependencies.append(PUBLIC)  # its own log-in: see login.py
    mount_chainlit(app, target=str(Path(__file__).with_name("handlers.py")), path="/")
    app.add_middleware(CallerContext)
    app.add_middleware(ContentSecurityPolicy, policy=content_security_policy(get_html_template("/")))


async def _no_renewal() -> None:
    raise NotFound("Sessions are not renewed.", hint="Log in again.")

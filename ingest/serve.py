"""Footnote's server: settings → services → one ASGI application (API and chat) on one port."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli.runner import debug_option, is_debugging, load_settings
from rag.errors import ConfigurationError, NotFound, set_caller

if TYPE_CHECKING:
    from types import FrameType

    from fastapi import FastAPI

    from rag.operations.services import Services
    from rag.settings import Settings
    from rag.storage.catalog import Catalog

LAST_ANSWERS = 3.0  # seconds that answers get to end by themselves when the server is told to stop


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--sample", is_flag=True, help="Ingest the sample documents first, to have something to ask.")
@debug_option
def serve(paths: tuple[Path, ...], sample: bool) -> None:
    """Serve the chat and the API. PATHS are ingested first, into the collection `default`.

    \b
    rag serve                  serve what has been ingested
    rag serve ~/Documents      ingest this folder first
    rag serve --sample         try it with the sample documents

    Settings are environment variables, or lines of a file `.env`: RAG_SERVER__PORT=8080, RAG_LLM__BASE_URL=…
    """
    from rag.auth.weak_secrets import refuse_weak_secrets
    from rag.telemetry.logging import set_up_logging

    set_caller(runs_footnote=False)  # each request says who asks
    settings = load_settings()
    _require_declared_proxy(settings)
    if settings.is_closed:
        refuse_weak_secrets(settings)
    if not is_debugging():
        set_up_logging(settings.log)
    # The server hands the signal on when it has stopped; by default that would end us before the storage is closed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _listening(settings) as listener, _services(settings) as services:
        folders = [*paths, *([_sample()] if sample else [])]
        if folders:
            if services.unwritable is not None:
                raise services.unwritable
            from ingest.progress import show_progress

            show_progress(services.ingest.add_paths(folders, "default"))
            services.ingest.wait_for_repair()
        with _mirror(settings, services):
            _serve(services, listener)


def _sample() -> Path:
    """The folder of the sample documents: in the wheel, or in a clone. Raises NotFound."""
    here = Path(__file__).parent
    for folder in (here / "sample", here.parent / "data" / "sample"):
        if folder.is_dir():
            return folder
    raise NotFound("The sample documents are not here.", hint="A clone has them in data/sample.")


def _require_declared_proxy(settings: Settings) -> None:
    """Raises ConfigurationError where a proxy is to name the user, and anybody could."""
    if settings.auth.user_header and not settings.server.trusted_proxies:
        raise ConfigurationError(
            f"RAG_AUTH__USER_HEADER={settings.auth.user_header} is set, and no proxy is declared that may send it.",
            hint="Name the proxy's address or network: RAG_SERVER__TRUSTED_PROXIES='[\"127.0.0.1\"]'.",
        )


@contextlib.contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """The port, taken before anything slow begins. Raises ConfigurationError when it cannot be had."""
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"Port {port} on {host} cannot be used: {error.strerror}.",
            hint=f"End what uses it, or choose another: RAG_SERVER__PORT={port + 1}.",
        ) from error
    with listener:
        yield listener


@contextlib.contextmanager
def _services(settings: Settings) -> Iterator[Services]:
    from ingest.ingestor import Ingestor
    from rag.operations.services import Services
    from rag.telemetry.logging import request_line
    from rag.telemetry.metrics import Telemetry
    from rag.telemetry.tracing import open_traces

    with open_traces(settings.telemetry) as traces:
        telemetry = Telemetry(others=(request_line(with_content=settings.log.content), *traces))
        with Services(settings, Ingestor, telemetry) as services:
            services.open_all()
            _require_way_in(settings, services.catalog)
            yield services


def _require_way_in(settings: Settings, catalog: Catalog) -> None:
    """Raises ConfigurationError where a key or a log-in is asked for and nobody has one."""
    from rag.auth.users import Users

    vouched = settings.auth.user_header or any(re.fullmatch("OAUTH_.*_CLIENT_ID", name) for name in os.environ)
    if settings.is_closed and not vouched and not Users(catalog.database).anybody_may_log_in():
        raise ConfigurationError(
            f"At {settings.server.host}, Footnote lets in only who has an API key or a password, and nobody has.",
            hint="First `rag users add NAME`, for the chat, or `rag keys create --user NAME`, for the API.",
        )


def _mirror(settings: Settings, services: Services) -> contextlib.AbstractContextManager[object]:
    """The folders of RAG_INGEST__WATCH, followed in the background. Raises ConfigurationError."""
    from ingest.watch import FolderWatcher

    if services.unwritable is not None:
        return contextlib.nullcontext()
    folders = [Path(folder).expanduser() for folder in settings.ingest.watch.split(os.pathsep) if folder]
    for folder in folders:
        if not folder.is_dir():
            raise ConfigurationError(f"{folder} is not a folder.", hint="Correct RAG_INGEST__WATCH.")
    return FolderWatcher(services.ingest, [folder.absolute() for folder in folders], services.catalog.database)


def _serve(services: Services, listener: socket.socket) -> None:
    import uvicorn

    from rag.answering import message_kinds
    from rag.api.app import create_api
    from rag.api.connections import limited
    from rag.storage.lock import Owner, StorageLock
    from rag.telemetry.loop_watchdog import watched
    from rag.ui.mount import mount_chat

    settings = services.settings
    host = settings.server.host
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (what listens everywhere does so here)
    url = f"http://{f'[{host}]' if ':' in host else host}:{settings.server.port}"
    secret = secrets.token_urlsafe(32)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        lock = StorageLock(settings.storage.dir, shared=settings.storage.is_shared)  # which `services` has
        lock.announce(Owner(os.getpid(), url, secret, socket.gethostname()))
        _introduce(services, url)
        learning = asyncio.create_task(asyncio.to_thread(message_kinds.learn))  # before the first message comes
        with watched():
            yield
        await learning

    api = create_api(services, secret, lifespan)
    mount_chat(api, services)
    config = uvicorn.Config(
        api,
        log_config=None,  # as all others log
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # see rag/api/middleware/proxies.py
        timeout_graceful_shutdown=5,
        lifespan="on",
        http=limited(settings.server.connections_per_address),
        ws_max_size=settings.server.max_request_kb * 1024,
    )

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            services.ingest.end()  # else the server would wait for the file that is just being ingested
            super().handle_exit(sig, frame)

        async def on_tick(self, counter: int) -> bool:
            """Whether to close all connections: told to, we wait until the answers are over or their time is."""
            if self.should_exit:
                services.stopping.begin(LAST_ANSWERS)
                return self.force_exit or services.stopping.is_over
            return await super().on_tick(counter)

    Server(config).run(sockets=[listener])


def _introduce(services: Services, url: str) -> None:
    """What was found, on a few lines."""
    documents = services.catalog.documents()
    ready = [document for document in documents if document.chunks]
    chunks = sum(document.chunks for document in documents)
    failed = sum(document.status == "failed" for document in documents)
    more = f", {failed} could not be read (see `ingest ls`)" if failed else ""
    click.echo(f"Documents:        {len(ready)}, in {chunks} chunks{more}")
    click.echo(f"Storage:          {services.settings.storage.dir.absolute()}")
    click.echo(f"Embedding model:  {services.index.embedding.name}")
    click.echo(f"Language model:   {services.model.description}")
    if services.unwritable is not None:
        click.echo(
            f"Nothing is stored: {services.unwritable.message} Documents can be asked and read; conversations and"
        )
        click.echo(
            "                  votes are lost when Footnote ends. Start it again when the folder can be written to."
        )
    click.echo(f"Footnote is at    {url}   (Ctrl-C ends it)")

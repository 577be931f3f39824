"""The real application, started as a user starts it, and a real Chromium that may only talk to it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from rag.storage.database import CATALOG_NAME
from rag.storage.sqlite import SqliteDatabase
from tests.e2e.chat_page import ChatPage
from tests.e2e.model_server import MODEL, OTHER_MODEL, ModelServer

ROOT = Path(__file__).parents[2]
SCREENSHOTS = Path(__file__).parent / "screenshots"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD = "four words in a row"
START_TIMEOUT = 180  # seconds; the embedding model is loaded


@pytest.fixture(scope="session")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage folder with the sample documents in it."""
    storage = tmp_path_factory.mktemp("ingested") / "storage"
    command = [sys.executable, "-c", "from ingest.cli import main; main()", str(ROOT / "data" / "sample")]
    subprocess.run(command, cwd=ROOT, env=_environment(RAG_STORAGE__DIR=str(storage)), check=True, timeout=600)
    return storage


@pytest.fixture(scope="session")
def quotes_url(ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The application over the sample documents, without a language model."""
    with application(tmp_path_factory.mktemp("quotes"), ingested, RAG_LLM__PROVIDER="quotes") as url:
        yield url


@pytest.fixture(scope="session")
def empty_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The application as it is before anything was ingested."""
    with application(tmp_path_factory.mktemp("empty"), None, RAG_LLM__PROVIDER="quotes") as url:
        yield url


@pytest.fixture(scope="session")
def closed_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The application where one must log in, with `PASSWORD`: anna, ben, and dora, an admin."""
    folder = tmp_path_factory.mktemp("closed")
    environment = _environment(RAG_STORAGE__DIR=str(folder / "storage"))
    for words in (["anna"], ["ben"], ["dora", "--admin"]):
        command = [sys.executable, "-c", "from ingest.cli import rag_main; rag_main()", "users", "add", *words]
        subprocess.run(command, cwd=ROOT, env=environment, input=PASSWORD, text=True, check=True, timeout=60)
    with application(folder, None, RAG_LLM__PROVIDER="quotes", RAG_AUTH__REQUIRED="true") as url:
        yield url


@pytest.fixture(scope="session")
def running_model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server
        server.shutdown()


@pytest.fixture
def model(running_model: ModelServer) -> ModelServer:
    """The language model behind `model_url`, as it was at first."""
    running_model.reply = "The documents say so [1]."
    running_model.pause = 0.0
    running_model.prompts.clear()
    running_model.broken = False
    running_model.hung_up.clear()
    return running_model


@pytest.fixture(scope="session")
def model_url(ingested: Path, running_model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The application over the sample documents, with a language model."""
    settings = {"RAG_LLM__PROVIDER": "openai", "RAG_LLM__BASE_URL": running_model.base_url}
    with application(tmp_path_factory.mktemp("model"), ingested, **settings) as url:
        yield url


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the application with several models lives."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def models_url(ingested: Path, running_model: ModelServer, models_folder: Path) -> Iterator[str]:
    """The application over the sample documents, with two models and a persona."""
    file = models_folder / "models.toml"
    file.write_text(
        f"""
        [[model]]
        name = "small"
        base_url = "{running_model.base_url}"
        model = "{MODEL}"
        context_window = 3000

        [[model]]
        name = "large"
        base_url = "{running_model.base_url}"
        model = "{OTHER_MODEL}"

        [[persona]]
        name = "Sailor"
        description = "Knows the handbook, and the sea."
        instructions = "Speak like a sailor."
        model = "large"
        """,
        encoding="utf-8",
    )
    with application(
        models_folder, ingested, RAG_MODELS__FILE=str(file), RAG_MODES__MAX_CONCURRENT_REQUESTS="2"
    ) as url:
        yield url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


@pytest.fixture
def open_page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., Page]]:
    """Opens pages. At the end each leaves a screenshot, and must have met no error and asked no other host."""
    pages: list[Page] = []
    foreign: list[str] = []
    errors: list[str] = []

    def open_new(*, width: int = 1280, height: int = 800, dark: bool = False, language: str = "en-GB") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", locale=language
        )
        page = context.new_page()
        page.on("request", lambda requested: foreign.append(requested.url) if _leaves(requested.url) else None)
        page.on(
            "requestfailed", lambda requested: foreign.remove(requested.url) if requested.failure == "csp" else None
        )
        page.on("websocket", lambda requested: foreign.append(requested.url) if _leaves(requested.url) else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        pages.append(page)
        return page

    yield open_new
    SCREENSHOTS.mkdir(exist_ok=True)
    name = re.sub(r"\W+", "-", request.node.name).strip("-")
    for number, page in enumerate(pages, start=1):
        page.screenshot(path=SCREENSHOTS / f"{name}-{number}.png")
        page.context.close()
    assert foreign == []
    assert errors == []


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    return open_page()


@pytest.fixture
def quotes_chat(page: Page, quotes_url: str) -> ChatPage:
    """An open chat without a language model."""
    return ChatPage(page, quotes_url)


@pytest.fixture
def model_chat(page: Page, model_url: str, model: ModelServer) -> ChatPage:
    """An open chat with a language model."""
    return ChatPage(page, model_url)


@pytest.fixture
def models_chat(page: Page, models_url: str, models_folder: Path, model: ModelServer) -> ChatPage:
    """An open chat with two language models to choose from; what was chosen in other tests is forgotten."""
    with (
        closing(SqliteDatabase(models_folder / "storage" / CATALOG_NAME)) as database,
        database.transaction() as connection,
    ):
        connection.execute("DELETE FROM preferences")
    return ChatPage(page, models_url)


def _leaves(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1"


@contextmanager
def application(folder: Path, ingested: Path | None, port: int = 0, **settings: str) -> Iterator[str]:
    """Run `python app.py` in an empty working directory, which must still be empty at the end. In a folder where it ran
    before it finds its storage again."""
    working_directory, storage, log = folder / "cwd", folder / "storage", folder / "log.txt"
    working_directory.mkdir(exist_ok=True)
    if ingested is not None and not storage.exists():
        shutil.copytree(ingested, storage)
    port = port or free_port()
    environment = _environment(RAG_STORAGE__DIR=str(storage), RAG_SERVER__PORT=str(port), **settings)
    command = [sys.executable, str(ROOT / "app.py")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=working_directory, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(process, url, log)
        yield url
    finally:
        process.terminate()
        process.wait(30)
    assert "Traceback" not in log.read_text(), log.read_text()
    assert list(working_directory.iterdir()) == []


def _environment(**settings: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RAG_", "CHAINLIT_"))}
    return {**inherited, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **settings}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"The application did not start:\n{log.read_text()}")

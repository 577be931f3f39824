"""A log-out ends the session, not the browser's copy of its cookie alone: a stolen one opens nothing any more."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, closing

import httpx
import pytest
from socketio.exceptions import ConnectionError as Refused

from rag.auth.users import Users
from rag.storage.database import CATALOG_NAME
from rag.storage.sqlite import SqliteDatabase
from tests.commands import Commands
from tests.rag.models.model_server import free_port
from tests.rag.ui.chat_client import PASSWORD, Chat, browser, logged_in

pytestmark = pytest.mark.slow
BEHIND_THE_LOG_IN = ("/user", "/library/me", "/docs", "/project/settings", "/conversations/none/transcript.md")
EDITED = {"message": {"id": "none", "output": "changed"}}
THREADS = {"pagination": {"first": 20}, "filter": {}}


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    commands = Commands(tmp_path_factory.mktemp("sessions"))
    with closing(SqliteDatabase(commands.storage / CATALOG_NAME)) as database:
        Users(database).add("anna", PASSWORD)
        Users(database).add("dora", PASSWORD, is_admin=True)
    return commands


@pytest.fixture(scope="module")
def url(commands):
    with commands.server(free_port(), RAG_AUTH__REQUIRED="true", RAG_AUTH__ATTEMPTS_PER_MINUTE="1000") as url:
        yield url


@asynccontextmanager
async def open_chat(url, cookies):
    chat = Chat(url, cookies)
    try:
        await chat.open()
        yield chat
    finally:
        await chat.close()


def copy_of(client):
    """Somebody else's browser with the same cookies."""
    stolen = browser(str(client.base_url))
    stolen.cookies = httpx.Cookies(client.cookies)
    return stolen


def statuses(client):
    shut = {client.get(path).status_code for path in BEHIND_THE_LOG_IN[:-1]}
    shut.add(client.post("/project/threads", json=THREADS).status_code)
    return shut


def assert_opens_nothing(client):
    assert statuses(client) == {401}
    assert client.get(BEHIND_THE_LOG_IN[-1]).status_code == 401
    bearer = {"Authorization": f"Bearer {client.cookies.get('access_token')}"}
    with browser(str(client.base_url)) as bare:
        assert bare.get("/user", headers=bearer).status_code == 401, "the token in another place"
        assert bare.get("/project/settings", headers=bearer).status_code == 401


def test_a_stolen_cookie_opens_nothing_after_the_log_out(url):
    with logged_in(url, "anna") as anna, copy_of(anna) as thief, logged_in(url, "anna") as elsewhere:
        assert statuses(thief) == {200}
        assert anna.post("/logout").status_code == 200
        assert_opens_nothing(thief)
        assert statuses(elsewhere) == {200}, "another session of the same user goes on"


def test_one_logs_out_everywhere(url):
    with logged_in(url, "anna") as anna, logged_in(url, "anna") as elsewhere, logged_in(url, "dora") as dora:
        assert anna.delete("/library/me/sessions").json()["ended"] >= 2
        assert_opens_nothing(anna)
        assert_opens_nothing(elsewhere)
        assert statuses(dora) == {200}


def test_an_admin_ends_the_sessions_of_a_user_on_the_command_line(url, commands):
    with logged_in(url, "anna") as anna, logged_in(url, "dora") as dora:
        assert commands.run("rag", "users", "logout", "anna").stdout.startswith("anna is logged out of ")
        assert_opens_nothing(anna)
        assert statuses(dora) == {200}


def test_a_new_password_ends_the_others_sessions(url):
    with logged_in(url, "dora") as dora, logged_in(url, "dora") as elsewhere, logged_in(url, "anna") as anna:
        changed = dora.patch("/library/users/dora", json={"password": PASSWORD})
        assert changed.status_code == 200
        assert statuses(dora) == {200}, "who changes it is not thrown out"
        assert_opens_nothing(elsewhere)
        assert statuses(anna) == {200}
        assert dora.patch("/library/users/anna", json={"password": PASSWORD}).status_code == 200
        assert_opens_nothing(anna)


def test_a_forged_cookie_opens_nothing_though_it_is_signed_with_the_servers_secret(url, commands):
    """As an account could make one that had read the secret in the catalog."""
    import jwt

    secret = (commands.storage / "chat_secret").read_text()
    with closing(SqliteDatabase(commands.storage / CATALOG_NAME)) as database:
        dora = Users(database).get("dora")
        hashes = [row.digest for row in database.read("SELECT digest FROM sessions")]
    for identifier in (dora.id, "dora", f"{dora.id}.0123456789abcdef", "", *hashes):
        forged = jwt.encode({"identifier": identifier, "metadata": {}, "exp": 4_000_000_000}, secret, "HS256")
        with browser(url) as thief:
            thief.cookies.set("access_token", forged)
            assert_opens_nothing(thief)


async def test_an_open_socket_is_closed_by_the_log_out_and_no_other_one_opens(url):
    with logged_in(url, "anna") as anna:
        async with open_chat(url, anna.cookies) as chat:
            stolen = httpx.Cookies(anna.cookies)
            await asyncio.to_thread(anna.post, "/logout")
            await asyncio.wait_for(chat.closed.wait(), 10)
        with pytest.raises(Refused):
            await Chat(url, stolen).open()


async def test_an_open_socket_is_refused_at_its_next_message_when_the_session_ends_elsewhere(url, commands):
    with logged_in(url, "anna") as anna:
        async with open_chat(url, anna.cookies) as chat:
            await chat.ask("What is in the documents?")
            await chat.until("task_end")
            await asyncio.to_thread(commands.run, "rag", "users", "logout", "anna")
            await chat.ask("And what else?")
            await chat.until("new_message", "You are not logged in any more")
            await asyncio.wait_for(chat.closed.wait(), 10)
            assert [name for name, _ in chat.events].count("task_start") == 0, "nothing was asked"


async def test_every_message_of_an_ended_session_is_refused(url, commands):
    for event, *payload in (("chat_settings_change", {}), ("stop",), ("clear_session",), ("edit_message", EDITED)):
        with logged_in(url, "anna") as anna:
            async with open_chat(url, anna.cookies) as chat:
                await asyncio.to_thread(commands.run, "rag", "users", "logout", "anna")
                await chat.client.emit(event, *payload)
                await asyncio.wait_for(chat.closed.wait(), 10)

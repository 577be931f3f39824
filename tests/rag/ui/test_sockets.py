"""What no page sends: frames, messages and requests of other shapes, and of other people. None is a trace in the log,
and everybody else is served on."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from contextlib import closing

import httpx
import pytest
import websockets
from socketio.exceptions import ConnectionError as Refused

from rag.auth.users import Users
from rag.storage.database import CATALOG_NAME
from rag.storage.sqlite import SqliteDatabase
from tests.commands import Commands
from tests.rag.models.model_server import free_port
from tests.rag.ui.chat_client import PASSWORD, Chat, logged_in

pytestmark = pytest.mark.slow
ODD = (None, True, -1, 1e308, 10**30, "", "x", "\0", "\ud800", "../..", [], [[]], {}, {"id": {}}, [None], ["x"] * 50)
MESSAGE = {
    "message": {
        "id": "7b0d0c1a-1c1e-4b1e-8a1e-1a2b3c4d5e6f",
        "type": "user_message",
        "name": "me",
        "output": "What is noted?",
        "createdAt": "2026-01-01T00:00:00Z",
        "command": None,
        "metadata": {},
        "parentId": None,
        "modes": {},
    },
    "fileReferences": [{"id": "none"}],
}
SETTINGS = {
    "mode": "documents",
    "models": [],
    "collection": "default",
    "documents": [],
    "pages": "",
    "strictness": 0.5,
    "passages": 5,
    "temperature": 0,
    "top_p": 1,
    "max_tokens": 100,
    "instructions": "",
}
EVENTS = {
    "client_message": MESSAGE,
    "edit_message": {"message": {"id": "none", "output": "x"}},
    "chat_settings_change": SETTINGS,
    "chat_settings_edit": SETTINGS,
    "message_favorite": MESSAGE,
    "window_message": "x",
    "audio_chunk": {"isStart": True, "mimeType": "x", "elapsedTime": 1, "data": "x"},
    "audio_start": None,
    "audio_end": None,
    "fetch_favorites": None,
    "clear_session": None,
    "stop": None,
    "connect": {},
    "disconnect": "x",
    "connection_successful": None,
    "nothing of that name": None,
}
FRAMES = (
    *("", "x", "9", "4", "4x", "42", "42x", "42[", "42{}", "42[]", "42[1]", "42[null]", "42null", '42"x"', "42[{}]"),
    *('42["client_message"', '4299999999999999999999999["stop"]', '42/admin,["stop"]', "44{}", "40{", "40[]"),
    *("40/x,{}", "43[]", '431["x"]', "43x", '451-["x",{"_placeholder":true,"num":0}]', "45-1[]", "4599999999999-[]"),
    *("46-[]", "47", '4599999-["x"]', "41", "41/x,", "1", "2", "3", "5", "6", "0{}", "b", b"", b"\x00", b"\xff" * 100),
    *("4" * 3000, f"42{'[' * 3000}", f'42["stop",{"[" * 50_000}{"]" * 50_000}]', "42" + json.dumps(["x" * 5000])),
)


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    commands = Commands(tmp_path_factory.mktemp("sockets"))
    with closing(SqliteDatabase(commands.storage / CATALOG_NAME)) as database:
        for name in ("anna", "ben"):
            Users(database).add(name, PASSWORD)
    return commands


@pytest.fixture(scope="module")
def url(commands):
    """A server whose log has no trace at its end: see Commands.server."""
    unlimited = {"RAG_AUTH__REQUESTS_PER_MINUTE": "0", "RAG_AUTH__ATTEMPTS_PER_MINUTE": "100000"}
    settings = {"RAG_AUTH__REQUIRED": "true", **unlimited}
    with commands.server(free_port(), **settings) as url:
        yield url
    assert "exception was never retrieved" not in commands.log
    assert "Traceback" not in commands.log


@pytest.fixture
def anna(url):
    with logged_in(url, "anna") as anna:
        yield anna


def odd_versions(payload, chance):
    """The payload with one of its values replaced, or left out, or all of it."""
    yield from ODD
    if not isinstance(payload, dict):
        return
    for name, value in payload.items():
        yield {key: value for key, value in payload.items() if key != name}
        nested = odd_versions(value, chance) if isinstance(value, dict) else chance.sample(ODD, 8)
        for odd in nested:
            yield {**payload, name: odd}


async def assert_serves(url, cookies):
    chat = Chat(url, cookies)
    try:
        await chat.open()
        await chat.ask("What is noted?")
        await chat.until("task_end")
        await chat.until("new_message", "assistant_message")
    finally:
        await chat.close()


async def test_messages_of_other_shapes_are_left_out(url, anna):
    chance = random.Random(16)
    for event, payload in EVENTS.items():
        chat = Chat(url, anna.cookies)
        await chat.open()
        for odd in odd_versions(payload, chance):
            await chat.client.emit(event, odd)
            await chat.client.emit(event, (odd, odd))
        await chat.client.emit(event)
        await asyncio.sleep(0.3)
        assert chat.client.connected, event
        await chat.close()
    await assert_serves(url, anna.cookies)


async def test_frames_that_are_none_of_the_protocol_end_their_own_connection_alone(url, anna):
    cookies = "; ".join(f"{name}={value}" for name, value in anna.cookies.items())
    address = f"{url.replace('http', 'ws')}/ws/socket.io/?EIO=4&transport=websocket"
    auth = {"sessionId": str(uuid.uuid4()), "clientType": "webapp", "userEnv": "{}"}
    for frame in FRAMES:
        for is_connected in (False, True):
            async with websockets.connect(address, additional_headers={"Cookie": cookies}, proxy=None) as socket:
                await socket.recv()
                if is_connected:
                    await socket.send(f"40{json.dumps({**auth, 'sessionId': str(uuid.uuid4())})}")
                    await socket.recv()
                try:
                    await socket.send(frame)
                    await socket.send("3")
                    async with asyncio.timeout(0.05):
                        await socket.recv()
                except (TimeoutError, websockets.ConnectionClosed, UnicodeEncodeError):
                    pass
    for body in ("", "x", "4", "42[", "\x1e\x1e", "1\x1e1", "b!!!", "42[]\x1e" * 30):
        opened = anna.get("/ws/socket.io/", params={"EIO": "4", "transport": "polling"})
        sid = json.loads(opened.text[1:])["sid"]
        for name in (sid, "none", ""):
            anna.post("/ws/socket.io/", params={"EIO": "4", "transport": "polling", "sid": name}, content=body)
    for odd in ({"EIO": "9"}, {"EIO": "4", "transport": "none"}, {"EIO": "4", "transport": "websocket"}, {}):
        assert anna.get("/ws/socket.io/", params=odd).status_code == 400
    await assert_serves(url, anna.cookies)


@pytest.mark.parametrize("name", ["sessionId", "clientType", "userEnv", "threadId", "chatProfile"])
async def test_a_connection_that_says_odd_things_of_itself_is_refused(url, anna, name):
    for odd in ODD:
        chat = Chat(url, anna.cookies)
        try:
            await asyncio.wait_for(chat.open(**{name: odd}), 3)
        except (Refused, TimeoutError):
            pass
        else:
            assert odd is None or isinstance(odd, str), f"{name}: {odd!r} was let in"
        finally:
            await chat.close()
    await assert_serves(url, anna.cookies)


async def test_feedback_on_another_users_answer_is_as_if_that_were_not_there(url, anna):
    chat = Chat(url, anna.cookies)
    await chat.open()
    await chat.ask("What is noted?")
    answer = await chat.until("new_message", "assistant_message")
    await chat.until("task_end")
    thumb = {"feedback": {"forId": answer["id"], "value": 1}, "sessionId": chat.session_id}
    with logged_in(url, "ben") as ben:
        told = ben.put("/feedback", json=thumb)
        unknown = ben.put("/feedback", json={**thumb, "feedback": {"forId": "none", "value": 1}})
        assert (told.status_code, unknown.status_code) == (404, 404)
        assert told.text.replace(answer["id"], "none") == unknown.text
        kept = await kept_thumb(anna, thumb)
        assert ben.request("DELETE", "/feedback", json={"feedbackId": kept}).status_code == 200
    assert await kept_thumb(anna, thumb) == kept, "it is still there"
    assert anna.request("DELETE", "/feedback", json={"feedbackId": kept}).status_code == 200
    await chat.close()


async def kept_thumb(client, thumb):
    """The id of the feedback, once the answer is stored."""
    for _ in range(100):
        response = client.put("/feedback", json=thumb)
        if response.status_code == 200:
            return response.json()["feedbackId"]
        await asyncio.sleep(0.05)
    return pytest.fail(response.text)


def test_no_request_to_the_chats_routes_is_the_servers_fault(url, anna):
    bodies = [
        ("PUT", "/feedback", {"feedback": {"forId": "x", "value": 1}, "sessionId": "s"}),
        ("DELETE", "/feedback", {"feedbackId": "x"}),
        ("POST", "/project/action", {"action": {"name": "vote", "payload": {}}, "sessionId": "s"}),
        ("PUT", "/project/element", {"element": {"type": "custom"}, "sessionId": "s"}),
        ("DELETE", "/project/element", {"element": {"type": "custom"}, "sessionId": "s"}),
        ("PUT", "/project/thread", {"threadId": "x", "name": "y"}),
        ("PUT", "/project/thread/share", {"threadId": "x", "isShared": True}),
        ("DELETE", "/project/thread", {"threadId": "x"}),
        ("POST", "/project/threads", {"pagination": {"first": 20}, "filter": {}}),
        ("POST", "/set-session-cookie", {"session_id": str(uuid.uuid4())}),
        ("POST", "/login", {"username": "x"}),
        ("POST", "/logout", {}),
    ]
    chance = random.Random(7)
    for method, path, body in bodies:
        for odd in (body, *odd_versions(body, chance)):
            content = json.dumps(odd).encode("utf-8", "replace")
            headers = {"Content-Type": "application/json"}
            if path != "/logout":
                response = anna.request(method, path, content=content, headers=headers)
                assert response.status_code < 500, (method, path, odd, response.text)
    for path in ("/project/file/x?session_id=y", "/project/thread/x", "/project/thread/x/element/y", "/avatars/%00"):
        assert anna.get(path).status_code < 500, path


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect", "/%72edoc"])
def test_what_describes_the_api_wants_a_log_in_by_every_way(url, anna, method, path):
    with httpx.Client(base_url=url, trust_env=False) as stranger:
        refused = stranger.request(method, path)
        assert refused.status_code in (401, 405), refused.status_code
        assert refused.status_code == 405 or method == "GET"
    if method == "GET" and path != "/docs/oauth2-redirect":
        assert anna.get(path).status_code == 200


def test_the_log_in_page_says_nothing_of_the_model(url, anna):
    with httpx.Client(base_url=url, trust_env=False) as stranger:
        pages = [stranger.get(path) for path in ("/", "/login", "/auth/config", "/readyz", "/public/chat.js")]
        assert {page.status_code for page in pages} == {200}
        assert not [page.url for page in pages if "scripted" in page.text or "the same reply" in page.text]
        assert stranger.get("/project/settings?language=en-US").status_code == 401
    assert "the same reply" not in anna.get("/project/settings?language=en-US").text

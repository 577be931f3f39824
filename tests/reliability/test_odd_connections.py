"""What no client sends, by the thousand: to the chat's sockets, by event and by frame, and to the port itself.

No trace is in the log, no connection stays open, and the server answers afterwards.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import random
import socket
import struct
import time
import uuid
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest
import websockets

from rag.auth.users import Users
from rag.storage.database import CATALOG_NAME
from rag.storage.sqlite import SqliteDatabase
from tests.commands import Commands
from tests.rag.models.model_server import free_port
from tests.rag.ui.chat_client import PASSWORD, Chat, logged_in
from tests.rag.ui.test_sockets import EVENTS, FRAMES, ODD, assert_serves
from tests.reliability.examples import number_of_examples, seed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(550)]
_HEAD = b"Host: 127.0.0.1\r\nContent-Type: application/json\r\n"
REQUESTS = (
    b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\n" + _HEAD + b"Content-Length: 2\r\n\r\n{}",
    b"POST /v1/completions HTTP/1.1\r\n" + _HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nPOST /login HTTP/1.1\r\n" + _HEAD + b"Content-Length: 0\r\n\r\n",
    (
        b"GET /ws/socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ),
    (
        b"POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        b"Content-Length: 74\r\n\r\n"
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.md"\r\n\r\na\r\n--x--'
    ),
)
PIECES = (
    *(b"\r\n", b"\n", b"\r", b"\0", b":", b" ", b"\xff\xfe", b"%00", b"%", b"-1", b"99999999999999999999", b"0x2"),
    *(
        b"Content-Length: 5\r\n",
        b"Content-Length: 7, 8\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Expect: 100-continue\r\n",
    ),
    *(
        b"Host: evil\r\n",
        b"Upgrade: h2c\r\n",
        b"HTTP/9.9",
        b"X: " + b"a" * 70_000 + b"\r\n",
        b"X: a\r\n" * 3000,
        b"/" * 70_000,
    ),
    *(b"ffffffffffffffffff\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    *(
        b"\x81\xfe\xff\xff",
        b"\x8f\x80\0\0\0\0",
        b"\xc1\x85\0\0\0\0hello",
        b"\x88\x01\x00",
        struct.pack(">BBQ", 129, 255, 2**62),
    ),
)


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    commands = Commands(tmp_path_factory.mktemp("connections"))
    with closing(SqliteDatabase(commands.storage / CATALOG_NAME)) as database:
        Users(database).add("anna", PASSWORD)
    return commands


@pytest.fixture(scope="module")
def url(commands):
    """A server whose log has no trace at its end: see Commands.server."""
    unlimited = {"RAG_AUTH__REQUESTS_PER_MINUTE": "0", "RAG_AUTH__ATTEMPTS_PER_MINUTE": "1000000"}
    with commands.server(free_port(), RAG_AUTH__REQUIRED="true", **unlimited) as url:
        fcntl.fcntl(commands.process.stderr, fcntl.F_SETPIPE_SZ, 1 << 20)  # its log is read at the end
        yield url
    assert "exception was never retrieved" not in commands.log


@pytest.fixture
def chance():
    return random.Random(seed())


@pytest.fixture(autouse=True)
async def the_server_is_as_before(url, commands):
    """It answers, and has no more sockets than it had."""
    with logged_in(url, "anna") as anna:
        await assert_serves(url, anna.cookies)
        before = sockets_of(commands.process.pid)
        yield
        await assert_serves(url, anna.cookies)
        for _ in range(300):
            if (left := sockets_of(commands.process.pid)) <= before:
                break
            await asyncio.sleep(0.1)
        assert left <= before
    assert "Traceback" not in commands.log


def sockets_of(pid):
    """How many sockets a process has open."""
    found = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found += str(descriptor.readlink()).startswith("socket:")
    return found


def changed(value, chance):
    """A JSON value of which something is another one."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        name = chance.choice(list(value))
        others = {key: inner for key, inner in value.items() if key != name}
        return others if chance.random() < 0.2 else {**others, name: changed(value[name], chance)}
    return chance.choice([*ODD, [value], {"x": value}, str(value)])


def spoilt(data, pieces, chance):
    """The data with some of it cut out, doubled, turned or put in."""
    for _ in range(chance.randint(1, 3)):
        start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
        way = chance.randrange(5)
        if way == 0:
            data = data[:start] + data[end:]
        elif way == 1:
            data = data[:end] + data[start:]
        elif way == 2:
            data = data[:start] + chance.choice(pieces) + data[start:]
        elif way == 3:
            data = data[:start] + chance.choice(pieces) + data[end:]
        else:
            data = data[:start]
    return data


async def test_odd_messages_for_each_event(url, chance):
    with logged_in(url, "anna") as anna:
        chat = Chat(url, anna.cookies)
        await chat.open()
        for _ in range(number_of_examples(100)):
            if not chat.client.connected:
                await chat.client.shutdown()
                chat = Chat(url, anna.cookies)
                await chat.open()
            event, payload = chance.choice(list(EVENTS.items()))
            odd = changed(payload, chance)
            with suppress(UnicodeEncodeError):
                await chat.client.emit(event, chance.choice([odd, (odd, odd), (payload, odd)]))
            await asyncio.sleep(0.002)
        await chat.close()


async def test_odd_frames(url, chance):
    with logged_in(url, "anna") as anna:
        cookies = "; ".join(f"{name}={value}" for name, value in anna.cookies.items())
        address = f"{url.replace('http', 'ws')}/ws/socket.io/?EIO=4&transport=websocket"
        texts = [frame for frame in FRAMES if isinstance(frame, str)]
        for _ in range(number_of_examples(100)):
            async with websockets.connect(address, additional_headers={"Cookie": cookies}, proxy=None) as ws:
                await ws.recv()
                if chance.random() < 0.7:
                    auth = {"sessionId": str(uuid.uuid4()), "clientType": "webapp", "userEnv": "{}"}
                    await ws.send(f"40{json.dumps(auth)}")
                    await ws.recv()
                event, payload = chance.choice(list(EVENTS.items()))
                frame = spoilt(f"42{json.dumps([event, payload])}", texts, chance)
                with suppress(TimeoutError, websockets.ConnectionClosed, UnicodeEncodeError):
                    await ws.send(frame if chance.random() < 0.8 else frame.encode("utf-8", "replace"))
                    async with asyncio.timeout(0.02):
                        await ws.recv()


def test_odd_bytes(url, chance):
    port = httpx.URL(url).port
    for _ in range(number_of_examples(100)):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            if chance.random() < 0.3:  # ends without a good-bye
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            data = spoilt(chance.choice(REQUESTS), PIECES, chance)
            with suppress(OSError):
                if chance.random() < 0.3:
                    half = len(data) // 2
                    connection.sendall(data[:half])
                    time.sleep(0.005)
                    data = data[half:]
                connection.sendall(data)
                if chance.random() < 0.3:
                    connection.shutdown(socket.SHUT_WR)
                connection.settimeout(0.03)
                answer = connection.recv(65536)
                assert not answer.startswith(b"HTTP/1.1 500"), (data, answer)

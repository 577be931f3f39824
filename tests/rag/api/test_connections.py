"""Connections that send nothing, or hardly anything, are closed, and keep nobody out."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request, WebSocket

from rag.api.connections import limited
from tests.rag.models.model_server import free_port

HEAD = b"POST /count HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n"


def make_app():
    app = FastAPI()

    @app.post("/count")
    async def count(request: Request) -> int:
        return len(await request.body())

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(2)
        return "done"

    @app.websocket("/socket")
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)

    return app


@contextmanager
def serving(most_of_address=0, most=0, seconds=1.0):
    """A real server whose patience is shorter; its port."""
    limits = {"HEAD_SECONDS": seconds, "BODY_SECONDS": seconds, "LEAST_BODY": 100}
    protocol = type("Impatient", (limited(most_of_address),), limits | ({"most": most} if most else {}))
    config = uvicorn.Config(make_app(), port=free_port(), log_level="critical", http=protocol, ws="websockets-sansio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield config.port
    finally:
        server.should_exit = server.force_exit = True
        thread.join()


def connected(port, source="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0))


def is_closed(connection, within):
    """Whether the server closes it in so many seconds."""
    connection.settimeout(within)
    try:
        return connection.recv(1000) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


def sent_until_closed(connection, times, piece, pause=0.0):
    """How many times the piece could be sent."""
    for number in range(times):
        try:
            connection.sendall(piece)
        except OSError:
            return number
        time.sleep(pause)
    return times


@pytest.mark.parametrize("sent", [b"", b"GET / HT", HEAD, HEAD + b"\r\n", HEAD + b"\r\nabc"])
def test_what_does_not_go_on_is_closed(sent):
    with serving() as port, connected(port) as connection:
        connection.sendall(sent)
        assert is_closed(connection, within=4)


@pytest.mark.parametrize("start", [b"", HEAD + b"\r\n"])
def test_what_comes_byte_by_byte_is_closed(start):
    with serving() as port, connected(port) as connection:
        connection.sendall(start)
        began = time.monotonic()
        assert sent_until_closed(connection, 100, b"a", pause=0.05) < 100
        assert time.monotonic() < began + 4


def test_a_second_request_has_its_own_time():
    with serving() as port, connected(port) as connection:
        connection.sendall(b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        connection.sendall(b"POST /count HT")
        assert is_closed(connection, within=4)


def test_a_head_without_end_is_closed():
    with serving(seconds=60) as port, connected(port) as connection:
        assert sent_until_closed(connection, 10_000, b"X-More: " + 1_000 * b"a" + b"\r\n") < 9_000


def test_what_goes_on_slowly_is_served():
    with serving() as port, connected(port) as connection:
        connection.sendall(HEAD + b"\r\n")
        for _ in range(25):  # 2.5 seconds
            connection.sendall(4_000 * b"a")
            time.sleep(0.1)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_an_answer_may_take_long():
    with serving() as port:
        assert httpx.get(f"http://127.0.0.1:{port}/slow", timeout=10, trust_env=False).json() == "done"


def test_a_socket_may_be_silent():
    from websockets.sync.client import connect

    with serving() as port, connect(f"ws://127.0.0.1:{port}/socket") as web_socket:
        time.sleep(2)
        web_socket.send("still there")
        assert web_socket.recv(timeout=5) == "still there"


@pytest.mark.parametrize("limits", [{"most_of_address": 50}, {"most": 50}])
def test_silent_connections_keep_nobody_out(limits):
    with serving(**limits, seconds=60) as port, ExitStack() as stack:
        silent = [stack.enter_context(connected(port)) for _ in range(300)]
        for _ in range(3):
            began = time.monotonic()
            answer = httpx.post(f"http://127.0.0.1:{port}/count", content=b"abc", timeout=10, trust_env=False)
            assert answer.json() == 3
            assert time.monotonic() - began < 2
        open_still = sum(not is_closed(connection, within=0.01) for connection in silent)
        assert 40 <= open_still <= 50


def test_nothing_is_written_after_what_is_no_http(caplog):
    with serving() as port, connected(port) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\nno HTTP at all\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")
        time.sleep(2.5)
    assert not [record for record in caplog.records if record.exc_info]


def test_an_address_that_is_busy_gets_no_more_and_others_do():
    with serving(most_of_address=5, seconds=60) as port, ExitStack() as stack:
        for _ in range(5):
            busy = stack.enter_context(connected(port, "127.0.0.2"))
            busy.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.3)
        assert is_closed(stack.enter_context(connected(port, "127.0.0.2")), within=1)
        answer = httpx.post(f"http://127.0.0.1:{port}/count", content=b"abc", timeout=10, trust_env=False)
        assert answer.json() == 3

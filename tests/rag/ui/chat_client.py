"""The chat's page as a program: who logs in, and what goes through its WebSocket. The same server as users have."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import socketio

PASSWORD = "four words in a row"
SECONDS = 60  # the first answer waits for what is loaded once


def browser(url: str) -> httpx.Client:
    """What keeps the server's cookies, as a browser does."""
    return httpx.Client(base_url=url, trust_env=False, timeout=60)


@contextmanager
def logged_in(url: str, name: str, password: str = PASSWORD) -> Iterator[httpx.Client]:
    """The browser of somebody who has just logged in."""
    with browser(url) as client:
        assert client.post("/login", data={"username": name, "password": password}).status_code == 200
        yield client


class Chat:
    """One open chat. `events` are what the server has sent, in their order."""

    def __init__(self, url: str, cookies: httpx.Cookies) -> None:
        self._url = url
        self._cookies = "; ".join(f"{name}={value}" for name, value in cookies.items())
        self.session_id = str(uuid.uuid4())
        self.events: list[tuple[str, Any]] = []
        self.closed = asyncio.Event()
        self.client = socketio.AsyncClient(reconnection=False)
        self.client.on("*", self._note)
        self.client.on("disconnect", self._close)

    async def _note(self, event: str, *payload: Any) -> None:
        self.events.append((event, payload[0] if payload else None))

    async def _close(self, *_: object) -> None:
        self.closed.set()

    async def open(self, **auth: Any) -> None:
        """Raises socketio's ConnectionError where the server lets nobody in so."""
        known = {"sessionId": self.session_id, "clientType": "webapp", "userEnv": "{}", "threadId": "", **auth}
        headers = {"Cookie": self._cookies}
        place = {"socketio_path": "/ws/socket.io", "transports": ["websocket"], "wait_timeout": SECONDS}
        await self.client.connect(self._url, headers=headers, auth=known, **place)
        await self.client.emit("connection_successful")
        await self.until("set_commands")

    async def ask(self, question: str) -> str:
        """Say something; the id of what was said. `events` are those since then."""
        self.events.clear()
        message_id = str(uuid.uuid4())
        message = {
            "id": message_id,
            "type": "user_message",
            "name": "me",
            "output": question,
            "createdAt": "2026-01-01T00:00:00Z",
        }
        await self.client.emit("client_message", {"message": message, "fileReferences": []})
        return message_id

    async def until(self, event: str, containing: str = "") -> Any:
        """What came with the first event of that name that has these words."""
        async with asyncio.timeout(SECONDS):
            while True:
                for name, payload in self.events:
                    if name == event and containing in str(payload):
                        return payload
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        await self.client.disconnect()
        await self.client.shutdown()

"""Questions asked one after the other while something happens, and how each of them ended."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Self

import httpx

from tests.compose.stack import Stack

QUESTION = "When is payday?"
_ASKING = 2  # threads


@dataclass
class Load:
    """Asks from `with` on until its end."""

    stack: Stack
    whole: int = 0
    last: float = 0.0  # when the question was asked that was answered last
    told: list[str] = field(default_factory=list)  # what was said about answers that failed
    cut: int = 0  # answers that ended with the connection
    unclear: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._ask) for _ in range(_ASKING)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                self._ask_once()
            except httpx.TransportError:
                self.cut += 1
                time.sleep(0.2)

    def _ask_once(self) -> None:
        turns = [{"role": "user", "content": QUESTION}]
        body = {"model": "footnote/default", "messages": turns, "stream": True, "max_tokens": 100}
        asked = time.monotonic()
        with self.stack.client() as client, client.stream("POST", "/v1/chat/completions", json=body) as response:
            if response.status_code != 200:
                error = json.loads(response.read())["error"]
                self.told.append(f"{response.status_code} {error['message']}")
                time.sleep(0.2)
                return
            events = [line[6:] for line in response.iter_lines() if line.startswith("data: ")]
        errors = [json.loads(event)["error"]["message"] for event in events if '"error"' in event]
        if errors:
            self.told += errors
        elif events and events[-1] == "[DONE]":
            self.whole += 1
            self.last = asked
        else:
            self.unclear.append(str(events[-3:]))

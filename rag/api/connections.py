"""The server's connections: those that send nothing are closed, and one address has so many at most.

Uvicorn waits for a request as long as its client likes. Here the head of a request has come within some seconds, its
body comes with a least speed, and a new connection takes the place of one that says nothing, where its address, or the
whole server, has no other left. So whoever opens thousands and sends nothing keeps nobody out, behind one proxy either.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from uvicorn.protocols.http.auto import AutoHTTPProtocol

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as _Protocol
else:
    _Protocol = AutoHTTPProtocol

logger = logging.getLogger(__name__)

_DESCRIPTORS_KEPT = 2  # the part of the process's descriptors that connections may take: files need the others


class _Open:
    """A transport to which nothing is written any more once it is closing, as it is when no HTTP comes behind a request
    that is still being answered: uvloop's own raises then."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, or leave it."""
        if not self._transport.is_closing():
            self._transport.write(data)


class Connection(_Protocol):
    """An HTTP connection of uvicorn's, with limits; `limited` sets those of a server."""

    HEAD_SECONDS: ClassVar[float] = 10.0  # from the connection, or from the first byte of a further request
    BODY_SECONDS: ClassVar[float] = 10.0  # between two looks at how much of a body has come
    LEAST_BODY: ClassVar[int] = 1_000  # bytes that must have come in between
    LARGEST_HEAD: ClassVar[int] = 65_536  # bytes
    most_of_address: ClassVar[int] = 0  # 0: no limit
    most: ClassVar[int] = 0

    _timer: asyncio.TimerHandle | None = None
    _timed: str = ""  # what the timer is for
    _received = 0  # bytes since it was set

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it in, or close it where there are too many that say something."""
        super().connection_made(cast("asyncio.Transport", _Open(cast("asyncio.Transport", transport))))
        if self._may_stay():
            self._set_timer()
        else:
            logger.warning("A connection from %s was refused: there are too many.", _address(self))
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read on, and see how far the request is then."""
        self._received += len(data)
        super().data_received(data)
        if self._part() != self._timed:
            self._set_timer()
        elif self._timed == "head" and self._received > self.LARGEST_HEAD:
            self.transport.abort()

    def handle_websocket_upgrade(self, *event: object) -> None:
        """From now on the socket is somebody else's."""
        self._stop_timer()
        super().handle_websocket_upgrade(*event)
        self._stop_timer()
        self._timed = self._part()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._stop_timer()
        super().connection_lost(exc)

    @property
    def is_silent(self) -> bool:
        """Whether it has no request that is being read or answered."""
        return self._part() == "head"

    @property
    def closes_at(self) -> float:
        """When the loop's clock says so, what is silent is closed; 0 between two requests."""
        return self._timer.when() if self._timer else 0.0

    def _part(self) -> str:
        """Which part of a request is to come: its `head`, its `body`, or none before it was answered."""
        if self.cycle is None or self.cycle.response_complete:
            return "head"
        return "body" if self.cycle.more_body else ""

    def _may_stay(self) -> bool:
        ours = [other for other in self.connections if _address(other) == _address(self)]
        for others, most in ((ours, self.most_of_address), (self.connections, self.most)):
            if most and len(others) > most and not self._close_a_silent_one(others):
                return False
        return True

    def _close_a_silent_one(self, others: Iterable[object]) -> bool:
        silent = [o for o in others if isinstance(o, Connection) and o is not self and o.is_silent]
        if not silent:
            return False
        oldest = min(silent, key=lambda other: other.closes_at)
        self.connections.discard(oldest)  # it says so itself only in the next turn of the loop
        oldest.transport.abort()
        return True

    def _set_timer(self) -> None:
        self._stop_timer()
        self._timed, self._received = self._part(), 0
        if self._timed == "head":
            self._timer = self.loop.call_later(self.HEAD_SECONDS, self.transport.abort)
        elif self._timed == "body":
            self._timer = self.loop.call_later(self.BODY_SECONDS, self._look_at_body)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at_body(self) -> None:
        """Close it where too little has come, unless it is us who do not read on."""
        waits_for_us = self.flow.read_paused or self.cycle.waiting_for_100_continue
        if self._part() == "body" and self._received < self.LEAST_BODY and not waits_for_us:
            self.transport.abort()
        else:
            self._set_timer()


def _address(connection: object) -> str:
    client = getattr(connection, "client", None)  # of sockets, too
    return str(client[0]) if client else ""


def limited(most_of_address: int) -> type[Connection]:
    """The connections of a server: at most so many of an address (0: no limit), and not more in all than there are
    descriptors for."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = descriptors // _DESCRIPTORS_KEPT if descriptors != resource.RLIM_INFINITY else 0
    return type("LimitedConnection", (Connection,), {"most_of_address": most_of_address, "most": most})

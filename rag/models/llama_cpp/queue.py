"""A queue: work for one thread, first come, first served, and everybody knows how many are before them."""

from __future__ import annotations

import asyncio
import ctypes
import threading
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from contextlib import aclosing, suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from rag.models.timeouts import TimeLimits, TokenTimeout
from rag.types.models import ModelDelta

Emit = Callable[[Any], None]


class StopFlag:
    """Set when nobody waits for the work any more. C code can look at it, too: `address` is that of a text of length 1
    when it is set, else 0."""

    def __init__(self) -> None:
        self._text = ctypes.create_string_buffer(2)
        self._since = 0.0

    def set(self) -> None:
        """The work is to end."""
        self._since = time.monotonic()
        self._text[0] = b"1"

    def is_set(self) -> bool:
        """Whether the work is to end."""
        return self._text[0] != b"\0"

    @property
    def age(self) -> float:
        """Seconds since it was set; 0 if it is not."""
        return time.monotonic() - self._since if self.is_set() else 0

    @property
    def address(self) -> ctypes.c_void_p:
        """Where the text is, as long as this object lives."""
        return ctypes.cast(self._text, ctypes.c_void_p)


Work = Callable[[Emit, StopFlag], None]  # emits its results, and ends soon once it is to stop


@dataclass(frozen=True, slots=True)
class QueuePosition:
    """How many are before one in the queue; with 0, one's own work begins."""

    before: int

    def __str__(self) -> str:
        return f"{self.before} question{'s' if self.before != 1 else ''} before yours"


class QueueClosed(Exception):
    """The queue takes no work any more."""


class QueueStuck(Exception):
    """The work that runs has not ended though it was stopped long ago."""


class WorkerQueue:
    """A worker thread and those who wait for it, of whatever event loop. Close it when done.

    Who waits is turned away when work does not end within `patience` seconds after it was stopped. The thread is a
    daemon, so that such work does not keep the program from ending.
    """

    def __init__(self, name: str, patience: float = 30) -> None:
        self._patience = patience
        self._work: SimpleQueue[tuple[Future[None], Callable[[], None]] | None] = SimpleQueue()
        self._worker = threading.Thread(target=self._serve, name=name, daemon=True)
        self._closed = False
        self._lock = threading.Lock()
        self._members: dict[Future[None], tuple[Emit, StopFlag]] = {}  # the one whose turn it is first

    async def run(self, work: Work) -> AsyncGenerator[Any, None]:
        """A QueuePosition whenever the queue moves, the last one of 0, then what `work` emits, and its error.
        Closing the generator leaves the queue, or ends the work. Raises QueueClosed, QueueStuck."""
        loop = asyncio.get_running_loop()
        items: asyncio.Queue[Any] = asyncio.Queue()
        stop = StopFlag()

        def emit(item: Any) -> None:  # called in any thread
            with suppress(RuntimeError):  # the loop is gone, and with it the reader
                loop.call_soon_threadsafe(items.put_nowait, item)

        def work_now() -> None:
            emit(QueuePosition(0))
            work(emit, stop)

        future = self.join(work_now, emit, stop)
        future.add_done_callback(lambda _: emit(_END))
        has_begun = False
        try:
            while True:
                try:
                    async with asyncio.timeout(None if has_begun else self._patience / 2):
                        item = await items.get()
                except TimeoutError:
                    self._check()
                    continue
                if item is _END:
                    break
                has_begun = has_begun or item == QueuePosition(0)
                yield item
            if future.cancelled():
                raise QueueClosed
            future.result()
        finally:
            stop.set()
            future.cancel()

    def join(self, work: Callable[[], None], emit: Emit, stop: StopFlag) -> Future[None]:
        """Put work at the end of the queue; `emit` gets its QueuePosition now and whenever it changes, as long as
        others are before it. `stop` is set when the queue is closed. Raises QueueClosed."""
        future: Future[None] = Future()
        with self._lock:
            if self._closed:
                raise QueueClosed
            if not self._worker.is_alive():
                self._worker.start()
            if before := len(self._members):
                emit(QueuePosition(before))
            self._members[future] = (emit, stop)
            self._work.put((future, work))
        future.add_done_callback(self._leave)
        return future

    def _leave(self, future: Future[None]) -> None:
        with self._lock:
            place = list(self._members).index(future)
            del self._members[future]
            for before, (emit, _) in list(enumerate(self._members.values()))[max(place, 1) :]:
                emit(QueuePosition(before))

    def _serve(self) -> None:
        while (item := self._work.get()) is not None:
            future, work = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - whatever it is, who waits for the future is told
                future.set_exception(error)
            else:
                future.set_result(None)
            del item, future, work  # or they live until the next work comes

    def _check(self) -> None:
        with self._lock:
            stops = [stop for _, stop in self._members.values()]
        if stops and stops[0].age > self._patience:
            raise QueueStuck

    def close(self, seconds: float | None = None) -> None:
        """Turn away those who wait, stop the work that runs, and wait for its end (`seconds` at most); blocking."""
        with self._lock:
            self._closed = True
            members = list(self._members.items())
        for future, (_, stop) in members:
            stop.set()
            future.cancel()
        self._work.put(None)
        if self._worker.is_alive():
            self._worker.join(seconds)


async def queued_reply(
    queue: WorkerQueue, work: Work, limits: TimeLimits, who: str
) -> AsyncGenerator[ModelDelta, None]:
    """What `work` emits; before it, a delta for every position in the queue, where waiting has no limit.

    Raises BackendUnavailable when the model `who` is too slow, QueueClosed, and what `work` raises.
    """
    clock: TokenTimeout | None = None  # runs from one's turn on
    async with aclosing(queue.run(work)) as items:
        while True:
            item = await (clock.within(anext(items, None)) if clock else anext(items, None))
            if item is None:
                return
            if not isinstance(item, QueuePosition):
                if clock:
                    clock.tick(is_token=bool(item.text))
                yield item
            elif item.before:
                yield ModelDelta("", waiting=str(item))
            else:
                clock = TokenTimeout(limits, who)


_END = object()

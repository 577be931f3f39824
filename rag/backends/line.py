"""A line: work for one thread, first come, first served, and everybody knows how many are before them."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rag.backends.waiting import TimeLimits, TokenClock, waiting

if TYPE_CHECKING:
    from llama_index.core.llms import ChatResponse

Emit = Callable[[Any], None]


class Stop:
    """Set when nobody waits for the work any more. C code can look at it, too: `address` is that of a text of length 1
    when it is set, else 0."""

    def __init__(self) -> None:
        self._text = ctypes.create_string_buffer(2)

    def set(self) -> None:
        """The work is to end."""
        self._text[0] = b"1"

    def is_set(self) -> bool:
        """Whether the work is to end."""
        return self._text[0] != b"\0"

    @property
    def address(self) -> ctypes.c_void_p:
        """Where the text is, as long as this object lives."""
        return ctypes.cast(self._text, ctypes.c_void_p)


Work = Callable[[Emit, Stop], None]  # emits its results, and ends soon once it is to stop


@dataclass(frozen=True, slots=True)
class Place:
    """How many are before one in the line; with 0, one's own work begins."""

    before: int

    def __str__(self) -> str:
        return f"{self.before} question{'s' if self.before != 1 else ''} before yours"


class LineClosed(Exception):
    """The line takes no work any more."""


class Line:
    """A worker thread and those who wait for it, of whatever event loop. Close it when done."""

    def __init__(self, name: str) -> None:
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._members: dict[Future[None], tuple[Emit, Stop]] = {}  # the one whose turn it is first

    async def run(self, work: Work) -> AsyncGenerator[Any, None]:
        """A Place whenever the line moves, the last one of 0, then what `work` emits, and the error that it raises.
        Closing the generator leaves the line, or ends the work. Raises LineClosed."""
        loop = asyncio.get_running_loop()
        items: asyncio.Queue[Any] = asyncio.Queue()
        stop = Stop()

        def emit(item: Any) -> None:  # called in any thread
            with suppress(RuntimeError):  # the loop is gone, and with it the reader
                loop.call_soon_threadsafe(items.put_nowait, item)

        def work_now() -> None:
            emit(Place(0))
            work(emit, stop)

        future = self.join(work_now, emit, stop)
        future.add_done_callback(lambda _: emit(_END))
        try:
            while (item := await items.get()) is not _END:
                yield item
            if future.cancelled():
                raise LineClosed
            future.result()
        finally:
            stop.set()
            future.cancel()

    def join(self, work: Callable[[], None], emit: Emit, stop: Stop) -> Future[None]:
        """Put work at the end of the line; `emit` is told its Place now and whenever the line moves, as long as others
        are before it. `stop` is set when the line is closed. Raises LineClosed."""
        with self._lock:
            if before := len(self._members):
                emit(Place(before))
            try:
                future = self._worker.submit(work)
            except RuntimeError as error:
                raise LineClosed from error
            self._members[future] = (emit, stop)
        future.add_done_callback(self._leave)
        return future

    def _leave(self, future: Future[None]) -> None:
        with self._lock:
            place = list(self._members).index(future)
            del self._members[future]
            for before, (emit, _) in list(enumerate(self._members.values()))[max(place, 1) :]:
                emit(Place(before))

    def close(self) -> None:
        """Turn away those who wait, stop the work that runs, and wait for its end; blocking."""
        self._worker.shutdown(wait=False)
        with self._lock:
            members = list(self._members.items())
        for future, (_, stop) in members:
            stop.set()
            future.cancel()
        self._worker.shutdown(wait=True)


async def reply_in_line(
    line: Line, work: Work, limits: TimeLimits, who: str, provider: str
) -> AsyncGenerator[ChatResponse, None]:
    """The responses that `work` emits; before them, one for every place in the line, where waiting has no limit.

    Raises BackendUnavailable when the model `who` is too slow, LineClosed, and what `work` raises.
    """
    clock: TokenClock | None = None  # runs from one's turn on
    async with aclosing(line.run(work)) as items:
        while True:
            async with clock.limit() if clock else nullcontext():
                item = await anext(items, None)
            if item is None:
                return
            if not isinstance(item, Place):
                if clock:
                    clock.tick(is_token=bool(item.delta))
                yield item
            elif item.before:
                yield waiting(str(item))
            else:
                clock = TokenClock(limits, who, provider)


_END = object()

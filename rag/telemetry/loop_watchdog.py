"""The watchdog of the event loop: what keeps everybody waiting is written to the log, with where it was.

All answers, pages and sockets of the server take turns in one thread. A turn that takes long is a fault, and seen by
nobody: everything is just slow for a moment.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from types import FrameType

logger = logging.getLogger(__name__)

LONGEST_TURN = 0.05  # seconds
_QUIET = 60.0  # seconds after a warning in which there is no other
_FRAMES = 12  # of the stack: the innermost ones
_OF_THE_LOOP = frozenset({"asyncio", "uvicorn"})  # packages in which the thread waits for work


@contextmanager
def watched(longest: float = LONGEST_TURN, quiet: float = _QUIET) -> Iterator[None]:
    """While the block lasts, turns of the running event loop that take longer than `longest` seconds are warned of, one
    in `quiet` seconds; to be called in the loop's thread."""
    watchdog = _Watchdog(longest, quiet)
    try:
        yield
    finally:
        watchdog.stop()


class _Watchdog:
    def __init__(self, longest: float, quiet: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._longest = longest
        self._quiet = quiet
        self._beat = time.monotonic()
        self._is_stopped = threading.Event()
        self._heart: asyncio.TimerHandle | None = None
        self._beats()
        self._thread = threading.Thread(target=self._watch, name="loop watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._is_stopped.set()
        if self._heart is not None:
            self._heart.cancel()
        self._thread.join()

    def _beats(self) -> None:
        self._beat = time.monotonic()
        self._heart = self._loop.call_later(self._longest / 2, self._beats)

    def _watch(self) -> None:
        silent_until, unsaid = 0.0, 0
        while not self._is_stopped.wait(self._longest / 2):
            beat = self._beat
            if time.monotonic() - beat < 1.5 * self._longest or not (stack := self._stack()):
                continue
            while self._beat == beat and not self._is_stopped.wait(self._longest / 2):
                pass  # until the turn is over: a turn is told once, and how long it took
            if time.monotonic() < silent_until:
                unsaid += 1
                continue
            taken = time.monotonic() - beat
            more = f" ({unsaid} more since the last warning)" if unsaid else ""
            logger.warning("The event loop was kept busy for %.0f ms%s, in\n%s", taken * 1000, more, stack)
            silent_until, unsaid = time.monotonic() + self._quiet, 0

    def _stack(self) -> str:
        """Where the loop's thread is; empty where it waits for work, or for the interpreter."""
        frame: FrameType | None = sys._current_frames().get(self._thread_id)  # noqa: SLF001  (there is no other way)
        if frame is None or not _OF_THE_LOOP.isdisjoint(PurePath(frame.f_code.co_filename).parts[-2:]):
            return ""
        if PurePath(frame.f_code.co_filename).name == "selectors.py":
            return ""
        return "".join(traceback.format_stack(frame)[-_FRAMES:])

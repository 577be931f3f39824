"""What has expired goes without anybody's asking: a thread looks once a minute."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Self

logger = logging.getLogger(__name__)

_SECONDS = 60.0


class Expiry:
    """Calls `sweep` at once and then every so many seconds, whether or not it fails. Use it as a context manager."""

    def __init__(self, sweep: Callable[[], None], seconds: float = _SECONDS) -> None:
        self._sweep = sweep
        self._seconds = seconds
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="expiry", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._sweep()
            except Exception:  # such as a full disk: it is tried again
                logger.exception("what has expired could not be removed; trying again in %d seconds", self._seconds)
            self._closing.wait(self._seconds)

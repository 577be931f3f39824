"""One at a time: the threads of this process, and where the database is shared, those of all others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from rag.database import Database
from rag.errors import DatabaseUnavailable


class Turns:
    """A lock that other processes on the same database heed, too. `began` is called when one has it, before anything
    else; what it raises gives the lock back."""

    def __init__(self, database: Database, name: str, began: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._name = name
        self._began = began
        self.here = threading.Lock()  # what keeps the threads of this process apart
        self._elsewhere: AbstractContextManager[Callable[[], bool]] | None = None
        self._is_ours: Callable[[], bool] = bool

    def __enter__(self) -> None:
        self.here.acquire()
        try:
            elsewhere = self._database.exclusive(self._name)
            self._is_ours = elsewhere.__enter__()
            self._elsewhere = elsewhere
            self._began()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def require(self) -> None:
        """Raises DatabaseUnavailable where the lock was lost with the connection to the database, so that another
        process may have it."""
        if not self._is_ours():
            raise DatabaseUnavailable(
                "The connection to the database was lost in the middle of a write.",
                hint="Repeat it: nothing was changed.",
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        elsewhere, self._elsewhere = self._elsewhere, None
        try:
            if elsewhere is not None:
                elsewhere.__exit__(kind, error, trace)
        finally:
            self.here.release()

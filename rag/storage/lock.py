"""Locks: one process owns the storage folder, with a note that says how to reach it; one at a time does some work.

The folder's lock is the operating system's, so it ends with its process however that dies. The note beside it holds the
address of a running server and a secret: requests that are made with it can only come from who reads the folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from rag.errors import ConfigurationError, DatabaseUnavailable, RagError, StorageLocked
from rag.storage.database import Database
from rag.storage.private import make_private, write_private
from rag.storage.unwritable import unwritable


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that owns the storage folder; `url` and `secret` are empty unless it is a server. `machine` is what
    its machine, or its container, calls itself."""

    pid: int
    url: str = ""
    secret: str = ""
    machine: str = ""

    @property
    def address(self) -> str:
        """The server's address as seen from here: in another container that has the same folder, `url` is not it."""
        if self.machine in ("", socket.gethostname()):
            return self.url
        return re.sub(r"//(127\.0\.0\.1|\[::1\]):", f"//{self.machine}:", self.url)


class StorageLock:
    """Ownership of a storage folder, within a `with` block or from `acquire` until `release`: exclusive, or shared by
    processes that keep catalog and vectors at servers. Those leave no note: each is as good as the other, and commands
    work beside them."""

    def __init__(self, storage: Path, *, shared: bool = False) -> None:
        self._shared = shared
        self._lock_file = storage / "lock"
        self._note = storage / "owner.json"
        self._descriptor: int | None = None

    def acquire(self) -> Self:
        """Take the folder, making it if need be. Raises StorageLocked when another process has it."""
        try:
            make_private(self._lock_file.parent)
            descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if self._shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise StorageLocked(
                f"The storage folder {self._lock_file.parent} is in use by another process{self._whose()}.",
                hint="Wait until it has finished, or set RAG_STORAGE__DIR to another folder.",
            ) from error
        self._descriptor = descriptor
        try:
            self.announce(Owner(os.getpid()))
        except OSError as error:
            self.release()
            raise self._unusable(error) from error
        return self

    __enter__ = acquire

    def __exit__(self, *_: object) -> None:
        self.release()

    def is_taken(self) -> bool:
        """Whether another process owns the folder; takes nothing and makes nothing."""
        try:
            descriptor = os.open(self._lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # no folder, no owner; what else is wrong shows when it is taken
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def announce(self, owner: Owner) -> None:
        """Write the note, readable by this user only."""
        if not self._shared:
            write_private(self._note, json.dumps(asdict(owner)).encode())

    def release(self) -> None:
        """Give the folder back."""
        if self._descriptor is not None:
            if not self._shared:
                self._note.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def _unusable(self, error: OSError) -> RagError:
        folder = self._lock_file.parent
        return unwritable(error, folder) or ConfigurationError(
            f"The storage folder {folder} cannot be used: {error.strerror}.",
            hint="Set RAG_STORAGE__DIR to a folder that you may write to.",
        )

    def _whose(self) -> str:
        owner = read_owner(self._note.parent)
        return f" (number {owner.pid})" if owner else ""


def read_owner(storage: Path) -> Owner | None:
    """The note in a storage folder. It may be stale: only the lock says whether its writer lives."""
    try:
        return Owner(**json.loads((storage / "owner.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


class ProcessLock:
    """A lock that other processes on the same database heed, too. `began` is called when one has it, before anything
    else; what it raises gives the lock back."""

    def __init__(self, database: Database, name: str, began: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._name = name
        self._began = began
        self.here = threading.Lock()  # what keeps the threads of this process apart
        self._held = ExitStack()
        self._is_ours: Callable[[], bool] = bool

    def __enter__(self) -> None:
        with ExitStack() as stack:
            stack.enter_context(self.here)
            self._is_ours = stack.enter_context(self._database.exclusive(self._name))
            self._began()
            self._held = stack.pop_all()

    def __exit__(self, *error: Any) -> None:
        self._held.__exit__(*error)

    def require(self) -> None:
        """Raises DatabaseUnavailable where the lock was lost with the connection to the database, so that another
        process may have it."""
        if not self._is_ours():
            raise DatabaseUnavailable(
                "The connection to the database was lost in the middle of a write.",
                hint="Repeat it: nothing was changed.",
            )

"""Reads files in child processes that can be stopped: a file that hangs, crashes or devours memory harms only itself.

A child (see loaders/__main__.py) is an ordinary subprocess with a pipe each way, reads many files one after another,
and is replaced when it dies. It inherits no handles and no settings, and sends back plain data: text, never objects.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ingest.loaders import LoadedDocument, Section
from ingest.loaders.base import over_limit, quoted, unreadable
from ingest.splitting import ChunkLimit, Piece
from rag.errors import (
    ConfigurationError,
    DocumentChanged,
    DocumentError,
    EmptyDocument,
    RagError,
    UnreadableDocument,
    UnsupportedFileType,
)
from rag.storage.child_process import bare_environment, module_command

if TYPE_CHECKING:
    from rag.settings import IngestSettings
    from rag.storage.file_hash import FileState

logger = logging.getLogger(__name__)

_ERRORS: dict[str, type[DocumentError]] = {
    kind.__name__: kind for kind in (UnsupportedFileType, UnreadableDocument, EmptyDocument, DocumentChanged)
}
_GUARD_INTERVAL = 0.05  # seconds between two looks at the clock


class Sandbox(contextlib.AbstractContextManager["Sandbox"]):
    """Up to `workers` files at a time, each in a child process; the children live until the sandbox is closed.

    `load` may be called from any thread. Use it as a context manager.
    """

    def __init__(self, settings: IngestSettings, workers: int = 1) -> None:
        self._limits = settings.model_dump(include={"max_file_mb", "max_pages", "max_text_mb"})
        self._readers, self._node_parser = settings.readers, settings.node_parser
        self._timeout = settings.parse_timeout
        self._memory_mb = settings.parse_memory_mb
        self._children = [_Child() for _ in range(workers)]
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()
        for child in self._children:
            self._idle.put(child)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the children; a file being read at that moment fails."""
        for child in self._children:
            child.stop()

    def load(
        self,
        path: Path,
        name: str,
        limit: ChunkLimit,
        is_unwanted: Callable[[], bool] = lambda: False,
        state: FileState | None = None,
    ) -> LoadedDocument:
        """The file at `path`, known to the user as `name`, read and split; blocks until a child has done it. With a
        `state`, it raises DocumentChanged unless the file that was read is in it still.

        When `is_unwanted` becomes true the child is ended, and so the reading. Raises UnsupportedFileType,
        UnreadableDocument (also when it takes too long, too much memory, or crashes its parser) or EmptyDocument;
        ConfigurationError when no child, or no node parser, can be started.
        """
        absolute = os.path.abspath(path)  # noqa: PTH100 - keeps links, unlike resolve()
        reader = self._readers.get(PurePath(name).suffix.lower(), "")
        request = {"path": absolute, "name": name, "state": state, "limits": self._limits, "reader": reader}
        return self._ask(request, name, limit, is_unwanted)

    def split(self, title: str, sections: Sequence[Section], limit: ChunkLimit) -> tuple[str, tuple[Piece, ...]]:
        """The title, as much of it as fits, and the pieces of sections that were read before. Raises like `load`."""
        request = {"title": title, "name": title, "sections": [astuple(section) for section in sections]}
        loaded = self._ask(request, title, limit, lambda: False)
        return loaded.title, loaded.pieces

    def _ask(
        self, request: dict[str, Any], name: str, limit: ChunkLimit, is_unwanted: Callable[[], bool]
    ) -> LoadedDocument:
        request |= {"timeout": self._timeout, "memory_mb": self._memory_mb}
        request |= {"chunk_tokens": limit.tokens, "overlap": limit.overlap, "node_parser": self._node_parser}
        child = self._free_child(name, is_unwanted)
        try:
            answer = child.ask(limit.tokenizer, request, self._timeout, is_unwanted)
        finally:
            self._idle.put(child)
        if isinstance(answer, LoadedDocument):
            return answer
        raise self._failure(answer, child.timed_out, name)

    def _free_child(self, name: str, is_unwanted: Callable[[], bool]) -> _Child:
        while not is_unwanted():
            try:
                return self._idle.get(timeout=_GUARD_INTERVAL)
            except queue.Empty:
                continue
        raise unreadable(name, "was not read, as nobody waits for it.", "")

    def _failure(self, answer: dict[str, Any] | None, timed_out: bool, name: str) -> RagError:
        if answer is None and timed_out:
            return over_limit(name, f"took longer than {self._timeout:g} seconds to read.", "PARSE_TIMEOUT")
        if answer is None:
            return unreadable(name, "crashed its parser.")
        if answer["error"] == "MemoryError":
            return over_limit(name, f"takes more than {self._memory_mb} MB of memory to read.", "PARSE_MEMORY_MB")
        if answer["trace"]:
            logger.debug("reading %s failed:\n%s", quoted(name), answer["trace"])
        if answer["error"] == ConfigurationError.__name__:
            return ConfigurationError(answer["message"], hint=answer["hint"])
        return _ERRORS[answer["error"]](answer["message"], hint=answer["hint"], source=name)


class _Child:
    """One child process, started when first needed and again whenever it has died. For one thread at a time."""

    def __init__(self) -> None:
        self.timed_out = self._killed = False
        self._tokenizer: str | None = None  # the one that the process has
        self._process: subprocess.Popen[bytes] | None = None
        self._heard = 0.0  # when it last said something
        self._scratch: tempfile.TemporaryDirectory[str] | None = None  # for what its parsers write, even if it dies
        self._closed = False
        self._lock = threading.Lock()  # between starting and closing

    def ask(
        self, tokenizer: str, request: dict[str, Any], timeout: float, is_unwanted: Callable[[], bool]
    ) -> LoadedDocument | dict[str, Any] | None:
        """The document, or the child's word on why not, or None when it died; `timed_out` says whether it was killed
        because nothing was heard of it for `timeout` seconds."""
        process = self._running()
        self.timed_out = self._killed = False
        self._heard = time.monotonic()
        answered = threading.Event()
        guard = threading.Thread(target=self._guard, args=(process, timeout, is_unwanted, answered), daemon=True)
        guard.start()
        try:
            if tokenizer != self._tokenizer:
                _send(process, {"tokenizer": tokenizer})
                self._tokenizer = tokenizer
            _send(process, request)
            answer = self._received(process)
        except (OSError, ValueError):  # the pipe is broken or closed: it died, or the sandbox was closed
            answer = None
        except BaseException:  # such as Ctrl-C: its late answer must not meet the next question
            self._end()
            raise
        finally:
            answered.set()
            guard.join()
        is_whole = isinstance(answer, LoadedDocument) or (answer is not None and answer["error"] != "MemoryError")
        if not is_whole or self._killed:
            self._end()
        return answer

    def stop(self) -> None:
        """Ends the child for good."""
        with self._lock:
            self._closed = True
            self._end()

    def _guard(
        self,
        process: subprocess.Popen[bytes],
        timeout: float,
        is_unwanted: Callable[[], bool],
        answered: threading.Event,
    ) -> None:
        """Kill the child when its time is up or nobody wants its answer any more."""
        while not answered.wait(_GUARD_INTERVAL):
            self.timed_out = time.monotonic() > self._heard + timeout
            if self.timed_out or is_unwanted():
                self._killed = True
                process.kill()
                return

    def _received(self, process: subprocess.Popen[bytes]) -> LoadedDocument | dict[str, Any] | None:
        """All lines of an answer, put together; None when it breaks off."""
        assert process.stdout is not None
        sections: list[Section] = []
        pieces: list[Piece] = []
        for line in process.stdout:
            if not line.endswith(b"\n"):
                break
            self._heard = time.monotonic()
            answer: dict[str, Any] = json.loads(line)
            sections += (Section(*section) for section in answer.get("sections", ()))
            pieces += (Piece(*piece) for piece in answer.get("pieces", ()))
            if "error" in answer:
                return answer
            if "end" in answer:
                end = answer["end"]
                empty_pages = tuple(end["empty_pages"])
                return LoadedDocument(end["title"], sections, end["pages"], empty_pages, end["notice"], tuple(pieces))
        return None

    def _running(self) -> subprocess.Popen[bytes]:
        """The child, which has said that it is ready. Raises ConfigurationError when none can be started."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the sandbox is closed")
            if self._process is None or self._process.poll() is not None:
                self._end()
                self._scratch = tempfile.TemporaryDirectory(prefix="footnote-", ignore_cleanup_errors=True)
                self._process = _start(self._scratch.name)
                self._tokenizer = None
                if not self._process.stdout or not self._process.stdout.readline():
                    self._end()
                    command = f"{sys.executable} -P -m ingest.loaders"
                    raise ConfigurationError(
                        "The process that reads documents could not be started.",
                        hint=f"Run `{command}` to see why; `make setup` installs all it needs.",
                    )
            return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in filter(None, (self._process.stdin, self._process.stdout)):
                with contextlib.suppress(OSError):  # a request that it no longer took
                    pipe.close()
        if self._scratch is not None:
            self._scratch.cleanup()


def _start(scratch: str) -> subprocess.Popen[bytes]:
    """A child whose temporary files go into the folder `scratch`."""
    return subprocess.Popen(  # noqa: S603
        module_command("ingest.loaders"),
        env=bare_environment(TMPDIR=scratch),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C in the terminal is for the parent
    )


def _send(process: subprocess.Popen[bytes], request: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(request).encode() + b"\n")
    process.stdin.flush()

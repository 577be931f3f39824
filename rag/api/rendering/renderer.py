"""Draws pages of PDF files, each in a process of its own (worker.py), and keeps the last ones in memory."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
from array import array
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from rag.api.rendering.highlight import Characters
from rag.api.rendering.worker import NO_SUCH_PAGE
from rag.errors import NotFound, UnreadableDocument
from rag.storage.child_process import bare_environment, module_command

if TYPE_CHECKING:
    from rag.storage.source_files import SourceFiles
    from rag.types.documents import Document

logger = logging.getLogger(__name__)

KEPT = 64 * 1024 * 1024  # bytes of drawn pages
_AT_ONCE = 2
_TIMEOUT = 20.0  # seconds

_Key = tuple[str, int, int]  # document, version, page index


@dataclass(frozen=True, slots=True)
class DrawnPage:
    """A page as a PNG of `width` × `height` pixels, and its characters with their boxes; `pages` are those of the
    file."""

    picture: bytes
    width: int
    height: int
    pages: int
    characters: Characters

    @property
    def size(self) -> int:
        """Bytes, about."""
        return len(self.picture) + 2 * len(self.characters.boxes) + 4 * len(self.characters.text)


class PageDrawer:
    """Draws pages, two at a time; of those that were drawn it keeps the ones used last. For one event loop."""

    def __init__(self, source_files: SourceFiles, kept: int = KEPT) -> None:
        self._source_files = source_files
        self._limit = kept
        self._kept: OrderedDict[_Key, DrawnPage] = OrderedDict()
        self._running: dict[_Key, asyncio.Task[DrawnPage]] = {}
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def page(self, document: Document, index: int) -> DrawnPage:
        """The page with that index of a PDF. Raises NotFound when the file or the page is not there, Conflict when the
        file is another one now, UnreadableDocument when it cannot be drawn within the limits."""
        key = (document.id, document.version, index)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._draw(document, index, key))
        return await asyncio.shield(task)  # whoever asked may leave; another one may be waiting for the same page

    async def _draw(self, document: Document, index: int, key: _Key) -> DrawnPage:
        try:
            async with self._turn:
                page = await asyncio.to_thread(_drawn, self._source_files, document, index)
        finally:
            del self._running[key]
        self._kept[key] = page
        while sum(kept.size for kept in self._kept.values()) > self._limit:
            self._kept.popitem(last=False)
        return page


def _drawn(source_files: SourceFiles, document: Document, index: int) -> DrawnPage:
    name = PurePath(document.source).name
    failure = UnreadableDocument(
        f"Page {index + 1} of {name} cannot be drawn.", hint="Open the file in its own program.", source=name
    )
    try:
        with source_files.open(document) as file:
            done = subprocess.run(  # noqa: S603
                module_command("rag.api.rendering.worker", f"/dev/fd/{file.fileno()}", str(index)),
                env=bare_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT,
                check=False,
                pass_fds=[file.fileno()],
                start_new_session=True,  # Ctrl-C in the terminal is for the parent
            )
    except subprocess.TimeoutExpired as error:
        raise failure from error
    if done.returncode == NO_SUCH_PAGE:
        raise NotFound(f"{name} has no page {index + 1}.")
    head, _, picture = done.stdout.partition(b"\n")
    if done.returncode or not picture:
        logger.info("page %d of %r cannot be drawn: %s", index + 1, name, done.stderr.decode(errors="replace")[-300:])
        raise failure
    facts = json.loads(head)
    width, height = facts["size"]
    return DrawnPage(picture, width, height, facts["pages"], Characters(facts["text"], array("H", facts["boxes"])))

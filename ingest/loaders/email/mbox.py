"""Mailboxes (mbox): a section for each message, read one after another, however large the mailbox is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import dropwhile
from pathlib import Path
from typing import BinaryIO

from ingest.loaders.attachments import ReadAttachment
from ingest.loaders.base import Extracted, Limits, unreadable
from ingest.loaders.email.eml import parse_eml
from ingest.loaders.email.loader import MessageReader
from ingest.loaders.email.message import citable_heading
from rag.errors import UnreadableDocument

# `From ana@example.org Mon Jul 14 12:00:00 2014`: a line that begins with "From " may as well stand in a letter.
_SEPARATOR = re.compile(rb"From .{0,500}\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b.{0,40}\d:\d\d")
_HEADER = re.compile(rb"[!-9;-~]+[ \t]*:|>From ")
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)


def load_mbox(path: Path, name: str, limits: Limits, read_attachment: ReadAttachment) -> Extracted:
    """A section for each message, its record id the Message-ID; a message that cannot be read is told in the notice.

    Raises UnreadableDocument when the file does not begin like a mailbox.
    """
    reader = MessageReader(name, limits, read_attachment)
    unreadable: list[int] = []
    with path.open("rb") as file:
        for number, data in enumerate(_messages(file, name), start=1):
            try:
                message = parse_eml(data, name)
            except UnreadableDocument:
                unreadable.append(number)
            else:
                reader.read(message, citable_heading(message), message.identifier or str(number))
    if unreadable:
        places = ", ".join(map(str, unreadable[:5])) + (" …" if len(unreadable) > 5 else "")
        reader.note(f"{len(unreadable)} messages could not be read: number {places}.")
    return reader.extracted()


def _messages(file: BinaryIO, name: str) -> Iterator[bytes]:
    """The bytes of each message, without the line that separates it from the one before."""
    lines: list[bytes] = []
    waiting = b""  # a separator, if the next line is a header
    coming = dropwhile(lambda line: not line.strip(), file)
    if not next(coming, b"From ").startswith(b"From "):
        raise unreadable(
            name,
            "is not a mailbox: it does not begin with a line “From …”.",
            "Export the mailbox again as mbox, or give the file the suffix of what it really is.",
        )
    for line in coming:
        if waiting:
            if _HEADER.match(line):
                yield _QUOTED.sub(rb"\1", b"".join(lines))
                lines = []
            else:
                lines.append(waiting)
            waiting = b""
        if _SEPARATOR.match(line):
            waiting = line
        else:
            lines.append(line)
    lines.append(waiting)
    if b"".join(lines).strip():
        yield _QUOTED.sub(rb"\1", b"".join(lines))

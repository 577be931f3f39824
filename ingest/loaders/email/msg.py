"""Messages saved by Outlook (msg): a compound file with a stream for each property of the message (MS-OXMSG).

Read stream by stream, so that one broken property costs nothing but itself.
"""

from __future__ import annotations

import contextlib
import io
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cached_property, reduce
from typing import Any

from ingest.loaders.base import squeeze, unreadable
from ingest.loaders.email.message import Attachment, EmailMessage
from ingest.loaders.encoding import decode
from ingest.loaders.html import html_text
from rag.errors import UnreadableDocument

# Numbers of properties, as MS-OXPROPS lists them.
_CLASS, _SUBJECT, _TO, _CC = 0x001A, 0x0037, 0x0E04, 0x0E03
_SENDER_NAME, _SENDER_ADDRESS, _SENDER_SMTP = 0x0C1A, 0x0C1F, 0x5D01
_RECIPIENT_KIND, _ADDRESS, _SMTP = 0x0C15, 0x3003, 0x39FE
_ON_BEHALF_OF, _IDENTIFIER, _BODY, _HTML, _RTF = 0x0042, 0x1035, 0x1000, 0x1013, 0x1009
_SENT, _DELIVERED, _CODE_PAGE, _BODY_CODE_PAGE = 0x0039, 0x0E06, 0x3FFD, 0x3FDE
_DATA, _LONG_NAME, _SHORT_NAME, _DISPLAY_NAME, _CONTENT_ID, _HIDDEN = 0x3701, 0x3707, 0x3704, 0x3001, 0x3712, 0x7FFE
_PROPERTIES = "__properties_version1.0"
_EMBEDDED = "__substg1.0_3701000D"  # the storage of an attached message
_MESSAGE_HEADER, _EMBEDDED_HEADER, _PART_HEADER = 32, 24, 8  # bytes
_STREAM = 2  # what olefile calls a stream
_DEEPEST = 3  # messages in messages
_DICTIONARY = (  # what the compression of RTF begins with
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor "
    rb"MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)


def parse_msg(data: bytes, name: str) -> EmailMessage:
    """The message in `data`. Raises UnreadableDocument when it is damaged, or not a message of Outlook."""
    import olefile  # type: ignore[import-untyped]

    if not olefile.isOleFile(data=data):
        raise _not_a_message(name)
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as file:
            root = _tree(file)
    except OSError as error:  # what olefile raises
        raise unreadable(
            name, "is damaged: a part of the file is missing.", "Save the message again as .msg or .eml."
        ) from error
    if _PROPERTIES not in root.streams:
        raise _not_a_message(name)
    return _message(root, 0)


def _not_a_message(name: str) -> UnreadableDocument:
    return unreadable(
        name,
        "is not a message saved by Outlook.",
        "Save the message again as .msg or .eml, or give the file the suffix of what it really is.",
    )


@dataclass
class _Storage:
    """A message, a recipient or an attachment: its properties, and the storages in it.

    `streams` are the properties of variable length, and one with those of 8 bytes, behind a header of `header_size`.
    """

    header_size: int
    streams: dict[str, bytes] = field(default_factory=dict)
    storages: dict[str, _Storage] = field(default_factory=dict)

    def inside(self, name: str) -> _Storage:
        """The storage of that name, made if there is none yet."""
        return self.storages.setdefault(name, _Storage(_EMBEDDED_HEADER if name == _EMBEDDED else _PART_HEADER))

    @cached_property
    def fixed(self) -> dict[int, bytes]:
        """The properties of 8 bytes by their numbers."""
        table = self.streams.get(_PROPERTIES, b"")
        return {
            struct.unpack_from("<H", table, start + 2)[0]: table[start + 8 : start + 16]
            for start in range(self.header_size, len(table) - 15, 16)
        }

    def text(self, number: int) -> str:
        """A property that is text; "" when there is none."""
        wide = self.streams.get(f"__substg1.0_{number:04X}001F")
        if wide is not None:
            return wide.decode("utf-16-le", "replace").strip("\0")
        narrow = self.streams.get(f"__substg1.0_{number:04X}001E", b"")
        return decode(narrow, "", self.encoding(_CODE_PAGE))[0] if narrow.strip(b"\0") else ""

    def line(self, number: int) -> str:
        """A property that is text, on one line."""
        return squeeze(self.text(number))

    def data(self, number: int) -> bytes:
        """A property that is binary; empty when there is none."""
        return self.streams.get(f"__substg1.0_{number:04X}0102", b"")

    def integer(self, number: int) -> int:
        """A property that is a number; 0 when there is none."""
        return int.from_bytes(self.fixed.get(number, b"")[:4], "little")

    def encoding(self, number: int) -> str | None:
        """The encoding that a code page means."""
        page = self.integer(number)
        return {0: None, 65001: "utf-8", 20127: "cp1252", 28591: "cp1252", 50220: "iso-2022-jp"}.get(
            page, f"iso8859-{page - 28590}" if 28591 < page <= 28606 else f"cp{page}"
        )

    def time(self, number: int) -> str:
        """A moment, written as in the header of a mail; "" when there is none."""
        ticks = int.from_bytes(self.fixed.get(number, b""), "little")  # tenths of a microsecond since 1601
        try:
            return (
                format_datetime(datetime(1601, 1, 1, tzinfo=UTC) + timedelta(seconds=ticks // 10**7)) if ticks else ""
            )
        except OverflowError:
            return ""


def _tree(file: Any) -> _Storage:
    """All that is in a compound file. Streams that are damaged are left out."""
    root = _Storage(_MESSAGE_HEADER)
    for *folders, name in file.listdir(streams=True, storages=True):
        storage = reduce(_Storage.inside, folders, root)
        if file.get_type([*folders, name]) != _STREAM:
            storage.inside(name)
            continue
        with contextlib.suppress(OSError):  # a damaged chain of sectors
            storage.streams[name] = file.openstream([*folders, name]).read()
    return root


def _message(properties: _Storage, depth: int) -> EmailMessage:
    recipients = _recipients(properties)
    attachments = [
        attachment
        for name, storage in properties.storages.items()
        if name.startswith("__attach_version1.0_") and (attachment := _attachment(storage, depth)) is not None
    ]
    body, notices = _body(properties)
    if not body and "SMIME" in properties.text(_CLASS).upper():
        notices.append("The message is encrypted or sealed: only its header could be read.")
    name = properties.line(_SENDER_NAME) or properties.line(_ON_BEHALF_OF)
    address = properties.line(_SENDER_SMTP) or properties.line(_SENDER_ADDRESS)
    return EmailMessage(
        subject=properties.line(_SUBJECT),
        sender=_person(name, address),
        to=", ".join(recipients[1] + recipients[3]) or properties.line(_TO),
        cc=", ".join(recipients[2]) or properties.line(_CC),
        date=properties.time(_SENT) or properties.time(_DELIVERED),
        identifier=properties.line(_IDENTIFIER),
        body=body,
        attachments=tuple(attachments),
        notices=tuple(notices),
    )


def _recipients(message: _Storage) -> dict[int, list[str]]:
    """Who it went to (1), who got a copy (2), and who one that the others do not see (3)."""
    found: dict[int, list[str]] = {1: [], 2: [], 3: []}
    for name, person in message.storages.items():
        if name.startswith("__recip_version1.0_"):
            address = person.line(_SMTP) or person.line(_ADDRESS)
            found.get(person.integer(_RECIPIENT_KIND), found[1]).append(_person(person.line(_DISPLAY_NAME), address))
    return {kind: [person for person in people if person] for kind, people in found.items()}


def _person(name: str, address: str) -> str:
    """`Ana Li <ana@example.org>`; an address inside an Exchange server says nothing to anybody."""
    address = address if "@" in address and address != name.strip("'") else ""
    return f"{name} <{address}>" if name and address else name or address


def _attachment(properties: _Storage, depth: int) -> Attachment | None:
    name = next(filter(None, map(properties.line, (_LONG_NAME, _SHORT_NAME, _DISPLAY_NAME))), "attachment")
    if _EMBEDDED in properties.storages:
        return Attachment(name, _message(properties.storages[_EMBEDDED], depth + 1) if depth < _DEEPEST else b"")
    if properties.integer(_HIDDEN) & 0xFF and properties.line(_CONTENT_ID):
        return None  # a picture in the text
    return Attachment(name.replace("\\", "/").rpartition("/")[2], properties.data(_DATA))


def _body(properties: _Storage) -> tuple[str, list[str]]:
    """The plain body; else the one in HTML, else the one in RTF."""
    if plain := properties.text(_BODY).strip():
        return plain, []
    html, notices = properties.text(_HTML), []
    if not html and (data := properties.data(_HTML)):
        html, notice = decode(data, "the message", properties.encoding(_BODY_CODE_PAGE))
        notices = [f"In the message: {notice}"] if notice else []
    if html:
        return html_text(html), notices
    if rtf := _decompressed(properties.data(_RTF)):
        from striprtf.striprtf import rtf_to_text

        return str(rtf_to_text(rtf.decode("latin-1"), errors="replace")).strip(), []  # type: ignore[no-untyped-call]
    return "", []


def _decompressed(data: bytes) -> bytes:
    """RTF as Outlook stores it (MS-OXRTFCP): bytes, or references into the last 4096 bytes, eight to a control byte."""
    if data[8:12] != b"LZFu":
        return data[16:] if data[8:12] == b"MELA" else b""
    output = bytearray(_DICTIONARY)
    position, end = 16, min(len(data), int.from_bytes(data[:4], "little") + 4)
    while position < end:
        control = data[position]
        position += 1
        for bit in range(8):
            if position >= end:
                break
            if not control >> bit & 1:
                output.append(data[position])
                position += 1
                continue
            reference = int.from_bytes(data[position : position + 2], "big")
            position += 2
            back = (len(output) - (reference >> 4)) % 4096
            if back == 0:  # a reference to the place it stands at ends the text
                return bytes(output[len(_DICTIONARY) :])
            for _ in range((reference & 15) + 2):
                output.append(output[-back] if back <= len(output) else 32)
    return bytes(output[len(_DICTIONARY) :])

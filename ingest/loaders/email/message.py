"""E-mail messages become sections: who wrote to whom and when, the body, and the documents attached.

What the formats of mail (mail.py, mbox.py, outlook.py) have in common. Attached documents are read by the loaders of
their formats and attached messages as messages; what is attached to those is only named.
"""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass, replace
from email.utils import parseaddr, parsedate_to_datetime
from pathlib import Path, PurePath

from ingest.loaders.base import HEADING_SEPARATOR, MEGABYTE, Extracted, Limits, printable, quoted, squeeze
from rag.errors import DocumentError, EmptyDocument
from rag.types.documents import Section

_LONGEST_HEADER = 4000  # characters
_LONGEST_NAME = 80
_MOST_NOTICES = 10
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n){2,}")
# A mailbox may hold thousands of attachments: when they have taken that long, the rest are only named, so that the
# mails themselves are never lost to the time limit of the file.
_ATTACHMENT_SECONDS = 60.0  # of processor time


@dataclass(frozen=True, slots=True)
class Attachment:
    """Something attached to a message: a file's bytes, or a message that was forwarded as such."""

    name: str
    content: bytes | EmailMessage


@dataclass(frozen=True, slots=True)
class EmailMessage:
    """A message, decoded: `date` and addresses as they were written, `body` plain text, `notices` what was odd."""

    subject: str
    sender: str
    to: str
    cc: str
    date: str
    identifier: str
    body: str
    attachments: tuple[Attachment, ...] = ()
    notices: tuple[str, ...] = ()


def file_message(message: EmailMessage, name: str, limits: Limits) -> Extracted:
    """The sections of a file that is one message; its subject is the title, and so no heading."""
    reader = MessageReader(name, limits)
    reader.read(message, "")
    return reader.extracted(message.subject)


def citable_heading(message: EmailMessage) -> str:
    """What names a message among others: `subject — sender, date`."""
    sender = parseaddr(message.sender)
    try:
        date = parsedate_to_datetime(message.date).date().isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):  # the date is missing or no date
        date = message.date[:_LONGEST_NAME]
    origin = ", ".join(part for part in ((sender[0] or sender[1] or message.sender)[:_LONGEST_NAME], date) if part)
    return " — ".join(part for part in (_shortened(message.subject) or "(no subject)", origin) if part)


class MessageReader:
    """Collects the sections of one file's messages, and keeps what is attached to them within the file's limits."""

    def __init__(self, name: str, limits: Limits) -> None:
        self._name = name
        self._limits = limits
        self._sections: list[Section] = []
        self._characters = 0
        self._seconds = 0.0
        self._notices: list[str] = []

    def read(
        self, message: EmailMessage, heading: str, record_id: str | None = None, *, is_attached: bool = False
    ) -> None:
        """Adds a message; raises UnreadableDocument when the file holds more text than allowed."""
        self._notices += message.notices
        self._add(Section(_text(message), heading=heading, record_id=record_id))
        for attachment in message.attachments:
            place = HEADING_SEPARATOR.join(filter(None, (heading, f"Attachment › {_shortened(attachment.name)}")))
            if is_attached:
                self.note(f"{quoted(attachment.name)} is attached to an attached message and was not read.")
            elif isinstance(attachment.content, EmailMessage):
                self.read(attachment.content, place, record_id, is_attached=True)
            else:
                self._read_file(attachment.name, attachment.content, place, record_id)

    def note(self, notice: str) -> None:
        """Takes in something that the user should know."""
        self._notices.append(notice)

    def extracted(self, title: str = "") -> Extracted:
        """All that was read, with the title given."""
        notices = list(dict.fromkeys(self._notices))
        if len(notices) > _MOST_NOTICES:
            notices[_MOST_NOTICES:] = [f"And {len(notices) - _MOST_NOTICES} notices more."]
        return Extracted(title=title, sections=self._sections, notice=" ".join(notices))

    def _add(self, section: Section) -> None:
        self._sections.append(section)
        self._characters += len(section.text)
        self._limits.check_text(self._characters, self._name)

    def _read_file(self, name: str, data: bytes, place: str, record_id: str | None) -> None:
        from ingest.loaders import LOADERS
        from ingest.loaders.email.eml import parse_mail
        from ingest.loaders.email.msg import parse_outlook

        suffix = PurePath(name).suffix.lower()
        if suffix not in LOADERS or suffix == ".mbox" or not data:
            return  # its name is in the message's text
        if self._seconds > _ATTACHMENT_SECONDS:
            self.note("Reading the attachments took too long: the last ones are only named.")
            return
        started = time.process_time()
        try:
            if suffix in (".eml", ".msg"):
                parse = parse_mail if suffix == ".eml" else parse_outlook
                self.read(parse(data, name), place, record_id, is_attached=True)
            else:
                self._read_document(name, data, place, record_id)
        except EmptyDocument:
            self.note(f"The attachment {quoted(name)} holds no text.")
        except DocumentError as error:
            self.note(f"The attachment was not read: {error.message}")
        except MemoryError:
            self.note(f"The attachment {quoted(name)} takes too much memory and was not read.")
        except RecursionError:
            self.note(f"The attachment {quoted(name)} is nested too deeply and was not read.")
        finally:
            self._seconds += time.process_time() - started

    def _read_document(self, name: str, data: bytes, place: str, record_id: str | None) -> None:
        from ingest.loaders import extract

        room = self._limits.max_text_mb * MEGABYTE - self._characters
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "attachment")
            path.write_bytes(data)
            extracted = extract(path, name, replace(self._limits, max_text_mb=room // MEGABYTE))
        if extracted.notice:
            self.note(f"{quoted(name)}: {extracted.notice}")
        empty = 0
        for section in extracted.sections:
            empty += section.page_index is not None and not section.text.strip()
            page = f"page {section.page_label or section.page_index + 1}" if section.page_index is not None else ""
            heading = HEADING_SEPARATOR.join(filter(None, (place, section.heading, page)))
            self._add(Section(section.text.rstrip() + "\n\n", heading=heading, record_id=record_id))
        if empty:
            self.note(f"{quoted(name)}: {empty} pages have no text.")


def _text(message: EmailMessage) -> str:
    """The message as it is read: the lines that say what it is, then the body."""
    named = ", ".join(attachment.name for attachment in message.attachments)
    lines = [
        ("From", message.sender),
        ("To", message.to),
        ("Cc", message.cc),
        ("Date", message.date),
        ("Subject", message.subject),
        ("Attachments", named),
    ]
    head = "\n".join(f"{name}: {_cut(value)}" for name, value in lines if value)
    body = _BLANK_LINES.sub("\n\n", message.body.strip("\n"))
    return "\n\n".join(part for part in (head, body) if part.strip()) + "\n\n"


def _cut(value: str) -> str:
    return value if len(value) <= _LONGEST_HEADER else value[:_LONGEST_HEADER] + "…"


def _shortened(name: str) -> str:
    name = squeeze(printable(name))
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"

"""Files of one message (eml, msg), and how messages become sections with what is attached to them.

Attached documents are read by the loaders of their formats and attached messages as messages; what is attached to those
is only named.
"""

from __future__ import annotations

import mimetypes
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePath

from ingest.loaders.base import HEADING_SEPARATOR, MEGABYTE, Extracted, Limits, quoted
from ingest.loaders.email.eml import parse_eml
from ingest.loaders.email.message import EmailMessage, message_text, short_name
from ingest.loaders.email.msg import parse_msg
from rag.errors import DocumentError, EmptyDocument, UnsupportedFileType
from rag.types.documents import Section

ReadAttachment = Callable[[bytes, str, Limits], Extracted]  # what finds the text of an attached file; see load_document

_MOST_NOTICES = 10
# A mailbox may hold thousands of attachments: when they have taken that long, the rest are only named, so that the
# mails themselves are never lost to the time limit of the file.
_ATTACHMENT_SECONDS = 60.0  # of processor time
_PARSERS = {".eml": parse_eml, ".msg": parse_msg}


def load_message(path: Path, name: str, limits: Limits, read_attachment: ReadAttachment) -> Extracted:
    """One section for the message and those of what is attached; its subject is the title, and so no heading.

    Raises UnreadableDocument when it is no e-mail, and no message of Outlook.
    """
    data = path.read_bytes()
    if not data.strip():
        return Extracted(title="", sections=[])
    message = _PARSERS[PurePath(name).suffix.lower()](data, name)
    reader = MessageReader(name, limits, read_attachment)
    reader.read(message, "")
    return reader.extracted(message.subject)


class MessageReader:
    """Collects the sections of one file's messages, and keeps what is attached to them within the file's limits."""

    def __init__(self, name: str, limits: Limits, read_attachment: ReadAttachment) -> None:
        self._name = name
        self._limits = limits
        self._read_attachment = read_attachment
        self._sections: list[Section] = []
        self._characters = 0
        self._seconds = 0.0
        self._notices: list[str] = []

    def read(
        self, message: EmailMessage, heading: str, record_id: str | None = None, *, is_attached: bool = False
    ) -> None:
        """Adds a message; raises UnreadableDocument when the file holds more text than allowed."""
        self._notices += message.notices
        self._add(Section(message_text(message), heading=heading, record_id=record_id))
        for attachment in message.attachments:
            place = HEADING_SEPARATOR.join(filter(None, (heading, f"Attachment › {short_name(attachment.name)}")))
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
        suffix = PurePath(name).suffix.lower()
        if suffix == ".mbox" or not data:
            return  # its name is in the message's text
        if self._seconds > _ATTACHMENT_SECONDS:
            self.note("Reading the attachments took too long: the last ones are only named.")
            return
        started = time.process_time()
        try:
            if parse := _PARSERS.get(suffix):
                self.read(parse(data, name), place, record_id, is_attached=True)
            else:
                self._read_document(name, data, place, record_id)
        except UnsupportedFileType:
            if not (mimetypes.guess_type(name)[0] or "").startswith("image/"):  # most are a sender's logo
                self.note(f"The attachment {quoted(name)} was not read: no loader for such files.")
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
        room = self._limits.max_text_mb * MEGABYTE - self._characters
        extracted = self._read_attachment(data, name, replace(self._limits, max_text_mb=room // MEGABYTE))
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

"""Files of one message (eml, msg), and how messages become sections with what is attached to them.

Attached documents are read by the loaders of their formats and attached messages as messages; what is attached to those
is only named.
"""

from __future__ import annotations

from pathlib import Path, PurePath

from ingest.loaders.attachments import AttachmentReader, ReadAttachment
from ingest.loaders.base import HEADING_SEPARATOR, Extracted, Limits, quoted, short_name
from ingest.loaders.email.eml import parse_eml
from ingest.loaders.email.message import EmailMessage, message_text
from ingest.loaders.email.msg import parse_msg
from rag.types.documents import Section

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


class MessageReader(AttachmentReader):
    """Reads the messages of one file."""

    def read(
        self, message: EmailMessage, heading: str, record_id: str | None = None, *, is_attached: bool = False
    ) -> None:
        """Adds a message; raises UnreadableDocument when the file holds more text than allowed."""
        for notice in message.notices:
            self.note(notice)
        self.add(Section(message_text(message), heading=heading, record_id=record_id))
        for attachment in message.attachments:
            place = HEADING_SEPARATOR.join(filter(None, (heading, f"Attachment › {short_name(attachment.name)}")))
            if is_attached:
                self.note(f"{quoted(attachment.name)} is attached to an attached message and was not read.")
            elif isinstance(attachment.content, EmailMessage):
                self.read(attachment.content, place, record_id, is_attached=True)
            elif PurePath(attachment.name).suffix.lower() != ".mbox":  # whose name is in the message's text
                self.read_file(attachment.name, attachment.content, place, record_id)

    def read_content(self, name: str, data: bytes, place: str, record_id: str | None) -> None:
        """A message that is attached as a file is a message, too."""
        if parse := _PARSERS.get(PurePath(name).suffix.lower()):
            self.read(parse(data, name), place, record_id, is_attached=True)
        else:
            super().read_content(name, data, place, record_id)

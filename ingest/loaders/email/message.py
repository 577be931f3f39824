"""A message of mail, whatever its format, and the lines by which it is read and cited."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parseaddr, parsedate_to_datetime

from ingest.loaders.base import LONGEST_NAME, short_name, shortened

_LONGEST_HEADER = 4000  # characters
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n){2,}")


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


def citable_heading(message: EmailMessage) -> str:
    """What names a message among others: `subject — sender, date`."""
    sender = parseaddr(message.sender)
    try:
        date = parsedate_to_datetime(message.date).date().isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):  # the date is missing or no date
        date = message.date[:LONGEST_NAME]
    origin = ", ".join(part for part in ((sender[0] or sender[1] or message.sender)[:LONGEST_NAME], date) if part)
    return " — ".join(part for part in (short_name(message.subject) or "(no subject)", origin) if part)


def message_text(message: EmailMessage) -> str:
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
    head = "\n".join(f"{name}: {shortened(value, _LONGEST_HEADER)}" for name, value in lines if value)
    body = _BLANK_LINES.sub("\n\n", message.body.strip("\n"))
    return "\n\n".join(part for part in (head, body) if part.strip()) + "\n\n"

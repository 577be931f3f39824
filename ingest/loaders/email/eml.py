"""E-mails (eml): the message, its best body, and what is attached.

Headers are decoded here and not by the `email` package's newer policies: those raise on many of the headers that real
mail programs write, and take ten times as long.
"""

from __future__ import annotations

import codecs
import email
import email.header
import email.message
import email.policy
import mimetypes
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ingest.loaders.base import squeeze, unreadable
from ingest.loaders.calendar import calendar_text
from ingest.loaders.email.message import Attachment, EmailMessage
from ingest.loaders.email.signed import signed_content
from ingest.loaders.encoding import decode
from ingest.loaders.html import html_text
from rag.errors import UnreadableDocument

_DEEPEST = 40  # parts within parts
_LONGEST_HEADER = 50_000  # characters
_STUB = 200  # characters; a plain body shorter than that may only say "this is an HTML message"
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_KNOWN_HEADERS = frozenset(
    {"from", "to", "cc", "bcc", "sender", "reply-to", "subject", "date", "message-id", "in-reply-to", "references"}
    | {"received", "return-path", "delivered-to", "mime-version", "content-type", "content-transfer-encoding"}
)
_ENCODED_WORDS = re.compile(r"=\?[^?\s]+\?[bq]\?[^?]*\?=(?:\s*=\?[^?\s]+\?[bq]\?[^?]*\?=)*", re.IGNORECASE)
_ODD_PARTS = (ValueError, LookupError, TypeError, AttributeError, AssertionError)  # what `email` raises on broken parts


def parse_eml(data: bytes, name: str) -> EmailMessage:
    """The message in `data`. Raises UnreadableDocument when it has no header of an e-mail, or is nested too deeply."""
    if data.startswith(_WIDE_MARKS) or 0 in data[:8]:  # UTF-16, with or without a mark
        data = decode(data, name)[0].encode()
    try:
        parsed = email.message_from_bytes(data.removeprefix(codecs.BOM_UTF8).lstrip(), policy=email.policy.compat32)
        message = _message(parsed, depth=0)
    except RecursionError as error:
        raise unreadable(
            name,
            "is nested too deeply: a thousand parts within parts.",
            "No mail program writes such messages: it may be an attack.",
        ) from error
    if message is None:
        raise unreadable(
            name,
            "is not an e-mail message: it begins with none of an e-mail's headers.",
            "Export the message again as .eml, or give the file the suffix of what it really is.",
        )
    return message


_SEALED = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})  # S/MIME: encrypted, or only signed


@dataclass(slots=True)
class _Content:
    """What a part of a message holds."""

    plain: list[str] = field(default_factory=list)
    html: list[str] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def add(self, other: _Content) -> None:
        """Takes in what stands beside: text follows text, whatever its format."""
        if other.html and not other.plain and self.plain:
            self.plain.append(_plain_text(other))
        elif other.plain and not other.html and self.html and not self.plain:
            self.plain = [_plain_text(self), *other.plain]
            self.html = []
        else:
            self.plain += other.plain
            self.html += other.html
        self.attachments += other.attachments
        self.notices += other.notices

    def add_alternative(self, other: _Content) -> None:
        """Takes in the same text in another format."""
        self.plain = self.plain or other.plain
        self.html = self.html or other.html
        self.attachments += other.attachments
        self.notices += other.notices


def _message(parsed: email.message.Message, depth: int) -> EmailMessage | None:
    """The message that `parsed` is; None when it has no header of an e-mail."""
    headers: dict[str, list[str]] = {}
    for key, value in parsed.raw_items():
        headers.setdefault(str(key).lower(), []).append(_decoded_header(str(value)))
    if not _KNOWN_HEADERS & headers.keys():
        return None

    def header(key: str) -> str:
        return ", ".join(filter(None, headers.get(key, [])))

    content = _content(parsed, depth)
    return EmailMessage(
        subject=header("subject"),
        sender=header("from") or header("sender"),
        to=", ".join(filter(None, (header("to"), header("bcc")))),
        cc=header("cc"),
        date=next(iter(headers.get("date", [])), ""),
        identifier=next(iter(headers.get("message-id", [])), ""),
        body=_plain_text(content),
        attachments=tuple(content.attachments),
        notices=tuple(content.notices),
    )


def _plain_text(content: _Content) -> str:
    """The plain body; the HTML one where there is no other, or where the other is a stub."""
    plain = "\n\n".join(content.plain)
    if not content.html or len(plain.strip()) > _STUB:
        return plain
    rendered = "\n\n".join(html_text(html) for html in content.html)
    return rendered if len(rendered) > 2 * len(plain.strip()) or not plain.strip() else plain


def _signed(part: email.message.Message, depth: int) -> _Content | None:
    """What is within a part that is signed and not encrypted; None where it is, or is broken."""
    envelope = part.get_payload(decode=True)
    try:
        signed = signed_content(envelope) if isinstance(envelope, bytes) and depth < _DEEPEST else None
    except ValueError:
        return None
    return None if signed is None else _content(email.message_from_bytes(signed), depth + 1)


def _content(part: email.message.Message, depth: int) -> _Content:
    kind = part.get_content_type()
    children: Any = part.get_payload()
    if kind == "multipart/encrypted" or kind in _SEALED:
        return _signed(part, depth) or _Content(
            notices=["The message is encrypted or sealed: only its header could be read."]
        )
    if not isinstance(children, list):
        return _leaf(part, kind)
    found = _Content()
    if depth >= _DEEPEST:
        found.notices.append("Parts of the message are nested too deeply and were not read.")
    elif kind == "message/rfc822":
        for child in children:
            message = _message(child, depth + 1)
            if message is not None:
                found.attachments.append(Attachment(message.subject or "message", message))
    elif kind == "message/delivery-status":
        found.plain.append("\n\n".join(str(child).strip() for child in children))
    else:
        for child in children:
            content = _content(child, depth + 1)
            if kind == "multipart/alternative":
                found.add_alternative(content)
            else:
                found.add(content)
    return found


def _leaf(part: email.message.Message, kind: str) -> _Content:
    payload = _read(lambda: part.get_payload(decode=True), None)
    data = payload if isinstance(payload, bytes) else str(part.get_payload()).encode("utf-8", "surrogateescape")
    name = _file_name(part, kind)
    if name:
        if kind.startswith("image/") and part.get("Content-ID") and not _is_set_apart(part):
            return _Content()  # a picture in the text
        return _Content(attachments=[Attachment(name, data)])
    if not kind.startswith("text/") or not data.strip():
        return _Content()
    try:
        text, notice = decode(data, "the message", _charset(part))
    except UnreadableDocument:
        return _Content(notices=["A part of the message is not text, although it says so, and was left out."])
    notices = [f"In the message: {notice}"] if notice else []
    if kind == "text/html":
        return _Content(html=[text], notices=notices)
    if kind == "text/calendar":
        text = calendar_text(text)
    return _Content(plain=[text.strip("\n")], notices=notices)


def _file_name(part: email.message.Message, kind: str) -> str:
    """The name of an attachment, without folders; "" for a part of the body."""
    name = _read(part.get_filename, "attachment") or ""
    if not name and not _is_set_apart(part) and (kind.startswith("text/") or part.get_content_maintype() == "image"):
        return ""
    name = _decoded_header(name).replace("\\", "/").rpartition("/")[2] or "attachment"
    if "." not in name:
        name += mimetypes.guess_extension(kind) or ""
    return name


def _is_set_apart(part: email.message.Message) -> bool:
    return bool(_read(part.get_content_disposition, None) == "attachment")


def _read(read: Callable[[], Any], otherwise: Any) -> Any:
    try:
        return read()
    except _ODD_PARTS:
        return otherwise


def _charset(part: email.message.Message) -> str | None:
    """The declared character set: letters, digits and what else is in such names; whatever stands behind is dropped."""
    value = _read(lambda: part.get_param("charset"), None)
    text = value[2] if isinstance(value, tuple) else value
    found = re.match(r"[\w.:-]+", str(text or "").strip("\"' "), re.ASCII)
    return found[0] if found else None


def _decoded_header(value: str) -> str:
    """A header on one line, its encoded words (RFC 2047) and stray bytes decoded as well as can be."""
    value = value[:_LONGEST_HEADER]  # the library takes a time that grows with the square of the length
    if not value.isascii():
        data = value.encode("utf-8", "surrogateescape")
        value = _decoded_word(data, "utf-8")
    return squeeze(_ENCODED_WORDS.sub(lambda words: _decoded_words(words[0]), value))


def _decoded_words(words: str) -> str:
    try:
        parts = email.header.decode_header(" ".join(words.split()))
    except (email.errors.HeaderParseError, *_ODD_PARTS):
        return words
    return "".join(
        part if isinstance(part, str) else _decoded_word(part, charset or "utf-8") for part, charset in parts
    )


def _decoded_word(data: bytes, charset: str) -> str:
    for encoding in (charset, "utf-8"):
        try:
            return data.decode(encoding)
        except (UnicodeError, *_ODD_PARTS):
            continue
    return data.decode("cp1252", "replace")

"""Bytes become text: byte order mark, declared encoding, UTF-8, else the likeliest guess, told to the user."""

from __future__ import annotations

import codecs
import re

from ingest.loaders.base import not_what_it_says
from ingest.loaders.code_pages import code_page_of

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDE = (  # more than this share of the units have NUL at these of four bytes, and few at those
    ("utf-32-be", 0.9, (0, 1), (3,)),
    ("utf-32-le", 0.9, (2, 3), (0,)),
    ("utf-16-be", 0.4, (0, 2), (1, 3)),
    ("utf-16-le", 0.4, (1, 3), (0, 2)),
)
_SAMPLE = 64 * 1024
_CLOSE = 0.05  # of a coherence from 0 to 1
_NOT_IN_TEXT = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_DROPPED = re.compile(r"[\x00\ufeff\ud800-\udfff]")


def decode(data: bytes, name: str, declared: str | None = None) -> tuple[str, str]:
    """`data` as text with `\\n` line ends, and a notice ("" if all was plain).

    Byte order marks, NULs and lone surrogates are dropped. Raises UnreadableDocument when the bytes are not text.
    """
    encoding, guessed = _encoding_of(data, declared)
    text = data.decode(encoding, "replace")
    unprintable = len(_NOT_IN_TEXT.findall(text[:_SAMPLE]))
    if unprintable > len(text[:_SAMPLE]) / 50 + 1:
        raise not_what_it_says(name, "a text file")
    replaced = 0 if _decodes(data, encoding) else text.count("\ufffd")
    text = _DROPPED.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    notices = [f"The encoding was guessed to be {encoding}."] if guessed else []
    if replaced > 0:
        notices.append(f"{replaced} characters could not be decoded and were replaced.")
    return text, " ".join(notices)


def _encoding_of(data: bytes, declared: str | None) -> tuple[str, bool]:
    """The encoding, and whether it is a guess."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding, False
    if declared and (known := known_encoding(declared)) and _decodes(data, known):
        return known, False
    if wide := _wide_encoding(data):
        return wide, True
    if _is_mostly_utf8(data):
        return "utf-8", False
    return _guess(data), True


def known_encoding(declared: str) -> str | None:
    """The encoding that is meant by what a file declares; None when there is none of that name."""
    try:
        name = codecs.lookup(declared).name
    except LookupError:
        return None
    # As browsers do: a page that says Latin-1 or ASCII means Windows-1252. UTF-16 cannot be declared in ASCII letters.
    return {"iso8859-1": "cp1252", "ascii": "cp1252"}.get(name, None if name.startswith("utf-16") else name)


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except (UnicodeError, LookupError, TypeError, AssertionError):  # codecs that are no text encodings raise others
        return False
    return True


def _wide_encoding(data: bytes) -> str | None:
    """UTF-16 or UTF-32 without a byte order mark: most bytes at one place of each unit are NUL."""
    sample = data[: _SAMPLE - _SAMPLE % 4]
    if len(sample) < 4 or 0 not in sample:
        return None
    nul = [sample[offset::4].count(0) / len(sample[offset::4]) for offset in range(4)]
    for encoding, share, empty, filled in _WIDE:
        if min(nul[place] for place in empty) > share and max(nul[place] for place in filled) < 0.1:
            return encoding
    return None


def _is_mostly_utf8(data: bytes) -> bool:
    """Whether `data` is UTF-8, give or take a few damaged characters."""
    if _decodes(data, "utf-8"):
        return True
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    sound = len(text) - broken - sum(text.count(chr(code)) for code in range(128))
    return broken * 10 <= sound


def _guess(data: bytes) -> str:
    from charset_normalizer import from_bytes

    first = next((index for index, byte in enumerate(data) if byte > 127), 0)
    start = max(0, first - 1024) // 4 * 4
    if encoding := code_page_of(data[start : start + _SAMPLE] if len(data) > _SAMPLE else data):
        return encoding
    matches = from_bytes(data[start : start + _SAMPLE])
    best = matches.best()
    if best is None or not _decodes(b"", best.encoding):
        return "utf-8"
    for match in matches:  # many code pages suit a little Western text equally well: Windows-1252 is the likeliest
        could_be = "cp1252" in (match.encoding, *match.could_be_from_charset)
        if could_be and match.coherence >= best.coherence - _CLOSE:
            return "cp1252"
    return str(best.encoding)

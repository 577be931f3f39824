"""What was signed and sealed in an envelope of its own (S/MIME, `signed-data`): the message within, whose signature is
not checked. Structure: CMS, RFC 5652, sections 3 and 5; encoding: BER, ITU-T X.690."""

from __future__ import annotations

from collections.abc import Iterator

_SEQUENCE, _OID, _OCTETS, _FIRST = 0x30, 0x06, 0x04, 0xA0  # tags; the last: [0], constructed
_CONSTRUCTED = 0x20
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_DATA = bytes.fromhex("2a864886f70d010701")
_DEEPEST = 16

_Value = tuple[int, bytes]  # tag, content


def signed_content(envelope: bytes) -> bytes | None:
    """The content of an envelope, None where it is none that is only signed. Raises ValueError where it is broken."""
    outer = dict(_values(_only(envelope, _SEQUENCE)))
    if outer.get(_OID) != _SIGNED_DATA or _FIRST not in outer:
        return None
    for tag, content in _values(_only(outer[_FIRST], _SEQUENCE)):
        if tag == _SEQUENCE:  # the first one: what was signed
            inner = dict(_values(content))
            return _octets(inner[_FIRST]) if inner.get(_OID) == _DATA and _FIRST in inner else None
    return None


def _only(data: bytes, tag: int) -> bytes:
    """The content of the first value, which must be of that tag."""
    first = next(_values(data), None)
    if first is None or first[0] != tag:
        raise ValueError("not what was expected")
    return first[1]


def _octets(data: bytes, depth: int = 0) -> bytes:
    """A string of octets, which may come in pieces."""
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    return b"".join(
        _octets(content, depth + 1) if tag & _CONSTRUCTED else content
        for tag, content in _values(data)
        if tag & ~_CONSTRUCTED == _OCTETS
    )


def _values(data: bytes) -> Iterator[_Value]:
    place = 0
    while place < len(data):
        tag, start, end, place = _value_at(data, place)
        if tag:  # else the end of a value without a length
            yield tag, data[start:end]


def _value_at(data: bytes, place: int, depth: int = 0) -> tuple[int, int, int, int]:
    """Tag, start and end of the content, and where the next value begins."""
    if depth > _DEEPEST or place + 2 > len(data):
        raise ValueError("broken")
    tag, size = data[place], data[place + 1]
    start = place + 2
    if tag & 0x1F == 0x1F:
        raise ValueError("a tag that CMS has not")
    if size == 0x80:  # no length: up to two zeros
        end = start
        while data[end : end + 2] != b"\0\0":
            end = _value_at(data, end, depth + 1)[3]
        return tag, start, end, end + 2
    if size > 0x80:
        count = size - 0x80
        size = int.from_bytes(data[start : start + count])
        start += count
    if start + size > len(data):
        raise ValueError("cut off")
    return tag, start, start + size, start + size

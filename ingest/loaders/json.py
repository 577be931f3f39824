"""JSON files: a list of objects becomes records, everything else lines `path.to.key: value`, a section a key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.loaders.base import Extracted, Limits, squeeze, text_size
from ingest.loaders.encoding import decode
from ingest.loaders.jsonl import json_lines, load_jsonl, parse_json, record_section
from rag.errors import UnreadableDocument
from rag.types.documents import Section


def load_json(path: Path, name: str, limits: Limits) -> Extracted:
    """Records (see jsonl.py) for a list of objects, or for an object that holds one such list.

    What is not quite JSON (comments, a missing end) is read as plain text, and the notice says so. Raises
    UnreadableDocument when it is not text.
    """
    text, notice = decode(path.read_bytes(), name)
    if not text.strip():
        return Extracted(title="", sections=[], notice=notice)
    try:
        value = parse_json(text)
    except RecursionError:
        return _as_text(text, f"{notice} It is nested too deeply to be taken apart and was read as plain text.")
    except ValueError as error:
        try:
            return load_jsonl(path, name, limits)
        except UnreadableDocument:
            reason = str(error).partition(" (char")[0]
            return _as_text(text, f"{notice} It is not valid JSON ({reason}) and was read as plain text.")
    sections = limits.bounded(_sections(value, limits, name), name, text_size)
    return Extracted(title="", sections=list(sections), notice=notice)


def _as_text(text: str, notice: str) -> Extracted:
    return Extracted(title="", sections=[Section(text)], notice=notice.strip())


def _sections(value: Any, limits: Limits, name: str) -> Iterator[Section]:
    if _is_records(value):
        yield from (record_section(number, record) for number, record in enumerate(value, start=1))
        return
    if not isinstance(value, dict):
        yield Section(_joined(json_lines(value), limits, name))
        return
    lists = [key for key, item in value.items() if _is_records(item)]
    plain = {key: item for key, item in value.items() if not isinstance(item, dict | list)}
    if plain:
        yield Section(_joined(json_lines(plain), limits, name))
    for key, item in value.items():
        if lists == [key]:
            yield from (record_section(number, record) for number, record in enumerate(item, start=1))
        elif key not in plain:
            yield Section(_joined(json_lines(item, key), limits, name), heading=squeeze(key))


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _joined(lines: Iterator[str], limits: Limits, name: str) -> str:
    """The lines as one text. Raises UnreadableDocument as soon as it is too long: paths may be longer than values."""
    return "\n".join(limits.bounded(lines, name, len)) + "\n\n"

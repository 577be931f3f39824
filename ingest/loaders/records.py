"""Records in JSON lines (jsonl): each line a section of its own, with its id, its title as heading and its text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ingest.loaders.base import Extracted, Limits, Section, quoted, squeeze
from ingest.loaders.decoding import decode
from rag.errors import UnreadableDocument

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_IDS = ("_id", "id")
_TEXTS = ("text", "content", "body")


def load_jsonl(path: Path, name: str, limits: Limits) -> Extracted:
    """A section a record; its text is the field `text` (`content`, `body`), or all fields as `name: value`.

    `_id` or `id` becomes the record id, `title` the heading. Raises UnreadableDocument for a line that is not JSON.
    """
    text, notice = decode(path.read_bytes(), name)
    sections = []
    characters = 0
    for number, record in _records(text, name):
        section = _section(number, record)
        sections.append(section)
        characters += len(section.text)
        limits.check_text(characters, name)
    return Extracted(title="", sections=sections, notice=notice)


def _records(text: str, name: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UnreadableDocument(
                    f"{quoted(name)} is not JSON lines: line {number} is not a JSON value.",
                    hint="Each line must be one JSON object.",
                    source=name,
                ) from error


def _section(number: int, record: Any) -> Section:
    if not isinstance(record, dict):
        return Section(_plain(record) + "\n\n", heading=f"line {number}", record_id=str(number))
    record_id = next((_plain(record[key]) for key in _IDS if record.get(key) is not None), str(number))
    heading = squeeze(_plain(record.get("title") or ""))
    body = next((record[key] for key in _TEXTS if isinstance(record.get(key), str)), None)
    if body is None:
        body = _fields({key: value for key, value in record.items() if key not in (*_IDS, "title")})
    return Section(body.strip() + "\n\n", heading=heading, record_id=record_id)


def _fields(record: Mapping[str, Any]) -> str:
    return "; ".join(f"{key}: {squeeze(_plain(value))}" for key, value in record.items() if value not in (None, "", []))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

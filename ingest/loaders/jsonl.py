"""Records in JSON: how an object becomes a section of its own, and files with one on each line (jsonl, ndjson)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.loaders.base import Extracted, Limits, squeeze, text_size, unreadable
from ingest.loaders.encoding import decode
from rag.types.documents import Section

_IDS = ("_id", "id")
_TEXTS = ("text", "content", "body")
_MOST_NUMBERS = 16  # more of them in a row beside a text are its vector, not something to read


def load_jsonl(path: Path, name: str, limits: Limits) -> Extracted:
    """A section a line. Lines that are not JSON are left out and named in the notice.

    Raises UnreadableDocument when half of the lines or more are not JSON.
    """
    text, notice = decode(path.read_bytes(), name)
    bad: list[int] = []
    sections = list(limits.bounded(_records(text, bad), name, text_size))
    if bad and len(bad) >= len(sections):
        raise unreadable(
            name, f"is not JSON lines: line {bad[0]} is not a JSON value.", "Each line must be one JSON object."
        )
    if bad:
        places = ", ".join(map(str, bad[:5])) + (" …" if len(bad) > 5 else "")
        notice = f"{notice} {len(bad)} of {len(bad) + len(sections)} lines are not JSON and were left out: {places}."
    return Extracted(title="", sections=sections, notice=notice.strip())


def _records(text: str, bad: list[int]) -> Iterator[Section]:
    """A section for each line; the numbers of lines that are not JSON are added to `bad`."""
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            if line.strip():
                yield record_section(number, parse_json(line))
        except (ValueError, RecursionError):
            bad.append(number)


def parse_json(text: str) -> Any:
    """The value that `text` is; a number that Python would write otherwise (1.50, 1e400) stays text.

    Raises ValueError when it is not JSON, RecursionError when it is nested about a thousand deep.
    """
    return json.loads(text, parse_int=_number, parse_float=_number)


def record_section(number: int, record: Any) -> Section:
    """The section for a record, the `number`th of its file.

    `_id` or `id` becomes the record id, `title` the heading; the field `text` (`content`, `body`) stands before the
    others, each of which is a line `name: value`.
    """
    if not isinstance(record, dict):
        return Section("\n".join(json_lines(record)) + "\n\n", heading=f"line {number}", record_id=str(number))
    identifier = next((key for key in _IDS if _is_scalar(record.get(key)) and record.get(key) is not None), None)
    title = "title" if isinstance(record.get("title"), str) else None
    body = next((key for key in _TEXTS if isinstance(record.get(key), str)), None)
    others = {key: value for key, value in record.items() if key not in (identifier, title, body)}
    if body is not None:
        others = {key: value for key, value in others.items() if not _is_vector(value)}
    parts = [record[body].strip()] if body is not None else []
    if lines := "\n".join(json_lines(others)):
        parts.append(lines)
    return Section(
        "\n\n".join(parts) + "\n\n",
        heading=squeeze(record[title]) if title else "",
        record_id=_plain(record[identifier]) if identifier else str(number),
    )


def json_lines(value: Any, path: str = "") -> Iterator[str]:
    """`value` as lines `path.to.key: value`; what is null or empty says nothing, a list of plain values is one line."""
    stack: list[tuple[str, Any]] = [(path, value)]  # no recursion: values nest deeper than Python does
    while stack:
        path, value = stack.pop()
        if isinstance(value, list) and all(map(_is_scalar, value)):
            value = ", ".join(_plain(item) for item in value if item is not None)
        if isinstance(value, dict):
            stack += [(f"{path}.{key}" if path else str(key), item) for key, item in reversed(value.items())]
        elif isinstance(value, list):
            stack += [(f"{path}[{index}]", item) for index, item in reversed(list(enumerate(value)))]
        elif value not in (None, ""):
            text = _plain(value).strip()
            yield f"{path}: {text}" if path else text


def _number(text: str) -> int | float | str:
    if len(text) > 300:
        return text
    number = float(text) if any(letter in text for letter in ".eE") else int(text)
    return number if str(number) == text else text


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _is_vector(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) > _MOST_NUMBERS and all(isinstance(item, int | float) for item in value)
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

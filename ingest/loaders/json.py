"""JSON: lists of objects (json) and an object on each line (jsonl, ndjson) become records, a section each; everything
else lines `path.to.key: value`, a section a key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.loaders.base import Extracted, Limits, squeeze, text_size, unreadable
from ingest.loaders.encoding import decode
from rag.errors import UnreadableDocument
from rag.types.documents import Section

_IDS = ("_id", "id")
_TEXTS = ("text", "content", "body")
_MOST_NUMBERS = 16  # more of them in a row beside a text are its vector, not something to read


def load_json(path: Path, name: str, limits: Limits) -> Extracted:
    """Records for a list of objects, or for an object that holds one such list.

    What is not quite JSON (comments, a missing end) is read as plain text, and the notice says so. Raises
    UnreadableDocument when it is not text.
    """
    text, notice = decode(path.read_bytes(), name)
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

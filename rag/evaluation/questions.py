"""Reading questions with their expected evidence: JSON lines, or CSV with a header line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.errors import InvalidRequest

COLUMNS = ("id", "question", "document", "page", "record_id", "text", "answer", "answerable", "without")
EXAMPLE = '{"question": "How long is the warranty?", "document": "manual.pdf", "page": "12", "answer": "two years"}'
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_SPLIT_IN_CELLS = ("document", "page", "record_id", "without")  # a cell holds several, separated by `;`
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Question:
    """A question and where its answer is expected; empty tuples where nothing is said.

    `line` is where it stands in its file. Each page belongs to the document at the same place, or all to the only one.
    Any of the `answers` will do; of everything else all is expected. `without` names documents that are left out.
    """

    line: int
    id: str
    question: str
    documents: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    record_ids: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    is_answerable: bool = True
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QuestionFile:
    """All questions of a file, and the columns that mean nothing here."""

    questions: tuple[Question, ...]
    unknown_columns: tuple[str, ...]


class _Wrong(Exception):
    """What is wrong with which line."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def read_questions(path: Path) -> QuestionFile:
    """The questions of a file: `.csv` and `.tsv` by columns, everything else one JSON object a line.

    Raises InvalidRequest, which names the first line that cannot be used.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{path} is not UTF-8 text.", hint="Save it again as UTF-8.") from error
    except OSError as error:
        raise InvalidRequest(
            f"{path} cannot be read: {error.strerror}.", hint="`rag eval --help` shows how."
        ) from error
    delimiter = _DELIMITERS.get(path.suffix.lower())
    hint = f"A line looks like {EXAMPLE}" if delimiter is None else f"The columns are {', '.join(COLUMNS)}."
    questions: dict[str, Question] = {}
    columns: dict[str, None] = {}
    try:
        for line, values in _json_lines(text) if delimiter is None else _rows(text, delimiter):
            columns |= dict.fromkeys(values)
            question = _question(line, values)
            first = questions.setdefault(question.id, question)
            if first is not question:
                raise _Wrong(line, f"the id {question.id!r} is that of line {first.line}, too")  # noqa: TRY301
    except _Wrong as wrong:
        raise InvalidRequest(f"Line {wrong.line} of {path} cannot be used: {wrong}.", hint=hint) from wrong
    if not questions:
        raise InvalidRequest(f"There are no questions in {path}.", hint=hint)
    return QuestionFile(tuple(questions.values()), tuple(name for name in columns if name not in COLUMNS))


def _json_lines(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                values = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise _Wrong(number, f"it is not JSON ({error})") from error
            if not isinstance(values, dict):
                raise _Wrong(number, "it is not a JSON object")
            yield number, values


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    first = 1  # line of a row, which may have several
    try:
        first += reader.line_num if reader.fieldnames else 0
        for row in reader:
            if None in row or None in row.values():
                raise _Wrong(first, "it has another number of cells than the first line")
            cells = {name.strip().lower(): value.strip() for name, value in row.items()}
            yield first, {name: _cell(name, value) for name, value in cells.items() if value}
            first = reader.line_num + 1
    except csv.Error as error:
        raise _Wrong(first, str(error)) from error


def _cell(name: str, value: str) -> str | list[str]:
    return [part.strip() for part in value.split(";") if part.strip()] if name in _SPLIT_IN_CELLS else value


def _question(line: int, values: Mapping[str, Any]) -> Question:
    def texts(name: str) -> tuple[str, ...]:
        value = values.get(name)
        items = value if isinstance(value, list) else [] if value in (None, "") else [value]
        for item in items:
            if isinstance(item, bool) or not isinstance(item, str | int | float) or not str(item).strip():
                raise _Wrong(line, f"{name!r} must be text or a list of texts")
            if any("\ud800" <= character <= "\udfff" for character in str(item)):
                raise _Wrong(line, f"{name!r} holds half a character")
        return tuple(str(item).strip() for item in items)

    question, ids = texts("question"), texts("id")
    if len(question) != 1:
        raise _Wrong(line, "'question' is missing or empty")
    if len(ids) > 1:
        raise _Wrong(line, "'id' is a list")
    documents, pages = texts("document"), texts("page")
    if pages and len(documents) not in (1, len(pages)):
        raise _Wrong(line, "'page' needs one 'document', or a list with as many documents as pages")
    return Question(
        line=line,
        id=ids[0] if ids else f"line {line}",
        question=question[0],
        documents=documents,
        pages=pages,
        record_ids=texts("record_id"),
        texts=texts("text"),
        answers=texts("answer"),
        is_answerable=_truth(line, values.get("answerable")),
        without=texts("without"),
    )


def _truth(line: int, value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return value is not False
    if isinstance(value, str | int) and str(value).strip().lower() in _TRUTH:
        return _TRUTH[str(value).strip().lower()]
    raise _Wrong(line, "'answerable' must be true or false")

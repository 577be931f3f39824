"""The server's log on stderr, as text or JSON: a line a request, and what goes wrong; secrets and content never.

The line of a request holds its route's template, not its address, and none of its headers. Only `RAG_LOG__CONTENT`
adds questions and answers.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from rag.errors import RagError
from rag.settings import LogSettings
from rag.telemetry.spans import Answered, Recording, Span

REQUESTS = "footnote.requests"
_OURS = ("rag", "ingest", "footnote")
_LOOKED_AT_BY_MACHINES = ("/healthz", "/readyz", "/metrics")  # every few seconds, by those who watch over the server
_FACTS = "facts"  # of a log record: what its line has beside the message


def set_up_logging(settings: LogSettings) -> None:
    """Send the log of the whole process to stderr: Footnote's own from the level that is set, others' from errors."""
    handler = logging.StreamHandler()
    if settings.format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(TextFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(known_errors_in_words)
    logging.basicConfig(level=logging.ERROR, handlers=[handler], force=True)
    for name in _OURS:
        logging.getLogger(name).setLevel(settings.level.upper())


def known_errors_in_words(record: logging.LogRecord) -> bool:
    """A filter that lets all through: instead of the trace of an error of ours, such as of a database that is away, the
    record gets its words; and so it does of a request that is cut off because the server ends."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, RagError | asyncio.CancelledError):
        hint = error.hint if isinstance(error, RagError) else ""
        record.msg, record.args = f"{record.getMessage().strip()}: {error} {hint}".rstrip(), ()
        record.exc_info = record.exc_text = None
    return True


def request_line(*, with_content: bool) -> Callable[[Recording], None]:
    """What writes the line of a request that is over: a warning when we failed, else for those who want to know."""
    logger = logging.getLogger(REQUESTS)

    def write(finished: Recording) -> None:
        level = logging.WARNING if finished.status >= 500 else logging.INFO
        if finished.route in _LOOKED_AT_BY_MACHINES:
            level = logging.DEBUG
        if logger.isEnabledFor(level):
            facts = facts_of(finished, with_content=with_content)
            message = f"{finished.method} {finished.route} {finished.status}"
            logger.log(level, message, extra={_FACTS: facts})

    return write


def facts_of(finished: Recording, *, with_content: bool) -> dict[str, Any]:
    """The line as a JSON object; what is not known, or did not happen, is left out. Times are milliseconds."""
    facts: dict[str, Any] = {
        "request_id": finished.request_id,
        "principal": finished.principal,
        "method": finished.method,
        "route": finished.route,
        "status": finished.status,
        "milliseconds": _milliseconds(finished.seconds),
        "stages": _stages(finished.stages),
        "answers": [_answer(answered, with_content=with_content) for answered in finished.answers],
        "errors": finished.errors,
    }
    return {name: value for name, value in facts.items() if value not in ("", [], {})}


def _stages(stages: Iterable[Span]) -> dict[str, float]:
    """How long each stage took; all turns of one that came several times."""
    sums = defaultdict[str, float](float)
    for stage in stages:
        sums[stage.name] += stage.seconds
    return {name: _milliseconds(seconds) for name, seconds in sums.items()}


def _answer(answered: Answered, *, with_content: bool) -> dict[str, Any]:
    first = None if answered.first_word is None else _milliseconds(answered.first_word)
    record: dict[str, Any] = {
        "mode": answered.mode,
        "model": answered.model,
        "outcome": answered.outcome,
        "milliseconds": _milliseconds(answered.seconds),
        "first_token_milliseconds": first,
        "prompt_tokens": sum(usage.prompt_tokens for _, usage in answered.usages),
        "completion_tokens": sum(usage.completion_tokens for _, usage in answered.usages),
    }
    return {**record, "question": answered.question, "text": answered.text} if with_content else record


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, _FACTS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """A record as text for a reader; what its line has beside the message follows as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        facts: dict[str, Any] = getattr(record, _FACTS, {})
        more = {name: value for name, value in facts.items() if name not in ("method", "route", "status")}
        line = super().format(record)
        return f"{line} {json.dumps(more, ensure_ascii=False)}" if more else line

"""The child of the sandbox: reads and splits one file after another for its parent, in a process that may be killed.

Each line on standard input is a request in JSON: to use another tokenizer, to read and split a file, or to split what
was read before. The answer to the latter two are lines on standard output: sections and pieces in small portions, then
the end or an error. The process ends when the parent closes its standard input or is gone, and by itself when a file
takes far too long.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any, BinaryIO

from ingest.loaders import Limits, LoadedDocument, Section, load_document
from ingest.loaders.base import MEGABYTE, groups_of, quoted, text_size
from ingest.loaders.node_parser import NodeParser
from ingest.splitting import fitting_title, split
from rag.errors import ConfigurationError, DocumentChanged, DocumentError
from rag.storage.file_hash import FileState, open_at_once, state_of
from rag.text import tokenizers
from rag.text.tokenizers import TokenSpans

_GRACE = 5.0  # seconds after the parent should have killed this process
_PORTION = 100_000  # characters sent in one line, about: the parent's other threads must not wait
_PIECE_SIZE = 30  # characters of a piece in JSON, about
_LIBRARIES_MB = 256  # address space of the parsers themselves


def main() -> None:
    """Answers requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = _claim_standard_output()
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    memory_at_start = _virtual_memory()
    _send(answers, {})  # ready
    token_spans = None
    while True:
        request = json.loads(requests.get())
        if "tokenizer" in request:
            token_spans = tokenizers.token_spans(request["tokenizer"])
            memory_at_start = _virtual_memory()
            continue
        assert token_spans is not None
        if memory_at_start:
            limit = memory_at_start + (_LIBRARIES_MB + request["memory_mb"]) * MEGABYTE
            resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
        _serve(request, token_spans, answers)


def _serve(request: dict[str, Any], token_spans: TokenSpans, answers: BinaryIO) -> None:
    """Answer one request; after each sign of life the time begins anew."""

    def send(answer: dict[str, object]) -> None:
        _send(answers, answer)
        signal.setitimer(signal.ITIMER_REAL, request["timeout"] + _GRACE)

    signal.setitimer(signal.ITIMER_REAL, request["timeout"] + _GRACE)
    for answer in _answers(request, token_spans, heartbeat=lambda: send({})):
        send(answer)
    signal.setitimer(signal.ITIMER_REAL, 0)


def _claim_standard_output() -> BinaryIO:
    """Standard output for answers only: what a library prints goes nowhere."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _send(answers: BinaryIO, answer: dict[str, object]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


def _read_requests(requests: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        requests.put(line)
    os._exit(0)  # the parent is gone, even if a parser is at work


def _virtual_memory() -> int:
    """Bytes of address space in use; 0 where the system does not tell (then there is no limit either)."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _answers(
    request: dict[str, Any], token_spans: TokenSpans, heartbeat: Callable[[], None]
) -> Iterator[dict[str, object]]:
    """A file's sections and pieces, then `end` with the rest; `error` if it cannot be read."""
    try:
        if "sections" in request:  # read before
            loaded = LoadedDocument(request["title"], [Section(*s) for s in request["sections"]], 0, (), "")
        else:
            limits = Limits(**request["limits"], heartbeat=heartbeat)
            loaded = _load(Path(request["path"]), request["name"], request["state"], limits, request["reader"])
        title = fitting_title(loaded.title, token_spans, request["chunk_tokens"])
        for sections in groups_of(() if "sections" in request else loaded.sections, text_size, _PORTION):
            yield {"sections": [astuple(section) for section in sections]}
        parser = request["node_parser"]
        spans_of = NodeParser(parser, request["name"]).chunk_spans if parser else None
        pieces = split(title, loaded.sections, token_spans, request["chunk_tokens"], request["overlap"], spans_of)
        for portion in groups_of(pieces, lambda piece: len(piece.heading) + _PIECE_SIZE, _PORTION):
            yield {"pieces": [astuple(piece) for piece in portion]}
        end = {"pages": loaded.pages, "empty_pages": loaded.empty_pages, "notice": loaded.notice}
        yield {"end": {"title": title, **end}}
    except (DocumentError, ConfigurationError) as error:
        trace = traceback.format_exc() if error.__cause__ else ""
        yield {"error": type(error).__name__, "message": error.message, "hint": error.hint, "trace": trace}
    except MemoryError:
        yield {"error": "MemoryError"}


def _load(path: Path, name: str, state: list[int] | None, limits: Limits, reader: str) -> LoadedDocument:
    """The file, read through one descriptor, which must have that state afterwards. Raises DocumentError."""
    if state is None:
        return load_document(path, name, limits, reader)
    changed = DocumentChanged(
        f"{quoted(name)} changed while it was read.", hint="Ingest it again when nobody writes to it.", source=name
    )
    try:
        file = open_at_once(path)
    except OSError:
        raise changed from None
    with file:
        descriptor = Path(f"/proc/self/fd/{file.fileno()}")  # macOS has nothing that opens it from its beginning
        try:
            return load_document(descriptor if descriptor.exists() else path, name, limits, reader)
        finally:
            if state_of(file) != FileState(*state):
                raise changed


if __name__ == "__main__":
    main()

"""The child of the sandbox: reads one file after another for its parent, in a process that may be killed.

Each line on standard input is a request in JSON, each line on standard output the answer. The process ends when the
parent closes its standard input or is gone, and by itself when a file takes far too long.
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
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from ingest.loaders import Limits, extract
from ingest.loaders.base import MEGABYTE
from rag.errors import DocumentError

_GRACE = 5.0  # seconds after the parent should have killed this process
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
    while True:
        request = json.loads(requests.get())
        if memory_at_start:
            limit = memory_at_start + (_LIBRARIES_MB + request["memory_mb"]) * MEGABYTE
            resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
        signal.setitimer(signal.ITIMER_REAL, request["timeout"] + _GRACE)
        answer = _answer(request)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _send(answers, answer)


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


def _answer(request: dict[str, object]) -> dict[str, object]:
    try:
        extracted = extract(Path(str(request["path"])), str(request["name"]), Limits(**request["limits"]))  # type: ignore[arg-type]
        return {"extracted": asdict(extracted)}
    except DocumentError as error:
        trace = traceback.format_exc() if error.__cause__ else ""
        return {"error": type(error).__name__, "message": error.message, "hint": error.hint, "trace": trace}
    except MemoryError:
        return {"error": "MemoryError"}


if __name__ == "__main__":
    main()

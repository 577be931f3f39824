"""Files sent with a message: each read and indexed as a step of its own, with its result or the reason it failed."""

from __future__ import annotations

import asyncio
import logging
import uuid
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chainlit as cl

from rag.errors import Forbidden, RagError
from rag.types import FileReport
from rag.ui.markdown import escape, plain_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from rag.access import Access
    from rag.types import Ingest, Job

log = logging.getLogger(__name__)

_INTERVAL = 0.5  # seconds between two looks at a job


async def take_in(files: Sequence[Any], ingest: Ingest, caller: Access, collection: str | None) -> list[FileReport]:
    """Ingest the message's files into a collection, one after the other; one report each, never an exception. Those
    for a collection that can only be read go to one's own."""
    reports = []
    for position, file in enumerate(files, start=1):
        count = f" ({position} of {len(files)})" if len(files) > 1 else ""
        name = plain_line(file.name)
        async with cl.Step(name=f"Reading {name}{count}", type="tool", icon="file-text") as step:
            report = await _add(
                Path(file.path), file.name, ingest, caller, collection, partial(_show_progress, step, name, count)
            )
            step.is_error = report.outcome == "failed"
            step.name = _report_line(report)
        reports.append(report)
    return reports


def report_text(reports: Sequence[FileReport]) -> str:
    """What became of the files, as Markdown."""
    failed = sum(report.outcome == "failed" for report in reports)
    if not failed:
        head = "Read. You can ask about it now." if len(reports) == 1 else f"Read all {len(reports)} files."
    elif failed == len(reports):
        head = "This file could not be read." if failed == 1 else f"None of the {failed} files could be read."
    else:
        head = f"Read {len(reports) - failed} of {len(reports)} files."
    return "\n".join([head, "", *(f"- {escape(_report_line(report))}" for report in reports)])


async def _add(
    path: Path,
    name: str,
    ingest: Ingest,
    caller: Access,
    collection: str | None,
    show: Callable[[Job], Awaitable[None]],
) -> FileReport:
    """What became of the file. When the chat is stopped meanwhile, so is the job."""
    try:
        target = await asyncio.to_thread(_target, caller, collection)
        job = await asyncio.to_thread(ingest.submit, path, name, target, caller.owned)
        try:
            while not job.is_over:
                job = await asyncio.to_thread(ingest.wait, job.id, _INTERVAL)
                await show(job)
        except asyncio.CancelledError:
            await asyncio.to_thread(ingest.cancel, job.id)
            raise
        return job.report or FileReport(name, "failed", error="It was stopped.", hint="Send it again.")
    except RagError as error:
        return FileReport(name, "failed", error=error.message, hint=error.hint)
    except Exception:  # one file must not take the others, or the question, with it
        reference = uuid.uuid4().hex[:8]
        log.exception("upload failed (reference %s)", reference)
        return FileReport(
            name,
            "failed",
            error="Something went wrong while reading it.",
            hint=f"The server's log tells more under the reference {reference}.",
        )


def _target(caller: Access, collection: str | None) -> str:
    try:
        found = caller.home("write") if collection is None else caller.collection(collection, "write")
    except Forbidden:
        found = caller.home("write")
    return found.id


async def _show_progress(step: cl.Step, name: str, count: str, job: Job) -> None:
    if job.chunks and not job.is_over:
        step.name = f"Reading {name}{count}: {job.chunks} passages so far"
        await step.update()


def _report_line(report: FileReport) -> str:
    """What became of one file, in plain words; errors and notices of the write side are whole sentences."""
    name = plain_line(Path(report.source).name)
    if report.outcome == "failed":
        subject = "" if name in report.error else f"{name}: "
        return plain_line(f"{subject}{report.error} {report.hint}")
    pages = f"{report.pages} pages, " if report.pages > 1 else ""
    passages = f"{report.chunks} passage{'' if report.chunks == 1 else 's'}"
    known = ", known already" if report.outcome == "unchanged" else ""
    return plain_line(f"{name}: {pages}{passages}{known}. {report.notice}")

"""Files that came with a message: each read and indexed as a step, with its result or why it failed."""

from __future__ import annotations

import asyncio
import logging
import uuid
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chainlit as cl

from rag.errors import Forbidden, RagError, words_for_caller
from rag.types.ingest import FileReport
from rag.ui.markdown import escape, plain_line
from rag.ui.translations import current_translations

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from rag.auth.access import Access
    from rag.operations.backend import IngestService
    from rag.types.ingest import Job
    from rag.ui.translations import Translations

log = logging.getLogger(__name__)

DELETE_UPLOAD = "delete_upload"  # the name of the button's action
_INTERVAL = 0.5  # seconds between two looks at a job


async def ingest_files(
    files: Sequence[Any], ingest: IngestService, access: Access, collection: str | None
) -> list[FileReport]:
    """Index the message's files into a collection, one after the other; one report each, never an exception. Those for
    a collection that can only be read go to one's own."""
    reports = []
    translations = current_translations()
    for position, file in enumerate(files, start=1):
        values = {"name": plain_line(file.name), "position": position, "count": len(files)}
        title = translations("reading_of" if len(files) > 1 else "reading", **values)
        async with cl.Step(name=title, type="tool", icon="file-text") as step:
            show = partial(_show_progress, step, title, translations)
            report = await _ingest_file(Path(file.path), file.name, ingest, access, collection, show)
            step.is_error = report.outcome == "failed"
            step.name = _report_line(report, translations)
        reports.append(report)
    return reports


def report_text(reports: Sequence[FileReport]) -> str:
    """What became of the files, as Markdown."""
    translations = current_translations()
    count = len(reports)
    read = sum(report.outcome != "failed" for report in reports)
    if read == count:
        head = translations("report_one") if count == 1 else translations("report_all", count=count)
    elif not read:
        head = translations("report_failed_one") if count == 1 else translations("report_failed_all", count=count)
    else:
        head = translations("report_some", read=read, count=count)
    return "\n".join([head, "", *(f"- {escape(_report_line(report, translations))}" for report in reports)])


def delete_button(reports: Sequence[FileReport]) -> list[Any]:
    """The button that deletes what was just added; none where nothing is new."""
    added = [report.document_id for report in reports if report.outcome == "added"]
    if not added:
        return []
    label = current_translations()("delete_upload")
    return [cl.Action(name=DELETE_UPLOAD, payload={"documents": added}, icon="trash-2", label=label)]


async def delete_upload(action: cl.Action, ingest: IngestService, access: Access) -> None:
    """Delete the documents that a button is for. Raises NotFound, Forbidden."""
    for document_id in action.payload.get("documents") or []:
        document = await asyncio.to_thread(access.document, str(document_id), "write")
        await asyncio.to_thread(ingest.delete, document.id)


async def _ingest_file(
    path: Path,
    name: str,
    ingest: IngestService,
    access: Access,
    collection: str | None,
    show: Callable[[Job], Awaitable[None]],
) -> FileReport:
    """What became of the file. When the chat is stopped meanwhile, so is the job."""
    try:
        target = await asyncio.to_thread(_target, access, collection)
        job = await asyncio.to_thread(ingest.submit, path, name, target, access.owned)
        try:
            while not job.is_over:
                job = await asyncio.to_thread(ingest.wait, job.id, _INTERVAL)
                await show(job)
        except asyncio.CancelledError:
            await asyncio.to_thread(ingest.cancel, job.id)
            raise
        translations = current_translations()
        return job.report or FileReport(
            name, "failed", error=translations("file_stopped"), hint=translations("file_stopped_hint")
        )
    except RagError as error:
        message, hint = words_for_caller(error)
        return FileReport(name, "failed", error=message, hint=hint)
    except Exception:  # one file must not take the others, or the question, with it
        reference = uuid.uuid4().hex[:8]
        log.exception("upload failed (reference %s)", reference)
        translations = current_translations()
        hint = translations("file_failed_hint", reference=reference)
        return FileReport(name, "failed", error=translations("file_failed"), hint=hint)


def _target(access: Access, collection: str | None) -> str:
    try:
        found = access.default_collection("write") if collection is None else access.collection(collection, "write")
    except Forbidden:
        found = access.default_collection("write")
    return found.id


async def _show_progress(step: cl.Step, title: str, translations: Translations, job: Job) -> None:
    if job.chunks and not job.is_over:
        step.name = f"{title}: {translations('so_far', passages=translations.counted('passages', job.chunks))}"
        await step.update()


def _report_line(report: FileReport, translations: Translations) -> str:
    """What became of one file, in plain words; errors and notices of the write side are whole sentences."""
    name = plain_line(Path(report.source).name)
    if report.outcome == "failed":
        subject = "" if name in report.error else f"{name}: "
        return plain_line(f"{subject}{report.error} {report.hint}")
    facts = [translations("pages", count=report.pages)] if report.pages > 1 else []
    facts.append(translations.counted("passages", report.chunks))
    if report.outcome == "unchanged":
        facts.append(translations("known_already"))
    return plain_line(f"{name}: {', '.join(facts)}. {report.notice}")

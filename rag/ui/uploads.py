"""Uploaded files: on their way into a chat, and each read and indexed as a step with its result or why it failed.

`POST /project/file` takes the place of Chainlit's own route, which reads the file whole into memory and fails on an
empty one. Here it goes to disk as it is, and under no type that a browser would open: the page must not render a
stranger's HTML, nor ask for an encrypted PDF's password.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import uuid
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import chainlit as cl
from fastapi import Depends, FastAPI, UploadFile
from fastapi.responses import JSONResponse

from rag.errors import Forbidden, RagError
from rag.types.ingest import FileReport
from rag.ui.markdown import escape, plain_line
from rag.ui.translations import here

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence
    from pathlib import Path

    from rag.auth.access import Access
    from rag.operations.backend import IngestService
    from rag.types.ingest import Job
    from rag.ui.translations import Translations


UPLOAD_PATH = "/project/file"
MEDIA_TYPE = "application/octet-stream"


def add_upload_route(app: FastAPI, *, suffixes: Collection[str], max_upload_mb: int) -> None:
    """Let the chat's page upload files with one of the suffixes, up to that size. To be called once Chainlit may be
    imported, and before it is mounted."""
    from chainlit.auth import get_current_user
    from chainlit.config import FILES_DIRECTORY
    from chainlit.session import WebsocketSession

    signed_in = Depends(get_current_user)

    async def receive(session_id: str, file: UploadFile, user: Any = signed_in) -> JSONResponse:
        session = WebsocketSession.get_by_id(session_id)
        if session is None or not session.files_dir.is_relative_to(FILES_DIRECTORY):
            return _refusal(404, "This chat has ended. Reload the page.")
        if user and (session.user is None or session.user.identifier != user.identifier):
            return _refusal(401, "This chat belongs to somebody else.")
        name = file.filename or "unnamed"
        if PurePath(name).suffix.lower() not in suffixes:
            return _refusal(415, f"I can read {', '.join(sorted(suffixes))}.")
        if (file.size or 0) > max_upload_mb * 1024 * 1024:
            return _refusal(413, f"It is larger than {max_upload_mb} MB.")
        file_id = str(uuid.uuid4())
        path = session.files_dir / file_id
        await asyncio.to_thread(_keep, file, path)
        session.files[file_id] = {"id": file_id, "path": path, "name": name, "type": MEDIA_TYPE, "size": file.size}
        return JSONResponse({"id": file_id})

    app.add_api_route(UPLOAD_PATH, receive, methods=["POST"], include_in_schema=False)


def _refusal(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"detail": reason}, status)  # the page shows `detail`


def _keep(file: UploadFile, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as copy:
        shutil.copyfileobj(file.file, copy)


log = logging.getLogger(__name__)

THROW_AWAY = "throw_away"  # the name of the button's action
_INTERVAL = 0.5  # seconds between two looks at a job


async def take_in(
    files: Sequence[Any], ingest: IngestService, caller: Access, collection: str | None
) -> list[FileReport]:
    """Ingest the message's files into a collection, one after the other; one report each, never an exception. Those
    for a collection that can only be read go to one's own."""
    reports = []
    texts = here()
    for position, file in enumerate(files, start=1):
        told = {"name": plain_line(file.name), "position": position, "count": len(files)}
        doing = texts("reading_of" if len(files) > 1 else "reading", **told)
        async with cl.Step(name=doing, type="tool", icon="file-text") as step:
            report = await _add(
                Path(file.path), file.name, ingest, caller, collection, partial(_show_progress, step, doing, texts)
            )
            step.is_error = report.outcome == "failed"
            step.name = _report_line(report, texts)
        reports.append(report)
    return reports


def report_text(reports: Sequence[FileReport]) -> str:
    """What became of the files, as Markdown."""
    texts = here()
    count = len(reports)
    read = sum(report.outcome != "failed" for report in reports)
    if read == count:
        head = texts("report_one") if count == 1 else texts("report_all", count=count)
    elif not read:
        head = texts("report_failed_one") if count == 1 else texts("report_failed_all", count=count)
    else:
        head = texts("report_some", read=read, count=count)
    return "\n".join([head, "", *(f"- {escape(_report_line(report, texts))}" for report in reports)])


def way_back(reports: Sequence[FileReport]) -> list[Any]:
    """The button that throws away what was just added; none where nothing is new."""
    added = [report.document_id for report in reports if report.outcome == "added"]
    if not added:
        return []
    return [cl.Action(name=THROW_AWAY, payload={"documents": added}, icon="trash-2", label=here()("throw_away"))]


async def throw_away(action: cl.Action, ingest: IngestService, caller: Access) -> None:
    """Remove the documents that a button is for. Raises NotFound, Forbidden."""
    for document_id in action.payload.get("documents") or []:
        document = await asyncio.to_thread(caller.document, str(document_id), "write")
        await asyncio.to_thread(ingest.delete, document.id)


async def _add(
    path: Path,
    name: str,
    ingest: IngestService,
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
        texts = here()
        return job.report or FileReport(name, "failed", error=texts("file_stopped"), hint=texts("file_stopped_hint"))
    except RagError as error:
        return FileReport(name, "failed", error=error.message, hint=error.hint)
    except Exception:  # one file must not take the others, or the question, with it
        reference = uuid.uuid4().hex[:8]
        log.exception("upload failed (reference %s)", reference)
        return FileReport(
            name,
            "failed",
            error=here()("file_failed"),
            hint=here()("file_failed_hint", reference=reference),
        )


def _target(caller: Access, collection: str | None) -> str:
    try:
        found = caller.home("write") if collection is None else caller.collection(collection, "write")
    except Forbidden:
        found = caller.home("write")
    return found.id


async def _show_progress(step: cl.Step, doing: str, texts: Translations, job: Job) -> None:
    if job.chunks and not job.is_over:
        step.name = f"{doing}: {texts('so_far', passages=texts.counted('passages', job.chunks))}"
        await step.update()


def _report_line(report: FileReport, texts: Translations) -> str:
    """What became of one file, in plain words; errors and notices of the write side are whole sentences."""
    name = plain_line(Path(report.source).name)
    if report.outcome == "failed":
        subject = "" if name in report.error else f"{name}: "
        return plain_line(f"{subject}{report.error} {report.hint}")
    found = [texts("pages", count=report.pages)] if report.pages > 1 else []
    found.append(texts.counted("passages", report.chunks))
    if report.outcome == "unchanged":
        found.append(texts("known_already"))
    return plain_line(f"{name}: {', '.join(found)}. {report.notice}")

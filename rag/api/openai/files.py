"""`/v1/files`: OpenAI's Files. Uploads go to disk as they come, and the same bytes are stored once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, Query, UploadFile
from fastapi.responses import FileResponse

from rag.api.dependencies import AppServices, Caller
from rag.api.route_policy import UPLOAD
from rag.errors import InvalidRequest
from rag.storage.blobs import StoredFiles
from rag.storage.files import FileRecord
from rag.storage.paging import Cursor
from rag.storage.vector_stores import unix_time

router = APIRouter(prefix="/v1/files", tags=["files"])

Purpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
Order = Literal["asc", "desc"]
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.post("", dependencies=[UPLOAD])
async def create_file(
    services: AppServices,
    caller: Caller,
    file: Annotated[UploadFile, File()],
    purpose: Annotated[Purpose, Form()],
    anchor: Annotated[Literal["created_at"] | None, Form(alias="expires_after[anchor]")] = None,
    seconds: Annotated[int | None, Form(alias="expires_after[seconds]", ge=3600, le=30 * 24 * 3600)] = None,
) -> dict[str, Any]:
    """Upload a file, to be attached to vector stores."""
    caller.require_writing()
    if not file.size:
        raise InvalidRequest("The file is empty.", param="file")
    expires_at = None
    if anchor is not None and seconds is not None:
        expires_at = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")
    file_id = await asyncio.to_thread(
        services.ingest.keep, file.file, file.filename or "", purpose, caller.owned, expires_at
    )
    return file_object(await asyncio.to_thread(caller.file, file_id))


@router.get("")
def list_files(
    caller: Caller,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Order = "desc",
    purpose: Purpose | None = None,
) -> dict[str, Any]:
    """The uploaded files, a page at a time."""
    page = caller.files(Cursor(after=after, limit=limit, newest_first=order == "desc"), purpose)
    return listing([file_object(record) for record in page.items], has_more=page.has_more)


@router.get("/{file_id}")
def get_file(file_id: str, caller: Caller) -> dict[str, Any]:
    """One file."""
    return file_object(caller.file(file_id))


@router.delete("/{file_id}")
def delete_file(file_id: str, services: AppServices, caller: Caller) -> dict[str, Any]:
    """Delete a file, and its documents in all vector stores."""
    services.ingest.delete_file(caller.file(file_id, "write").id)
    return {"id": file_id, "object": "file", "deleted": True}


@router.get("/{file_id}/content", response_class=FileResponse, responses=_BYTES)
def get_file_content(file_id: str, services: AppServices, caller: Caller) -> FileResponse:
    """The file's bytes."""
    record = caller.file(file_id)
    path = StoredFiles(services.settings.storage.dir).path_of(record.sha256)
    headers = {"X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type="application/octet-stream", filename=record.name, headers=headers)


def file_object(record: FileRecord) -> dict[str, Any]:
    """A file in OpenAI's shape."""
    return {
        "id": record.id,
        "object": "file",
        "bytes": record.size,
        "created_at": unix_time(record.created_at),
        "expires_at": None if record.expires_at is None else unix_time(record.expires_at),
        "filename": record.name,
        "purpose": record.purpose or "user_data",
        "status": "processed",
        "status_details": None,
    }


def listing(data: list[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """A page of a list in OpenAI's shape."""
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }

"""`/v1/uploads`: a large file in parts, which is a file like any other once it is complete."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Iterable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, File, UploadFile
from pydantic import BaseModel, Field

from rag.api.dependencies import AppServices, Caller
from rag.api.json_body import JsonRoute, NullIsAbsent
from rag.api.openai.files import Purpose, file_object
from rag.api.route_policy import UPLOAD
from rag.errors import InvalidRequest, NotFound
from rag.storage.blobs import StoredFiles
from rag.storage.files import FileRecord, FileRecords
from rag.storage.uploads import Upload, Uploads
from rag.storage.vector_stores import unix_time

if TYPE_CHECKING:
    from typing import BinaryIO

_MOST_SENT = 2  # times the size of the file: a part may have to be sent again
router = APIRouter(prefix="/v1/uploads", tags=["files"], route_class=JsonRoute)


class ExpiresAfter(BaseModel):
    """How long the file is to stay, from when it is complete."""

    anchor: Literal["created_at"]
    seconds: int = Field(ge=3600, le=30 * 24 * 3600)


class CreateUpload(NullIsAbsent):
    """What is to come; `bytes` is the size of the whole file. `mime_type` is accepted and ignored."""

    filename: str = Field(min_length=1)
    purpose: Purpose
    bytes: int = Field(ge=1)
    expires_after: ExpiresAfter | None = None


class CompleteUpload(NullIsAbsent):
    """The parts in their order, and the MD5 of the whole file in hex, if it is to be checked."""

    part_ids: Annotated[list[str], Field(min_length=1, max_length=10_000)]
    md5: str | None = None


@router.post("")
def create_upload(body: CreateUpload, services: AppServices, caller: Caller) -> dict[str, Any]:
    """Begin an upload; it must be complete within an hour."""
    caller.require_writing()
    largest = services.settings.server.max_upload_mb
    if body.bytes > largest << 20:
        raise InvalidRequest(
            f"The file is larger than {largest} MB.", hint="RAG_SERVER__MAX_UPLOAD_MB allows more.", param="bytes"
        )
    seconds = body.expires_after.seconds if body.expires_after else None
    uploads = Uploads(caller.catalog.database)
    upload_id = uploads.create(body.filename, body.purpose, body.bytes, caller.owned, seconds)
    return _upload_object(uploads.get(upload_id), "pending")


@router.post("/{upload_id}/parts", dependencies=[UPLOAD])
async def create_part(
    upload_id: str, services: AppServices, caller: Caller, data: Annotated[UploadFile, File()]
) -> dict[str, Any]:
    """Send a part; several at a time, and in any order."""
    upload = await asyncio.to_thread(caller.upload, upload_id)
    if not data.size:
        raise InvalidRequest("The part is empty.", param="data")
    parts = await asyncio.to_thread(FileRecords(caller.catalog.database).of_purpose, upload.id)
    if sum(part.size for part in parts) + data.size > _MOST_SENT * upload.size:
        raise InvalidRequest(
            f"More has been sent than {_MOST_SENT} times the {upload.size} bytes that were announced.",
            hint="Complete the upload with the parts that are there, or cancel it and begin another one.",
            param="data",
        )
    part_id = await asyncio.to_thread(
        services.ingest.keep, data.file, upload.name, upload.id, upload.owned, upload.expires_at
    )
    created_at = unix_time(datetime.now(UTC).isoformat())
    return {"id": part_id, "object": "upload.part", "created_at": created_at, "upload_id": upload_id}


@router.post("/{upload_id}/complete")
def complete_upload(upload_id: str, body: CompleteUpload, services: AppServices, caller: Caller) -> dict[str, Any]:
    """Put the parts together: the upload becomes a file."""
    upload = caller.upload(upload_id)
    parts = [_part(part_id, upload, caller) for part_id in body.part_ids]
    size = sum(part.size for part in parts)
    if size != upload.size:
        raise InvalidRequest(
            f"The parts have {size} bytes, and {upload.size} were announced.",
            hint="Name all parts, in their order.",
            param="part_ids",
        )
    stored = StoredFiles(services.settings.storage.dir)
    paths = [stored.path_of(part.sha256) for part in parts]
    expires_at = None
    if upload.file_seconds is not None:
        expires_at = (datetime.now(UTC) + timedelta(seconds=upload.file_seconds)).isoformat(timespec="seconds")
    try:
        if body.md5 is not None:
            _check_md5(paths, body.md5)
        with _joined(paths) as joined:
            file_id = services.ingest.keep(joined, upload.name, upload.purpose, upload.owned, expires_at)
    except FileNotFoundError:
        caller.upload(upload_id)  # raises NotFound where another request has ended the upload, and so deleted its parts
        raise
    try:
        _end(upload, services, caller)
    except NotFound:
        services.ingest.delete_file(file_id)
        raise
    return _upload_object(upload, "completed", file_object(caller.file(file_id)))


@router.post("/{upload_id}/cancel")
def cancel_upload(upload_id: str, services: AppServices, caller: Caller) -> dict[str, Any]:
    """End an upload and delete its parts."""
    upload = caller.upload(upload_id)
    _end(upload, services, caller)
    return _upload_object(upload, "cancelled")


def _part(part_id: str, upload: Upload, caller: Caller) -> FileRecord:
    part = caller.file(part_id)
    if part.purpose != upload.id:
        raise InvalidRequest(f"{part_id!r} is no part of this upload.", param="part_ids")
    return part


def _check_md5(paths: Iterable[Path], expected: str) -> None:
    with _joined(paths) as joined:
        digest = hashlib.file_digest(joined, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if digest != expected.lower():
        raise InvalidRequest("The parts do not have the MD5 that was given.", hint="Send them again.", param="md5")


def _end(upload: Upload, services: AppServices, caller: Caller) -> None:
    """Delete an upload and its parts; a part that comes right now expires. Raises NotFound where another request has
    ended it."""
    Uploads(caller.catalog.database).delete(upload.id)
    for part in FileRecords(caller.catalog.database).of_purpose(upload.id):
        with suppress(NotFound):  # somebody else has deleted the part
            services.ingest.delete_file(part.id)


class _Joined(io.RawIOBase):
    """Files read one after another."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = iter(paths)
        self._file: BinaryIO | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what comes next; 0 at the end."""
        while True:
            if self._file is None:
                path = next(self._paths, None)
                if path is None:
                    return 0
                self._file = path.open("rb")
            if count := self._file.readinto(buffer):  # type: ignore[attr-defined]
                return int(count)
            self._file.close()
            self._file = None

    def close(self) -> None:
        """Close the file that is being read."""
        if self._file is not None:
            self._file.close()
        super().close()


def _joined(paths: Iterable[Path]) -> closing[io.BufferedReader]:
    return closing(io.BufferedReader(_Joined(paths), 1 << 20))


def _upload_object(upload: Upload, status: str, file: dict[str, Any] | None = None) -> dict[str, Any]:
    """An upload in OpenAI's shape."""
    return {
        "id": upload.id,
        "object": "upload",
        "bytes": upload.size,
        "created_at": unix_time(upload.created_at),
        "expires_at": unix_time(upload.expires_at),
        "filename": upload.name,
        "purpose": upload.purpose,
        "status": status,
        "file": file,
    }

"""`POST /project/file`: files on their way into a chat.

It takes the place of Chainlit's own route, which reads the file whole into memory and fails on an empty one. Here it
goes to disk as it is, and under no type that a browser would open: the page must not render a stranger's HTML, nor ask
for an encrypted PDF's password.
"""

from __future__ import annotations

import asyncio
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI, UploadFile
from fastapi.responses import JSONResponse

from rag.api.route_policy import SESSION, UPLOAD
from rag.ui.session import current_user

if TYPE_CHECKING:
    from collections.abc import Collection

MEDIA_TYPE = "application/octet-stream"


def add_upload_route(app: FastAPI, *, suffixes: Collection[str], max_upload_mb: int) -> None:
    """Let the chat's page upload files with one of the suffixes, up to that size. To be called once Chainlit may be
    imported, and before it is mounted."""
    from chainlit.config import FILES_DIRECTORY
    from chainlit.session import WebsocketSession

    signed_in = Depends(current_user)

    async def receive(session_id: str, file: UploadFile, user: Any = signed_in) -> JSONResponse:
        session = WebsocketSession.get_by_id(session_id)
        is_own = session is not None and session.user is not None and session.user.identifier == user.identifier
        if not is_own or not session.files_dir.is_relative_to(FILES_DIRECTORY):
            return _refusal(404, "This chat has ended. Reload the page.")
        name = file.filename or "unnamed"
        if Path(name).suffix.lower() not in suffixes:
            return _refusal(415, f"I can read {', '.join(sorted(suffixes))}.")
        if (file.size or 0) > max_upload_mb * 1024 * 1024:
            return _refusal(413, f"It is larger than {max_upload_mb} MB.")
        file_id = str(uuid.uuid4())
        path = session.files_dir / file_id
        await asyncio.to_thread(_write, file, path)
        session.files[file_id] = {"id": file_id, "path": path, "name": name, "type": MEDIA_TYPE, "size": file.size}
        return JSONResponse({"id": file_id})

    declared = [SESSION, UPLOAD]
    app.add_api_route("/project/file", receive, methods=["POST"], dependencies=declared, include_in_schema=False)


def _refusal(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"detail": reason}, status)  # the page shows `detail`


def _write(file: UploadFile, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as copy:
        shutil.copyfileobj(file.file, copy)

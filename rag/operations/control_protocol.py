"""What the command line and a running server say to each other: typed requests, and lines of JSON with what comes."""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
import time
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from pydantic import BaseModel, PlainSerializer, PlainValidator, SecretStr, TypeAdapter

from rag import errors
from rag.answering.modes.request import Mode
from rag.errors import RagError
from rag.models.benchmark import Speed
from rag.operations.archive.format import ArchiveProgress
from rag.operations.archive.writer import WrittenArchive
from rag.settings import EmbeddingSettings
from rag.storage.catalog import DEFAULT_COLLECTION
from rag.storage.selection import EVERYTHING, Selection
from rag.types.documents import (
    AnswerCompleted,
    AttributeValue,
    Candidate,
    ChunksRetrieved,
    Message,
    MessageClassified,
    Progress,
    QueryCondensed,
    TextDelta,
    ThoughtDelta,
)
from rag.types.ingest import IngestOptions, IngestProgress

TOKEN_SECONDS = 60  # that a request may be under way

_EVENTS = {
    kind.__name__: kind
    for kind in (
        *(MessageClassified, QueryCondensed, ChunksRetrieved, Progress, ThoughtDelta, TextDelta, Candidate),
        AnswerCompleted,
        *(Speed, IngestProgress, ArchiveProgress, WrittenArchive),
    )
}
_ERRORS = {kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RagError)}
_adapter = cache(TypeAdapter[Any])  # what reads and writes a type is made once


def _quoted(path: Path) -> str:
    return quote_from_bytes(os.fsencode(path.absolute()))


def _unquoted(path: object) -> Path:
    return path if isinstance(path, Path) else Path(os.fsdecode(unquote_to_bytes(str(path))))


# Absolute on the way, and its bytes quoted with percent signs: names may be no UTF-8.
LocalPath = Annotated[Path, PlainSerializer(_quoted), PlainValidator(_unquoted)]


class IngestRequest(BaseModel):
    """Files and folders of this machine to take in."""

    paths: list[LocalPath]
    collection: str
    options: IngestOptions = IngestOptions()


class ReindexRequest(BaseModel):
    """The embedding model to go over to; its key apart, which is masked wherever settings are written out."""

    embedding: EmbeddingSettings
    api_key: str

    @property
    def chosen(self) -> EmbeddingSettings:
        """The settings with the key."""
        return self.embedding.model_copy(update={"api_key": SecretStr(self.api_key)})


class ExportRequest(BaseModel):
    """The archive to write, and what is to be in it."""

    archive: LocalPath
    collections: list[str]
    with_files: bool
    overwrite: bool


class BackupRequest(BaseModel):
    """The backup to write."""

    backup: LocalPath
    overwrite: bool


class SearchRequest(BaseModel):
    """A question to search for, and how many chunks are wanted at most. Without a collection, what is asked where none
    is named: on this machine `default`."""

    question: str
    collection: str | None = None
    limit: int
    selection: Selection = EVERYTHING


class AskRequest(BaseModel):
    """A conversation to answer; without a mode, the collection's persona decides it."""

    messages: list[Message]
    collection: str = DEFAULT_COLLECTION
    selection: Selection = EVERYTHING
    mode: Mode | None = None
    models: tuple[str, ...] = ()


class TagRequest(BaseModel):
    """Attributes to give to a document; null takes one away."""

    attributes: dict[str, AttributeValue | None]


def request_token(secret: str, method: str, target: bytes, body: bytes, expires: int) -> str:
    """What opens this one request until a time (in seconds since 1970); `target` is the path with the query.

    It is made with the secret in the storage folder, which never leaves that: another process that has got the server's
    port, or a log on the way, learns nothing that opens another request."""
    request = b"\n".join([method.encode(), target, str(expires).encode(), body])
    return f"{expires}.{hmac.digest(secret.encode(), request, 'sha256').hex()}"


def is_request_token(token: str, secret: str, method: str, target: bytes, body: bytes) -> bool:
    """Whether that is the token of this request, and its time is not over."""
    expires = token.partition(".")[0]
    if not re.fullmatch("[0-9]{1,12}", expires) or not 0 < int(expires) - time.time() <= TOKEN_SECONDS:
        return False
    known = request_token(secret, method, target, body, int(expires))
    return secrets.compare_digest(token.encode(), known.encode())


def event_line(event: object) -> str:
    """What comes of a request, be it an event of an answer or a sign of progress, as a line with its kind's name."""
    kind: Any = type(event)
    return json.dumps({"event": kind.__name__, "body": _adapter(kind).dump_python(event, mode="json")}) + "\n"


def error_body(error: RagError) -> dict[str, Any]:
    """An error: its message and its hint, apart."""
    return {"error": {"message": error.message, "hint": error.hint, "code": error.code}}


def error_line(error: RagError) -> str:
    """An error that ends a stream of events."""
    return json.dumps(error_body(error)) + "\n"


def read_event(line: str) -> Any:
    """What `event_line` was given. Raises the error that the line tells of instead."""
    content = json.loads(line)
    if "error" in content:
        raise read_error(content)
    return _adapter(_EVENTS[content["event"]]).validate_python(content["body"])


def read_error(content: dict[str, Any]) -> RagError:
    """What `error_body` was given."""
    error = content["error"]
    return _ERRORS.get(error["code"], RagError)(error["message"], hint=error.get("hint", ""))

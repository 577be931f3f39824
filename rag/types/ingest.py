"""What is told of the write side: its reports, progress, jobs and counts, and how it is to take files in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rag.types.documents import AttributeValue, Chunking


@dataclass(frozen=True, slots=True)
class IngestCounts:
    """Files by outcome, failures by their error's code, the pages and
    chunks of the files that were added or updated."""

    files: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    pages: int = 0
    chunks: int = 0


FileOutcome = Literal["added", "updated", "renamed", "unchanged", "failed", "removed"]


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one file. `error` and `hint` are set when it failed, and `code` (of rag/errors.py) where it was
    read now; `notice` names what else the user should know (for instance pages without text). `freed` is what a removal
    deletes, in bytes: text, vectors, and the upload that nothing else needs."""

    source: str
    outcome: FileOutcome
    document_id: str = ""
    pages: int = 0
    chunks: int = 0
    error: str = ""
    hint: str = ""
    notice: str = ""
    freed: int = 0
    code: str = ""


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How to ingest paths.

    `prune` removes documents of the given folders whose files are gone; `retry_failed` reads files again that could not
    be read before and have not changed; `dry_run` reports what would be done and changes nothing.
    """

    prune: bool = False
    retry_failed: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """How far an ingest is: of files and bytes, done and found; pages read and chunks embedded. `report` is the file
    just done."""

    files_done: int
    files_total: int
    bytes_done: int = 0
    bytes_total: int = 0
    pages: int = 0
    chunks: int = 0
    report: FileReport | None = None


JobState = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Job:
    """An upload on its way in, which outlives a restart; `chunks` counts those embedded so far, `report` tells how it
    ended (None before, and when cancelled), `attributes` and `chunking` are those that its document gets."""

    id: str
    collection: str
    file_id: str
    name: str
    state: JobState
    created_at: str
    updated_at: str
    report: FileReport | None = None
    chunks: int = 0
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    chunking: Chunking | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("done", "failed", "cancelled")

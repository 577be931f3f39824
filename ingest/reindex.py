"""Another embedding model for what is there: built beside the old index, which answers until all is done.

The stored text of every document is split and embedded anew; no file is read. A run that was killed goes on where it
was; a document that is ingested or removed meanwhile is taken as it is then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ingest.change_detection import Fingerprints
from ingest.sandbox import Sandbox
from ingest.splitting import chunks_of, limit_of
from rag.errors import DocumentError, NotFound
from rag.index.dense import vector_id
from rag.index.index import Index
from rag.settings import IngestSettings
from rag.text.analysis import contextual_text
from rag.types.documents import Chunk, ChunkId, Document
from rag.types.ingest import IngestProgress
from rag.types.models import Embedding

if TYPE_CHECKING:
    from rag.types.documents import Vector

logger = logging.getLogger(__name__)

_EMBED_SLICE = 16  # chunks between two signs of life


class Reindexing:
    """One switch to `embedding`. Iterating does it; blocking. Progress counts documents and embedded chunks.

    Raises Conflict while another switch is going on."""

    def __init__(self, index: Index, sandbox: Sandbox, settings: IngestSettings, embedding: Embedding) -> None:
        self._index = index
        self._sandbox = sandbox
        self._embedding = embedding
        self._chunk_tokens = settings.chunk_tokens
        self._old = Fingerprints.of(settings, index.embedding)
        self._new = Fingerprints.of(settings, embedding)

    def __iter__(self) -> Iterator[IngestProgress]:
        with self._index.switching(self._embedding):
            yield from self._steps()

    def _steps(self) -> Iterator[IngestProgress]:
        chunks = 0
        switched = False
        while not switched:
            unstaged = self._index.unstaged()
            total = sum(document.version > 0 for document in self._index.catalog.documents())
            for remaining in range(len(unstaged), 0, -1):
                yield IngestProgress(total - remaining, total, chunks=chunks)
                for embedded in self._stage(unstaged[-remaining]):
                    chunks += embedded
                    yield IngestProgress(total - remaining, total, chunks=chunks)
            switched = self._index.switch()
        yield IngestProgress(total, total, chunks=chunks)

    def _stage(self, document_id: str) -> Iterator[int]:
        """Split, embed and stage one document; yields how many chunks have just been embedded."""
        try:
            document = self._index.catalog.document(document_id)
        except NotFound:  # removed meanwhile
            return
        title, chunks, is_whole = self._split(document)
        contexts = [contextual_text(title, chunk.heading, chunk.text) for chunk in chunks]
        vector_ids = [vector_id(context) for context in contexts]
        texts = dict(zip(vector_ids, contexts, strict=True))
        lacking = sorted(self._index.unstaged_vectors(document, list(texts)), key=lambda vector: len(texts[vector]))
        vectors: dict[str, Vector] = {}
        size = max(_EMBED_SLICE, self._embedding.passages_at_once)
        for start in range(0, len(lacking), size):
            ids = lacking[start : start + size]
            vectors |= zip(ids, self._embedding.embed_passages([texts[vector] for vector in ids]), strict=True)
            yield len(ids)
        is_up_to_date = is_whole and document.fingerprint == self._old.expected(document.status, document.source)
        fingerprint = (
            self._new.expected(document.status, document.source) if is_up_to_date else ""
        )  # else the next ingest reads it
        self._index.stage(replace(document, title=title), fingerprint, chunks, vector_ids, vectors)

    def _split(self, document: Document) -> tuple[str, list[Chunk], bool]:
        """Its title and chunks, and whether they fit the coming model: when its text crashes the splitting, the chunks
        are as they were, so that one document does not keep all others from the new model."""
        sections, version = self._index.catalog.sections(document.id), document.version + 1
        limit = limit_of(self._embedding, self._chunk_tokens, document.chunking)
        try:
            title, pieces = self._sandbox.split(document.title, sections, limit)
        except DocumentError as error:
            logger.warning("%s keeps the chunks it has: %s", document.source, error.message)
            chunks = self._index.catalog.chunks_of(document.id)
            kept = [replace(chunk, id=ChunkId.of(document.id, version, chunk.number)) for chunk in chunks]
            return document.title, kept, False
        return title, chunks_of(document.id, version, sections, pieces), True

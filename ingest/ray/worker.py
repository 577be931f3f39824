"""What a worker of a Ray cluster does: it reads files in a sandbox of its own and embeds texts; it stores nothing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.loaders import LOADER_VERSION, LoadedDocument, can_recognise_text
from ingest.sandbox import Sandbox
from ingest.splitting import SPLITTER_VERSION, ChunkLimit
from rag.errors import ConfigurationError, DocumentChanged, DocumentError
from rag.settings import EmbeddingSettings, IngestSettings
from rag.storage.file_hash import FileState, hash_of, open_at_once, settled_state

if TYPE_CHECKING:
    from rag.types.documents import Vector
    from rag.types.models import Embedding


def reading_version() -> str:
    """Equal where files are read and split the same way."""
    recognition = "text recognition" if can_recognise_text() else "no text recognition"
    return f"loaders {LOADER_VERSION}, splitting {SPLITTER_VERSION}, {recognition}"


class Worker:
    """One process of the cluster, which does one thing at a time. What it answers depends on the arguments alone; what
    it keeps between two calls, the child of its sandbox and the embedding model, only saves time."""

    def __init__(self, ingest: IngestSettings, embedding: EmbeddingSettings) -> None:
        os.environ["HF_HUB_OFFLINE"] = "1"  # a hundred workers are not to fetch one model
        self._sandbox = Sandbox(ingest)
        self._embedding_settings = embedding
        self._embedding: Embedding | None = None

    def version(self) -> str:
        """How this worker reads: see `reading_version`. The first call says that it is ready."""
        return reading_version()

    def read(
        self, path: Path, name: str, sha256: str, content: bytes | None, limit: ChunkLimit
    ) -> LoadedDocument | DocumentError | None:
        """The file read and split, or why it cannot be. It is `content`; without that, the file at `path` if one with
        that hash is there on this machine, else the answer is None."""
        try:
            if content is None:
                state = _state_here(path, sha256)
                return self._sandbox.load(path, name, limit, state=state) if state else None
            with tempfile.NamedTemporaryFile(prefix="footnote-") as copy:
                copy.write(content)
                copy.seek(0)
                if hash_of(copy.file) != sha256:
                    raise DocumentChanged(f"{name} changed before it was sent.", hint="Ingest it again.", source=name)
                return self._sandbox.load(Path(copy.name), name, limit)
        except DocumentError as error:
            return error

    def embed(self, fingerprint: str, texts: Sequence[str]) -> Vector:
        """Vectors of shape (len(texts), dimension). Raises ConfigurationError when the model cannot be had here, or is
        not the one of that fingerprint."""
        if self._embedding is None:
            from rag.models.embedding import open_embedding
            from rag.models.embedding_base import adopt

            self._embedding = open_embedding(self._embedding_settings)
            adopt(self._embedding, fingerprint)
        if self._embedding.fingerprint != fingerprint:
            raise ConfigurationError(
                f"The embedding model {self._embedding.name} on the worker {os.uname().nodename} is another one.",
                hint="Put the same files on every machine of the cluster.",
            )
        return self._embedding.embed_passages(texts)


def _state_here(path: Path, sha256: str) -> FileState | None:
    """The state in which the file there has that hash; None for no such file."""
    try:
        with open_at_once(path) as file:
            state = settled_state(file)
            return state if hash_of(file) == sha256 else None
    except OSError:
        return None

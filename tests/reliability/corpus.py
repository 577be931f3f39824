"""A storage folder with more passages than Chroma holds back from its files (1,000)."""

from __future__ import annotations

import random
from contextlib import closing
from io import BytesIO

from rag.index.index import Index
from rag.storage.blobs import StoredFiles
from rag.storage.files import FileRecords
from rag.types.documents import LOCAL_PRINCIPAL, Owned
from tests.rag.versions import make_version

PASSAGES = 1_200
_WORDS = [f"{first}{second}" for first in "bcdfghjklmnprst" for second in ("ola", "eri", "atu", "ino", "ume", "iska")]
QUESTIONS = [" ".join(random.Random(number).sample(_WORDS, 5)) for number in range(20)]


def write_corpus(storage, embedding):
    """A storage folder with documents of 12 passages each, and an upload."""
    chance = random.Random(1)
    with closing(Index(storage, embedding)) as index:
        for start in range(0, PASSAGES // 12, 20):
            texts = ["\n".join(" ".join(chance.sample(_WORDS, 12)) for _ in range(12)) for _ in range(20)]
            index.replace_documents(
                [make_version(f"doc_{start + number}", [text], embedding) for number, text in enumerate(texts)]
            )
        files = StoredFiles(storage)
        with files.received(BytesIO(b"an upload" * 1_000)) as received:
            files.keep(received)
            records = FileRecords(index.catalog.database)
            records.add("upload.txt", received.sha256, received.size, Owned(LOCAL_PRINCIPAL), "user_data")

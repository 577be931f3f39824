"""Deletes a document and dies at once: `python -m tests.rag.index.delete_and_die STORAGE DOCUMENT`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rag.index.index import Index
from rag.models.embedding import open_embedding
from rag.settings import EmbeddingSettings


def main() -> None:
    index = Index(Path(sys.argv[1]), open_embedding(EmbeddingSettings(model="bag-of-words")))
    index.delete_documents([sys.argv[2]])
    os._exit(9)


if __name__ == "__main__":
    main()

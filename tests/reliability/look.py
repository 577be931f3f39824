"""Opens a storage folder and searches it, in a process of its own that damage may kill.

`python -m tests.reliability.look STORAGE` prints a JSON object: the scores of what each leg found, how many passages
both did together, what of the index is incomplete, and how many passages were embedded.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from contextlib import closing
from pathlib import Path

from rag.errors import RagError
from rag.index.index import Index
from rag.models.embedding import open_embedding
from rag.retrieval.retriever import HybridRetriever
from rag.settings import EmbeddingSettings, RetrievalSettings
from rag.types.documents import Scope
from tests.reliability.corpus import QUESTIONS

NEAREST = 25


class CountingEmbedding:
    """Counts the passages that are embedded."""

    def __init__(self) -> None:
        self._embedding = open_embedding(EmbeddingSettings(model="bag-of-words"))
        self.passages = 0

    def __getattr__(self, name):
        return getattr(self._embedding, name)

    def embed_passages(self, texts):
        self.passages += len(texts)
        return self._embedding.embed_passages(texts)


def main() -> None:
    logging.basicConfig(level=logging.ERROR)
    embedding = CountingEmbedding()
    try:
        index = Index(Path(sys.argv[1]), embedding)
    except RagError as error:
        print(json.dumps({"refused": error.message, "hint": error.hint}))
        return
    with closing(index):
        everywhere = Scope((index.catalog.collection().id,))
        retriever = HybridRetriever(index, RetrievalSettings())
        found = {"dense": [], "lexical": [], "hits": []}
        for question in QUESTIONS:
            hits = asyncio.run(retriever.retrieve(question, everywhere, NEAREST))
            found["hits"].append(len(hits))  # where several are as good, not always the same
            for name, leg in (("dense", index.search_dense), ("lexical", index.search_lexical)):
                found[name].append([round(score, 3) for _, score in leg(question, everywhere, NEAREST)])
        print(json.dumps(found | {"impaired": sorted(index.impaired), "embedded": embedding.passages}))


if __name__ == "__main__":
    main()

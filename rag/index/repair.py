"""Repair: indexes that were lost or damaged become what the catalog says.

They are compared with it by number alone, which costs nothing; only a difference makes us look at every id.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from rag.index.dense import VectorIndex
from rag.index.lexical import LexicalWriter, lexical_entries
from rag.storage.catalog import Catalog
from rag.storage.unwritable import unwritable
from rag.text.analysis import ANALYSIS_VERSION, contextual_text
from rag.types.documents import Document, Embedding

logger = logging.getLogger(__name__)

_BATCH = 256  # vectors
_AnyIndex = TypeVar("_AnyIndex", VectorIndex, LexicalWriter)


def open_or_set_aside(open_index: Callable[[Path], _AnyIndex], folder: Path) -> _AnyIndex:
    """The index in `folder`; a damaged one is put aside, and an empty one opened to be filled."""
    try:
        return open_index(folder)
    except (OSError, ImportError):  # the disk, the rights or the installation, not the index
        raise
    except Exception as error:
        if unwritable(error, folder):  # nor a full disk, told in other words
            raise
        aside = folder.with_name(f"{folder.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}")
        logger.exception("The index in %s is damaged. It is put aside as %s and made again.", folder, aside.name)
        folder.rename(aside)
        return open_index(folder)


def repair_words(catalog: Catalog, writer: LexicalWriter) -> None:
    """Fill the words again where they do not match the catalog, or are of another analysis; until that is done the
    old ones answer."""
    documents = catalog.documents()
    is_current = catalog.property("words") == ANALYSIS_VERSION
    if is_current and writer.index.count() == sum(document.chunks for document in documents):
        return
    if is_current:
        logger.warning("The word index does not match the catalog; filling it again.")
    collections = {collection.name: collection.id for collection in catalog.collections()}
    writer.replace_all(
        entry
        for document in documents
        for entry in lexical_entries(document.title, collections[document.collection], catalog.chunks_of(document.id))
    )
    catalog.set_property("words", ANALYSIS_VERSION)


def repair_vectors(catalog: Catalog, vectors: VectorIndex, embedding: Embedding) -> None:
    """Embed again what lacks its vector, and delete vectors that stand for nothing."""
    for collection in catalog.collections():
        if vectors.count(collection.id) != catalog.count_vectors(collection.id):
            logger.warning("The vectors of %r do not match the catalog; mending them.", collection.name)
            _repair_vectors(catalog, vectors, embedding, collection.id, catalog.documents(collection.id))


def _repair_vectors(
    catalog: Catalog, vectors: VectorIndex, embedding: Embedding, collection_id: str, documents: Sequence[Document]
) -> None:
    present = set(vectors.ids(collection_id))
    strangers = set(present)
    for document in documents:
        chunks = list(zip(catalog.vector_ids(document.id), catalog.chunks_of(document.id), strict=True))
        strangers.difference_update(vector_id for vector_id, _ in chunks)
        missing = [(vector_id, chunk) for vector_id, chunk in chunks if vector_id not in present]
        for start in range(0, len(missing), _BATCH):
            texts = {
                vector_id: contextual_text(document.title, chunk.heading, chunk.text)
                for vector_id, chunk in missing[start : start + _BATCH]
            }
            vectors.add(collection_id, list(texts), embedding.embed_passages(list(texts.values())))
            present |= texts.keys()
    vectors.delete(collection_id, sorted(strangers))

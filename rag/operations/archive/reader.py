"""Reading an archive of collections: what is checked of its documents and vectors, and how they are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag.operations.archive.container import SealedZip
from rag.operations.archive.format import (
    DOCUMENT,
    FORMAT,
    MANIFEST_FORM,
    VERSION,
    ArchivedCollection,
    ArchivedDocument,
    Manifest,
    check_document,
    check_vectors,
    vectors_header,
)

if TYPE_CHECKING:
    from rag.types.documents import Vector


class Archive(SealedZip[Manifest]):
    """An archive that is open for reading. Nothing of it may be used before `verify` has run to its end.

    Raises UnreadableArchive when it is not an archive, not whole, or of a newer form."""

    _kind = "archive"
    _format = FORMAT
    _version = VERSION
    _form = MANIFEST_FORM

    def _check_contents(self) -> Iterator[int]:
        """The bytes of each part that was found to be well."""
        manifest = self.manifest
        expected: set[str] = set()
        ids: set[str] = set()
        for number, collection in enumerate(manifest.collections, start=1):
            if collection.folder != f"collections/{number}" or not collection.name:
                raise ValueError("its collections are not named as they must be")
            expected |= {f"{collection.folder}/documents.jsonl", f"{collection.folder}/vectors.npy"}
            sources: set[str] = set()
            for document, vectors in self.documents(collection):
                if document.id in ids or document.source in sources:
                    raise ValueError(f"{document.source} is in it twice")
                ids.add(document.id)
                sources.add(document.source)
                try:
                    check_document(document)
                    check_vectors(vectors)
                except ValueError as error:
                    raise ValueError(f"{document.source}: {error}") from error
                yield vectors.nbytes + sum(len(chunk.text) for chunk in document.chunks)
        if len({collection.name for collection in manifest.collections}) != len(manifest.collections):
            raise ValueError("a collection is in it twice")
        files = {f"files/{name[6:]}" for name in manifest.members if name.startswith("files/")}
        if manifest.members.keys() != expected | files or len(files) != manifest.files:
            raise ValueError("its members are not those of its collections")
        for name in sorted(files):
            yield from self._check_file(name)

    def documents(self, collection: ArchivedCollection) -> Iterator[tuple[ArchivedDocument, Vector]]:
        """The documents with their vectors, of shape (distinct vectors, dimension), one after the other."""
        import numpy as np

        dimension = self.manifest.embedding.dimension
        documents = chunks = vectors = 0
        with (
            self._reading(f"{collection.folder}/documents.jsonl") as lines,
            self._reading(f"{collection.folder}/vectors.npy") as rows,
        ):
            header = vectors_header(collection.vectors, dimension)
            if rows.read(len(header)) != header:
                raise ValueError(f"the vectors of {collection.name} are not of the form that the manifest says")
            for line in lines.lines():
                document = DOCUMENT.validate_json(line, strict=True)
                distinct = len(document.vector_ids())
                data = rows.read(distinct * dimension * 4)
                yield document, np.frombuffer(data, dtype="<f4").reshape(distinct, dimension)
                documents, chunks, vectors = documents + 1, chunks + len(document.chunks), vectors + distinct
        if (documents, chunks, vectors) != (collection.documents, collection.chunks, collection.vectors):
            raise ValueError(f"the collection {collection.name} has not as much in it as the manifest says")

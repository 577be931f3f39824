"""Catalog, vectors and words as one thing that is never half-written.

A document is replaced in three steps: (a) the new version's words and the vectors that are new with it are added, (b)
one catalog transaction makes it the live version — the commit point —, (c) the words and vectors that nothing needs any
more are deleted. The catalog notes beforehand what each step leaves behind if the process dies, and the next start
cleans that up. Until (b) the old version answers, from (b) on the new one: hits that are not live in the catalog are
never shown. A deletion is (b) and (c); what tantivy and SQLite keep of it on the disk goes soon after: see purge.py.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from rag.errors import Conflict, RagError
from rag.index.chroma_server import ChromaServer
from rag.index.dense import DIRECT_COMPARISON, VectorIndex, embed_query
from rag.index.lexical import LexicalIndex, LexicalWriter, lexical_entries
from rag.index.lexical_replica import LexicalReplica
from rag.index.opening import open_vectors, open_words
from rag.index.purge import Purger
from rag.index.repair import Part, Repairer, RepairProgress
from rag.models.embedding_base import adopt, require_same_embedding
from rag.storage.catalog import Catalog, StoredChunk, VersionedChunks
from rag.storage.database import CATALOG_NAME, Database
from rag.storage.lock import ProcessLock
from rag.storage.staged_versions import Staging
from rag.storage.unwritable import keep_reserve, release_reserve, unwritable
from rag.telemetry.spans import span
from rag.text.analysis import contextual_text
from rag.types.documents import Chunk, Document, Scope, Section
from rag.types.models import Embedding

if TYPE_CHECKING:
    from rag.types.documents import Vector

logger = logging.getLogger(__name__)

_Number = TypeVar("_Number", int, float)

# A wide scope is searched by asking for more and dropping what lies outside: so many times more, or twice as many as
# would do if the scope's chunks were spread evenly; if that were too many, all of the scope's are compared.
_WIDENING = 20
_WIDEST = 5_000
_QUESTIONS_KEPT = 64  # whose vectors are at hand
_BYTES_A_NUMBER = 4  # of a vector
_ATTEMPTS = 3  # a search that a replaced document ran into is done again, so that the document does not seem to vanish


@dataclass(frozen=True, slots=True)
class DocumentVersion:
    """A whole new version of a document.

    `vector_ids` has one id a chunk, `vectors` the vectors, each of shape (dimension,), that the collection may lack.
    """

    document: Document
    sections: Sequence[Section]
    chunks: Sequence[Chunk]
    vector_ids: Sequence[str]
    vectors: Mapping[str, Vector]


class Index:
    """The open index of a storage folder. Reading is safe from any thread; writes go one at a time."""

    def __init__(
        self,
        storage: Path,
        embedding: Embedding,
        database: Database | None = None,
        chroma: ChromaServer | None = None,
        *,
        deep: bool = False,
    ) -> None:
        """Open, sweep and, where an index does not hold what the catalog says or is damaged, repair. That goes on while
        the index is used if it takes longer than some seconds. `deep` looks for damage in all files, and for every
        vector. `database` is the catalog's, which is closed with the index; None: SQLite in the storage folder. The
        vectors are at the server `chroma`; None: in the storage folder. Raises IndexMismatch when the vectors were made
        by another embedding model, BackendError where the server is not there."""
        self._storage = storage
        self._switching = threading.Lock()
        # A search looks twice, among all documents and in those that the question names.
        self._embed_query = lru_cache(_QUESTIONS_KEPT)(embed_query)
        self._coming: tuple[Embedding, VectorIndex] | None = None
        self._failing: frozenset[Part] = frozenset()
        with ExitStack() as opened:
            self.catalog = Catalog(storage / CATALOG_NAME if database is None else database)
            opened.callback(self.catalog.close)
            self._shared = chroma is not None and self.catalog.database.is_shared
            self._writing = ProcessLock(self.catalog.database, "index", self._check_sharing)
            self._check_embedding(embedding)
            vectors = open_vectors(chroma or storage, embedding.fingerprint, deep=deep)
            opened.callback(vectors.close)
            self._dense = embedding, vectors  # one thing: a search takes both or, after a switch, both others
            self._staging = Staging(self.catalog)
            self._words = LexicalReplica(self.catalog) if self._shared else open_words(storage, self.catalog, deep=deep)
            opened.callback(self._words.close)
            self._writer = self._words if isinstance(self._words, LexicalWriter) else None  # a replica needs none
            with self._writing:  # what another process is writing must not be taken for a remainder
                vectors.delete_other_models([self._staging.target() or ""])
                self._delete_unfinished()
            self._repairer = Repairer(storage, self.catalog, self._writer, self._writing)
            opened.callback(self._repairer.close)
            self._repairer.start(vectors, embedding)
            self._purger: Purger | None = None
            if self._writer is not None:
                self._purger = Purger(self.catalog, self._writer, self._writing, self._delete_unfinished)
            opened.pop_all()
        keep_reserve(storage)

    @property
    def embedding(self) -> Embedding:
        """The embedding model that the vectors are made with."""
        return self._dense[0]

    @property
    def _lexical(self) -> LexicalIndex:
        return self._words.index

    @property
    def _vectors(self) -> VectorIndex:
        return self._dense[1]

    def close(self) -> None:
        """Release the files; blocking, up to a few seconds after a deletion."""
        self._repairer.close()
        if self._purger is not None:
            self._purger.close()
        with self._writing.here:
            self._words.close()
            self._vectors.close()
            self.catalog.close()
        keep_reserve(self._storage)

    # --------------------------------------------------------------------------------------------------- writing

    def lacking_vectors(self, collection: str, vector_ids: Sequence[str]) -> list[str]:
        """Those of `vector_ids` that the collection does not have, each once, in order."""
        collection_id = self.catalog.collection(collection).id
        unique = list(dict.fromkeys(vector_ids))
        known = self.catalog.chunks_of_vectors(collection_id, unique)
        return [vector_id for vector_id in unique if vector_id not in known]

    def vectors_of(self, document: Document) -> dict[str, Vector]:
        """The stored vectors of a document by id."""
        vector_ids = list(set(self.catalog.vector_ids(document.id)))
        return self._vectors.get(self.catalog.collection(document.collection).id, vector_ids)

    def vectors(self, collection_id: str, vector_ids: Sequence[str]) -> dict[str, Vector]:
        """Stored vectors by id; those that are not there are left out."""
        return self._vectors.get(collection_id, vector_ids)

    def replace_documents(self, versions: Sequence[DocumentVersion], fingerprint: str | None = None) -> None:
        """Make these the live versions of their documents; several at once cost little more than one.

        Raises Conflict when one of them was replaced since the caller looked, or the index is no longer made with the
        embedding model of that fingerprint."""
        with self._writing:
            if fingerprint not in (None, self.embedding.fingerprint):
                raise Conflict(
                    "The embedding model was changed meanwhile.", hint="Repeat it: what is done is not done twice."
                )
            self._check_versions(versions)
            self._delete_unfinished()  # of a write that failed: this one may use the same ids
            coming: list[VersionedChunks] = []
            vectors: dict[str, dict[str, Vector]] = defaultdict(dict)
            for version in versions:
                document = version.document
                place = self.catalog.collection(document.collection).id
                coming.append(VersionedChunks(document.id, document.version, place))
                vectors[place] |= version.vectors
                vectors[place] |= self._vectors_gone_meanwhile(version, vectors[place])
            self.catalog.begin(coming, vectors)
            for place, added in vectors.items():
                self._vectors.add(place, list(added), list(added.values()))
            if self._writer is not None:
                self._writer.add(
                    entry
                    for version, place in zip(versions, coming, strict=True)
                    for entry in lexical_entries(version.document.title, place.collection_id, version.chunks)
                )
            self._writing.require()
            for version in versions:
                self.catalog.commit_document(version.document, version.sections, version.chunks, version.vector_ids)
            self._delete_unfinished()

    def _check_versions(self, versions: Sequence[DocumentVersion]) -> None:
        live = {v.document_id: v.version for v in self.catalog.live_versions([v.document.id for v in versions])}
        for document in (version.document for version in versions):
            known = self.catalog.document_of_source(document.collection, document.source)
            is_another = known is not None and known.id != document.id
            if is_another or live.get(document.id, document.version - 1) != document.version - 1:
                raise Conflict(
                    f"{document.source} was replaced meanwhile.", hint="Repeat it: what is done is not done twice."
                )

    def _vectors_gone_meanwhile(self, version: DocumentVersion, supplied: Mapping[str, Vector]) -> dict[str, Vector]:
        """Vectors that were there when the writer looked, and were deleted with another document since."""
        wanted = [vector_id for vector_id in version.vector_ids if vector_id not in supplied]
        gone = set(self.lacking_vectors(version.document.collection, wanted))
        texts = {
            vector_id: contextual_text(version.document.title, chunk.heading, chunk.text)
            for vector_id, chunk in zip(version.vector_ids, version.chunks, strict=True)
            if vector_id in gone
        }
        return dict(zip(texts, self.embedding.embed_passages(list(texts.values())), strict=True)) if texts else {}

    def delete_documents(self, document_ids: Sequence[str]) -> int:
        """Delete documents: text, vectors, words; the bytes of text and vectors that were. Nobody finds them any more
        when this returns; from the disk they are gone within 30 seconds of work. Raises NotFound."""
        try:
            return self._delete_documents(document_ids)
        except Exception as error:
            if not unwritable(error, self._storage) or not release_reserve(self._storage):
                raise
        return self._delete_documents([name for name in document_ids if self.catalog.find_document(name)])

    def _delete_documents(self, document_ids: Sequence[str]) -> int:
        with self._writing:
            size = sum(self._size_of_text(document_id) for document_id in document_ids)
            if self._purger is not None:
                self._purger.note(document_ids)
            self.catalog.delete_documents(document_ids)
            if self._purger is not None:
                self._purger.request()
            return size + self._delete_unfinished() * self.embedding.dimension * _BYTES_A_NUMBER

    def is_purge_pending(self) -> bool:
        """Whether anything that was deleted may still be in files of the storage folder."""
        return self._purger is not None and self._purger.is_pending()

    def _size_of_text(self, document_id: str) -> int:
        texts = [section.text for section in self.catalog.sections(document_id)]
        texts += (chunk.text for chunk in self.catalog.chunks_of(document_id))
        return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)

    def _delete_unfinished(self) -> int:
        """Delete what is left, in vectors and words, of interrupted writes and of versions that are no more; how many
        vectors that was."""
        unfinished, loose = self.catalog.unfinished(), self.catalog.loose_vectors()
        for collection_id, vector_ids in loose.items():
            self._vectors.delete(collection_id, vector_ids)
        if unfinished and self._writer is not None:
            self._writer.delete([left.name for left in unfinished])
        if unfinished or self.catalog.has_loose_vectors():
            self.catalog.finish()
        return sum(map(len, loose.values()))

    # ------------------------------------------------------------------------------------- another embedding model

    @contextmanager
    def switching(self, embedding: Embedding) -> Iterator[None]:
        """Within the block new versions can be staged for another embedding model; what was staged for it before is
        there still. Raises Conflict while another switch is going on."""
        conflict = Conflict("The embedding model is being changed already.", hint="Wait until that is done.")
        if not self._switching.acquire(blocking=False):
            raise conflict
        try:
            with self.catalog.database.exclusive("switching", wait=False) as is_alone:
                if not is_alone():
                    raise conflict
                was_repairing = self._repairer.stop()  # it fills the vectors of the old model
                try:
                    with self._writing:
                        adopt(embedding, self._staging.target())
                        self._staging.aim_at(embedding.fingerprint)
                        self._vectors.delete_other_models([embedding.fingerprint])
                        self._coming = embedding, self._vectors.of_model(embedding.fingerprint)
                    yield
                finally:
                    if was_repairing:
                        self._repairer.start(self._vectors, self.embedding, patience=0)
        finally:
            self._coming = None
            self._switching.release()

    def unstaged(self) -> list[str]:
        """The ids of the documents that are still to be staged."""
        return self._staging.unstaged()

    def unstaged_vectors(self, document: Document, vector_ids: Sequence[str]) -> list[str]:
        """Those of `vector_ids`, for the document's collection, that the coming model's vectors lack."""
        assert self._coming is not None
        present = self._coming[1].present(self.catalog.collection(document.collection).id, vector_ids)
        return [vector_id for vector_id in vector_ids if vector_id not in present]

    def stage(
        self,
        document: Document,
        fingerprint: str,
        chunks: Sequence[Chunk],
        vector_ids: Sequence[str],
        vectors: Mapping[str, Vector],
    ) -> None:
        """Put the document's next version, made for the coming model, beside the live one."""
        assert self._coming is not None
        collection_id = self.catalog.collection(document.collection).id
        with self._writing:
            self._coming[1].add(collection_id, list(vectors), list(vectors.values()))
            self._staging.put(document, document.version + 1, fingerprint, chunks, vector_ids)

    def switch(self) -> bool:
        """Go over to the coming model, at once and for everything; False when a document is still to be staged."""
        assert self._coming is not None
        with self._writing:
            if self._staging.unstaged():
                return False
            self._delete_unfinished()
            staged = self._staging.versions()
            self.catalog.begin(staged, {})
            if self._writer is not None:
                texts = ((version, *self._staging.chunks(version)) for version in staged)
                self._writer.add(
                    entry
                    for version, title, chunks in texts
                    for entry in lexical_entries(title, version.collection_id, chunks)
                )
            embedding = self._coming[0]
            self._writing.require()
            self._staging.switch({"model": embedding.name, "fingerprint": embedding.fingerprint})
            self._dense = self._coming
            self._embed_query.cache_clear()  # it holds the old model
            self._delete_unfinished()
            self._vectors.delete_other_models()
            self._repairer.repair_now(self._vectors, self.embedding)
            return True

    # --------------------------------------------------------------------------------------------------- reading

    def search_dense(self, question: str, scope: Scope, limit: int, other_words: str = "") -> list[tuple[str, float]]:
        """Chunk ids nearest to the question, and half as much to it with the other words for it, with cosine
        similarity, best first."""
        self._check_sharing()
        dense = self._dense
        with span("embed"):
            query = self._embed_query(dense[0], question, other_words)  # type: ignore[arg-type]
        for _ in range(_ATTEMPTS):
            revision = self.catalog.revision
            try:
                with span("dense"):
                    found, is_complete = self._search_dense(dense[1], query, scope, limit)
            except Exception:
                if dense is self._dense:
                    raise
                dense = self._dense  # the embedding model was changed under the search
                query = self._embed_query(dense[0], question, other_words)  # type: ignore[arg-type]
                found, is_complete = self._search_dense(dense[1], query, scope, limit)
            if is_complete or revision == self.catalog.revision:
                break
        return sorted(found, key=lambda hit: -hit[1])[:limit]

    def _search_dense(
        self, vectors: VectorIndex, query: Vector, scope: Scope, limit: int
    ) -> tuple[list[tuple[str, float]], bool]:
        """Chunks with their similarity, and whether all vectors found still stand for a chunk."""
        found: list[tuple[str, float]] = []
        is_complete = True
        for collection_id in scope.collection_ids:
            if (scope.document_ids, scope.pages) == (None, None):
                nearest = vectors.search(collection_id, query, limit)
                chunks = self.catalog.chunks_of_vectors(collection_id, [vector_id for vector_id, _ in nearest])
                is_complete &= len(chunks) == len(nearest)
            else:
                nearest, chunks = self._nearest_within(vectors, query, collection_id, scope, limit)
            found += [(chunk_id, score) for vector_id, score in nearest for chunk_id in chunks.get(vector_id, ())]
        return found, is_complete

    def _nearest_within(
        self, vectors: VectorIndex, query: Vector, collection_id: str, scope: Scope, limit: int
    ) -> tuple[list[tuple[str, float]], dict[str, list[str]]]:
        """Vectors with their similarity, and the chunks of the scope that each of them stands for."""
        count = None if scope.document_ids is None else self.catalog.count_chunks(collection_id, scope.document_ids)
        if count is None or count > DIRECT_COMPARISON:
            share = 1.0 if count is None else count / max(count, vectors.count(collection_id))
            width = max(min(limit * _WIDENING, _WIDEST), int(2 * limit / share))
            if width <= _WIDEST:
                nearest = vectors.search(collection_id, query, width)
                chunks = self.catalog.chunks_of_vectors(collection_id, [vector_id for vector_id, _ in nearest], scope)
                if len(chunks) >= limit:
                    return nearest, chunks
        # few chunks, or few of those near by, and then what is far away must be found, too, however long it takes
        chunks = self.catalog.vectors_within(collection_id, scope)
        return vectors.compare(collection_id, query, list(chunks), limit), chunks

    def search_lexical(self, question: str, scope: Scope, limit: int, other_words: str = "") -> list[tuple[str, float]]:
        """Chunk ids with the question's words, or with the other ones, of half the weight, and their BM25 scores, best
        first."""
        versions = None
        if scope.document_ids is not None:
            live = self.catalog.live_versions(sorted(scope.document_ids))
            versions = [version.name for version in live if version.collection_id in scope.collection_ids]
        pages = None if scope.pages is None else (scope.pages[0] - 1, scope.pages[1] - 1)
        # no filter where none is needed: it takes as long as the search itself
        collections = None if versions is None and self.catalog.is_all(scope.collection_ids) else scope.collection_ids
        with span("lexical"):
            return self._lexical.search(question, collections, limit, versions, pages, other_words)

    def check(self) -> None:
        """Whether catalog, vectors and words can be read: a look at each. Raises what they raise."""
        self._vectors.count(self.catalog.collection().id)
        self._lexical.count()

    def term_weights(self, question: str) -> dict[str, float]:
        """The question's words with how much each tells: rare ones much, common ones little. Nothing where the index of
        words cannot be read, as with the next two."""
        return self._of_words(lambda words: words.term_weights(question))

    def frequencies(self, words: Iterable[str]) -> dict[str, int]:
        """In how many chunks each of the words is, in the form that `rag.text.analysis.terms` gives."""
        return self._of_words(lambda index: index.frequencies(words))

    def terms_with_prefix(self, prefix: str) -> dict[str, int]:
        """The words of the index that begin so, with how many chunks have them."""
        return self._of_words(lambda words: words.terms_with_prefix(prefix))

    def _of_words(self, look: Callable[[LexicalIndex], dict[str, _Number]]) -> dict[str, _Number]:
        try:
            return look(self._lexical)
        except RagError:
            raise
        except Exception:  # searching tells
            logger.exception("The index of words cannot be read.")
            self.note_failure("words")
            return {}

    def live_chunks(self, ids: Sequence[str], scope: Scope) -> dict[str, StoredChunk]:
        """The chunks that exist and lie inside the scope, by id. The last word on what may be shown."""
        return {
            chunk_id: stored
            for chunk_id, stored in self.catalog.chunks(ids).items()
            if stored.collection_id in scope.collection_ids
            and (scope.document_ids is None or stored.chunk.document_id in scope.document_ids)
            and _is_on(stored.chunk.page_index, scope.pages)
        }

    # -------------------------------------------------------------------------------------------------- integrity

    @property
    def impaired(self) -> frozenset[Part]:
        """What is incomplete for now, so that passages may be missing: it is being made again, or could not be read."""
        return self._repairer.under_repair | self._failing

    def follow_repair(self) -> Iterator[RepairProgress]:
        """How far the repair is that goes on, until all is whole. Raises what stands against it."""
        return self._repairer.follow()

    def note_failure(self, part: Part) -> None:
        """A search failed over this part; the next start probes the vectors if it is they."""
        self._failing |= {part}
        if part == "vectors":
            self._vectors.doubt()

    def note_success(self, part: Part) -> None:
        """A search succeeded with this part."""
        self._failing -= {part}

    def _stored_embedding(self) -> dict[str, str] | None:
        """Name (`model`) and `fingerprint` of the embedding model that the catalog says the vectors are made with."""
        return cast("dict[str, str] | None", json.loads(self.catalog.property("embedding") or "null"))

    def _check_sharing(self) -> None:
        """Raises IndexMismatch where another process has gone over to another embedding model."""
        stored = self._stored_embedding() if self._shared else None
        coming = self._coming  # `switch` may be on its way
        if stored is not None and not (coming and coming[0].fingerprint == stored["fingerprint"]):
            beginning = "The index has been built anew since this process was started,"
            hint = f"Start it again with RAG_EMBEDDING__MODEL={stored['model']}."
            require_same_embedding(beginning, stored["model"], stored["fingerprint"], self.embedding, hint=hint)

    def _check_embedding(self, embedding: Embedding) -> None:
        stored = self._stored_embedding()
        adopt(embedding, stored["fingerprint"] if stored else None)
        present = {"model": embedding.name, "fingerprint": embedding.fingerprint}
        if stored is None or (stored != present and not self.catalog.documents()):
            self.catalog.set_property("embedding", json.dumps(present))
        else:
            require_same_embedding(
                "This index was built",
                stored["model"],
                stored["fingerprint"],
                embedding,
                hint=f"Either set RAG_EMBEDDING__MODEL={stored['model']} as it was, or run `rag reindex`, which embeds "
                "all documents anew as the settings say.",
            )


def _is_on(page_index: int | None, pages: tuple[int, int] | None) -> bool:
    return pages is None or (page_index is not None and pages[0] <= page_index + 1 <= pages[1])

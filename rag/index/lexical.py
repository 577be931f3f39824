"""Words in tantivy: BM25 over a chunk's title, headings and body.

Like the vectors this index holds ids only; its text is not stored. It is derived from the catalog: when its own note of
what it holds is missing or wrong, `Index` fills it again. Whoever searches has a reader; the one owner has a writer.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rag.storage.catalog import Catalog
from rag.text.analysis import analyzer, segmented, terms
from rag.text.languages import is_english
from rag.types.documents import Chunk, ChunkId

if TYPE_CHECKING:
    import tantivy

_TOKENIZER = "footnote"
_HEAP_BYTES = 64_000_000
OTHER_WORDS_WEIGHT = 0.5  # of what a glossary says a question may mean
_MOST_TERMS = 4_000  # that are looked at for one beginning
# Words are stemmed as English ones. In a question in another language, a word stands for those that begin with the same
# letters, too, as "Kündigungsfristen" is a form of "Kündigungsfrist".
_STEM = 6  # letters
_LONGEST_ENDING = 6  # letters by which two forms of a word differ in length
_MOST_FORMS = 20  # of a word: those that most chunks have
_OTHER_FORMS_WEIGHT = 0.5
# A title's words count less: they are the same for every chunk of a document.
_FIELD_BOOSTS = {"title": 0.5, "heading": 1.0, "body": 1.0}
_SHORT = 600  # characters of a chunk
_NUMBER = re.compile(r"\d+")


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Over damaged files tantivy panics, which is no Exception: without this it would end what the vectors can do."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise RuntimeError(f"tantivy: {error}") from error
        raise


@dataclass(frozen=True, slots=True)
class LexicalEntry:
    """What is indexed of a chunk."""

    chunk_id: str
    collection_id: str
    title: str
    heading: str
    body: str
    page_index: int | None = None

    @property
    def version(self) -> str:
        """The document's version that the chunk is of, `{document}:{version}`."""
        return ChunkId(self.chunk_id).version_name


class LexicalIndex:
    """An open tantivy index, to read; methods may be called from any thread."""

    @panics_as_errors()
    def __init__(self, path: Path) -> None:
        import tantivy

        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._schema = (
            tantivy.SchemaBuilder()
            .add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
            .add_text_field("version", tokenizer_name="raw", index_option="basic")
            .add_text_field("collection", tokenizer_name="raw", index_option="basic")
            .add_unsigned_field("page", indexed=False, fast=True)
            .add_text_field("title", tokenizer_name=_TOKENIZER)
            .add_text_field("heading", tokenizer_name=_TOKENIZER)
            .add_text_field("body", tokenizer_name=_TOKENIZER)
            .build()
        )
        self.tantivy = tantivy.Index(self._schema, path=str(path))
        self.tantivy.register_tokenizer(_TOKENIZER, analyzer())

    @panics_as_errors()
    def count(self) -> int:
        """How many chunks are indexed."""
        return int(self.tantivy.searcher().num_docs)

    @panics_as_errors()
    def versions(self) -> set[str]:
        """The versions (`{document}:{version}`) of which there are chunks, or were and are not purged yet."""
        return {version for version, _ in self.tantivy.searcher().terms_with_prefix("version", "")}

    @panics_as_errors()
    def search(
        self,
        question: str,
        collection_ids: Sequence[str] | None,
        limit: int,
        versions: Sequence[str] | None = None,
        pages: tuple[int, int] | None = None,
        other_words: str = "",
    ) -> list[tuple[str, float]]:
        """The best chunk ids with their BM25 scores, best first; none if no word of the question is known. The
        `other_words` for it have less weight.

        `collection_ids` are the collections searched, None all; `versions` narrows the search to those
        (`{document}:{version}`), `pages` to chunks on the pages with those indexes and between them; an empty scope
        finds nothing.
        """
        words = dict.fromkeys(terms(other_words), OTHER_WORDS_WEIGHT) | dict.fromkeys(terms(question), 1.0)
        ids, field = (collection_ids, "collection") if versions is None else (versions, "version")
        if not words or (ids is not None and not ids):
            return []
        import tantivy

        within = [] if ids is None else [tantivy.Query.term_set_query(self._schema, field, list(ids))]
        if not is_english(question):
            words = self._with_other_forms(words)
        if versions is not None:
            words = self._weighted_within(words, within[0])
        query = self._query(words)
        if pages is not None:
            within.append(tantivy.Query.range_query(self._schema, "page", tantivy.FieldType.Unsigned, *pages))
        filtered = tantivy.Query.boolean_query(
            [
                (tantivy.Occur.Must, query),
                *((tantivy.Occur.Must, tantivy.Query.const_score_query(part, 0.0)) for part in within),
            ]
        )
        searcher = self.tantivy.searcher()
        found = searcher.search(filtered, limit, count=False)
        return [(str(searcher.doc(address)["id"][0]), float(score)) for score, address in found.hits]

    def term_weights(self, question: str) -> dict[str, float]:
        """The question's words (as `terms` gives them) with their inverse document frequency, as BM25 has it."""
        count = self.count()
        frequencies = self.frequencies(set(terms(question)))
        return {word: _idf(frequency, count) for word, frequency in frequencies.items()}

    @panics_as_errors()
    def frequencies(self, words: Iterable[str]) -> dict[str, int]:
        """In how many chunks each of the words is, in the form that `terms` gives; 0 for one that is in none."""
        searcher = self.tantivy.searcher()
        count = int(searcher.num_docs)
        return {word: min(count, max(searcher.doc_freq(field, word) for field in _FIELD_BOOSTS)) for word in words}

    @panics_as_errors()
    def terms_with_prefix(self, prefix: str) -> dict[str, int]:
        """The words of the index that begin so, those of most chunks only, with how many chunks have them."""
        searcher = self.tantivy.searcher()
        frequencies: dict[str, int] = {}
        for field in _FIELD_BOOSTS:
            for term, frequency in searcher.terms_with_prefix(field, prefix, limit=_MOST_TERMS):
                frequencies[term] = min(int(searcher.num_docs), max(frequency, frequencies.get(term, 0)))
        return frequencies

    def _with_other_forms(self, words: Mapping[str, float]) -> dict[str, float]:
        """The words and other forms of them with their weights: those with which all forms of a word have the inverse
        document frequency of one word that is in all chunks that have any. Whoever looks for a common word in a rare
        form is not sent to that form.

        Words that begin with the same five or six letters do as well as those with the same stem over many languages
        (McNamee, Nicholas, Mayfield: "Addressing Morphological Variation in Alphabetic Languages", SIGIR 2009).
        """
        count = self.count()
        weighted = dict(words)
        for word, weight in words.items():
            if len(word) < _STEM or not word.isalpha():
                continue
            near = {
                term: frequency
                for term, frequency in self.terms_with_prefix(word[:_STEM]).items()
                if term.isalpha() and abs(len(term) - len(word)) <= _LONGEST_ENDING and term not in words
            }
            forms = dict(sorted(near.items(), key=lambda item: (-item[1], item[0]))[:_MOST_FORMS])
            own = self.frequencies([word])[word]
            common = _idf(min(count, own + sum(forms.values())), count)
            weighted[word] = weight * common / _idf(own, count)
            for term, frequency in forms.items():
                weight_of_form = weight * _OTHER_FORMS_WEIGHT * common / _idf(frequency, count)
                weighted[term] = max(weighted.get(term, 0.0), weight_of_form)
        return weighted

    def _query(self, words: Mapping[str, float]) -> tantivy.Query:
        """Any of the words, by its weight, in any field; what a word scores in several fields adds up."""
        import tantivy

        alternatives = [
            tantivy.Query.boost_query(
                tantivy.Query.term_query(self._schema, field, word, index_option="freq"), weight * boost
            )
            for word, weight in words.items()
            for field, boost in _FIELD_BOOSTS.items()
        ]
        return tantivy.Query.boolean_query([(tantivy.Occur.Should, query) for query in alternatives])

    def _weighted_within(self, words: Mapping[str, float], within: tantivy.Query) -> dict[str, float]:
        """The weights that give the words the inverse document frequency they have among the chunks that `within`
        finds: what every page of a report has tells its pages apart no more, however rare it is elsewhere."""
        import tantivy

        searcher = self.tantivy.searcher()

        def count(query: tantivy.Query) -> int:
            return int(searcher.search(query, 1, count=True).count)

        total, everywhere = count(within), int(searcher.num_docs)
        weighted = {}
        for word, frequency in self.frequencies(words).items():
            alternatives = [
                tantivy.Query.term_query(self._schema, field, word, index_option="basic") for field in _FIELD_BOOSTS
            ]
            holding = tantivy.Query.boolean_query([(tantivy.Occur.Should, query) for query in alternatives])
            both = tantivy.Query.boolean_query([(tantivy.Occur.Must, within), (tantivy.Occur.Must, holding)])
            if frequency:
                weighted[word] = words[word] * _idf(count(both), total) / _idf(frequency, everywhere)
        return weighted


def _idf(frequency: int, count: int) -> float:
    """As BM25 and tantivy have it."""
    return math.log(1 + (count - frequency + 0.5) / (frequency + 0.5))


class LexicalWriter:
    """The one writer of an index; its methods may be called from any thread, and what they write can be found when they
    return. What fails, and all that was not committed before it, has no effect."""

    @panics_as_errors()
    def __init__(self, index: LexicalIndex) -> None:
        self.index = index
        self._writer = index.tantivy.writer(heap_size=_HEAP_BYTES, num_threads=1)
        self._lock = threading.Lock()
        self._has_failed = False

    @panics_as_errors()
    def close(self) -> None:
        """Wait for merges and let go of the writer's lock."""
        self._writer.wait_merging_threads()

    def add(self, entries: Iterable[LexicalEntry]) -> None:
        """Index chunks."""
        with self._writing():
            self._add(entries)
            self._commit()

    def delete(self, versions: Iterable[str]) -> None:
        """Delete all chunks of these versions (`{document}:{version}`). Their words stay in the files, unseen, until
        their segments are written anew: see segments.py."""
        with self._writing():
            for version in versions:
                self._writer.delete_documents_by_term("version", version)
            self._commit()

    def rewrite(self, version: str, entries: Iterable[LexicalEntry]) -> None:
        """Move a version (`{document}:{version}`) into a new segment: what is there of it is deleted, and `entries`,
        all that should be, are indexed. It takes effect with the next commit, whoever makes it."""
        with self._writing():
            self._writer.delete_documents_by_term("version", version)
            self._add(entries)

    def commit(self) -> None:
        """Take in what was rewritten, and delete the files of segments that are empty now."""
        with self._writing():
            self._commit()
            self._writer.garbage_collect_files()  # once more: the reader had them open during the commit

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """The writer, for this thread alone. After a failure, such as a full disk, tantivy's would take all that it is
        given and lose it without a word; rolled back it works again."""
        with self._lock, panics_as_errors():
            if self._has_failed:
                self._writer.rollback()
            self._has_failed = True
            yield
            self._has_failed = False

    def _add(self, entries: Iterable[LexicalEntry]) -> None:
        import tantivy

        for entry in entries:
            document = tantivy.Document()
            document.add_text("id", entry.chunk_id)
            document.add_text("version", entry.version)
            document.add_text("collection", entry.collection_id)
            if entry.page_index is not None:
                document.add_unsigned("page", entry.page_index)
            document.add_text("title", segmented(entry.title))
            document.add_text("heading", segmented(entry.heading))
            document.add_text("body", segmented(entry.body))
            self._writer.add_document(document)

    def _commit(self) -> None:
        self._writer.commit()
        self.index.tantivy.reload()


def lexical_entries(title: str, collection_id: str, chunks: Iterable[Chunk]) -> Iterator[LexicalEntry]:
    """What is indexed of the chunks of a document of that title."""
    chunks = list(chunks)
    for place, chunk in enumerate(chunks):
        body = _widened(chunk, chunks[max(0, place - 1) : place + 2])
        yield LexicalEntry(chunk.id, collection_id, title, chunk.heading, body, chunk.page_index)


def _widened(chunk: Chunk, neighbours: Sequence[Chunk]) -> str:
    """What is indexed as the body of a chunk: its text; of a short one that is not English its words twice, and once
    those of the chunks beside it on its page, or in its record.

    An embedding model cuts a language that it does not know into so many tokens that a chunk has but a few sentences,
    and the words of a question are spread over several. Numbers are those of the chunk alone: see rag/text/codes.py.
    """
    if len(chunk.text) >= _SHORT or is_english(chunk.text):
        return chunk.text
    place = (chunk.page_index, chunk.record_id)
    texts = [other.text for other in neighbours if (other.page_index, other.record_id) == place]
    return "\n".join([chunk.text, _NUMBER.sub(" ", "\n".join(texts))]) if len(texts) > 1 else chunk.text


def live_entries(catalog: Catalog, version: str) -> list[LexicalEntry]:
    """What is indexed of a version (`{document}:{version}`); nothing where it is not the live one, or not any more."""
    document_id = version.rpartition(":")[0]
    document = catalog.find_document(document_id)
    entries = [
        entry
        for live in catalog.live_versions([document_id])
        if document is not None
        for entry in lexical_entries(document.title, live.collection_id, catalog.chunks_of(document_id))
    ]
    return entries if all(entry.version == version for entry in entries) else []

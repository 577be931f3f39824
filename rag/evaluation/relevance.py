"""What is expected, found again in what came: evidence as targets in the catalog, and their ranks among the hits."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from rag.evaluation.metrics import Rank
from rag.evaluation.questions import Question
from rag.storage.catalog import Catalog
from rag.text.markers import without_markers
from rag.types.documents import Chunk, Citation, Hit, Passage

Page = tuple[str, int]  # document id, page index from 0


@dataclass(frozen=True, slots=True)
class Target:
    """One expected piece of evidence. All that is set must fit; `documents` and `pages` are what the names mean in the
    catalog, None where nothing is named, empty where there is no such thing. `text` is normalised."""

    documents: frozenset[str] | None = None
    pages: frozenset[Page] | None = None
    record_id: str | None = None
    text: str | None = None

    def fits(self, document_id: str, page_index: int | None, record_id: str | None = None) -> bool:
        """Whether a place is the expected one; the text is not looked at."""
        return (
            (self.documents is None or document_id in self.documents)
            and (self.pages is None or (document_id, page_index) in self.pages)
            and (self.record_id is None or record_id == self.record_id)
        )


@dataclass(frozen=True, slots=True)
class Expected:
    """What a question should find. `targets` are the most precise pieces that it names: texts, else records, else
    pages, else documents; `pages` and `documents` are there for themselves. `unknown` says what does not exist."""

    targets: tuple[Target, ...] = ()
    pages: tuple[Target, ...] = ()
    documents: Target | None = None
    unknown: tuple[str, ...] = ()


class EvidenceResolver:
    """The documents of one collection by the names that people give them; looks pages up once a document."""

    def __init__(self, catalog: Catalog, collection: str) -> None:
        self._catalog = catalog
        self._sources: dict[str, list[tuple[str, str]]] = defaultdict(list)  # file name → (source, document id)
        self._ids: set[str] = set()
        self._pages: dict[str, dict[str, int]] = {}
        for document in catalog.documents(collection):
            self._ids.add(document.id)
            self._sources[PurePosixPath(document.source).name].append((document.source, document.id))

    def expected(self, question: Question) -> Expected:
        """What the question expects, in terms of the catalog; nothing where it cannot be answered."""
        unknown = [name for name in question.without if not self._documents(name)]
        if not question.is_answerable:
            return Expected(unknown=tuple(unknown))
        named = [self._documents(name) for name in question.documents]
        unknown += [name for name, ids in zip(question.documents, named, strict=True) if not ids]
        pages: list[Target] = []
        for place, label in enumerate(question.pages):
            owner = place if len(named) > 1 else 0
            found = frozenset((d, index) for d in named[owner] if (index := self._page(d, label)) is not None)
            if named[owner] and not found:
                unknown.append(f"page {label} of {question.documents[owner]}")
            pages.append(Target(pages=found))
        anywhere = frozenset().union(*named) if named else None
        targets = (
            [Target(documents=anywhere, text=normalised(text)) for text in question.texts]
            or [Target(documents=anywhere, record_id=record_id) for record_id in question.record_ids]
            or pages
            or [Target(documents=ids) for ids in named]
        )
        documents = None if anywhere is None else Target(documents=anywhere)
        return Expected(tuple(targets), tuple(pages), documents, tuple(unknown))

    def sources(self, names: Sequence[str]) -> list[str]:
        """The sources of the documents with these names, by which a filter knows them."""
        wanted = frozenset[str]().union(*map(self._documents, names))
        return [source for named in self._sources.values() for source, id_ in named if id_ in wanted]

    def _documents(self, name: str) -> frozenset[str]:
        """The documents of that id, source, end of a source (`folder/file.pdf`), or file name."""
        if name in self._ids:
            return frozenset([name])
        candidates = self._sources.get(PurePosixPath(name).name, [])
        return frozenset(id_ for source, id_ in candidates if f"/{source}".endswith(f"/{name.lstrip('/')}"))

    def _page(self, document_id: str, name: str) -> int | None:
        """The page's index: a printed label goes before a number counted from 1."""
        if document_id not in self._pages:
            known: dict[str, int] = {}
            indexed = [s for s in self._catalog.sections(document_id) if s.page_index is not None]
            for section in indexed:
                known.setdefault(section.page_label or "", section.page_index or 0)
            for section in indexed:
                known.setdefault(str((section.page_index or 0) + 1), section.page_index or 0)
            self._pages[document_id] = known
        return self._pages[document_id].get(name)


def normalised(text: str) -> str:
    """As texts are compared: white space, letter case and typographic forms (ligatures, wide digits) do not count."""
    return " ".join(unicodedata.normalize("NFKC", text).split()).casefold()


def holds_any(text: str, wanted: Sequence[str]) -> bool:
    """Whether one of the wanted texts is in `text`, marks such as `[1]` aside."""
    plain = normalised(without_markers(text))
    return any(normalised(part) in plain for part in wanted)


# ---------------------------------------------------------------------------------------------------- among the hits


def rank(target: Target, hits: Sequence[Hit]) -> Rank:
    """The place, from 1, of the first hit that brings the target; a text may be spread over neighbouring chunks, and is
    there once all of them are."""
    for place, hit in enumerate(hits, start=1):
        chunk = hit.chunk
        if target.fits(chunk.document_id, chunk.page_index, chunk.record_id):
            if target.text is None:
                return place
            same = [h.chunk for h in hits[:place] if _page_of(h.chunk) == _page_of(chunk)]
            if any(target.text in normalised(text) for text in _joined(same)):
                return place
    return None


def _page_of(chunk: Chunk) -> tuple[str, int | None]:
    return chunk.document_id, chunk.page_index


def _joined(chunks: Iterable[Chunk]) -> list[str]:
    """The texts of chunks of one page, those of neighbours as one."""
    runs: list[tuple[Chunk, str]] = []  # the last chunk of a run, its text so far
    for chunk in sorted(chunks, key=lambda chunk: chunk.number):
        if runs and chunk.number == runs[-1][0].number + 1:
            last, text = runs[-1]
            fresh = chunk.text[last.end - chunk.start :] if chunk.start < last.end else f" {chunk.text}"
            runs[-1] = chunk, text + fresh
        else:
            runs.append((chunk, chunk.text))
    return [text for _, text in runs]


# --------------------------------------------------------------------------------------- in the prompt, in the answer


def is_in_context(target: Target, passages: Sequence[Passage], hits: Sequence[Hit]) -> bool:
    """Whether the passages that the model would read hold the target.

    A text may come from any document: of equal passages only one is packed. Passages do not know records, the hits that
    they were made of do.
    """
    if target.text is not None:
        return any(target.text in normalised(passage.text) for passage in passages)
    if target.record_id is None:
        return any(target.fits(passage.document_id, passage.page_index) for passage in passages)
    chunks = [hit.chunk for hit in hits if target.fits(*_page_of(hit.chunk), hit.chunk.record_id)]
    return any(_is_inside(chunk, passage) for chunk in chunks for passage in passages)


def _is_inside(chunk: Chunk, passage: Passage) -> bool:
    same_page = _page_of(chunk) == (passage.document_id, passage.page_index)
    return same_page and passage.start <= chunk.start and chunk.end <= passage.end


def is_cited(pages: Sequence[Target], citations: Sequence[Citation]) -> bool:
    """Whether a citation points to one of the expected pages."""
    return any(page.fits(citation.document_id, citation.page_index) for page in pages for citation in citations)

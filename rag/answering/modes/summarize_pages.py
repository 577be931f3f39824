"""The pages of a scope in reading order, each once and whole: what a summary reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rag.answering.prompt_budget import beginning
from rag.storage.catalog import Catalog
from rag.text.injection import addresses_assistant
from rag.types.documents import Document, Passage, Scope, Section

_UNPAGED_TOKENS = 800  # of a piece of a file without pages: a footnote is to point at less than all of it


@dataclass(frozen=True, slots=True)
class Pages:
    """Pieces of pages, with how many pages and documents there are in the scope, and in how many of each is text. A
    file without pages counts as one. Footnote numbers are not given yet: all are 0."""

    passages: tuple[Passage, ...]
    pages: int
    documents: int
    pages_with_text: int
    documents_with_text: int


def read_pages(catalog: Catalog, scope: Scope, count_tokens: Callable[[str], int], most_tokens: int) -> Pages:
    """All text of the scope, in pieces of at most so many tokens; blocking. A page is one piece where it can be."""
    passages: list[Passage] = []
    pages = documents = pages_with_text = documents_with_text = 0
    for document in _documents(catalog, scope):
        sections = catalog.sections(document.id)
        in_scope = [section for section in sections if _is_within(section, scope)]
        texts = [list(sections) for _, sections in groupby(in_scope, key=lambda section: section.page_index)]
        texts = [page for page in texts if any(section.text.strip() for section in page)]
        for page in texts:
            limit = most_tokens if page[0].page_index is not None else min(most_tokens, _UNPAGED_TOKENS)
            passages += _pieces(document, page, count_tokens, limit)
        count = _count_pages(document, sections, scope)
        pages, documents = pages + count, documents + bool(count)
        pages_with_text, documents_with_text = pages_with_text + len(texts), documents_with_text + bool(texts)
    return Pages(tuple(passages), pages, documents, pages_with_text, documents_with_text)


def _documents(catalog: Catalog, scope: Scope) -> list[Document]:
    found = [document for collection_id in scope.collection_ids for document in catalog.documents(collection_id)]
    return [document for document in found if scope.document_ids is None or document.id in scope.document_ids]


def _is_within(section: Section, scope: Scope) -> bool:
    if scope.pages is None:
        return True
    return section.page_index is not None and scope.pages[0] <= section.page_index + 1 <= scope.pages[1]


def _count_pages(document: Document, sections: Sequence[Section], scope: Scope) -> int:
    """How many pages the document has in the scope, with text or without."""
    first, last = scope.pages or (1, document.pages)
    if scope.pages is not None and sections and all(section.page_index is None for section in sections):
        return 0
    return max(min(last, document.pages) - first + 1, 0)


def _pieces(
    document: Document, sections: Sequence[Section], count_tokens: Callable[[str], int], limit: int
) -> Iterator[Passage]:
    """A page as pieces that end where a line ends, and begin under the heading that holds there."""
    text = "".join(section.text for section in sections)
    headings: list[tuple[int, str]] = []
    start = 0
    for section in sections:
        headings.append((start, section.heading))
        start += len(section.text)
    for start, end in _spans(text, count_tokens, limit):
        heading = next(heading for begins, heading in reversed(headings) if begins <= start)
        yield Passage(
            number=0,
            document_id=document.id,
            title=document.title,
            source=document.source,
            page_index=sections[0].page_index,
            page_label=sections[0].page_label,
            heading=heading,
            start=start,
            end=end,
            text=text[start:end],
            score=1.0,
            addresses_assistant=addresses_assistant(f"{document.title}\n{heading}\n{text[start:end]}"),
        )


def _spans(text: str, count_tokens: Callable[[str], int], limit: int) -> Iterator[tuple[int, int]]:
    """Spans of whole lines that count at most `limit`, one after the other; a line that is longer is cut."""
    if count_tokens(text) <= limit:
        yield 0, len(text)
        return
    start = end = tokens = 0
    for line in text.splitlines(keepends=True):
        cost = count_tokens(line)
        if start < end and tokens + cost > limit:
            yield start, end
            start, tokens = end, 0
        end, tokens = end + len(line), tokens + cost
        while tokens > limit and (piece := len(beginning(text[start:end], count_tokens, limit))) < end - start:
            yield start, start + max(piece, 1)
            start += max(piece, 1)
            tokens = count_tokens(text[start:end])
    if text[start:end].strip():
        yield start, end

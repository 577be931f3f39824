"""Other words for those of a question: what somebody calls "capex", a report calls purchases of property.

A glossary has groups of phrases that mean the same, one a line: `capex = capital expenditures; purchases of property`.
One is shipped (glossary.txt); the documents of that name in the collections that are searched are their owners', and
go first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

from rag.storage.catalog import Catalog
from rag.text.analysis import analyzer

NAME = "glossary.txt"  # of a document that is one, in small letters

_LONGEST = 6  # words of a phrase
_MOST_CHARACTERS = 1_000_000  # of a document that is read
_MOST_FOUND = 5  # groups for a question
_KEPT = 8  # glossaries
_WORD = re.compile(r"[^\W_]+")
_SEPARATORS = re.compile(r"[=;]")

Stems = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Glossary:
    """Groups of phrases that mean the same."""

    groups: Sequence[Sequence[str]]
    _places: Mapping[Stems, int] = field(init=False)  # of each phrase, that of its group

    def __post_init__(self) -> None:
        places: dict[Stems, int] = {}
        for place, group in enumerate(self.groups):
            for phrase in group:
                places.setdefault(_stems(phrase), place)
        object.__setattr__(self, "_places", places)

    def other_words(self, question: str) -> str:
        """The other phrases of the groups of which one stands in the question; empty where none does."""
        stems = _stems(question)
        found: dict[int, None] = {}
        place = 0
        while place < len(stems) and len(found) < _MOST_FOUND:
            sizes = range(min(_LONGEST, len(stems) - place), 0, -1)
            size = next((size for size in sizes if stems[place : place + size] in self._places), 0)
            if size:
                found[self._places[stems[place : place + size]]] = None
            place += size or 1
        text = " ".join(stems)
        phrases = (phrase for group in found for phrase in self.groups[group])
        return "; ".join(phrase for phrase in phrases if " ".join(_stems(phrase)) not in text)


def glossary_of(catalog: Catalog, collection_ids: Sequence[str]) -> Glossary:
    """The glossary for searches in these collections. Kept until a document changes."""
    return _glossary_of(catalog, catalog.revision, tuple(collection_ids))


@lru_cache(maxsize=_KEPT)
def _glossary_of(catalog: Catalog, _revision: int, collection_ids: Sequence[str]) -> Glossary:
    documents = catalog.documents_named(NAME, collection_ids)
    if not documents:
        return _shipped()
    texts = ("".join(section.text for section in catalog.sections(document.id)) for document in documents)
    own = [group for text in texts for group in read_groups(text[:_MOST_CHARACTERS].splitlines())]
    return Glossary([*own, *_shipped().groups])


@cache
def _shipped() -> Glossary:
    return Glossary(list(read_groups(Path(__file__).with_name(NAME).read_text(encoding="utf-8").splitlines())))


def read_groups(lines: Iterable[str]) -> Iterator[list[str]]:
    """The groups in the lines of a glossary; what follows `#` is a comment, and a line without `=` no group."""
    for line in lines:
        entry = line.partition("#")[0]
        phrases = [phrase.strip() for phrase in _SEPARATORS.split(entry)] if "=" in entry else []
        group = [phrase for phrase in phrases if 0 < len(_WORD.findall(phrase)) <= _LONGEST]
        if len(group) > 1:
            yield group


def _stems(text: str) -> Stems:
    """The words as the word index knows them, function words as they are: "day off" is more than "day"."""
    return tuple(stem for word in _WORD.findall(text) for stem in (analyzer().analyze(word) or [word.lower()])[:1])

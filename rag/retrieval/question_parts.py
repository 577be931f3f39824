"""A question to several documents, or about two things that it compares, is several questions: each is searched by
itself, so that none of them is lost behind another."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from rag.retrieval.document_names import NamedDocuments, named_documents, that_may_name
from rag.storage.database import Database
from rag.storage.name_tokens import WORD
from rag.text.analysis import terms
from rag.types.documents import Scope

_MOST_SIDES = 6  # of words that join
_TELLING = 5  # letters; shorter words, in four languages, join others
# How much of a document's name is said, in small letters: by one side at least, and by the others.
_CLEAR_NAME = 0.6
_HALF_A_NAME = 0.45
_JOINERS = re.compile(
    r"[,;&]|(?<!\w)(?:and|or|vs\.?|versus|with|than|against|und|oder|mit|als|gegen|et|ou|avec|contre|y|e|o|con)(?!\w)",
    re.IGNORECASE,
)
_COMPARES = re.compile(
    r"\b(?:compar\w+|versus|vs|differen\w+|differ|changed between|vergleich\w*|unterschied\w*|unterscheide\w*"
    r"|différen\w+|diffèrent?|diferenci\w+)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"[^\W\d_]*(?:\d|[A-ZÄÖÜÉÈÀÁÍÓÚÑÇ])")  # has a capital or a digit
_GERMAN = re.compile(r"\b(?:der|das|dem|und|ist|wie|für|von|gibt|laut|haben|vergleiche)\b", re.IGNORECASE)
_PERIOD = re.compile(r"(?:[QH][1-4])?(?:FY)?(?:(?:19|20)?\d\d)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class QuestionPart:
    """A question that is searched by itself, among the documents that it names where it is one to several of them."""

    question: str
    document_ids: frozenset[str] | None = None
    clarity: float = 0.0  # how sure it is that it names these, in 0–1

    def scope(self, scope: Scope) -> Scope:
        """Where of the scope it is searched."""
        return scope if self.document_ids is None else replace(scope, document_ids=self.document_ids)


def question_parts(database: Database, question: str, scope: Scope) -> list[QuestionPart]:
    """The questions in a question to several documents that it names, or that compares two things; else none.

    What stands at either side of a word that joins (`and`, `than`, `versus`) is asked by itself where it says what is
    asked, and else the whole question without the names of the others: "with that of the Petrel 80" leaves it to the
    other side what of it.
    """
    texts = [side for side in _JOINERS.split(question) if side.strip()][:_MOST_SIDES]
    compares = bool(_COMPARES.search(question))
    if len(texts) < 2 or not (compares or len(that_may_name(database, texts)) > 1):
        return []
    sides = [
        side for side in (_side(database, question, text, scope) for text in texts) if compares or not side.is_period
    ]
    if not compares and sum(bool(side.named.documents) for side in sides) < 2:
        return []
    parts = [_part(database, question, scope, side, [other for other in sides if other is not side]) for side in sides]
    clear = [part for part in parts if part.clarity >= _HALF_A_NAME]
    differing = _differing(clear) if any(part.clarity >= _CLEAR_NAME for part in clear) else []
    if len(differing) > 1:
        return differing
    telling = [part for side, part in zip(sides, parts, strict=True) if side.names or side.says_what]
    return [replace(part, document_ids=None) for part in telling] if compares and len(telling) > 1 else []


@dataclass(frozen=True, slots=True)
class _Side:
    """What stands at one side of a word that joins; its words that have a capital, not as its first one, or a digit;
    the documents that it names."""

    text: str
    proper_names: Sequence[str]
    named: NamedDocuments
    is_german: bool

    @property
    def names(self) -> frozenset[str]:
        """Its words that name something; in German every noun has a capital."""
        proper = (word for word in self.proper_names if not self.is_german or _has_digit(word))
        return self.named.words_of(self.text) | frozenset(proper)

    @property
    def is_numeric(self) -> bool:
        """Whether all that it names is numbers: then it is what the other side is, of another number or year."""
        return bool(self.names) and all(map(_has_digit, self.names))

    @property
    def is_period(self) -> bool:
        """Whether all that it names is years and quarters: a report has those before it, too, for comparison."""
        return bool(self.names) and all(map(_PERIOD.fullmatch, self.names))

    @property
    def says_what(self) -> bool:
        """Whether it says what is asked of what it names."""
        words = WORD.findall(_COMPARES.sub(" ", _without(self.text, self.names)))
        return any(len(word) >= _TELLING and terms(word) for word in words)

    def clarity(self, named: NamedDocuments) -> float:
        """How sure it is that it means these documents, in 0–1: quite where it has a name of theirs, or how much of
        their name it has in small letters."""
        is_proper = any(not _PERIOD.fullmatch(word) for word in named.words_of(" ".join(self.proper_names)))
        return 1.0 if is_proper or self.is_numeric else named.coverage


def _side(database: Database, question: str, text: str, scope: Scope) -> _Side:
    is_german = bool(_GERMAN.search(question))
    proper_names = [match[0] for match in WORD.finditer(text) if match.start() and _NAME.match(match[0])]
    if any(not _PERIOD.fullmatch(name) for name in proper_names):
        named = named_documents(database, " ".join(proper_names), scope)
        if named.documents:
            return _Side(text, proper_names, named, is_german)
    return _Side(text, proper_names, named_documents(database, text, scope), is_german)


def _part(database: Database, question: str, scope: Scope, side: _Side, others: Sequence[_Side]) -> QuestionPart:
    text, named = side.text, side.named
    if not side.says_what:
        names = frozenset(name for other in others for name in other.names) - side.names
        text = _without(question, {name for name in names if not side.is_numeric or _has_digit(name)})
    if side.is_numeric:
        named = named_documents(database, text, scope)
    return QuestionPart(text, named.documents or None, side.clarity(named))


def _differing(parts: Sequence[QuestionPart]) -> list[QuestionPart]:
    """The parts with those documents that no part before them has."""
    kept: list[QuestionPart] = []
    for part in parts:
        known = frozenset[str]().union(*(other.document_ids or () for other in kept))
        if part.document_ids and not part.document_ids & known:
            kept.append(part)
    return kept


def _without(text: str, words: Collection[str]) -> str:
    return WORD.sub(lambda match: "" if match[0] in words else match[0], text)


def _has_digit(word: str) -> bool:
    return any(map(str.isdigit, word))

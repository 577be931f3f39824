"""Retrieval: two legs, one by meaning and one by words, fused by score; documents that the question names are raised.

Fusion is a convex combination of min–max normalised scores (Bruch, Gai, Ingber: "An Analysis of Fusion Functions for
Hybrid Retrieval", TOIS 2023). docs/retrieval.md has what was measured beside it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, zip_longest
from typing import TypeVar

from rag.errors import BackendError, RagError
from rag.index.index import Index
from rag.index.repair import Part
from rag.retrieval.document_names import NamedDocuments, named_documents
from rag.retrieval.glossary import glossary_of
from rag.retrieval.question_cues import asking_part
from rag.retrieval.question_parts import question_parts
from rag.retrieval.relevance_gate import matching_documents, with_relevance
from rag.retrieval.snippet import snippet
from rag.retrieval.spelling import corrected
from rag.settings import RetrievalSettings
from rag.storage.catalog import StoredChunk
from rag.telemetry.spans import span
from rag.text.analysis import contextual_text, terms
from rag.text.codes import question_codes
from rag.text.tokenizers import continued_words, token_spans
from rag.types.documents import Chunk, ChunkId, Hit, Scope
from rag.types.models import Reranker

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")
Leg = Sequence[tuple[str, float]]  # chunk ids with scores, best first

_ATTEMPTS = 3  # a search that a replaced document ran into is done again, so that the document does not seem to vanish
_LOOKED_UP = 64  # chunks a look into the catalog
_WHOLE_NAME = 0.7  # share of a document's name that is as good as the whole: who speaks of a report leaves out its form
_FIRST = 2  # chunks for each of two things that are compared, before what the whole question finds
_HALF_A_NAME = 0.5  # share from which a question for all of something is about the documents that it names
_REPEATED_PAGE = 0.6  # what a further chunk of a page keeps of its score: another page is worth more than more of one
# A code of the question (a clause, an id, a date) that few chunks hold is what is asked for.
_FEW = 20  # chunks
_RARE = math.log(5)  # the idf of a word in every fifth chunk
_MOST_CODES = 8  # of a question
_OPENING = 0.5  # what a line that begins with a code is worth, in codes
_LINE_MARKS = " \t#*-•|>"
# An embedding model knows a language as well as its vocabulary does. The more of a question's words fall into pieces,
# the less the vectors weigh, down to a part of their weight that is enough for names and loan words.
_KNOWN = 0.35  # share of the words that do in a question about a special field
_UNKNOWN = 0.6  # … and in another language
_WEIGHT_OF_UNKNOWN = 0.2
# A model for many languages finds pages in another one, where words find nothing but names.
_FAMILIAR = 0.75  # share of the question's words that the index knows in its own language
_FOREIGN = 0.6  # … and in another one
_WEIGHT_ACROSS = 0.9


@dataclass(frozen=True, slots=True)
class LegResults:
    """What both legs found."""

    dense: Leg
    lexical: Leg


@dataclass(frozen=True, slots=True)
class HybridRetriever:
    """Finds chunks by meaning and by words; safe to use from several tasks.

    As many searches run at a time as there are cores: they are arithmetic, and more at once would only make each other
    late. A search keeps to one thread, and its words are looked up in another while its question is embedded.
    """

    index: Index
    settings: RetrievalSettings
    reranker: Reranker | None = None
    _failing: set[str] = field(default_factory=set)
    _searches: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(os.cpu_count(), "search"))
    _lexical_legs: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(os.cpu_count(), "words"))

    @property
    def is_reranker_failing(self) -> bool:
        """Whether the reranker gave no order the last time, so that hits stand as the search found them."""
        return "reranker" in self._failing

    async def retrieve(self, question: str, scope: Scope, limit: int, *, snippets: bool = True) -> tuple[Hit, ...]:
        """The best `limit` chunks, best first. One failing leg is logged, the other answers; both raise, and so does
        a server of the storage that is away. Snippets take half of the time: without them, each is the whole chunk."""
        query = await self.query(question, scope)
        hits = await self._in_thread(lambda: self._with_relevance(query, self._retrieve(query, scope, limit)))
        return await self._in_thread(lambda: self._with_snippets(query, hits)) if snippets and hits else hits

    async def query(self, question: str, scope: Scope) -> str:
        """What is searched for: what a long message asks, and words that the index does not know as those that were
        meant. The query of a query is itself."""
        part = asking_part(question)
        return await self._in_thread(lambda: part if self._is_foreign(part) else corrected(part, self.index, scope))

    def _with_relevance(self, query: str, hits: Sequence[Hit]) -> tuple[Hit, ...]:
        return with_relevance(hits, query, self.index.term_weights(query), self.index.embedding) if hits else ()

    def _with_snippets(self, query: str, hits: Sequence[Hit]) -> tuple[Hit, ...]:
        weights = self.index.term_weights(query)
        best = hits[0].score or 1.0
        return tuple(replace(hit, snippet=snippet(hit.chunk.text, weights, hit.score / best)) for hit in hits)

    async def compared(self, query: str, scope: Scope) -> tuple[frozenset[str], ...]:
        """The documents that the query names one beside the other, each of which is searched by itself."""
        parts = await self._in_thread(lambda: question_parts(self.index.catalog.database, query, scope))
        return tuple(part.document_ids for part in parts if part.document_ids)

    async def best_of_matching(self, query: str, scope: Scope, hits: Sequence[Hit], least: float) -> dict[str, Hit]:
        """The best hit of each document that matches a query for all of something (see `matching_documents`), by
        document id; where it names that which matches best, only of those that it names."""
        return await self._in_thread(lambda: self._best_of_matching(query, scope, hits, least))

    def _best_of_matching(self, query: str, scope: Scope, hits: Sequence[Hit], least: float) -> dict[str, Hit]:
        matching = matching_documents(hits, least)
        named = named_documents(self.index.catalog.database, query, scope)
        if named.coverage < _HALF_A_NAME or next(iter(matching), None) not in named.documents:
            return matching
        return {document_id: hit for document_id, hit in matching.items() if document_id in named.documents}

    def _in_thread(self, work: Callable[[], _Result]) -> asyncio.Future[_Result]:
        return asyncio.get_running_loop().run_in_executor(self._searches, copy_context().run, work)

    def _retrieve(self, question: str, scope: Scope, limit: int) -> tuple[Hit, ...]:
        """The best hits; of a question about several documents, each of them has its share."""
        parts = question_parts(self.index.catalog.database, question, scope)
        found = self._retrieve_part(question, scope, limit)
        found_of_parts = [self._retrieve_part(part.question, part.scope(scope), limit) for part in parts]
        if any(part.document_ids for part in parts):
            return in_turns(found_of_parts, found)[:limit]
        return in_turns([hits[:_FIRST] for hits in (found, *found_of_parts)], found)[:limit] if parts else found

    def _retrieve_part(self, question: str, scope: Scope, limit: int) -> tuple[Hit, ...]:
        candidates = max(limit, self.settings.candidates_per_leg)
        dense_weight = self._dense_weight(question)
        other_words = glossary_of(self.index.catalog, scope.collection_ids).other_words(question)
        for _ in range(_ATTEMPTS):
            before = self.index.catalog.revision
            legs = self._search(question, scope, candidates, other_words)
            named = named_documents(self.index.catalog.database, question, scope)
            with span("fuse"):
                scores = convex_fusion(legs, dense_weight)
            if named.documents:
                within = replace(scope, document_ids=named.documents)
                narrow = self._search(question, within, candidates, other_words)
                scores = boost_named_documents(scores, convex_fusion(narrow, dense_weight), named)
                legs = LegResults(_united(legs.dense, narrow.dense), _united(legs.lexical, narrow.lexical))
            # a clause of a contract that has none of this number is not that of another contract
            of_named = replace(scope, document_ids=named.documents) if named.coverage >= _WHOLE_NAME else scope
            exact = self._exact(question, of_named) if legs.lexical else {}
            with span("look_up"):
                hits, is_complete = self._hits(question, scores, exact, legs, scope, limit)
            if is_complete or before == self.index.catalog.revision:
                break
        return hits

    def _dense_weight(self, question: str) -> float:
        """The weight of the vectors for this question, less where the embedding model hardly knows its language."""
        if self.index.embedding.is_multilingual:
            return self._weight_across_languages(question)
        continued = continued_words(question, token_spans(self.index.embedding.tokenizer))
        known = (_UNKNOWN - continued) / (_UNKNOWN - _KNOWN)
        return self.settings.dense_weight * min(1.0, max(_WEIGHT_OF_UNKNOWN, known))

    def _weight_across_languages(self, question: str) -> float:
        """The weight of the vectors of a model for many languages: more where the index hardly knows the question's
        words, because the documents are in another one."""
        foreign = min(1.0, max(0.0, (_FAMILIAR - self._known_share(question)) / (_FAMILIAR - _FOREIGN)))
        weight = self.settings.dense_weight
        return weight + foreign * max(0.0, _WEIGHT_ACROSS - weight)

    def _is_foreign(self, question: str) -> bool:
        """Whether the index lacks most of the question's words because they are of another language: no typing errors,
        where the model knows many languages."""
        return self.index.embedding.is_multilingual and self._known_share(question) < _FOREIGN

    def _known_share(self, question: str) -> float:
        """The share of the question's words that any chunk has; 1 for a question without any."""
        frequencies = self.index.frequencies(set(terms(question)))
        return sum(count > 0 for count in frequencies.values()) / len(frequencies) if frequencies else 1.0

    def _search(self, question: str, scope: Scope, candidates: int, other_words: str) -> LegResults:
        """Both legs, an empty one for one that failed. Raises when both did, or a server of the storage is away."""
        index, context = self.index, copy_context()
        search_lexical = partial(index.search_lexical, question, scope, candidates, other_words)
        lexical = self._lexical_legs.submit(context.run, search_lexical)
        found: dict[str, Leg] = {}
        failures: list[Exception] = []
        legs: dict[str, tuple[Part, Callable[[], Leg]]] = {
            "dense": ("vectors", partial(index.search_dense, question, scope, candidates, other_words)),
            "lexical": ("words", lexical.result),
        }
        for name, (part, leg) in legs.items():
            try:
                found[name] = leg()
                self.index.note_success(part)
            except RagError:  # it is known what is wrong, and will soon be over: half a search might find nothing
                raise
            except Exception as error:
                logger.exception("The %s leg of a search failed.", name)
                self.index.note_failure(part)
                failures.append(error)
        if not found:
            raise RagError("The search failed.", hint="`rag doctor` checks the storage folder.") from failures[0]
        return LegResults(found.get("dense", ()), found.get("lexical", ()))

    def _exact(self, question: str, scope: Scope) -> dict[str, float]:
        """Chunk id → which share of the question's codes it holds, of those that few chunks hold; somewhat more where a
        line begins with one: the clause itself is worth more than what refers to it."""
        codes = question_codes(question)[:_MOST_CODES]
        if not codes:
            return {}
        weights = self.index.term_weights(" ".join(codes))
        rare = [code for code in codes if weights.get(code, 0.0) >= _RARE]
        legs = {code: self.index.search_lexical(code, scope, _FEW + 1) for code in rare}
        found = {code: leg for code, leg in legs.items() if 0 < len(leg) <= _FEW}
        held = Counter(chunk_id for leg in found.values() for chunk_id, _ in leg)
        live = self.index.live_chunks(list(held), scope)
        opening = {chunk_id for chunk_id, stored in live.items() if _opens_with(found.keys(), stored.chunk)}
        return {
            chunk_id: (count + _OPENING * (chunk_id in opening)) / (len(found) + _OPENING)
            for chunk_id, count in held.items()
        }

    def _hits(
        self,
        question: str,
        scores: Mapping[str, float],
        exact: Mapping[str, float],
        legs: LegResults,
        scope: Scope,
        limit: int,
    ) -> tuple[tuple[Hit, ...], bool]:
        """The best hits, and whether all that was looked at still exists."""
        order = sorted(
            scores.keys() | exact.keys(),
            key=lambda chunk_id: (-exact.get(chunk_id, 0), -scores.get(chunk_id, 0), chunk_id),
        )
        looked_up = order[: max(limit * 3, _LOOKED_UP)]
        live = self.index.live_chunks(looked_up, scope)
        if len(live) < min(limit, len(looked_up)):  # much of it went meanwhile
            looked_up, live = order, self.index.live_chunks(order, scope)
        ranks = [{chunk_id: rank for rank, (chunk_id, _) in enumerate(leg, 1)} for leg in (legs.dense, legs.lexical)]
        found = [dict(legs.dense), dict(legs.lexical)]
        ranked = {chunk_id: scores.get(chunk_id, 0.0) for chunk_id in looked_up if chunk_id in live}
        if self.reranker is not None:
            ranked = self._reranked(self.reranker, question, ranked, live)
        ranked = exact_first(ranked, exact)
        best = spread(ranked, {chunk_id: stored.chunk for chunk_id, stored in live.items()})[:limit]
        hits = tuple(
            Hit(
                chunk=live[chunk_id].chunk,
                title=live[chunk_id].title,
                source=live[chunk_id].source,
                score=score,
                dense_rank=ranks[0].get(chunk_id),
                dense_score=found[0].get(chunk_id),
                lexical_rank=ranks[1].get(chunk_id),
                lexical_score=found[1].get(chunk_id),
                snippet=(0, len(live[chunk_id].chunk.text)),
                is_exact=chunk_id in exact,
            )
            for chunk_id, score in best
        )
        return hits, len(live) == len(looked_up)

    def _reranked(
        self, reranker: Reranker, question: str, scores: Mapping[str, float], live: Mapping[str, StoredChunk]
    ) -> dict[str, float]:
        """The scores of the first chunks as the reranker has them; the others follow in their order. Where it fails,
        all stay as they are."""
        first = list(scores)[: self.settings.rerank_top_n]
        chunks = [(live[chunk_id].title, live[chunk_id].chunk) for chunk_id in first]
        texts = [contextual_text(title, chunk.heading, chunk.text) for title, chunk in chunks]
        try:
            with span("rerank"):
                reranked = dict(zip(first, reranker.score(question, texts), strict=True))
        except BackendError as error:  # an answer from what was found is better than none
            logger.warning("The order is that of the search: %s %s", error.message, error.hint)
            self._failing.add("reranker")
            return dict(scores)
        self._failing.discard("reranker")
        lowest = min(reranked.values(), default=0.0)
        return {chunk_id: reranked.get(chunk_id, lowest * score) for chunk_id, score in scores.items()}


def convex_fusion(legs: LegResults, dense_weight: float) -> dict[str, float]:
    """Chunk id → score in 0–1: `w · minmax(dense) + (1 − w) · lexical / max(lexical)`.

    A chunk that one leg did not find gets 0 for that leg. When a leg found nothing at all, the other counts in full.
    """
    dense, lexical = legs.dense, legs.lexical
    if not dense or not lexical:
        dense_weight = 1.0 if dense else 0.0
    lowest = min((score for _, score in dense), default=0.0)
    width = max((score for _, score in dense), default=0.0) - lowest
    highest = max((score for _, score in lexical), default=0.0)
    fused: dict[str, float] = {}
    for chunk_id, score in dense:
        fused[chunk_id] = dense_weight * ((score - lowest) / width if width > 0 else 1.0)
    for chunk_id, score in lexical:
        share = score / highest if highest > 0 else 1.0
        fused[chunk_id] = fused.get(chunk_id, 0.0) + (1 - dense_weight) * share
    return fused


def boost_named_documents(
    scores: Mapping[str, float], within: Mapping[str, float], named: NamedDocuments
) -> dict[str, float]:
    """The scores, in 0–1 still, raised by those that chunks have `within` the documents that the question names.

    They are raised the more, the more of the name is said and the better these documents do among all: a word of the
    question that happens to be in a title is no reason to show what does not speak to it.
    """
    best = max(scores.values(), default=0.0)
    best_named = max(
        (score for chunk_id, score in scores.items() if ChunkId(chunk_id).document_id in named.documents), default=0.0
    )
    coverage = min(1.0, named.coverage / _WHOLE_NAME)
    lift = (coverage * best_named / best) ** 2 if best > 0 else 1.0
    chunk_ids = scores.keys() | within.keys()
    return {
        chunk_id: (scores.get(chunk_id, 0.0) + lift * within.get(chunk_id, 0.0)) / (1 + lift) for chunk_id in chunk_ids
    }


def in_turns(rankings: Sequence[Sequence[Hit]], others: Sequence[Hit]) -> tuple[Hit, ...]:
    """The first of each ranking, then the second of each and so on, then the others; each chunk once, and with scores
    that fall."""
    hits: dict[str, Hit] = {}
    for hit in chain(chain.from_iterable(zip_longest(*rankings)), others):
        if hit is not None:
            hits.setdefault(hit.chunk.id, hit)
    scores = sorted((hit.score for hit in hits.values()), reverse=True)
    return tuple(replace(hit, score=score) for hit, score in zip(hits.values(), scores, strict=True))


def exact_first(scores: Mapping[str, float], exact: Mapping[str, float]) -> dict[str, float]:
    """The scores, in 0–1 still, with the chunks first that hold codes of the question, by the `exact` share of them."""
    if not exact:
        return dict(scores)
    lifted = {chunk_id: 1 + share for chunk_id, share in exact.items()}
    return {chunk_id: (score + lifted.get(chunk_id, 0.0)) / 3 for chunk_id, score in scores.items()}


def _opens_with(codes: Collection[str], chunk: Chunk) -> bool:
    """Whether a heading or a line of the chunk begins with one of the codes, as `9.1.2 …` and `Clause 9.1.2 …` do."""
    lines = [*chunk.heading.split(" › "), *chunk.text.splitlines()]
    beginnings = (" ".join(line.strip(_LINE_MARKS).split(maxsplit=2)[:2]) for line in lines)
    return any(code in codes for beginning in beginnings for code in question_codes(beginning))


def spread(scores: Mapping[str, float], chunks: Mapping[str, Chunk]) -> list[tuple[str, float]]:
    """Chunk ids with their scores, best first; every further chunk of a page keeps less of its score."""
    seen = Counter[tuple[str, int]]()
    spread_scores = {}
    for chunk_id in sorted(scores, key=lambda chunk_id: (-scores[chunk_id], chunk_id)):
        chunk, repeated = chunks[chunk_id], 0
        if chunk.page_index is not None:
            page = (chunk.document_id, chunk.page_index)
            repeated = seen[page]
            seen[page] += 1
        spread_scores[chunk_id] = scores[chunk_id] * _REPEATED_PAGE**repeated
    return sorted(spread_scores.items(), key=lambda item: (-item[1], item[0]))


def _united(first: Leg, second: Leg) -> Leg:
    """The first leg, followed by what only the second one found."""
    known = {chunk_id for chunk_id, _ in first}
    return [*first, *(item for item in second if item[0] not in known)]

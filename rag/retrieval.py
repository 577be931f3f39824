"""Retrieval: two legs, one by meaning and one by words, and their fusion by score.

Fusion is a convex combination of min–max normalised scores (Bruch, Gai, Ingber: "An Analysis of Fusion Functions for
Hybrid Retrieval", TOIS 2023). Reciprocal rank fusion was measured beside it and lost on every set.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag.errors import RagError
from rag.evidence import evidence
from rag.index import Index
from rag.settings import RetrievalSettings
from rag.types import Hit, Scope

logger = logging.getLogger(__name__)

Leg = Sequence[tuple[str, float]]  # chunk ids with scores, best first

_ATTEMPTS = 3  # a search that a replaced document ran into is done again, so that the document does not seem to vanish


@dataclass(frozen=True, slots=True)
class HybridRetriever:
    """Finds chunks by meaning and by words; safe to use from several tasks."""

    index: Index
    settings: RetrievalSettings

    async def retrieve(self, question: str, scope: Scope, limit: int) -> tuple[Hit, ...]:
        """The best `limit` chunks, best first. One failing leg is logged, the other answers; both raise."""
        candidates = max(limit, self.settings.candidates)
        for _ in range(_ATTEMPTS):
            before = await asyncio.to_thread(self._revision)
            dense, lexical = await asyncio.gather(
                asyncio.to_thread(self.index.search_dense, question, scope, candidates),
                asyncio.to_thread(self.index.search_lexical, question, scope, candidates),
                return_exceptions=True,
            )
            legs = _usable(dense, lexical)
            hits, is_complete = await asyncio.to_thread(self._hits, *legs, scope, limit)
            if is_complete or before == await asyncio.to_thread(self._revision):
                break
        return hits

    async def evidence(self, question: str, hits: Sequence[Hit]) -> float:
        """How far the hits speak to the question: see rag/evidence.py."""
        return await asyncio.to_thread(lambda: evidence(hits, self.index.term_weights(question)))

    def _revision(self) -> int:
        return self.index.catalog.revision

    def _hits(self, dense: Leg, lexical: Leg, scope: Scope, limit: int) -> tuple[tuple[Hit, ...], bool]:
        """The best hits, and whether all that the legs found still exists."""
        found = {chunk_id for chunk_id, _ in [*dense, *lexical]}
        live = self.index.live_chunks(sorted(found), scope)
        dense = [hit for hit in dense if hit[0] in live]
        lexical = [hit for hit in lexical if hit[0] in live]
        places = [
            {chunk_id: (rank, score) for rank, (chunk_id, score) in enumerate(leg, 1)} for leg in (dense, lexical)
        ]
        fused = fuse(dense, lexical, self.settings.dense_weight)
        best = sorted(fused, key=lambda chunk_id: (-fused[chunk_id], chunk_id))[:limit]
        hits = tuple(
            Hit(
                chunk=live[chunk_id].chunk,
                title=live[chunk_id].title,
                source=live[chunk_id].source,
                score=fused[chunk_id],
                dense_rank=places[0].get(chunk_id, (None, None))[0],
                dense_score=places[0].get(chunk_id, (None, None))[1],
                lexical_rank=places[1].get(chunk_id, (None, None))[0],
                lexical_score=places[1].get(chunk_id, (None, None))[1],
            )
            for chunk_id in best
        )
        return hits, found == live.keys()


def _usable(dense: Leg | BaseException, lexical: Leg | BaseException) -> tuple[Leg, Leg]:
    """The legs, an empty one for one that failed. Raises when both did."""
    for name, leg in (("dense", dense), ("lexical", lexical)):
        if isinstance(leg, BaseException):
            logger.error("The %s leg of a search failed.", name, exc_info=leg)
    if isinstance(dense, BaseException) and isinstance(lexical, BaseException):
        raise RagError("The search failed.", hint="`rag doctor` checks the storage folder.") from dense
    return [] if isinstance(dense, BaseException) else dense, [] if isinstance(lexical, BaseException) else lexical


def fuse(dense: Leg, lexical: Leg, dense_weight: float) -> Mapping[str, float]:
    """Chunk id → score in 0–1: `w · minmax(dense) + (1 − w) · lexical / max(lexical)`.

    A chunk that one leg did not find gets 0 for that leg. When a leg found nothing at all, the other counts in full.
    """
    if not dense or not lexical:
        dense_weight = 1.0 if dense else 0.0
    lowest = min((score for _, score in dense), default=0.0)
    spread = max((score for _, score in dense), default=0.0) - lowest
    highest = max((score for _, score in lexical), default=0.0)
    fused: dict[str, float] = {}
    for chunk_id, score in dense:
        fused[chunk_id] = dense_weight * ((score - lowest) / spread if spread > 0 else 1.0)
    for chunk_id, score in lexical:
        share = score / highest if highest > 0 else 1.0
        fused[chunk_id] = fused.get(chunk_id, 0.0) + (1 - dense_weight) * share
    return fused

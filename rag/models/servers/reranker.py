"""A reranker behind a server: `/v1/rerank` as Jina made it (vLLM, llama-server, LocalAI have it, too), or TEI's own."""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Sequence
from typing import Any

from rag.errors import BackendUnavailable
from rag.models.servers.client import ModelServer, Patience, Refusal
from rag.settings import RerankerSettings

_PATIENCE = Patience(15, (0.25,))  # somebody waits for the answer, which goes without
_REST = 30  # seconds in which a server that did not answer is not asked
_AT_ONCE = 32  # passages a request with TEI, which takes no more
_SHORTER = 0.75  # of each passage where one was too long
_SHORTEST = 64  # characters


class ServerReranker:
    """A reranker at a server; safe to use from several threads."""

    def __init__(self, settings: RerankerSettings) -> None:
        """Nothing is asked yet. Raises ConfigurationError where there is no address."""
        self.name = settings.model or settings.provider
        self._settings = settings
        key = settings.api_key.get_secret_value()
        self._server = ModelServer("reranker", "RAG_RERANKER", settings.base_url, key)
        weakref.finalize(self, self._server.close)
        self._most_passages = _AT_ONCE if settings.provider == "tei" else 1000
        self._gives_logits = False
        self._rests_until = 0.0

    def score(self, question: str, passages: Sequence[str]) -> list[float]:
        """How well each passage answers the question, in 0–1. Raises BackendError."""
        if time.monotonic() < self._rests_until:
            raise BackendUnavailable(f"{self._server.name} did not answer just now.", hint="It is asked again soon.")
        try:
            scores = self._scores(question, list(passages)) if passages else []
        except BackendUnavailable:
            self._rests_until = time.monotonic() + _REST
            raise
        # llama-server gives logits, all others what the sigmoid makes of them.
        self._gives_logits = self._gives_logits or any(not 0 <= score <= 1 for score in scores)
        return [_sigmoid(score) for score in scores] if self._gives_logits else scores

    def _scores(self, question: str, passages: list[str]) -> list[float]:
        """As the server gives them, in as many requests as it wants."""
        most = self._most_passages
        if len(passages) > most:
            parts = [passages[start : start + most] for start in range(0, len(passages), most)]
            return [score for part in parts for score in self._scores(question, part)]
        try:
            reply = self._asked(question, passages)
        except Refusal as refusal:
            longest = max(map(len, passages))
            if refusal.is_too_long and longest > _SHORTEST:
                return self._scores(question, [text[: int(longest * _SHORTER)] for text in passages])
            if len(passages) == 1:
                raise self._server.refused(refusal) from refusal
            self._most_passages = -(-len(passages) // 2)
            return self._scores(question, passages)
        return self._read(reply, len(passages))

    def _asked(self, question: str, passages: list[str]) -> Any:
        if self._settings.provider == "tei":
            body: dict[str, Any] = {"query": question, "texts": passages, "raw_scores": False, "truncate": True}
            return self._server.post(self._server.url("rerank", from_root=True), body, _PATIENCE)
        body = {"query": question, "documents": passages, "top_n": len(passages)}
        if self._settings.model:
            body["model"] = self._settings.model
        version = "v1/" if self._server.url("", from_root=True) == self._server.url("") else ""
        return self._server.post(self._server.url(f"{version}rerank"), body, _PATIENCE)

    def _read(self, reply: Any, count: int) -> list[float]:
        try:
            entries = reply["results"] if isinstance(reply, dict) else reply
            name = "relevance_score" if isinstance(reply, dict) else "score"
            scores = {int(entry["index"]): float(entry[name]) for entry in entries}
            ordered = [scores[place] for place in range(count)]
        except (TypeError, KeyError, ValueError) as error:
            raise self._server.nonsense("its reply has no scores") from error
        if not all(map(math.isfinite, ordered)):
            raise self._server.nonsense("a score of it is no number")
        return ordered


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))

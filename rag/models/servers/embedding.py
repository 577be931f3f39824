"""An embedding model behind any server with OpenAI's `/v1/embeddings`.

Texts are sent as they are, several requests at a time. What a server takes at once is learned from its refusals; a text
that is longer than its model reads is cut, so that no ingest fails over one passage.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import logging
import re
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from rag.errors import BackendError, BackendRejected, ConfigurationError
from rag.models.embedding_base import bundled_tokenizer, room_for_text
from rag.models.known_embeddings import known_embedding, with_known_prefixes
from rag.models.servers.client import AT_START, FOR_PASSAGES, FOR_QUESTIONS, ModelServer, Patience, Refusal
from rag.models.servers.identity import PASSAGES, QUESTIONS, fingerprint_of, is_same_model, scale_of
from rag.models.servers.tokenizing import server_facts
from rag.settings import EmbeddingSettings

if TYPE_CHECKING:
    from rag.types.documents import Vector

logger = logging.getLogger(__name__)

_AT_ONCE = 32  # texts a request, which every server takes
_FEWEST = 8  # texts a request, where there are as many
_IN_FLIGHT = 8  # requests
_OPTIONAL = ("encoding_format", "dimensions")  # fields that a server may not know
_ABOUT_COUNT = re.compile(
    r"allowed batch size|too many (?:inputs|items|texts)|array too long|at most \d+ (?:items|inputs|texts)",
    re.IGNORECASE,
)
_LIMIT = re.compile(r"(?:allowed batch size|at most|maximum(?: of| is|:)?) (\d+)", re.IGNORECASE)
_NUMBERS = re.compile(r"\d+")
_TOO_LONG_TO_SEND = 413  # HTTP: of the request, or with TEI of a text
_SHORTER = 0.75  # of a text that was too long, where the server does not say by how much
_A_LITTLE_LESS = 0.95
_SHORTEST = 16  # characters


class ServerEmbedding:
    """A model at a server; safe to use from several threads. A question has a request of its own and waits for no
    passage here."""

    passages_at_once = _AT_ONCE * _IN_FLIGHT

    def __init__(self, settings: EmbeddingSettings) -> None:
        """Ask the server for a few vectors; blocking, seconds. Raises BackendError where it gives none, and
        ConfigurationError where the settings do not fit it."""
        self.name = settings.model
        self._settings = with_known_prefixes(settings)
        key = settings.api_key.get_secret_value()
        self._server = ModelServer("embedding server", "RAG_EMBEDDING", settings.base_url, key)
        weakref.finalize(self, self._server.close)
        self._requests = ThreadPoolExecutor(_IN_FLIGHT, "embedding")
        self._most_texts = settings.batch_size or _AT_ONCE
        self._left_out: frozenset[str] = frozenset() if settings.dimensions else frozenset({"dimensions"})
        self.dimension = 0
        questions = self._first_vectors([self._query(text) for text in QUESTIONS])
        passages = self._vectors([self._passage(text) for text in PASSAGES], AT_START)
        self.dimension = passages.shape[1]
        self.fingerprint = fingerprint_of(self._settings, questions, passages)
        facts = server_facts(self._server, settings.model, known_embedding(settings.model))
        self._most_texts = min(self._most_texts, facts.most_texts or self._most_texts)
        self.tokenizer = facts.tokenizer
        self.max_tokens = room_for_text(self._settings, self.tokenizer, facts.max_tokens)
        self.is_multilingual = self.tokenizer != bundled_tokenizer()
        self.similarity_scale = self.scale_across_languages = scale_of(questions, passages)

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        """Vectors of shape (len(texts), dimension), float32, each of length 1. Raises BackendError."""
        import numpy as np

        # Long ones first: texts of one length are in one request, and no long one is left for the end.
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        size = min(self._most_texts, max(_FEWEST, -(-len(texts) // _IN_FLIGHT)))
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        embedded = self._requests.map(
            lambda batch: self._vectors([self._passage(texts[place]) for place in batch], FOR_PASSAGES), batches
        )
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for batch, of_batch in zip(batches, embedded, strict=True):
            vectors[batch] = of_batch
        return vectors

    def embed_query(self, text: str) -> Vector:
        """One vector of shape (dimension,), float32, of length 1. Raises BackendError."""
        vector: Vector = self._vectors([self._query(text)], FOR_QUESTIONS)[0]
        return vector

    def adopt(self, fingerprint: str) -> None:
        """Have that fingerprint from now on, if it is of this model: servers round differently from day to day."""
        if is_same_model(self.fingerprint, fingerprint):
            self.fingerprint = fingerprint

    def _query(self, text: str) -> str:
        return (self._settings.query_prefix or "") + text

    def _passage(self, text: str) -> str:
        return (self._settings.passage_prefix or "") + text

    def _first_vectors(self, texts: list[str]) -> Vector:
        """Vectors from an address of which it is not known yet whether it ends before `/v1`."""
        try:
            return self._vectors(texts, AT_START)
        except BackendRejected as error:
            if not self._server.with_version():
                raise
            try:
                return self._vectors(texts, AT_START)
            except BackendError:
                raise error from None

    # ------------------------------------------------------------------------------------------------ what is refused

    def _vectors(self, texts: list[str], patience: Patience) -> Vector:
        """The vectors of the texts, in as many requests as the server wants. Raises BackendError."""
        import numpy as np

        most = self._most_texts
        if len(texts) > most:
            parts = [texts[start : start + most] for start in range(0, len(texts), most)]
            return np.concatenate([self._vectors(part, patience) for part in parts])
        try:
            return self._asked(texts, patience)
        except Refusal as refusal:
            if refused := self._refused_fields(refusal):
                self._left_out |= refused
            elif len(texts) == 1:
                return self._vectors([self._shorter(texts[0], refusal)], patience)
            else:
                return self._in_parts(texts, refusal, patience)
        return self._vectors(texts, patience)

    def _refused_fields(self, refusal: Refusal) -> frozenset[str]:
        """The fields that the server does not take, by what it says."""
        return frozenset(field for field in _OPTIONAL if field in str(refusal)) - self._left_out

    def _in_parts(self, texts: list[str], refusal: Refusal, patience: Patience) -> Vector:
        """The vectors of texts that were refused together. How many may come at once is remembered, unless it was the
        length of one that was refused."""
        import numpy as np

        limit = _LIMIT.search(str(refusal))
        stated = int(limit[1]) if limit else 0
        is_about_count = bool(_ABOUT_COUNT.search(str(refusal)))
        size = stated if is_about_count and 0 < stated < len(texts) else -(-len(texts) // 2)
        if is_about_count:
            self._most_texts = min(self._most_texts, size)
        parts = [self._vectors(texts[start : start + size], patience) for start in range(0, len(texts), size)]
        if not refusal.is_too_long:  # and now they were taken
            self._most_texts = min(self._most_texts, size)
        return np.concatenate(parts)

    def _shorter(self, text: str, refusal: Refusal) -> str:
        """The text without its end, which is told in the log. Raises BackendRejected where its length is not what the
        server minds."""
        if not (refusal.is_too_long or refusal.status == _TOO_LONG_TO_SEND) or len(text) <= _SHORTEST:
            raise self._server.refused(refusal)
        numbers = {int(number) for number in _NUMBERS.findall(str(refusal))} - {refusal.status}
        pairs = itertools.pairwise(sorted(number for number in numbers if number > _SHORTEST))
        ratio = next((_A_LITTLE_LESS * limit / given for limit, given in pairs), _SHORTER)
        kept = text[: max(_SHORTEST, int(len(text) * ratio))]
        kept = kept.rsplit(None, 1)[0] or kept  # whole words, where there are any
        logger.warning(
            "%s reads less than a passage of %d characters: its vector is that of the first %d.",
            self._server.name,
            len(text),
            len(kept),
        )
        return kept

    # ------------------------------------------------------------------------------------------- request and reply

    def _asked(self, texts: list[str], patience: Patience) -> Vector:
        fields: dict[str, Any] = {"encoding_format": "base64", "dimensions": self._settings.dimensions}
        sent = {name: value for name, value in fields.items() if name not in self._left_out}
        body = {"model": self._settings.model, "input": [text or " " for text in texts], **sent}
        return self._read(self._server.post(self._server.url("embeddings"), body, patience), len(texts))

    def _read(self, reply: Any, count: int) -> Vector:
        """The vectors of a reply, cut and of length 1. Raises BackendError for one that has others."""
        import numpy as np

        try:
            entries = sorted(reply["data"], key=lambda entry: entry["index"])
            found = [_vector(entry["embedding"]) for entry in entries]
            if any(vector.ndim > 1 for vector in found):
                raise self._server.nonsense("it gives a vector a token, as llama-server does without --pooling")
            vectors = np.stack(found)
        except (TypeError, KeyError, ValueError, binascii.Error) as error:
            raise self._server.nonsense("its reply has no embeddings") from error
        wanted = self._settings.dimensions or vectors.shape[-1]
        if vectors.shape[-1] < wanted:
            raise ConfigurationError(
                f"{self.name} has {vectors.shape[-1]} dimensions, and not {wanted}.",
                hint="Lower RAG_EMBEDDING__DIMENSIONS, or leave it out.",
            )
        if len(vectors) != count or self.dimension not in (0, wanted):
            raise self._server.nonsense("its vectors are others in number or length than were asked for")
        lengths = np.linalg.norm(vectors[:, :wanted], axis=1, keepdims=True)
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            raise self._server.nonsense("a vector of it has no direction")
        unit: Vector = vectors[:, :wanted] / lengths
        return unit


def _vector(embedding: object) -> Vector:
    """A vector that came as numbers, or as their bytes in base64. Raises TypeError, ValueError, binascii.Error."""
    import numpy as np

    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4").astype(np.float32)
    vector: Vector = np.asarray(embedding, dtype=np.float32)
    if not vector.ndim:
        raise ValueError("no vector")
    return vector

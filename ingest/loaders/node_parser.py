"""Chunks as a node parser of llama-index cuts them: `RAG_INGEST__NODE_PARSER` names one for all files.

A footnote quotes characters of a page, so a node must be found in the text that it was made of: its place there is
looked up, and a node that is written anew is refused. What no node holds becomes chunks in Footnote's own way, and a
node longer than the embedding model reads is cut in it: nothing is lost for the search. The parser runs in the sandbox,
like readers (llama_reader.py).
"""

from __future__ import annotations

from typing import Any

from ingest.loaders.base import unreadable
from ingest.loaders.llama_reader import made
from ingest.splitting import chunk_spans
from rag.errors import ConfigurationError
from rag.text.analysis import Span, trim
from rag.text.tokenizers import TokenSpans


class NodeParser:
    """The parser `package.module:Class`, or what a function of that name makes, for the document called `name`. Raises
    ConfigurationError where there is none."""

    def __init__(self, reference: str, name: str) -> None:
        try:
            self._parser = made(reference, "get_nodes_from_documents")
        except LookupError as error:
            raise ConfigurationError(
                f"Documents are to be cut into chunks by {error}",
                hint="Install it beside Footnote, or correct RAG_INGEST__NODE_PARSER.",
            ) from error
        self._reference = reference
        self._name = name

    def chunk_spans(self, text: str, token_spans: TokenSpans, budget: int, overlap: int = 0) -> list[Span]:
        """Spans of at most `budget` tokens that together hold every sentence of `text`. Raises UnreadableDocument for a
        node that is not in the text."""
        spans: list[Span] = []
        covered = 0
        for start, end in [*self._node_spans(text), (len(text), len(text))]:
            for span in ((covered, max(covered, start)), (start, end)):
                first, last = trim(text, span)
                inner = chunk_spans(text[first:last], token_spans, budget, overlap)
                spans += ((first + begin, first + stop) for begin, stop in inner)
            covered = max(covered, end)
        return spans

    def _node_spans(self, text: str) -> list[Span]:
        spans: list[Span] = []
        searched = 0
        for node in self._nodes(text) if text.strip() else ():
            content = node.get_content().strip()
            start = self._start(text, content, node.start_char_idx, searched)
            if content:
                spans.append((start, start + len(content)))
                searched = start + 1
        return sorted(spans)

    def _nodes(self, text: str) -> list[Any]:
        from llama_index.core.schema import Document

        try:
            return list(self._parser.get_nodes_from_documents([Document(text=text)]))
        except Exception as error:  # a foreign program
            words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            hint = "Correct RAG_INGEST__NODE_PARSER, or what it names."
            raise unreadable(self._name, f"cannot be cut by {self._reference}: {words}", hint) from error

    def _start(self, text: str, content: str, told: Any, searched: int) -> int:
        """Where the node's text begins: behind the beginning of the one before, or else where it says."""
        for start in (text.find(content, searched), told if isinstance(told, int) else -1, text.find(content)):
            if start >= 0 and text.startswith(content, start):
                return start
        raise unreadable(
            self._name,
            f"was cut by {self._reference} into nodes that are not in its text ({content[:40]!r}).",
            "A footnote quotes pages word for word: take a node parser that changes nothing.",
        )

"""What well-known embedding models were trained with, from their model cards, found by the name that a hub or a server
has for them: the words before a question and a passage, how much they read, whose vocabulary they have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from rag.settings import EmbeddingSettings

Vocabulary = Literal["", "bert", "xlm-roberta"]  # bert: the English one without capitals, as the default model has it


@dataclass(frozen=True, slots=True)
class KnownEmbedding:
    """`names` are parts of names, in small letters; the longest that fits decides. `max_tokens` is what the model
    reads; models of the English vocabulary know no other language."""

    names: tuple[str, ...]
    query_prefix: str = ""
    passage_prefix: str = ""
    max_tokens: int = 512
    vocabulary: Vocabulary = ""


_SENTENCE = "Represent this sentence for searching relevant passages: "
_CHINESE_SENTENCE = "为这个句子生成表示以用于检索相关文章："
_TASK = "Given a web search query, retrieve relevant passages that answer the query"
_INSTRUCT = f"Instruct: {_TASK}\nQuery: "

KNOWN = (
    KnownEmbedding(("all-minilm",), max_tokens=256, vocabulary="bert"),
    KnownEmbedding(("all-mpnet-base",), max_tokens=384, vocabulary="bert"),
    KnownEmbedding(("multi-qa-minilm", "multi-qa-mpnet", "msmarco-distilbert"), vocabulary="bert"),
    KnownEmbedding(("paraphrase-multilingual",), max_tokens=128, vocabulary="xlm-roberta"),
    KnownEmbedding(("e5-small", "e5-base", "e5-large"), "query: ", "passage: ", vocabulary="bert"),
    KnownEmbedding(("multilingual-e5",), "query: ", "passage: ", vocabulary="xlm-roberta"),
    KnownEmbedding(("multilingual-e5-large-instruct",), _INSTRUCT, vocabulary="xlm-roberta"),
    KnownEmbedding(("e5-mistral", "sfr-embedding-mistral"), _INSTRUCT, max_tokens=4096),
    KnownEmbedding(("bge-small-en", "bge-base-en", "bge-large-en"), _SENTENCE, vocabulary="bert"),
    KnownEmbedding(("bge-small-zh", "bge-base-zh", "bge-large-zh"), _CHINESE_SENTENCE),
    KnownEmbedding(("bge-m3",), max_tokens=8192, vocabulary="xlm-roberta"),
    KnownEmbedding(("gte-small", "gte-base", "gte-large"), vocabulary="bert"),
    KnownEmbedding(("gte-base-en-v1.5", "gte-large-en-v1.5"), max_tokens=8192, vocabulary="bert"),
    KnownEmbedding(("gte-modernbert",), max_tokens=8192),
    KnownEmbedding(("gte-multilingual",), max_tokens=8192, vocabulary="xlm-roberta"),
    KnownEmbedding(("gte-qwen2",), _INSTRUCT, max_tokens=32_000),
    KnownEmbedding(("nomic-embed-text",), "search_query: ", "search_document: ", 2048, vocabulary="bert"),
    KnownEmbedding(("nomic-embed-text-v2",), "search_query: ", "search_document: ", vocabulary="xlm-roberta"),
    KnownEmbedding(("jina-embeddings-v2",), max_tokens=8192),
    KnownEmbedding(
        ("jina-embeddings-v3",),
        "Represent the query for retrieving evidence documents: ",
        "Represent the document for retrieval: ",
        8192,
        vocabulary="xlm-roberta",
    ),
    KnownEmbedding(("mxbai-embed-large", "uae-large"), _SENTENCE, vocabulary="bert"),
    KnownEmbedding(("mxbai-embed-de",), "query: ", "passage: ", vocabulary="xlm-roberta"),
    KnownEmbedding(("arctic-embed",), _SENTENCE, vocabulary="bert"),
    KnownEmbedding(("arctic-embed2", "arctic-embed-l-v2", "arctic-embed-m-v2"), "query: ", "", 8192, "xlm-roberta"),
    KnownEmbedding(("qwen3-embedding",), f"Instruct: {_TASK}\nQuery:", max_tokens=32_000),
    KnownEmbedding(
        ("embeddinggemma", "embedding-gemma"), "task: search result | query: ", "title: none | text: ", 2048
    ),
    KnownEmbedding(("stella_en",), f"Instruct: {_TASK}.\nQuery: "),
    KnownEmbedding(("granite-embedding",)),
    KnownEmbedding(("text-embedding-3", "text-embedding-ada-002"), max_tokens=8191),
)


def known_embedding(model: str) -> KnownEmbedding | None:
    """What is known of the model that a hub or a server calls so, such as `intfloat/e5-base-v2` or
    `nomic-embed-text:latest`; None for others."""
    name = re.split(r"[/\\]", model.lower())[-1]
    matches = [(len(part), known) for known in KNOWN for part in known.names if part in name]
    return max(matches, key=lambda match: match[0])[1] if matches else None


def with_known_prefixes(settings: EmbeddingSettings) -> EmbeddingSettings:
    """The settings with both prefixes: where one is not set, that which the model was trained with, if it is known."""
    known = known_embedding(settings.model) or KnownEmbedding(())
    query, passage = settings.query_prefix, settings.passage_prefix
    return settings.model_copy(
        update={
            "query_prefix": known.query_prefix if query is None else query,
            "passage_prefix": known.passage_prefix if passage is None else passage,
        }
    )

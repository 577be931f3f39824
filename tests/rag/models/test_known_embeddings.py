"""What models were trained with is found by the names that hubs and servers have for them."""

from __future__ import annotations

import pytest

from rag.models.known_embeddings import KNOWN, known_embedding, with_known_prefixes
from rag.settings import EmbeddingSettings

SENTENCE = "Represent this sentence for searching relevant passages: "


@pytest.mark.parametrize(
    ("name", "query", "passage"),
    [
        ("intfloat/e5-small-v2", "query: ", "passage: "),
        ("intfloat/multilingual-e5-large", "query: ", "passage: "),
        ("BAAI/bge-large-en-v1.5", SENTENCE, ""),
        ("/models/bge-small-en-v1.5", SENTENCE, ""),
        ("bge-m3:latest", "", ""),
        ("nomic-embed-text", "search_query: ", "search_document: "),
        ("text-embedding-nomic-embed-text-v1.5", "search_query: ", "search_document: "),
        ("mxbai-embed-large:335m", SENTENCE, ""),
        ("snowflake-arctic-embed:22m", SENTENCE, ""),
        ("snowflake-arctic-embed2", "query: ", ""),
        ("Snowflake/snowflake-arctic-embed-l-v2.0", "query: ", ""),
        ("sentence-transformers/all-MiniLM-L6-v2", "", ""),
        ("text-embedding-3-small", "", ""),
        ("embeddinggemma:300m", "task: search result | query: ", "title: none | text: "),
    ],
)
def test_prefixes_are_known_by_name(name, query, passage):
    settings = with_known_prefixes(EmbeddingSettings(model=name))
    assert (settings.query_prefix, settings.passage_prefix) == (query, passage)


def test_instructions_are_those_of_the_cards():
    instruction = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
    assert known_embedding("Qwen/Qwen3-Embedding-0.6B").query_prefix == instruction
    assert known_embedding("qwen3-embedding:8b").query_prefix == instruction
    assert known_embedding("multilingual-e5-large-instruct").query_prefix == f"{instruction} "


def test_what_is_set_is_kept_and_unknown_models_have_none():
    set_empty = EmbeddingSettings(model="intfloat/e5-base-v2", query_prefix="", passage_prefix="text: ")
    settings = with_known_prefixes(set_empty)
    assert (settings.query_prefix, settings.passage_prefix) == ("", "text: ")
    unknown = with_known_prefixes(EmbeddingSettings(model="my-own"))
    assert (unknown.query_prefix, unknown.passage_prefix) == ("", "")


def test_twenty_families_and_more_are_known_each_by_a_name_of_its_own():
    names = [name for known in KNOWN for name in known.names]
    assert len(KNOWN) >= 20
    assert len(set(names)) == len(names)
    assert all(name == name.lower() and "/" not in name for name in names)

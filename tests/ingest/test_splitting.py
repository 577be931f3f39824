"""Splitting: no chunk longer than the model reads, no letter lost, every chunk an exact piece of its page."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.splitting import ChunkLimit, chunk_spans, chunks_of, fitting_title, limit_of
from ingest.splitting import split as split_into_pieces
from rag.text.analysis import contextual_text
from rag.text.tokenizers import token_spans
from rag.types.documents import Chunking, Section

RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

WORDS = st.sampled_from(
    [
        "the",
        "pump",
        "Dr.",
        "e.g.",
        "3.5",
        "90",
        "Überlauf",
        "ok.",
        "Yes!",
        "日本語。",
        "неизвестно",
        "🦊🦊",
        "a-b-c",
        "- item",
        "|",
    ]
)
SPACES = st.sampled_from([" ", " ", " ", "\n", "\n\n", "\t", "\u00a0", "  ", "\x0c", "\u2028", "\r\n"])
PROSE = st.lists(st.tuples(WORDS, SPACES), max_size=200).map(lambda pairs: "".join(w + s for w, s in pairs))
# Without control characters, which no document has (ingest/loaders/__init__.py): tokenizers drop them, and join words.
ANYTHING = st.text(st.one_of(st.characters(exclude_categories=("Cc", "Cs")), st.sampled_from("\n\t")), max_size=400)
LONG_WORD = st.builds(
    lambda unit, count: unit * count, st.sampled_from("xß日-_é\u0301🦊".replace("\u0301", "")), st.integers(1, 3000)
)
TEXT = st.one_of(PROSE, ANYTHING, LONG_WORD, st.builds(lambda a, b, c: a + b + c, PROSE, LONG_WORD, PROSE))


def section(text, page=None, heading=""):
    label = None if page is None else str(page + 1)
    return Section(text, page, label, heading)


def split(document_id, version, title, sections, embedding, limit):
    """The chunks of a document, as a child process and its parent make them."""
    limit = min(limit, embedding.max_tokens)
    pieces = split_into_pieces(title, sections, token_spans(embedding.tokenizer), limit)
    return chunks_of(document_id, version, sections, pieces)


def tokens(embedding, text):
    return len(token_spans(embedding.tokenizer)(text))


def pages_of(sections):
    """The text of every page: its sections, one after the other."""
    pages: dict[int | None, str] = {}
    for part in sections:
        pages[part.page_index] = pages.get(part.page_index, "") + part.text
    return pages


SECTIONS = st.lists(st.builds(section, TEXT, st.sampled_from([None, 0, 1]), st.text(max_size=60)), max_size=5)


def check(chunks, sections, title, embedding, limit):
    """All that is promised of the chunks of a document."""
    pages = pages_of(sections)
    assert [chunk.id for chunk in chunks] == [f"doc:3:{number}" for number in range(len(chunks))]
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
    ends: dict[int | None, int] = {}
    covered = {index: [False] * len(text) for index, text in pages.items()}
    for chunk in chunks:
        page = pages[chunk.page_index]
        assert chunk.text == page[chunk.start : chunk.end]
        assert chunk.text
        assert chunk.text == chunk.text.strip()
        assert chunk.start >= ends.get(chunk.page_index, 0), "chunks overlap or go backwards"
        ends[chunk.page_index] = chunk.end
        covered[chunk.page_index][chunk.start : chunk.end] = [True] * (chunk.end - chunk.start)
        size = tokens(embedding, contextual_text(title, chunk.heading, chunk.text)) + 2
        assert size <= limit, f"{size} tokens in {chunk.text!r}"
    for index, page in pages.items():
        lost = [c for c, found in zip(page, covered[index], strict=True) if not found and not c.isspace()]
        assert not lost, lost


@RELAXED
@given(SECTIONS, st.text(max_size=80), st.sampled_from([32, 64, 254]))
def test_properties_with_the_real_tokenizer(minilm, sections, title, limit):
    title = fitting_title(title, token_spans(minilm.tokenizer), min(limit, minilm.max_tokens))
    chunks = split("doc", 3, title, sections, minilm, limit)
    check(chunks, sections, title, minilm, limit)
    assert split("doc", 3, title, sections, minilm, limit) == chunks


@RELAXED
@given(SECTIONS, st.sampled_from([32, 254]))
def test_properties_with_counted_words(bag_of_words, sections, limit):
    check(split("doc", 3, "Title", sections, bag_of_words, limit), sections, "Title", bag_of_words, limit)


@pytest.mark.parametrize("limit", [32, 254, 100_000])
@pytest.mark.parametrize(
    ("title", "heading"),
    [
        ("", ""),
        ("word " * 400, "part " * 400),
        ("1.2.3.4.5.6.7.8.9-" * 15, "§1(a)(i)" * 200),
        ("x" * 5000, "x" * 5000),
        ("题" * 300, "标" * 300),
        ("Handbook", "One › Two › " * 60 + "Last"),
    ],
)
def test_absurd_titles_and_headings_leave_room_for_text(minilm, title, heading, limit):
    sections = [section("A sentence of some words that says little. " * 40, 0, heading)]
    title = fitting_title(title, token_spans(minilm.tokenizer), min(limit, minilm.max_tokens))
    chunks = split("doc", 3, title, sections, minilm, limit)
    check(chunks, sections, title, minilm, min(limit, 256))
    assert len(chunks) < 60, "next to nothing in each chunk"


def test_a_long_heading_keeps_its_end(minilm):
    (chunk,) = split("doc", 3, "T", [section("Text.", 0, "Chapter › " * 100 + "Warranty")], minilm, 254)
    assert chunk.heading.endswith("Warranty")


def test_an_ordinary_title_is_not_cut(minilm):
    title = "Employee handbook of the Corrabeg Kilns company, valid from January 2024"
    assert fitting_title(title, token_spans(minilm.tokenizer), 254) == title


@pytest.mark.parametrize("word", ["x" * 10_000, "日" * 10_000, "a-" * 5_000, "🦊" * 3_000, "12.50," * 2_000])
def test_one_endless_word(minilm, bag_of_words, word):
    for embedding in (minilm, bag_of_words):
        sections = [section(f"Before. {word} After it a sentence.", 0)]
        check(split("doc", 3, "T", sections, embedding, 254), sections, "T", embedding, 254)


def test_sections_without_text_give_no_chunks(bag_of_words):
    sections = [section("", 0), section(" \n\t", 1), section("Text.", 1), section("\n\n", 2), section("", None)]
    (chunk,) = split("doc", 3, "T", sections, bag_of_words, 254)
    assert (chunk.page_index, chunk.start, chunk.text) == (1, 3, "Text.")
    assert split("doc", 3, "T", [], bag_of_words, 254) == []


def test_several_sections_of_a_page_keep_their_headings_and_offsets(minilm):
    sections = [section("One is here.\n", 4, "A"), section("Two is here.\n", 4, "B"), section("Three.", 5, "B")]
    chunks = split("doc", 3, "T", sections, minilm, 254)
    check(chunks, sections, "T", minilm, 254)
    assert [(c.text, c.heading, c.page_index, c.page_label, c.start) for c in chunks] == [
        ("One is here.", "A", 4, "5", 0),
        ("Two is here.", "B", 4, "5", 13),
        ("Three.", "B", 5, "6", 0),
    ]


def test_chunks_end_where_sentences_end_and_are_filled(minilm):
    text = " ".join(f"Sentence number {number} tells of the pump and its bearings." for number in range(60))
    chunks = split("doc", 3, "T", [section(text, 0)], minilm, 254)
    assert all(chunk.text.endswith("bearings.") for chunk in chunks)
    sizes = [tokens(minilm, chunk.text) for chunk in chunks]
    assert min(sizes[:-1]) > 200


# ------------------------------------------------------------------------------------------------------- overlapping

SIZES = st.tuples(st.integers(24, 120), st.integers(0, 60))


@RELAXED
@given(TEXT, SIZES)
def test_chunks_repeat_the_end_of_the_one_before(bag_of_words, text, sizes):
    limit, overlap = sizes
    spans_of = token_spans(bag_of_words.tokenizer)
    spans = chunk_spans(text, spans_of, limit, min(overlap, limit // 2))
    alone = chunk_spans(text, spans_of, limit)
    covered = {place for start, end in spans for place in range(start, end)}
    assert all(place in covered for start, end in alone for place in range(start, end) if not text[place].isspace())
    for (start, end), (following, following_end) in pairwise(spans):
        assert start < following, "each begins behind the beginning of the one before"
        assert end < following_end, "… and brings something new"
        assert tokens(bag_of_words, text[following : max(following, end)]) <= overlap
    assert all(tokens(bag_of_words, text[start:end]) <= limit for start, end in spans)


def test_whole_sentences_are_repeated_or_the_end_of_a_long_one(minilm):
    spans_of = token_spans(minilm.tokenizer)
    text = " ".join(f"Sentence number {word} is here." for word in ("one", "two", "three", "four", "five", "six"))
    sentence = len(spans_of("Sentence number one is here."))
    spans = chunk_spans(text, spans_of, 3 * sentence, sentence)
    assert [text[start:end].split(".")[0].split()[2] for start, end in spans] == ["one", "three", "five"]
    spans = chunk_spans(text, spans_of, 3 * sentence, sentence - 1)
    first, second = (text[start:end] for start, end in spans[:2])
    assert first.endswith(second.split(" Sentence")[0])
    assert second.startswith("number three is here. Sentence number four")


def test_the_limit_is_what_is_asked_for_and_never_more_than_the_model_reads(bag_of_words):
    most = bag_of_words.max_tokens
    assert limit_of(bag_of_words, 200, None) == ChunkLimit(bag_of_words.tokenizer, 200)
    assert limit_of(bag_of_words, 200, Chunking(100, 30)) == ChunkLimit(bag_of_words.tokenizer, 100, 30)
    assert limit_of(bag_of_words, 200, Chunking(800, 400)) == ChunkLimit(bag_of_words.tokenizer, most, most // 2)

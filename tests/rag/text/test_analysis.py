"""Sentences and terms: ordered, whole, and found in time that grows with the text and not faster."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.text.analysis import sentence_spans, terms


def sentences(text):
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n ", []),
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        (
            "Dr. Smith paid 3.50 EUR, e.g. in No. 7. Then he left.",
            ["Dr. Smith paid 3.50 EUR, e.g. in No. 7.", "Then he left."],
        ),
        ("He said “Go.” She went.", ["He said “Go.”", "She went."]),
        ("今日は。明日は！", ["今日は。", "明日は！"]),
        (
            "a line that is broken by the\nprinter alone. Next one.",
            ["a line that is broken by the\nprinter alone.", "Next one."],
        ),
        ("# Heading\nText follows.", ["# Heading", "Text follows."]),
        ("- first\n- second", ["- first", "- second"]),
        ("Para one\n\nPara two", ["Para one", "Para two"]),
        ("a | b\nc | d", ["a | b", "c | d"]),
    ],
)
def test_examples(text, expected):
    assert sentences(text) == expected


@given(st.text(alphabet=st.sampled_from("aB.!? \n\t\r\x0b\u2028-1)|。…”("), max_size=200))
def test_every_letter_is_in_exactly_one_sentence(text):
    spans = sentence_spans(text)
    assert all(a < b for a, b in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


@pytest.mark.parametrize(
    "line", ["{n:07} INFO worker seven has handled the request with status ok", "words that go on and on and on"]
)
def test_a_paragraph_of_many_lines_takes_no_quadratic_time(line):
    text = "\n".join(line.format(n=n) for n in range(20_000))
    began = time.process_time()
    sentence_spans(text)
    assert time.process_time() - began < 5


def test_terms_are_stemmed_folded_and_free_of_function_words():
    assert terms("How do I oil the BEARINGS of a café's pump?") == ["oil", "bear", "cafe", "pump"]
    assert terms("what is it") == []
    assert terms("oil, oil") == ["oil", "oil"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("公司在机器", ["公司", "司在", "在机", "机器"]),
        ("データ、水", ["デー", "ータ", "水"]),
        ("한국어 문서", ["한국", "국어", "문서"]),
        ("การประชุม", ["การ", "ารป", "รปร", "ประ", "ระช", "ะชุ", "ชุม"]),
        ("Ελλάδα ΕΛΛΑΔΑ", ["ελλαδα", "ελλαδα"]),
        ("مَدْرَسَة أحمد", ["مدرسة", "احمد"]),
        ("नमस्ते", ["नमसते"]),
        ("naïve ﬁring at ３00°", ["naiv", "fire", "300"]),
    ],
)
def test_words_of_other_scripts(text, expected):
    assert terms(text) == expected

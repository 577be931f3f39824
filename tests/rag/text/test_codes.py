"""Codes and dates are words of their own, however they are written; nothing else is."""

from __future__ import annotations

import pytest

from rag.text.analysis import terms
from rag.text.codes import code_words, question_codes
from tests.growth import assert_linear


@pytest.mark.parametrize(
    "codes",
    [
        [
            "What was decided on 2025-06-03?",
            "3 June 2025",
            "June 3rd, 2025",
            "03.06.2025",
            "3. Juni 2025",
            "3 juin 2025",
        ],
        ["1 août 2024", "1er août 2024", "1 de agosto de 2024", "01/08/2024"],
        ["EL 2140", "EL-2140", "the EL2140."],
        ["see MSA-2023-0417", "(MSA/2023/0417)"],
        ["Clause 9.1.2.", "9.1.2 Termination"],
    ],
)
def test_every_way_of_writing_gives_the_same_word(codes):
    first, *others = [set(terms(code)) & set(code_words(code)) | set(code_words(code)) for code in codes]
    for other in others:
        assert first & other, (first, other)


@pytest.mark.parametrize(("one", "other"), [("9.1.2", "9.12"), ("1.12.3", "11.2.3"), ("10.0.0.1", "10.0.0.10")])
def test_different_codes_stay_apart(one, other):
    assert not set(code_words(one)) & set(code_words(other))


def test_the_digits_of_a_number_with_letters_can_be_asked_for():
    assert "1062" in set(code_words("E1062"))
    assert "1062" in terms("employee id 1062")


@pytest.mark.parametrize(
    "text", ["well-known", "and/or", "a state-of-the-art kiln", "no digits", "32 of 40", "May 2025", ""]
)
def test_words_are_no_codes(text):
    assert list(code_words(text)) == []


@pytest.mark.parametrize("run", ["1", "1.", "A", "a-", "3 ", "1 a", " ", "2025-", "may "])
def test_long_runs_take_linear_time(run):
    assert_linear(lambda count: list(code_words(run * count + "1")), 10_000)


@pytest.mark.parametrize(
    ("question", "codes"),
    [
        ("What does clause 9.1.2 say of clause 9.1.2?", ["9qz1qz2"]),
        ("My kiln shows E05.", ["e05"]),
        ("Who has employee id 1062?", ["1062"]),
        ("What was decided on 3 June 2025?", ["2025qz06qz03"]),
        ("What was the revenue of 2019, and how many of 12,500 and 300 left?", []),
        ("Was the FY2019 margin of Q2 2019 above that of the 2-year plan and FY 21?", []),
        ("Is well-known text a code?", []),
    ],
)
def test_codes_of_a_question(question, codes):
    assert question_codes(question) == codes

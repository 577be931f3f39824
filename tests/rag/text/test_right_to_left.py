"""Lines that run from right to left, from where their characters stand. Capitals stand for Hebrew letters."""

from __future__ import annotations

import pytest

from rag.text.right_to_left import lines_in_order, mirrored, reading_order

HEBREW = str.maketrans({chr(65 + place): chr(0x5D0 + place) for place in range(26)})


def read(seen: str, letters: dict[int, str] = HEBREW) -> str:
    """What is read of a line that looks like this, each character one unit wide, drawn in any order."""
    text = seen.translate(letters)
    numbers = sorted(range(len(text)), key=lambda place: hash((place * 7919) % 101))
    ordered = reading_order([text[n] for n in numbers], [(n, n + 0.9) for n in numbers], 2.0)
    return "".join(" " if place is None else text[numbers[place]] for place in ordered)


def as_latin(text: str) -> str:
    return text.translate({ord(hebrew): chr(latin) for latin, hebrew in HEBREW.items()})


@pytest.mark.parametrize(
    ("seen", "logical"),
    [
        ("CBA", "ABC"),
        ("FED CBA", "ABC DEF"),
        ("FED 2024 CBA", "ABC 2024 DEF"),
        ("FED 45.50 CBA", "ABC 45.50 DEF"),
        ("FED 17% CBA", "ABC 17% DEF"),
        ("FED 1998-2004 CBA", "ABC 1998-2004 DEF"),
        ("FED word CBA", "ABC word DEF"),
        ("FED two words CBA", "ABC two words DEF"),
        ("FED release 11 CBA", "ABC release 11 DEF"),
        (".CBA", "ABC."),
        ("plain text only", "plain text only"),
        ("the word CBA means much", "the word ABC means much"),
        ("the words FED CBA mean much", "the words ABC DEF mean much"),
    ],
)
def test_words_of_other_scripts_and_numbers_keep_their_order(seen, logical):
    assert as_latin(read(seen)) == logical


def test_beside_arabic_a_range_of_years_runs_from_right_to_left():
    arabic = {ord("A"): "ا", ord("B"): "ب", ord("C"): "ت"}
    assert read("2004-1998 CBA", arabic) == "ابت 1998-2004"


def test_vowel_signs_follow_their_letter():
    text, edges = "בָּר", [(10, 15), (11, 13), (12, 13), (5, 9)]
    assert "".join(text[place] for place in reading_order(text, edges, 12.0)) == text


def test_gaps_are_spaces_and_spaces_that_were_made_up_are_none():
    text = "בא דג"  # drawn without a space of its own: pdfium makes one of no width, anywhere
    edges = [(34, 40), (40, 46), (22, 22), (10, 16), (16, 22)]
    assert [text[place] if place is not None else " " for place in reading_order(text, edges, 12.0)] == list("אב גד")


def test_only_lines_of_such_letters_change_and_halves_of_one_are_one():
    text = "b a\r\n" + "BA".translate(HEBREW) + "\r\n" + "DC".translate(HEBREW)
    lefts = {5: 10, 6: 11, 9: 2, 10: 3}  # the second half stands to the left of the first
    upper, lower = (5.0, 7.0), (0.0, 2.0)
    places = [(n, *upper) if n < 5 else (lefts.get(n, 0), *lower) for n in range(len(text))]
    boxes = [(left, left + 0.9, low, high) for left, low, high in places]
    found = ["".join(" " if n is None else text[n] for n in line) for line in lines_in_order(text, boxes)]
    assert list(map(as_latin, found)) == ["b a", "AB CD"]


def test_brackets_that_were_taken_as_they_are_drawn_are_turned():
    assert mirrored(")אב( גד") == "(אב) גד"
    assert mirrored("(אב) גד") == "(אב) גד"
    assert mirrored("אב [3]") == "אב [3]"

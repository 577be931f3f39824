"""Printed page numbers become labels where they count up, and only there."""

from __future__ import annotations

from ingest.loaders.pdf.page_labels import printed_labels
from tests.ingest.loaders.documents import load, make_pdf

BODIES = [f"Words about subject {word}.\nMore on {word} follows here." for word in "abcdefghijkl"]


def numbered(*footers):
    return [f"{body}\n{footer}".strip() for body, footer in zip(BODIES, footers, strict=False)]


def test_numbers_at_the_foot_behind_a_cover():
    assert printed_labels(numbered("", "", "1", "2", "3", "4")) == ["1", "2", "1", "2", "3", "4"]


def test_roman_front_matter():
    footers = ["", "ii", "iii", "iv", "1", "2", "3", "4"]
    assert printed_labels(numbered(*footers)) == ["1", *footers[1:]]


def test_numbers_beside_a_running_title():
    footers = [f"{number} | Pump Manual" if number % 2 else f"Pump Manual {number}" for number in range(41, 49)]
    assert printed_labels(numbered(*footers)) == [str(number) for number in range(41, 49)]


def test_forms_of_a_number_alone():
    assert printed_labels(numbered("- 7 -", "- 8 -", "- 9 -")) == ["7", "8", "9"]
    assert printed_labels(numbered("Page 7 of 90", "Page 8 of 90", "Page 9 of 90")) == ["7", "8", "9"]
    assert printed_labels(numbered("F-1", "F-2", "F-3")) == ["F-1", "F-2", "F-3"]


def test_a_page_without_its_number_between_two_that_have_theirs():
    assert printed_labels(numbered("11", "12", "", "14", "15")) == ["11", "12", "13", "14", "15"]


def test_nothing_is_made_up():
    counted = ["1", "2", "3", "4", "5", "6"]
    assert printed_labels(numbered("", "", "", "", "", "")) == counted
    assert printed_labels(numbered("2019", "2019", "2019", "2019", "2019", "2019")) == counted
    assert printed_labels(numbered("17", "4", "90", "33", "8", "61")) == counted
    assert printed_labels(numbered("12", "13", "", "", "", "")) == counted  # two are no row


def test_a_file_s_own_labels_come_first_and_its_numbers_are_no_text(tmp_path):
    pages = [[*body.split("\n"), str(number)] for number, body in enumerate(BODIES, start=23)]
    document = load(make_pdf(tmp_path / "a.pdf", pages))

    assert [section.page_index for section in document.sections] == list(range(12))
    assert [section.page_label for section in document.sections] == [str(number) for number in range(23, 35)]
    assert [section.text for section in document.sections] == [body + "\n" for body in BODIES]

"""Chunks that begin within a table have the names of its columns."""

from __future__ import annotations

import re

from ingest.splitting import split
from ingest.table_columns import tables_of
from rag.types.documents import Section

NAMES = "Code | Weight kg | Duty"


def rows(first: int, last: int) -> str:
    return "".join(f"Q-{number:03} | {number / 2} | {3 * number}\n" for number in range(first, last))


def words(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


def headings(*texts: str, heading: str = "") -> list[tuple[str, str]]:
    """The heading of each piece, and how the piece begins."""
    sections = [Section(text, page, heading=heading) for page, text in enumerate(texts)]
    return [
        (piece.heading, sections[piece.section].text[piece.start : piece.start + 5])
        for piece in split("Tariff", sections, words, 80)
    ]


def test_only_what_begins_within_the_table_has_its_names():
    found = headings(
        f"All duties are in euro.\n{NAMES}\n{rows(0, 30)}The list ends here. " + "It is valid for a year. " * 20
    )
    assert found[0][0] == ""
    assert {heading for heading, start in found if start.startswith("Q-")} == {NAMES}
    assert found[-1][0] == ""
    assert {heading for heading, _ in headings(f"{NAMES}\n{rows(0, 30)}", heading="Part 2")[1:]} == {
        f"Part 2 › {NAMES}"
    }


def test_no_piece_is_longer_than_before():
    sections = [Section(f"{NAMES}\n{rows(0, 60)}")]
    for piece in split("Tariff", sections, words, 60):
        text = f"Tariff {piece.heading} {sections[0].text[piece.start : piece.end]}"
        assert len(words(text)) <= 60


def test_a_table_that_goes_on_at_the_top_of_a_page_keeps_its_names():
    found = headings(f"{NAMES}\n{rows(0, 30)}", rows(30, 60) + "That is all there is to it. " * 5, rows(60, 90))
    of_second = [heading for heading, start in found if start.startswith(("Q-03", "Q-04", "Q-05"))]
    assert set(of_second) == {NAMES}
    assert {heading for heading, start in found if start.startswith(("Q-06", "Q-07", "Q-08"))} == {
        ""
    }  # text was between


def test_another_width_or_text_above_is_another_table():
    assert headings(f"{NAMES}\n{rows(0, 30)}", "1 | 2\n3 | 4\n5 | 6\n7 | 8\n" * 20)[-1][0] == ""
    far_below = "A line of text.\n" * 5 + rows(30, 60)
    assert headings(f"{NAMES}\n{rows(0, 30)}", far_below)[-1][0] == ""


def test_what_names_columns():
    def names(*lines: str) -> list[str]:
        return [table.columns for table in tables_of("\n".join([*lines, *rows(0, 4).splitlines()]))]

    assert names("In millions | 2019 | 2018") == ["In millions | 2019 | 2018"]
    assert names("| Code | Weight | Duty |", "|------|:------:|-----|") == ["Code | Weight | Duty"]
    assert names("Q-9 | 1.5 | 33") == []
    assert names(NAMES, "Current assets:") == [NAMES]
    assert tables_of(f"{NAMES}\nQ-1 | 2 | 3\n") == []  # fits into one chunk
    assert tables_of("no table | here\n") == []

"""The title of a page is what stands over it, and never its first words of running text."""

from __future__ import annotations

import pytest

from ingest.loaders.pdf.page_titles import page_title, with_page_title
from tests.ingest.loaders.documents import load, make_pdf


@pytest.mark.parametrize(
    ("text", "title"),
    [
        (
            "KILN WORKS, INC.\nConsolidated Balance Sheets\n(in millions)\nCash | 5,794\n",
            "KILN WORKS, INC., Consolidated Balance Sheets",
        ),
        ("Note 7 – Property and Equipment\n\nThe kilns are carried at cost.\n", "Note 7 – Property and Equipment"),
        ("and the lining is replaced every five years, as the table shows.\nFirings\n", ""),
        ("We fire the clay twice in most of our kilns.\n", ""),
        ("Assets | 2021 | 2020\nCash | 5 | 4\n", ""),
        ("12\nStep 4\n", ""),
        (
            "One Two Three\nFour Five Six\nSeven Eight Nine\nTen Eleven Twelve\n",
            "One Two Three, Four Five Six, Seven Eight Nine",
        ),
        ("", ""),
    ],
)
def test_the_lines_at_the_top_that_are_headings(text, title):
    assert page_title(text) == title


def test_below_the_outline_only_what_is_new():
    assert with_page_title("Item 8 › Balance Sheets", "Balance Sheets\nCash | 5\n") == "Item 8 › Balance Sheets"
    assert with_page_title("Item 8", "Balance Sheets\nCash | 5\n") == "Item 8 › Balance Sheets"
    assert with_page_title("", "cash and nothing else\n") == ""


def test_a_pdf_page_carries_its_title(tmp_path):
    path = make_pdf(
        tmp_path / "a.pdf",
        [["Statements of Cash Flows", "Dividends paid were 389 million in the year."], ["no title here"]],
    )
    assert [section.heading for section in load(path).sections] == ["Statements of Cash Flows", ""]

"""Tables in text files: rows that name their columns."""

from __future__ import annotations

import pytest

from tests.ingest.loaders.documents import headings, load, texts


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_rows_name_their_columns_whatever_the_delimiter(tmp_path, delimiter):
    rows = [["Article", "Price", "Note"], ["P-200", "149.00", ""], ["P-300", "199.00", "new"]]
    (tmp_path / "a.csv").write_text("".join(delimiter.join(row) + "\r\n" for row in rows))

    document = load(tmp_path / "a.csv")

    assert texts(document) == ["Article: P-200; Price: 149.00\nArticle: P-300; Price: 199.00; Note: new\n"]
    assert headings(document) == ["rows 2–3"]


def test_quoted_cells_keep_delimiters_and_lose_line_breaks(tmp_path):
    (tmp_path / "a.csv").write_text('Name,Text\n"Roe, Declan","two\nlines ""quoted"""\n')

    assert texts(load(tmp_path / "a.csv")) == ['Name: Roe, Declan; Text: two lines "quoted"\n']


def test_whole_rows_in_groups_of_twenty_with_their_numbers(tmp_path):
    (tmp_path / "a.tsv").write_text("Number\tSquare\n" + "".join(f"{n}\t{n * n}\n" for n in range(45)))

    document = load(tmp_path / "a.tsv")

    assert headings(document) == ["rows 2–21", "rows 22–41", "rows 42–46"]
    assert [text.count("\n") for text in texts(document)] == [20, 20, 5]
    assert texts(document)[1].startswith("Number: 20; Square: 400\n")


def test_a_name_above_the_header_long_rows_and_blank_rows(tmp_path):
    (tmp_path / "a.csv").write_text("Price list\n\nArticle;Price\nP-1;5;extra\n;;\nP-2;6\n")

    document = load(tmp_path / "a.csv")

    assert texts(document) == ["Price list\n", "Article: P-1; Price: 5; Column 3: extra\nArticle: P-2; Price: 6\n"]
    assert headings(document) == ["", "rows 4–6"]


def test_a_single_column_and_a_header_alone(tmp_path):
    (tmp_path / "one.csv").write_text("City\nCork\nBerlin\n")
    (tmp_path / "header.csv").write_text("Article,Price\n")

    assert texts(load(tmp_path / "one.csv")) == ["City: Cork\nCity: Berlin\n"]
    assert texts(load(tmp_path / "header.csv")) == ["Article; Price\n"]

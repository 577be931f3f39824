"""Tables in text files: delimiters, quotation marks, row numbers."""

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

    document = load(tmp_path / "a.csv")

    assert texts(document) == ['Name: Roe, Declan; Text: two lines "quoted"\n']
    assert document.notice == ""


def test_a_quotation_mark_that_is_never_closed_swallows_nothing(tmp_path):
    (tmp_path / "a.csv").write_text('Article,Size\nP-1,5\nP-2,"7\nP-3,9\n')

    document = load(tmp_path / "a.csv")

    assert texts(document) == ['Article: P-1; Size: 5\nArticle: P-2; Size: "7\nArticle: P-3; Size: 9\n']
    assert "not closed" in document.notice


def test_a_name_above_the_header_long_rows_and_blank_rows(tmp_path):
    (tmp_path / "a.csv").write_text("Price list\n\nArticle;Price\nP-1;5;extra\n;;\nP-2;6\n")

    document = load(tmp_path / "a.csv")

    assert texts(document) == ["Price list\n", "Article: P-1; Price: 5; extra\nArticle: P-2; Price: 6\n"]
    assert headings(document) == ["row 1", "rows 4–6"]


def test_a_single_column_and_a_header_alone(tmp_path):
    (tmp_path / "one.csv").write_text("City\nCork\nBerlin\n")
    (tmp_path / "header.csv").write_text("Article,Price\n")

    assert texts(load(tmp_path / "one.csv")) == ["City: Cork\nCity: Berlin\n"]
    assert texts(load(tmp_path / "header.csv")) == ["Article; Price\n"]


def test_a_first_line_may_tell_the_delimiter(tmp_path):
    (tmp_path / "a.csv").write_text("sep=;\nA,1;B,2\n3,4;5,6\n")

    document = load(tmp_path / "a.csv")

    assert (texts(document), headings(document)) == (["A,1: 3,4; B,2: 5,6\n"], ["row 3"])


@pytest.mark.parametrize("delimiter", ["^", "~", ":", "\x01", "   "])
def test_rare_delimiters_are_told_where_each_row_has_all_columns(tmp_path, delimiter):
    rows = (("part", "hall", "pieces"), ("bolt", "North Hall", "9"), ("nut", "East Hall", "22"))
    (tmp_path / "a.csv").write_text("".join(delimiter.join(row) + "\n" for row in rows))

    assert texts(load(tmp_path / "a.csv")) == [
        "part: bolt; hall: North Hall; pieces: 9\npart: nut; hall: East Hall; pieces: 22\n"
    ]


def test_times_in_a_single_column_are_not_cut(tmp_path):
    (tmp_path / "a.csv").write_text("10:30:00\n11:45:00\n12:15:30\n")

    assert "10:30:00" in "".join(texts(load(tmp_path / "a.csv")))


def test_a_backslash_before_a_quotation_mark_is_none_of_the_text(tmp_path):
    (tmp_path / "a.csv").write_text(
        '"id","part","folder"\n"1","rod, 5\\" long, of zinc","C:\\new"\n"2","nut","D:\\old"\n"3","cap","D:"\n'
    )

    assert 'id: 1; part: rod, 5" long, of zinc; folder: C:\\new\n' in "".join(texts(load(tmp_path / "a.csv")))

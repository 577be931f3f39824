"""Rows of a sheet, read back from the text that was made of them."""

from rag.ui.answer.table import ROWS_AROUND, Table, table_of

TEXT = "Article: P-1; Price: 9.00\nArticle: P-2; Note: small; red: and blue; Price: 12.90\nArticle: P-3; Price: 15\n"


def test_the_cited_row_among_its_neighbours():
    start = TEXT.index("Article: P-2")
    assert table_of(TEXT, start, TEXT.index("\n", start)) == Table(
        ["Article", "Price"],
        [["P-1", "9.00"], ["P-2; Note: small; red: and blue", "12.90"], ["P-3", "15"]],
        [1],
    )


def test_a_quote_within_a_row_and_over_two():
    table = table_of(TEXT, TEXT.index("12.90"), TEXT.index("P-3"))
    assert table is not None
    assert table.marked == [1, 2]


def test_of_a_long_sheet_only_the_rows_around():
    text = "".join(f"Article: P-{number}; Price: {number}.00\n" for number in range(100))
    start = text.index("P-50;")
    table = table_of(text, start, start + 4)
    assert table is not None
    assert len(table.rows) == 2 * ROWS_AROUND + 1
    assert [table.rows[row][0] for row in table.marked] == ["P-50"]


def test_text_without_columns_is_no_table():
    assert table_of("A note: nothing more.\nAnd another line.\n", 0, 6) is None
    assert table_of("", 0, 0) is None


def test_what_stands_above_the_rows_is_left_out():
    table = table_of(f"Price list of March\n{TEXT}", 30, 40)
    assert table is not None
    assert len(table.rows) == 3

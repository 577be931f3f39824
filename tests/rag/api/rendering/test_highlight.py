"""Quotes found again on drawn pages."""

import pytest

from rag.api.rendering.highlight import Characters, boxes_of

WIDTH, HEIGHT = 10, 20  # of each character


def page(*lines):
    """A page with lines of characters; a line may be given as cells, (column, text), which are drawn one by one."""
    text, boxes = [], []
    for row, line in enumerate(lines):
        for column, cell in line if isinstance(line, list) else [(0, line)]:
            for place, character in enumerate(cell + "\n"):
                left, top = (column + place) * WIDTH, row * HEIGHT
                text.append(character)
                boxes += [left, top, left + WIDTH, top + HEIGHT]
    return Characters("".join(text), boxes)


def line_box(row, first, last):
    return (first * WIDTH, row * HEIGHT, last * WIDTH, (row + 1) * HEIGHT)


def test_a_quote_over_two_lines_has_a_box_on_each():
    drawn = page("The pump needs", "oil. Every day.")
    text = "The pump needs oil. Every day."
    start = text.index("pump")
    assert boxes_of(drawn, text, start, text.index(" Every")) == [line_box(0, 4, 14), line_box(1, 0, 4)]


def test_hyphens_ligatures_and_case_do_not_matter():
    drawn = page("An e\ufb03cient main-", "tenance plan")
    text = "An efficient maintenance plan"
    assert len(boxes_of(drawn, text, 0, len(text))) == 2


def test_of_equal_words_the_ones_at_the_same_place_are_meant():
    drawn = page("Total 12", "something else", "Total 12")
    text = "Total 12\nsomething else\nTotal 12\n"
    assert boxes_of(drawn, text, 0, 8) == [line_box(0, 0, 8)]
    assert boxes_of(drawn, text, text.rindex("Total"), len(text)) == [line_box(2, 0, 8)]


def test_a_table_that_was_drawn_by_columns_is_marked_by_rows():
    drawn = page(
        [(0, "Kiln")], [(0, "Wheel")], [(0, "Glaze")], [(20, "5")], [(20, "7")], [(20, "7")]
    )  # fmt: skip
    boxes = list(drawn.boxes)
    columns = {place: number for number, place in enumerate(i for i, c in enumerate(drawn.text) if c == "\n")}
    assert len(columns) == 6
    for number in range(len(drawn.text)):  # the second column stands beside the first one
        if boxes[4 * number + 1] >= 3 * HEIGHT:
            boxes[4 * number + 1] -= 3 * HEIGHT
            boxes[4 * number + 3] -= 3 * HEIGHT
    drawn = Characters(drawn.text, boxes)
    text = "Kiln 5\nWheel 7\nGlaze 7\n"
    assert boxes_of(drawn, text, 7, 14) == [line_box(1, 0, 5), line_box(1, 20, 21)]
    assert boxes_of(drawn, text, 15, 22) == [line_box(2, 0, 5), line_box(2, 20, 21)]


@pytest.mark.parametrize("quote", ["Quite another sentence stands here.", "…", ""])
def test_what_is_not_there_is_not_marked(quote):
    assert boxes_of(page("The pump needs oil.", "And a hammer."), quote, 0, len(quote)) == []

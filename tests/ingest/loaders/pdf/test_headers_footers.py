"""Running headers and footers go; the page's own lines stay."""

from ingest.loaders.pdf.headers_footers import without_running_lines

BODIES = (
    "Keep children away.\nThe door is hot.",
    "Stand it on a level floor.\nLeave 300 mm free.",
    "Fire it empty first.\nIt will smell.",
    "Vacuum the chamber.\nNever wet it.",
    "Order by part number.\nThey are in the price list.",
    "It draws 16 A.\nIt weighs 58 kg.",
)
CHAPTERS = ("Safety", "Setting up", "Firing", "Cleaning", "Spare parts", "Technical data")


def pages(header: str = "{body}", footer: str = "") -> list[str]:
    layout = header if "{body}" in header else header + "\n{body}"
    layout += "\n" + footer if footer else ""
    return [
        layout.format(body=body, chapter=chapter, number=number)
        for number, (body, chapter) in enumerate(zip(BODIES, CHAPTERS, strict=True), start=1)
    ]


def stripped(texts: list[str]) -> list[str]:
    labels = [str(number) for number in range(1, len(texts) + 1)]
    return without_running_lines(texts, labels, [[chapter] for chapter in CHAPTERS[: len(texts)]])


def test_the_same_line_on_every_page_goes():
    assert stripped(pages("Ember 140 Manual", "© 2024 Corrabeg Kilns, page {number} of 6")) == pages()


def test_a_line_that_names_the_chapter_goes():
    assert stripped(pages(footer="Corrabeg Kilns Ltd · {chapter}\n{number}")) == pages()


def test_page_numbers_go_also_where_they_run_ahead_of_the_pages():
    assert stripped([f"{text}\n{number + 40}" for number, text in enumerate(pages())]) == pages()


def test_lines_that_differ_in_more_than_the_page_number_stay():
    invoices = [f"{text}\nAmount due: {number * 37} EUR" for number, text in enumerate(pages())]
    assert stripped(invoices) == invoices


def test_the_heading_itself_stays():
    assert stripped(pages("{chapter}")) == pages("{chapter}")


def test_a_short_document_is_left_alone():
    texts = pages("Ember 140 Manual")[:3]
    assert stripped(texts) == texts


def test_a_page_of_nothing_but_running_lines_is_empty():
    texts = pages("Ember 140 Manual", "{number}")
    texts[3] = "Ember 140 Manual\n4"
    assert stripped(texts)[3] == ""


def test_a_year_beside_page_numbers_is_none():
    texts = pages()
    texts[0] += "\n2021"
    texts[1] += "\n2"

    assert [text.split("\n")[-1] for text in stripped(texts)[:2]] == ["2021", "Leave 300 mm free."]

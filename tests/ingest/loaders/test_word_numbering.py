"""Word's numbering, as files without reason or measure have it."""

from __future__ import annotations

import time

from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from ingest.loaders.hidden_text.look import style_chain
from ingest.loaders.word_numbering import Numbering


def numbering(levels, instances=1):
    numbers = "".join(f'<w:num w:numId="{n}"><w:abstractNumId w:val="0"/></w:num>' for n in range(instances))
    abstract = f'<w:abstractNum w:abstractNumId="0">{levels}</w:abstractNum>'
    return Numbering(parse_xml(f"<w:numbering {nsdecls('w')}>{abstract}{numbers}</w:numbering>"), {})


def paragraph(level=0):
    properties = f'<w:pPr><w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="0"/></w:numPr></w:pPr>'
    return parse_xml(f"<w:p {nsdecls('w')}>{properties}</w:p>")


def level(number, text, start="1"):
    return f'<w:lvl w:ilvl="{number}"><w:start w:val="{start}"/><w:lvlText w:val="{text}"/></w:lvl>'


def test_endless_labels_and_starts_are_bounded():
    counted = numbering(level(0, "x" * 100_000) + level(1, "%2.", start="9" * 5000))

    assert len(counted.label(paragraph())) < 1000
    assert counted.label(paragraph(1)) == "1."
    assert counted.label(paragraph("9" * 5000)) == "-"


def test_lists_of_very_many_levels_take_no_time():
    counted = numbering("".join(level(number, "%1.") for number in range(20_000)))
    place = paragraph()
    began = time.process_time()

    labels = [counted.label(place) for _ in range(2000)]

    assert labels[-1] == "2000."
    assert time.process_time() - began < 2


def test_styles_that_are_based_on_very_many_take_no_time():
    styles = {number: number for number in range(20_000)}
    began = time.process_time()

    chains = [style_chain(styles, number, lambda style: style + 1) for number in range(0, 20_000, 100)]

    assert chains[0][:3] == [0, 1, 2]
    assert time.process_time() - began < 2

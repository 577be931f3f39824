"""The sample and its golden questions agree: every answer stands where sample_questions.jsonl says it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import docx
import pypdfium2
import pytest
from bs4 import BeautifulSoup

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
LINES = (Path(__file__).parent / "sample_questions.jsonl").read_text("utf-8").splitlines()
QUESTIONS = [json.loads(line) for line in LINES]
EVIDENCE = [place for line in QUESTIONS if line["answer"] for place in (line, *line.get("also", ()))]


def page_text(path: Path, page_index: int | None) -> tuple[str | None, str]:
    """The printed label and the text of one page; of the whole file where it has no pages."""
    if path.suffix == ".pdf":
        with pypdfium2.PdfDocument(path) as document:
            return document.get_page_label(page_index), document[page_index].get_textpage().get_text_range()
    if path.suffix == ".docx":
        document = docx.Document(str(path))
        cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
        return None, "\n".join([*(paragraph.text for paragraph in document.paragraphs), *cells])
    text = path.read_text("utf-8")
    return None, BeautifulSoup(text, "lxml").body.get_text(" ") if path.suffix == ".html" else text


@pytest.mark.parametrize("place", EVIDENCE, ids=lambda place: f"{place['source']}:{place['answer']}")
def test_answer_stands_on_its_page(place: dict[str, Any]) -> None:
    path = SAMPLE / place["source"]
    assert (place["page_index"] is None) == (path.suffix != ".pdf")
    label, text = page_text(path, place["page_index"])
    assert place["page_label"] == label
    assert place["answer"] in text


def test_every_document_is_asked_about() -> None:
    assert {place["source"] for place in EVIDENCE} == {path.name for path in SAMPLE.iterdir() if path.name[0] != "."}
    assert sum(line["answer"] is None for line in QUESTIONS) == 4


def test_sample_stays_small() -> None:
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 1_000_000

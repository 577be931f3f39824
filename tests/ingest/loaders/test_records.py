"""JSON lines: records with ids, titles and text."""

import pytest

from ingest.loaders import Limits, load_document
from rag.errors import UnreadableDocument


def test_each_line_is_a_section_with_its_id_and_title(tmp_path):
    path = tmp_path / "papers.jsonl"
    path.write_text(
        '{"_id": "p1", "title": "On kilns", "text": "Kilns are hot."}\n'
        "\n"
        '{"id": 7, "text": "No title."}\n'
        '{"name": "Ana", "tags": ["a", "b"], "note": null}\n'
        '"just text"\n'
    )
    loaded = load_document(path, path.name, Limits())
    found = [(s.text, s.heading, s.record_id) for s in loaded.sections]
    assert found == [
        ("Kilns are hot.\n\n", "On kilns", "p1"),
        ("No title.\n\n", "", "7"),
        ('name: Ana; tags: ["a", "b"]\n\n', "", "4"),
        ("just text\n\n", "line 5", "5"),
    ]
    assert loaded.pages == 1


def test_a_line_that_is_no_json_is_named(tmp_path):
    path = tmp_path / "broken.jsonl"
    path.write_text('{"text": "fine"}\n{"text": \n')
    with pytest.raises(UnreadableDocument, match="line 2"):
        load_document(path, path.name, Limits())

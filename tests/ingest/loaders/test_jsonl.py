"""JSON lines: records with ids, titles and text."""

import json

import pytest

from rag.errors import UnreadableDocument
from tests.ingest.loaders.documents import load


def read(tmp_path, text, name="papers.jsonl"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    document = load(tmp_path / name)
    return [(s.text, s.heading, s.record_id) for s in document.sections], document.notice


def test_each_line_is_a_section_with_its_id_and_title(tmp_path):
    found, notice = read(
        tmp_path,
        '{"_id": "p1", "title": "On kilns", "text": "Kilns are hot."}\n'
        "\n"
        '{"id": 7, "text": "No title.", "author": {"name": "Ana"}, "vector": [0.1' + ", 2" * 20 + "]}\n"
        '{"name": "Ana", "tags": ["a", "b"], "note": null, "parts": [{"no": 1.50}, {"no": 2}]}\n'
        '"just text"\n',
    )

    assert found == [
        ("Kilns are hot.\n\n", "On kilns", "p1"),
        ("No title.\n\nauthor.name: Ana\n\n", "", "7"),
        ("name: Ana\ntags: a, b\nparts[0].no: 1.50\nparts[1].no: 2\n\n", "", "4"),
        ("just text\n\n", "line 5", "5"),
    ]
    assert notice == ""


def test_bad_lines_are_named_and_cost_only_themselves(tmp_path):
    good = "".join(json.dumps({"id": number, "text": "fine"}) + "\n" for number in range(10))

    found, notice = read(tmp_path, good + '{"text": \n' + "[" * 100_000 + "\n" + good, "x.ndjson")

    assert len(found) == 20
    assert notice == "2 of 22 lines are not JSON and were left out: 11, 12."


def test_a_file_of_bad_lines_is_refused(tmp_path):
    with pytest.raises(UnreadableDocument, match="line 2"):
        read(tmp_path, '{"text": "fine"}\n{"text": \n')


def test_numbers_stay_as_they_were_written(tmp_path):
    found, _ = read(tmp_path, '{"a": 1e400, "b": %s, "c": NaN, "d": 0.10, "e": -3, "f": true}' % ("9" * 5000))

    assert found[0][0] == f"a: 1e400\nb: {'9' * 5000}\nc: NaN\nd: 0.10\ne: -3\nf: true\n\n"

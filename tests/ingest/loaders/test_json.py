"""JSON: records where it is a list of objects, readable lines where it is anything else, text where it is broken."""

from __future__ import annotations

import json

import pytest

from ingest.loaders import Limits
from rag.errors import UnreadableDocument
from tests.ingest.loaders.documents import headings, load, texts


def load_json(tmp_path, text, encoding="utf-8", limits=None):
    (tmp_path / "a.json").write_bytes(text.encode(encoding))
    return load(tmp_path / "a.json", limits=limits)


def test_a_list_of_objects_is_records(tmp_path):
    document = load_json(tmp_path, '[{"id": "a", "title": "One", "text": "first"}, {"name": "two"}]')

    assert texts(document) == ["first\n\n", "name: two\n\n"]
    assert [(s.heading, s.record_id) for s in document.sections] == [("One", "a"), ("", "2")]


def test_the_one_list_of_objects_in_an_object_is_records_too(tmp_path):
    document = load_json(
        tmp_path, '{"count": 2, "about": {"by": "Ana"}, "items": [{"id": 1, "n": 5}, {"id": 2, "n": 6}]}'
    )

    assert texts(document) == ["count: 2\n\n", "about.by: Ana\n\n", "n: 5\n\n", "n: 6\n\n"]
    assert [(s.heading, s.record_id) for s in document.sections] == [("", None), ("about", None), ("", "1"), ("", "2")]


def test_anything_else_is_lines_by_key(tmp_path):
    document = load_json(
        tmp_path,
        '\ufeff{"name": "kiln", "heat": {"max": [1, 2.5], "at": [[1], {"x": null}]}, "a": [{"b": 1}], "c": [{"d": 2}]}',
    )

    assert headings(document) == ["", "heat", "a", "c"]
    assert texts(document)[:3] == ["name: kiln\n\n", "heat.max: 1, 2.5\nheat.at[0]: 1\n\n", "a[0].b: 1\n\n"]
    assert texts(load_json(tmp_path, "[1, null, true]")) == ["1, true\n\n"]


def test_lines_of_json_under_the_wrong_name_are_records(tmp_path):
    assert len(load_json(tmp_path, '{"id": 1, "text": "a"}\n{"id": 2, "text": "b"}\n').sections) == 2


@pytest.mark.parametrize("text", ['{"a": "kiln", // hot\n}', '{"a": "kiln', "[" * 100_000 + '"kiln"' + "]" * 100_000])
def test_what_is_not_quite_json_is_read_as_text(tmp_path, text):
    document = load_json(tmp_path, text)

    assert "".join(texts(document)) == text
    assert "read as plain text" in document.notice


def test_paths_that_are_longer_than_values_keep_to_the_limit(tmp_path):
    deep = '{"' + "k" * 500_000 + '": [' + ",".join(["[1, [2]]"] * 1000) + "]}"

    with pytest.raises(UnreadableDocument, match="more than 1 MB of text"):
        load_json(tmp_path, deep, limits=Limits(max_text_mb=1))


def load_lines(tmp_path, text, name="papers.jsonl"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    document = load(tmp_path / name)
    return [(s.text, s.heading, s.record_id) for s in document.sections], document.notice


def test_each_line_is_a_section_with_its_id_and_title(tmp_path):
    found, notice = load_lines(
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

    found, notice = load_lines(tmp_path, good + '{"text": \n' + "[" * 100_000 + "\n" + good, "x.ndjson")

    assert len(found) == 20
    assert notice == "2 of 22 lines are not JSON and were left out: 11, 12."


def test_a_file_of_bad_lines_is_refused(tmp_path):
    with pytest.raises(UnreadableDocument, match="line 2"):
        load_lines(tmp_path, '{"text": "fine"}\n{"text": \n')


def test_numbers_stay_as_they_were_written(tmp_path):
    found, _ = load_lines(tmp_path, '{"a": 1e400, "b": %s, "c": NaN, "d": 0.10, "e": -3, "f": true}' % ("9" * 5000))

    assert found[0][0] == f"a: 1e400\nb: {'9' * 5000}\nc: NaN\nd: 0.10\ne: -3\nf: true\n\n"

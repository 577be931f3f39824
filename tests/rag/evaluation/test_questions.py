"""Questions as people write them, and what is said about lines that cannot be used."""

from __future__ import annotations

import json

import pytest

from rag.errors import InvalidRequest
from rag.evaluation.questions import Question, read_questions


def written(tmp_path, text, name="questions.jsonl"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_json_lines(tmp_path):
    lines = [
        '{"question": " Who? ", "id": 7, "document": "a.pdf", "page": [3, "iv"], "answer": ["He", "him"], "by": "me"}',
        "",
        '{"question": "Where?", "document": ["a.pdf", "b.md"], "record_id": 12, "text": "a\\nb"}',
        '{"question": "When?", "answerable": false, "page": null, "document": "", "without": ["a.pdf", "b.md"]}',
    ]
    file = read_questions(written(tmp_path, "\ufeff" + "\r\n".join(lines)))
    assert file.questions == (
        Question(1, "7", "Who?", ("a.pdf",), ("3", "iv"), answers=("He", "him")),
        Question(3, "line 3", "Where?", ("a.pdf", "b.md"), (), ("12",), ("a\nb",)),
        Question(4, "line 4", "When?", is_answerable=False, without=("a.pdf", "b.md")),
    )
    assert file.unknown_columns == ("by",)


def test_csv(tmp_path):
    text = (
        "Question,document,page,text,answerable,owner\n"
        '"Who, then?",a.pdf;b.pdf,3; 4,"one; two\nthree",,x\n'
        "When?,,,,no,\n"
    )
    file = read_questions(written(tmp_path, text, "questions.CSV"))
    assert file.questions == (
        Question(2, "line 2", "Who, then?", ("a.pdf", "b.pdf"), ("3", "4"), texts=("one; two\nthree",)),
        Question(4, "line 4", "When?", is_answerable=False),
    )
    assert file.unknown_columns == ("owner",)
    tabs = read_questions(written(tmp_path, "question\tanswer\nWho, now?\tA, B\n", "questions.tsv"))
    assert tabs.questions == (Question(2, "line 2", "Who, now?", answers=("A, B",)),)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('["question"]', "not a JSON object"),
        ("{}", "'question' is missing"),
        ('{"question": "  "}', "'question'"),
        ('{"question": ["a", "b"]}', "'question'"),
        ('{"question": "a", "document": {"name": "x"}}', "'document'"),
        ('{"question": "a", "answer": true}', "'answer'"),
        ('{"question": "a", "page": 3}', "'page' needs"),
        ('{"question": "a", "document": ["x", "y"], "page": [1, 2, 3]}', "'page' needs"),
        ('{"question": "a", "answerable": "perhaps"}', "'answerable'"),
        ('{"question": "\\ud83e"}', "half a character"),
        ('{"question": "a", "id": "line 1"}', "that of line 1"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path, line, reason):
    path = written(tmp_path, f'{{"question": "a"}}\n{line}\n')
    with pytest.raises(InvalidRequest, match="Line 2 of ") as caught:
        read_questions(path)
    assert reason in caught.value.message
    example = json.loads(caught.value.hint.removeprefix("A line looks like "))
    assert read_questions(written(tmp_path, json.dumps(example))).questions


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("question,answer\na\n", "Line 2 .* number of cells"),
        ("question,answer\na,b,c\n", "Line 2 .* number of cells"),
        ('question\n"a\n', "Line 2"),
        ("answer\nb\n", "'question' is missing"),
        ("question\n", "no questions"),
        ("", "no questions"),
        (b"question\ncaf\xe9\n", "not UTF-8"),
    ],
)
def test_a_csv_that_cannot_be_used(tmp_path, text, reason):
    with pytest.raises(InvalidRequest, match=reason) as caught:
        read_questions(written(tmp_path, text, "questions.csv"))
    assert caught.value.hint


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read_questions(tmp_path / "none.jsonl")

"""The `rag` command in real processes: ask, search, doctor, and what they say when something is wrong."""

from __future__ import annotations

import json

import pytest

from tests.commands import Commands
from tests.ingest.loaders.documents import make_pdf
from tests.rag.models.model_server import ModelServer


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    commands = Commands(tmp_path_factory.mktemp("cli"))
    make_pdf(
        commands.folder / "manual.pdf", [["The cover."], ["The pump needs oil every 90 days."]], title="Pump manual"
    )
    (commands.folder / "note.txt").write_text("The fox is orange. 🦊")
    commands.run("ingest", "manual.pdf", "note.txt")
    return commands


def test_ask_gives_the_answer_with_its_footnotes(commands):
    said = commands.run("rag", "ask", "What needs oil?").stdout
    assert said.startswith("The documents say so [1].\n")
    assert "[1] Pump manual, page 2 (" in said
    assert "The pump needs oil every 90 days." in commands.run("rag", "ask", "oil?", RAG_LLM__PROVIDER="quotes").stdout


def test_search_shows_hits_for_people_and_for_programs(commands):
    shown = commands.run("rag", "search", "pump oil").stdout
    assert "Pump manual, page 2" in shown
    assert " likely)" in shown
    assert "Nothing in your documents speaks to this." not in shown
    assert commands.run("rag", "search", "purple umbrellas").stdout.startswith("Nothing in your documents speaks to")
    hits = [
        json.loads(line) for line in commands.run("rag", "search", "pump oil", "--json", "-k", 2).stdout.splitlines()
    ]
    keys = (
        "document title source record_id page_index page_label heading start end text chunk_start chunk_end score "
        "probability dense_rank lexical_rank"
    )
    assert [list(hit) for hit in hits] == [keys.split()] * 2
    best = hits[0]
    assert (best["page_index"], best["page_label"], best["dense_rank"], best["lexical_rank"]) == (1, "2", 1, 1)
    assert best["text"] == "The pump needs oil every 90 days."
    assert best["end"] - best["start"] == len(best["text"])


def test_a_part_of_the_documents(commands):
    def sources(*arguments):
        lines = commands.run("rag", "search", "pump oil fox", "--json", *arguments).stdout.splitlines()
        return {(json.loads(line)["source"].rpartition("/")[2], json.loads(line)["page_index"]) for line in lines}

    said = commands.run("ingest", "tag", "note.txt", "year=2021", "kind=note", "gone=1").stdout
    assert 'note.txt: year=2021, kind="note", gone=1' in said
    assert "gone" not in commands.run("ingest", "tag", "note.txt", "gone=").stdout
    commands.run("ingest", "manual.pdf", "--attribute", "year=2019")  # unchanged, and tagged all the same
    listed = [json.loads(line) for line in commands.run("ingest", "ls", "--json").stdout.splitlines()]
    assert [document["attributes"] for document in listed] == [{"year": 2019}, {"year": 2021, "kind": "note"}]
    assert "year=2019" in commands.run("ingest", "ls").stdout
    assert sources("--where", "year>2020", "--where", "kind=note") == {("note.txt", None)}
    assert sources("--where", "kind!=note", "--pages", "2-9") == {("manual.pdf", 1)}
    assert sources("--document", "manual.pdf", "--filter", '{"type": "lt", "key": "pages", "value": 2}') == set()
    said = commands.run("rag", "ask", "What needs oil?", "--document", "./note.txt").stdout
    assert "Pump manual" not in said
    assert "no document" in commands.refused("rag", "search", "x", "--document", "nothing.pdf", code=1)
    assert "year>=2021" in commands.refused("rag", "search", "x", "--where", "year")
    assert "key" in commands.refused("rag", "ask", "x", "--filter", '{"type": "eq"}')


def test_many_questions_in_one_process(commands):
    questions = [{"id": n, "question": "pump oil" if n % 2 else "fox 🦊"} for n in range(6)]
    lines = "\n".join(json.dumps(question) for question in questions) + "\n\n"
    (commands.folder / "questions.jsonl").write_text(lines, encoding="utf-8")
    commands.run("rag", "search", "--batch", "questions.jsonl", "--output", "hits.jsonl", "-k", 1)
    found = [json.loads(line) for line in (commands.folder / "hits.jsonl").read_text("utf-8").splitlines()]
    assert [list(line) for line in found] == [["id", "hits", "milliseconds"]] * 6
    assert [line["id"] for line in found] == list(range(6))
    for line in found:
        assert ("pump" in line["hits"][0]["text"]) == bool(line["id"] % 2)
        assert line["milliseconds"] > 0
    (commands.folder / "bad.jsonl").write_text('{"id": 1, "question": "x"}\n{"id": 2}\n')
    assert "Line 2" in commands.refused("rag", "search", "--batch", "bad.jsonl")
    (commands.folder / "latin.jsonl").write_bytes(b'{"id": 1, "question": "caf\xe9"}\n')
    commands.refused("rag", "search", "--batch", "latin.jsonl", code=1)
    commands.refused("rag", "search", "--batch", "questions.jsonl", "--output", "nowhere/hits.jsonl", code=1)


def test_doctor_tells_what_is_well_and_what_is_not(commands):
    well = commands.run("rag", "doctor").stdout
    for words in ("2 documents", "bag-of-words", "scripted", "GB free", "no other process"):
        assert words in well
    assert all(line.startswith(("ok", "   ")) for line in well.splitlines()), well
    dead = {"RAG_LLM__PROVIDER": "openai", "RAG_LLM__BASE_URL": ModelServer().base_url}
    ill = commands.run("rag", "doctor", code=1, **dead).stdout
    assert "problem  Language model" in ill
    gone = commands.run("rag", "doctor", code=1, RAG_STORAGE__CHROMA_URL="http://127.0.0.1:9").stdout
    assert [line for line in gone.splitlines() if line.startswith("problem")] == [
        "problem  Chroma: The Chroma server at http://127.0.0.1:9 cannot be reached: [Errno 111] Connection refused."
    ]


def test_wrong_calls_say_what_is_wrong(commands):
    assert "no question" in commands.refused("rag", "ask", " ")
    assert "elsewhere" in commands.refused("rag", "search", "x", "--collection", "elsewhere", code=1)
    assert "--batch" in commands.refused("rag", "search")
    dead = {"RAG_LLM__PROVIDER": "openai", "RAG_LLM__BASE_URL": ModelServer().base_url}
    commands.refused("rag", "ask", "pump oil", code=1, **dead)
    assert "RAG_LLM__TEMPERATURE" in commands.refused("rag", "ask", "x", RAG_LLM__TEMPERATURE="warm")
    assert "RAG_LLM__MODEL" in commands.refused("rag", "ask", "x", RAG_LLM__MODELL="x")

"""The `ingest` command in real processes, alone and beside a running server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from pypdf import PdfWriter

from rag.index.index import Index
from rag.models.embedding import open_embedding
from rag.settings import EmbeddingSettings
from tests.commands import Commands
from tests.ingest.loaders.documents import make_pdf, rewrite_pdf
from tests.rag.index.test_index import assert_consistent
from tests.rag.models.model_server import free_port

STRANGE = {
    "plain.txt": "The plain file speaks of oranges.",
    "🦊 fox.md": "# Fox\n\nThe fox is orange.",
    "two\nlines.txt": "This name has a line break.",
    "ümlaut & 'quote' \"double\".txt": "Quotes in a name.",
    "-dash.txt": "A name that looks like an option.",
    "[1] $(x) %s.txt": "A name with brackets.",
}


@pytest.fixture
def commands(tmp_path):
    return Commands(tmp_path)


def listed(commands, *arguments):
    return [json.loads(line) for line in commands.run("ingest", "ls", "--json", *arguments).stdout.splitlines()]


def make_folder(folder):
    folder.mkdir()
    for name, text in STRANGE.items():
        (folder / name).write_text(text, encoding="utf-8")
    make_pdf(folder / "manual.pdf", [["Page one of the manual."], ["Page two speaks of pumps."]])
    return folder


def make_bad_files(folder):
    (folder / "empty.txt").write_bytes(b"")
    make_pdf(folder / "secret.pdf", [["Nobody reads this."]])
    rewrite_pdf(folder / "secret.pdf", lambda writer: PdfWriter.encrypt(writer, "password"))
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and then nonsense")


def test_a_folder_is_taken_in_and_changes_are_followed(commands, tmp_path):
    folder = make_folder(tmp_path / "documents")
    first = commands.run("ingest", folder)
    assert "added" in first.stdout
    (folder / "old.DOC").write_bytes(b"x")
    assert "Left out, as no loader reads them: 1 .doc" in commands.run("ingest", folder).stdout
    events = [json.loads(line) for line in commands.run("ingest", "add", "--json", folder).stdout.splitlines()]
    assert events[0] == {"event": "left_out", "suffixes": {".doc": 1}}
    assert events[-1]["event"] == "end"
    documents = listed(commands)
    assert len(documents) == len(STRANGE) + 1
    assert {d["status"] for d in documents} == {"ready"}
    assert all("\n" not in d["source"] for d in documents)
    assert {tuple(d) for d in documents} == {
        ("id", "collection", "source", "status", "pages", "chunks", "error", "attributes")
    }
    (pdf,) = [d for d in documents if d["source"].endswith("manual.pdf")]
    assert (pdf["pages"], pdf["chunks"], pdf["collection"], pdf["error"]) == (2, 2, "default", None)

    second = commands.run("ingest", folder)
    assert "embedded" not in second.stdout
    assert "added" not in second.stdout
    assert listed(commands) == documents

    os.utime(folder / "plain.txt")  # touched, not changed
    (folder / "🦊 fox.md").write_text("# Fox\n\nThe fox is red now.", encoding="utf-8")
    make_bad_files(folder)
    third = commands.run("ingest", folder, code=1)
    words = third.stdout + third.stderr
    for name, reason in {"empty.txt": "0 bytes", "secret.pdf": "password", "broken.pdf": "could not be read"}.items():
        (line,) = [line for line in words.splitlines() if line.startswith(f"failed  {name}")]
        assert reason in line
    counts = {line.split()[0]: line.split()[1] for line in third.stdout.splitlines() if line and line[0].islower()}
    assert (counts["updated"], counts["unchanged"]) == ("1", str(len(STRANGE)))
    after = {d["source"]: d for d in listed(commands)}
    assert {d["source"]: d["id"] for d in documents}.items() <= {s: d["id"] for s, d in after.items()}.items()
    failed = [d for d in after.values() if d["status"] == "failed"]
    assert len(failed) == 3
    assert all(d["error"] and d["chunks"] == 0 for d in failed)

    index_holds(commands, {"red now": 1, "is orange": 0})


def index_holds(commands, texts):
    with closing(Index(commands.storage, open_embedding(EmbeddingSettings(model="bag-of-words")))) as index:
        assert_consistent(index)
        chunks = [c.text for d in index.catalog.documents() for c in index.catalog.chunks_of(d.id)]
        for text, count in texts.items():
            assert sum(text in chunk for chunk in chunks) == count


def test_single_files_by_strange_names_come_and_go(commands, tmp_path):
    folder = make_folder(tmp_path / "documents")
    commands.run("ingest", *[folder / name for name in STRANGE])
    assert len(listed(commands)) == len(STRANGE)
    commands.run("ingest", "rm", *[folder / name for name in STRANGE if name != "plain.txt"])
    (left,) = listed(commands)
    assert left["source"].endswith("plain.txt")
    shutil.rmtree(folder)
    commands.run("ingest", "rm", "plain.txt")
    assert listed(commands) == []
    index_holds(commands, {"": 0})


def test_a_name_that_is_not_utf8(commands, tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.txt")).write_bytes(b"The menu of the cafe.")
    commands.run("ingest", folder)
    (document,) = listed(commands)
    assert document["status"] == "ready"
    assert "unchanged" in commands.run("ingest", folder).stdout
    port = free_port()
    with commands.server(port) as url:
        assert "unchanged" in commands.run("ingest", folder).stdout
        assert listed(commands) == [document]
        source = httpx.get(f"{url}/documents/{document['id']}/source", trust_env=False)
        assert source.text == "The menu of the cafe."


def test_wrong_calls_say_what_is_wrong(commands, tmp_path):
    assert "nowhere" in commands.refused("ingest", tmp_path / "nowhere", code=1)
    assert "ingest ls" in commands.refused("ingest", "rm", "nobody.txt", code=1)
    assert "elsewhere" in commands.refused("ingest", "ls", "--collection", "elsewhere", code=1)
    (tmp_path / "empty").mkdir()
    assert "No documents found" in commands.run("ingest", tmp_path / "empty").stdout
    (tmp_path / "good.txt").write_text("text")
    assert "512" in commands.refused("ingest", tmp_path / "good.txt", "--attribute", f"note={'x' * 600}")
    assert listed(commands) == []
    (tmp_path / "picture.xyz").write_text("x")
    assert ".xyz" in commands.run("ingest", tmp_path / "picture.xyz", code=1).stderr
    assert listed(commands) == [] or listed(commands)[0]["status"] == "failed"


def test_wrong_settings_say_which(commands, tmp_path):
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", "/proc/nowhere"):
        assert "RAG_STORAGE__DIR" in commands.refused("ingest", tmp_path / "file", RAG_STORAGE__DIR=str(folder))
    assert "RAG_INGEST__CHUNK_TOKENS" in commands.refused("ingest", "ls", RAG_INGEST__CHUNK_TOKENS="many")
    assert "RAG_STORAGE__DIR?" in commands.refused("ingest", "ls", RAG_STORAGE_DIR="x")


def test_a_damaged_catalog_is_an_error_and_no_trace(commands):
    commands.storage.mkdir()
    (commands.storage / "catalog.sqlite3").write_bytes(b"this is no database, it only looks like one" * 200)
    assert "catalog.sqlite3" in commands.refused("ingest", "ls")
    assert (commands.storage / "catalog.sqlite3").read_bytes().startswith(b"this is no database")


def test_another_embedding_model_is_refused(commands, tmp_path):
    (tmp_path / "a.txt").write_text("One.")
    commands.run("ingest", tmp_path / "a.txt")
    said = commands.refused("ingest", tmp_path / "a.txt", RAG_EMBEDDING__QUERY_PREFIX="q: ")
    assert "bag-of-words" in said


@pytest.mark.parametrize("call", ["ingest.cli.main()", "ingest.cli.rag_main()", "app.run(app.serve)"])
def test_help_loads_no_heavy_library(commands, call):
    module = call.rpartition(".")[0] if call.startswith("ingest") else "app"
    names = ["torch", "sentence_transformers", "llama_index", "chainlit", "chromadb", "tantivy", "fastapi", "numpy"]
    names += ["httpx", "sqlalchemy", *([] if module == "app" else ["pydantic", "rich"])]
    program = (
        f"import sys; sys.argv = ['x', '--help']; import {module}\n"
        f"try: {call}\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"loaded = [name for name in {names} if name in sys.modules]\n"
        "assert not loaded, loaded"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], env=commands.environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "Usage" in ran.stdout


def test_everything_works_through_a_running_server(commands, tmp_path):
    folder = make_folder(tmp_path / "documents")
    make_bad_files(folder)
    port = free_port()
    with commands.server(port):
        ran = commands.run("ingest", "documents", "--collection", "strange", code=1)
        assert ran.stderr.count("failed  ") == 3
        documents = listed(commands, "--collection", "strange")
        assert sum(d["status"] == "ready" for d in documents) == len(STRANGE) + 1
        assert "unchanged" in commands.run("ingest", "documents", "--collection", "strange", code=1).stdout
        commands.run("ingest", "rm", "documents/two\nlines.txt", "--collection", "strange")
        assert len(listed(commands)) == len(documents) - 1
        assert "nowhere" in commands.refused("ingest", "nowhere", code=1)
        assert "nobody" in commands.refused("ingest", "rm", "nobody", code=1)
        assert "elsewhere" in commands.refused("ingest", "ls", "--collection", "elsewhere", code=1)
        (hit,) = commands.run("rag", "search", "pumps", "-k1", "--json", "--collection", "strange").stdout.splitlines()
        assert json.loads(hit)["page_index"] == 1
        answer = commands.run("rag", "ask", "What speaks of pumps?", "--collection", "strange").stdout
        assert "The documents say so [1]." in answer
        assert "page 2" in answer
        said = commands.refused("app", RAG_SERVER__PORT=str(port), RAG_STORAGE__DIR=str(tmp_path / "other"))
        assert f"Port {port}" in said
        assert "in use by another process" in commands.refused("app", RAG_SERVER__PORT=str(free_port()))
    assert len(listed(commands)) == len(documents) - 1

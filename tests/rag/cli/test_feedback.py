"""`rag feedback` lists thumbs and votes, for people and for programs."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
from click.testing import CliRunner

from rag.cli.feedback import feedback
from rag.storage.catalog import Catalog
from rag.storage.conversations import Conversations, Step
from rag.storage.database import CATALOG_NAME
from rag.storage.feedback import put_feedback, put_vote
from rag.types.documents import LOCAL_PRINCIPAL


@pytest.fixture
def storage(tmp_path, monkeypatch):
    monkeypatch.setenv("RAG_STORAGE__DIR", str(tmp_path))
    with closing(Catalog(tmp_path / CATALOG_NAME)) as catalog:
        own = Conversations(catalog.database, LOCAL_PRINCIPAL)
        own.begin("c1", "How often?")
        own.put_step("c1", Step("q1", "user_message", "How often?"))
        metadata = {"question": "q1", "passages": ["doc_a:3:10-20"]}
        own.put_step("c1", Step("a1", "assistant_message", "Every 90 days [1].", {"metadata": metadata}))
        put_feedback(catalog.database, LOCAL_PRINCIPAL, "a1", "Says who?", is_good=False)
        put_vote(catalog.database, LOCAL_PRINCIPAL, "Why?", {"small": "So.", "large": "Because."}, [], "large")


def test_people_read_it(storage):
    told = CliRunner().invoke(feedback, [], catch_exceptions=False).output
    for words in ("bad  by local: Says who?", "asked     How often?", "Every 90 days [1].", "1 passage", "vote  large"):
        assert words in told


def test_programs_read_it(storage):
    lines = CliRunner().invoke(feedback, ["--json"], catch_exceptions=False).output.splitlines()
    found = {line["kind"]: line for line in map(json.loads, lines)}
    assert found["feedback"]["passages"] == ["doc_a:3:10-20"]
    assert (found["feedback"]["is_good"], found["feedback"]["answer"]) == (False, "Every 90 days [1].")
    assert found["vote"]["answers"] == {"small": "So.", "large": "Because."}

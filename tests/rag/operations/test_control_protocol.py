"""What goes between the command line and a server: read again, it is what was written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rag.errors import InvalidRequest, NotFound, RagError
from rag.operations.control_protocol import (
    IngestRequest,
    ReindexRequest,
    error_body,
    error_line,
    event_line,
    read_error,
    read_event,
)
from rag.settings import EmbeddingSettings
from rag.types.documents import Candidate, Progress, TextDelta
from rag.types.ingest import FileReport, IngestOptions, IngestProgress


@pytest.mark.parametrize("name", ["plain.pdf", "two\nlines.txt", "ä 🦊 100%.md", os.fsdecode(b"latin\xe9.txt")])
def test_a_path_keeps_its_bytes_and_becomes_absolute(name):
    request = IngestRequest(paths=[Path(name)], collection="default", options=IngestOptions(prune=True))
    read = IngestRequest.model_validate_json(request.model_dump_json())
    assert read.paths == [Path(name).absolute()]
    assert (read.collection, read.options) == ("default", IngestOptions(prune=True))


def test_the_key_of_an_embedding_server_reaches_the_server_that_is_to_use_it():
    chosen = EmbeddingSettings(provider="openai", base_url="http://127.0.0.1:9/v1", api_key="s3cret")
    request = ReindexRequest(embedding=chosen, api_key=chosen.api_key.get_secret_value())
    assert ReindexRequest.model_validate(request.model_dump(mode="json")).chosen == chosen


@pytest.mark.parametrize(
    "event",
    [
        TextDelta("half a character \ud83e\nand a line"),
        Candidate("large", TextDelta("Oil")),
        Progress("Reading", 1, 2),
        IngestProgress(1, 2, report=FileReport("a.txt", "failed", error="Broken.", hint="Mend it.")),
    ],
)
def test_an_event_comes_as_one_line(event):
    line = event_line(event)
    assert line.index("\n") == len(line) - 1
    assert read_event(line) == event


def test_an_error_keeps_message_and_hint_apart():
    error = NotFound("There is no document. Look", hint="Look")
    read = read_error(error_body(error))
    assert (type(read), read.message, read.hint) == (NotFound, "There is no document. Look", "Look")
    with pytest.raises(InvalidRequest, match="Wrong") as raised:
        read_event(error_line(InvalidRequest("Wrong.", hint="Right.")))
    assert raised.value.hint == "Right."


def test_an_error_of_another_kind_is_an_error_all_the_same():
    read = read_error({"error": {"message": "Not Found", "code": None}})
    assert (type(read), read.message, read.hint) == (RagError, "Not Found", "")

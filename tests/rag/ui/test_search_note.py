"""The line that says what was read, and where was looked: one line, whose numbers are those of the answer's footnotes,
over the chat's own socket."""

from __future__ import annotations

import re
from contextlib import closing

import pytest

from rag.auth.users import Users
from rag.storage.database import CATALOG_NAME
from rag.storage.sqlite import SqliteDatabase
from tests.commands import Commands
from tests.rag.models.model_server import ModelServer, free_port, running, stream
from tests.rag.ui.chat_client import PASSWORD, Chat, logged_in

pytestmark = pytest.mark.slow


async def test_where_it_looked_numbers_the_passages_as_the_answer_does(tmp_path):
    commands, model = Commands(tmp_path), ModelServer()
    for hall in ("north", "south", "west"):
        text = f"The pump in the {hall} hall needs oil every 90 days."
        (tmp_path / f"{hall}.txt").write_text(text, encoding="utf-8")
    commands.run("ingest", *(tmp_path / f"{hall}.txt" for hall in ("north", "south", "west")))
    with closing(SqliteDatabase(commands.storage / CATALOG_NAME)) as database:
        Users(database).add("anna", PASSWORD, is_admin=True)

    def cite_the_third(_, body):
        (hall,) = re.findall(r"<source 3 [^<]*?in the (north|south|west) hall", str(body["messages"]))
        return stream([f"The pump in the {hall} hall needs oil every 90 days [3]."], body)

    model.reply = cite_the_third
    llm = {"RAG_LLM__PROVIDER": "openai", "RAG_LLM__BASE_URL": model.base_url}
    server = commands.server(free_port(), RAG_AUTH__REQUIRED="true", **llm)
    with running(model), server as url, logged_in(url, "anna") as anna:
        chat = Chat(url, anna.cookies)
        await chat.open()
        await chat.ask("How often do the pumps in the halls need oil?")
        answer = await chat.until("new_message", "needs oil every 90 days")
        lines = [payload for _, payload in chat.events if "Where it looked" in str(payload)]
        await chat.close()
    assert len({line["id"] for line in lines}) == 1
    before, after = (
        {row.split("|")[1].strip(): row for row in line["output"].splitlines() if "|" in row}
        for line in (lines[0], lines[-1])
    )
    (hall,) = re.findall(r"in the (\w+) hall", answer["output"])
    assert hall in before["3"]
    assert hall in after["1"]

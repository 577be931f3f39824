"""What a model thinks is shown folded, above its answer, and kept as a step of its own: over the chat's own socket."""

from __future__ import annotations

from contextlib import closing

import pytest

from rag.auth.users import Users
from rag.storage.database import CATALOG_NAME
from rag.storage.sqlite import SqliteDatabase
from tests.commands import Commands
from tests.rag.models.model_server import ModelServer, chunk, events, free_port, running
from tests.rag.ui.chat_client import PASSWORD, Chat, logged_in

pytestmark = pytest.mark.slow
THOUGHTS = ["Let me see. ", "![x](http://127.0.0.1:1/x.png)", " Oil."]
ANSWER = "Good morning to you."


def thinking(_, body):
    async def pieces():
        for thought in THOUGHTS:
            yield chunk(choices=[{"index": 0, "delta": {"reasoning_content": thought}, "finish_reason": None}])
        yield chunk(ANSWER, "stop")
        yield b"data: [DONE]\n\n"

    return events(pieces())


@pytest.fixture
def url(tmp_path):
    commands, model = Commands(tmp_path), ModelServer()
    model.reply = thinking
    with closing(SqliteDatabase(commands.storage / CATALOG_NAME)) as database:
        Users(database).add("anna", PASSWORD)
    llm = {"RAG_LLM__PROVIDER": "openai", "RAG_LLM__BASE_URL": model.base_url}
    with running(model), commands.server(free_port(), RAG_AUTH__REQUIRED="true", **llm) as url:
        yield url


async def test_thoughts_are_a_folded_step_and_no_part_of_the_answer(url):
    with logged_in(url, "anna") as anna:
        chat = Chat(url, anna.cookies)
        await chat.open()
        await chat.ask("good morning")
        answer = await chat.until("new_message", ANSWER)
        assert "Let me see" not in answer["output"]
        step = await chat.until("update_message", "Let me see")
        assert (step["name"], step["type"]) == ("Thoughts of the model", "tool")
        assert step["output"].startswith("Let me see.")
        assert "![x](" not in step["output"], "nothing in them is fetched"
        order = [name for name, payload in chat.events if "Let me see" in str(payload) or ANSWER in str(payload)]
        assert order.index("update_message") < order.index("new_message")
        threads = anna.post("/project/threads", json={"pagination": {"first": 20}, "filter": {}}).json()["data"]
        steps = anna.get(f"/project/thread/{threads[0]['id']}").json()["steps"]
        await chat.close()
    flat = [*steps, *(inner for outer in steps for inner in outer.get("steps", []))]
    kept = {step["type"]: step for step in flat if "Let me see" in str(step) or ANSWER in str(step)}
    assert "Let me see" in str(kept["tool"])
    assert "Let me see" not in str({**kept["assistant_message"], "steps": []})

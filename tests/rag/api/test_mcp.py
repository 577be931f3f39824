"""The tools by the protocol's own client: over HTTP from a running server, and over stdin and stdout of `rag mcp`."""

from __future__ import annotations

import json
import sys
from contextlib import asynccontextmanager
from importlib.metadata import version

import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import McpError

from tests.commands import PROGRAMS, Commands
from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A folder whose documents were ingested, while its server runs."""
    folder = tmp_path_factory.mktemp("tools")
    with serving(api_settings(folder), [write_documents(folder / "documents")]) as served:
        yield folder, served


@asynccontextmanager
async def over_http(served):
    async with streamable_http_client(f"{served.url}/mcp") as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        yield session


async def test_search_and_read_what_was_found(filled):
    async with over_http(filled[1]) as session:
        tools = await session.list_tools()
        assert {tool.name for tool in tools.tools} == {
            *("search", "fetch", "read_page", "list_documents", "list_collections")
        }
        assert all(tool.description and tool.annotations.readOnlyHint for tool in tools.tools)
        found = await session.call_tool("search", {"query": "pump oil", "limit": 2})
        best = found.structuredContent["results"][0]
        assert (best["file"], best["page"], best["text"]) == ("manual.pdf", 2, "The pump needs oil every 90 days.")
        page = await session.call_tool("read_page", {"document_id": best["document_id"], "page": 3})
        assert page.structuredContent["text"].strip() == "The crate is kept dry."
        listed = await session.call_tool("list_documents", {"containing": "MANUAL"})
        (document,) = listed.structuredContent["result"]
        assert (document["title"], document["pages"]) == ("Pump manual", 3)


async def test_search_and_fetch_have_the_form_of_deep_research(filled):
    """https://platform.openai.com/docs/mcp: one text of JSON, with `results`, and with the whole of one."""
    async with over_http(filled[1]) as session:
        (content,) = (await session.call_tool("search", {"query": "pump oil"})).content
        best = json.loads(content.text)["results"][0]
        assert {"id", "title", "url"} <= best.keys()
        assert best["url"] == f"{filled[1].url}/documents/{best['document_id']}/source#page=2"
        (content,) = (await session.call_tool("fetch", {"id": best["id"]})).content
        fetched = json.loads(content.text)
        assert fetched.keys() == {"id", "title", "text", "url", "metadata"}
        assert (fetched["id"], fetched["title"], fetched["url"]) == (best["id"], best["title"], best["url"])
        assert fetched["text"].strip() == "The pump needs oil every 90 days."
        assert fetched["metadata"] == {"document_id": best["document_id"], "file": "manual.pdf", "page": "2"}
        document = (await session.call_tool("fetch", {"id": best["document_id"]})).structuredContent
        assert ("Cover" in document["text"], "crate is kept dry" in document["text"]) == (True, True)


async def test_documents_and_pages_are_resources(filled):
    _, served = filled
    async with over_http(served) as session:
        listed = {resource.name: resource for resource in (await session.list_resources()).resources}
        assert listed.keys() == {"manual.pdf", "page.html", "note with ä and 🦊.md"}
        manual = listed["manual.pdf"]
        assert (manual.title, manual.mimeType) == ("Pump manual", "text/plain")
        assert "oil every 90 days" in (await session.read_resource(manual.uri)).contents[0].text
        page = await session.read_resource(f"{manual.uri}/pages/3")
        assert page.contents[0].text.strip() == "The crate is kept dry."
        templates = (await session.list_resource_templates()).resourceTemplates
        assert [template.uriTemplate for template in templates] == [
            "footnote://documents/{document_id}",
            "footnote://documents/{document_id}/pages/{page}",
        ]
        for unknown in ("footnote://documents/doc_none", f"{manual.uri}/pages/9", "file:///etc/passwd"):
            with pytest.raises(McpError) as raised:
                await session.read_resource(unknown)
            assert raised.value.error.code == -32002


async def test_a_prompt_asks_the_documents_and_the_version_is_ours(filled):
    async with (
        streamable_http_client(f"{filled[1].url}/mcp") as (read, write, _),
        ClientSession(read, write) as session,
    ):
        about = await session.initialize()
        assert (about.serverInfo.name, about.serverInfo.version) == ("footnote", version("footnote"))
        (prompt,) = (await session.list_prompts()).prompts
        given = await session.get_prompt(prompt.name, {"question": "When is payday?"})
        assert given.messages[0].content.text.endswith("\n\nWhen is payday?")


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("search", {"query": "x", "collection": "nobody"}, "There is no collection 'nobody'"),
        ("search", {"query": "x", "filters": {"type": "near"}}, "near"),
        ("search", {"query": "x", "limit": 0}, "limit"),
        ("read_page", {"document_id": "doc_none", "page": 10**20}, "page"),
        ("fetch", {"id": "doc_none:1"}, "There is no document 'doc_none'"),
        ("fetch", {"id": ":"}, "There is nothing called"),
        ("read_page", {"document_id": "doc_none", "page": 1}, "There is no document 'doc_none'"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_breaks(filled, tool, arguments, message):
    async with over_http(filled[1]) as session:
        answer = await session.call_tool(tool, arguments)
        assert answer.isError
        assert message in answer.content[0].text
        assert "Traceback" not in answer.content[0].text


async def test_a_page_that_is_not_there_is_said(filled):
    _, served = filled
    async with over_http(served) as session:
        answer = await session.call_tool("read_page", {"document_id": served.document_id("manual.pdf"), "page": 9})
        assert answer.isError
        assert "3 pages" in answer.content[0].text


async def test_over_stdin_and_stdout(tmp_path):
    settings = api_settings(tmp_path)
    with serving(settings, [write_documents(tmp_path / "documents")]):
        pass  # the server has ended: the command opens the folder itself
    commands = Commands(tmp_path)
    command = StdioServerParameters(
        command=sys.executable, args=[*PROGRAMS["rag"], "mcp"], env=commands.environment, cwd=tmp_path
    )
    async with stdio_client(command) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        found = await session.call_tool("search", {"query": "pump oil"})
        assert found.structuredContent["results"][0]["page"] == 2
        assert found.structuredContent["results"][0]["url"].startswith("footnote://documents/doc_")

"""The tools by the protocol's own client: over HTTP from a running server, and over stdin and stdout of `rag mcp`."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager

import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

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
        assert {tool.name for tool in tools.tools} == {"search", "read_page", "list_documents", "list_collections"}
        assert all(tool.description and tool.annotations.readOnlyHint for tool in tools.tools)
        found = await session.call_tool("search", {"query": "pump oil", "limit": 2})
        best = found.structuredContent["result"][0]
        assert (best["file"], best["page"], best["text"]) == ("manual.pdf", 2, "The pump needs oil every 90 days.")
        page = await session.call_tool("read_page", {"document_id": best["document_id"], "page": 3})
        assert page.structuredContent["text"].strip() == "The crate is kept dry."
        listed = await session.call_tool("list_documents", {"containing": "MANUAL"})
        (document,) = listed.structuredContent["result"]
        assert (document["title"], document["pages"]) == ("Pump manual", 3)


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("search", {"query": "x", "collection": "nobody"}, "There is no collection 'nobody'"),
        ("search", {"query": "x", "filters": {"type": "near"}}, "near"),
        ("search", {"query": "x", "limit": 0}, "limit"),
        ("read_page", {"document_id": "doc_none", "page": 10**20}, "page"),
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
        assert found.structuredContent["result"][0]["page"] == 2

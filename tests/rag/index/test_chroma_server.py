"""A Chroma server that goes away: told in words, asked again, and used as soon as it is back."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from contextlib import closing

import httpx
import numpy as np
import pytest

from rag.errors import BackendError, BackendUnavailable, ConfigurationError
from rag.index.chroma_server import ChromaServer
from rag.index.dense import VectorIndex
from rag.index.index import Index
from rag.retrieval.retriever import HybridRetriever
from rag.settings import RetrievalSettings, load_settings
from rag.types.documents import Scope
from tests.chroma_process import chroma_process
from tests.rag.index.test_index import assert_consistent
from tests.rag.versions import make_version

pytestmark = pytest.mark.slow

ONE = np.eye(4, dtype=np.float32)[:1]


@pytest.fixture
def server(tmp_path):
    with chroma_process(tmp_path / "chroma") as server:
        yield server


def test_a_server_that_is_gone_is_told_of_soon_and_found_again(server):
    with closing(VectorIndex(ChromaServer(server.url), "f")) as vectors:
        vectors.add("vs_1", ["a"], ONE)
        server.kill()
        begun = time.monotonic()
        with pytest.raises(BackendUnavailable, match=f"Chroma server at {server.url} cannot be reached") as raised:
            vectors.search("vs_1", ONE[0], 5)
        assert time.monotonic() - begun < 5
        assert (raised.value.status, "RAG_STORAGE__CHROMA_URL" in raised.value.hint) == (503, True)
        server.start()
        assert [i for i, _ in vectors.search("vs_1", ONE[0], 5)] == ["a"]


def test_what_writes_waits_for_the_server_to_come_back(server, caplog):
    with closing(VectorIndex(ChromaServer(server.url), "f")) as vectors:
        vectors.add("vs_1", ["a"], ONE)
        server.kill()
        starting = threading.Timer(2, server.start, [False])
        starting.start()
        with caplog.at_level(logging.WARNING):
            vectors.add("vs_1", ["b"], ONE)
        starting.join()
        assert sorted(vectors.ids("vs_1")) == ["a", "b"]
    assert "is away; asking it again" in caplog.text


def test_what_the_server_has_lost_is_an_error_and_mended_at_the_next_start(chroma, tmp_path, bag_of_words):
    place = ChromaServer(chroma.url, "lost")
    with closing(Index(tmp_path, bag_of_words, chroma=place)) as index:
        index.replace_documents([make_version("doc_a", ["The pump needs oil."], bag_of_words)])
        lost = httpx.get(f"{chroma.url}/api/v2/tenants/default_tenant/databases/lost/collections").json()
        for collection in lost:
            httpx.delete(f"{chroma.url}/api/v2/tenants/default_tenant/databases/lost/collections/{collection['name']}")
        with pytest.raises(BackendError, match="has lost vectors"):
            index.check()
    with closing(Index(tmp_path, bag_of_words, chroma=place)) as index:
        assert_consistent(index)


def test_databases_do_not_see_each_other(chroma):
    with (
        closing(VectorIndex(ChromaServer(chroma.url, "first"), "f")) as first,
        closing(VectorIndex(ChromaServer(chroma.url, "second"), "g")) as second,
    ):
        first.add("vs_1", ["a"], ONE)
        second.delete_other_models()
        assert (first.count("vs_1"), second.count("vs_1")) == (1, 0)


def test_something_else_than_chroma_is_said_to_be_so():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(BackendError, match="is no Chroma server"):
            ChromaServer(url).version()
        thread.join()


def test_the_token_is_sent_and_not_shown():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        received = []

        def answer():
            connection, _ = listener.accept()
            with connection:
                received.append(connection.recv(65536))
                connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\n"1.0.0"')

        thread = threading.Thread(target=answer)
        thread.start()
        server = ChromaServer(f"http://127.0.0.1:{listener.getsockname()[1]}", token="hush")
        assert server.version() == "1.0.0"
        thread.join()
    assert b"authorization: bearer hush" in received[0].lower()
    assert "hush" not in repr(server)


def test_the_address_has_a_scheme(monkeypatch):
    monkeypatch.setenv("RAG_STORAGE__CHROMA_URL", "chroma:8000")
    with pytest.raises(ConfigurationError, match="CHROMA_URL is not valid: should begin with http"):
        load_settings(None)


async def test_while_the_server_is_away_a_search_says_so(server, tmp_path, bag_of_words, caplog):
    with closing(Index(tmp_path / "storage", bag_of_words, chroma=ChromaServer(server.url))) as index:
        index.replace_documents([make_version("doc_a", ["The pump needs oil every 90 days."], bag_of_words)])
        assert_consistent(index)
        assert not (tmp_path / "storage" / "vectors").exists()
        retriever = HybridRetriever(index, RetrievalSettings())
        scope = Scope((index.catalog.collection().id,))
        server.kill()
        with pytest.raises(BackendUnavailable, match="Chroma"):  # by its words alone it would seem to be hardly there
            await retriever.retrieve("pump oil", scope, 3)
        with pytest.raises(BackendUnavailable):
            await asyncio.to_thread(index.check)
        server.start()
        hits = await retriever.retrieve("pump oil", scope, 3)
        assert [hit.dense_rank for hit in hits] == [1]
    assert caplog.text == ""

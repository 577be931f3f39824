"""What tests of servers share: one, and no long pauses."""

from __future__ import annotations

import pytest

from tests.rag.models.servers.embedding_server import EmbeddingServer, running


@pytest.fixture
def server():
    with running(EmbeddingServer()) as server:
        yield server

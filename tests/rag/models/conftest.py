"""What tests of back ends share: a model server."""

from __future__ import annotations

import pytest

from tests.rag.models.model_server import ModelServer, running


@pytest.fixture
def server():
    with running(ModelServer()) as server:
        yield server

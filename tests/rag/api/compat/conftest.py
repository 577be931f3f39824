"""One server with the APIs of older servers."""

from __future__ import annotations

import httpx
import pytest
from pydantic import SecretStr

from tests.rag.api.conftest import api_settings
from tests.rag.api.serving import serving, write_documents

USER_AND_PASSWORD = ("ada", "secret:with colon")


@pytest.fixture(scope="package")
def older(tmp_path_factory):
    folder = tmp_path_factory.mktemp("older")
    settings = api_settings(folder)
    server = settings.server.model_copy(update={"older_clients": SecretStr(":".join(USER_AND_PASSWORD))})
    settings = settings.model_copy(update={"server": server})
    with serving(settings, [write_documents(folder / "documents")]) as served:
        yield served


@pytest.fixture
def http(older):
    with httpx.Client(base_url=older.url, auth=USER_AND_PASSWORD) as client:
        yield client

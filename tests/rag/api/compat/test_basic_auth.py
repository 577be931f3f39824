"""Older clients and their password."""

from __future__ import annotations

import httpx
import pytest

PROMPT = {"prompt": "How often does the pump need oil?"}


@pytest.mark.parametrize("auth", [None, ("ada", "wrong"), ("", "")])
@pytest.mark.parametrize("path", ["/api/v1/chat", "/api/v1/generate"])
def test_without_the_password_nothing_is_answered(older, path, auth):
    refused = httpx.post(older.url + path, json=PROMPT, auth=auth)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic")


def test_by_default_the_addresses_are_not_there(served):
    assert httpx.post(f"{served.url}/api/v1/chat", json=PROMPT).status_code in (404, 405)

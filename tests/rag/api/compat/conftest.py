"""A plain client of the one server of these tests."""

from __future__ import annotations

import httpx
import pytest


@pytest.fixture
def http(served):
    with httpx.Client(base_url=served.url, auth=("ada", "of no account on this machine")) as client:
        yield client

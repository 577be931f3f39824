"""The schema and the page made from it."""

from __future__ import annotations

import re

import httpx


def test_the_schema_names_every_status_and_no_inner_route(served):
    schema = httpx.get(f"{served.url}/openapi.json").json()
    assert {"/v1/responses", "/v1/vector_stores/{store_id}/search", "/v1/files"} <= schema["paths"].keys()
    assert not any(path.startswith(("/local", "/v1/{path")) for path in schema["paths"])
    told = schema["paths"]["/v1/responses"]["post"]["responses"]
    assert {"400", "404", "413", "503"} <= told.keys()
    assert told["404"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorEnvelope")


def test_the_page_shows_every_route_and_asks_no_other_host(served):
    schema = httpx.get(f"{served.url}/openapi.json").json()
    response = httpx.get(f"{served.url}/docs")
    assert response.headers["content-type"].startswith("text/html")
    assert all(path in response.text for path in schema["paths"])
    assert "max_num_results" in response.text
    assert not re.findall(r"(?:src|href)=\"(?!/)", response.text)
    assert "default-src 'none'" in response.headers["content-security-policy"]

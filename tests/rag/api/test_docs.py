"""The schema and the pages made from it."""

from __future__ import annotations

import base64
import hashlib
import re

import httpx
import pytest


def test_the_schema_names_every_status_and_no_inner_route(served):
    schema = httpx.get(f"{served.url}/openapi.json").json()
    assert {"/v1/responses", "/v1/vector_stores/{store_id}/search", "/v1/files"} <= schema["paths"].keys()
    assert not any(path.startswith(("/local", "/v1/{path", "/docs")) for path in schema["paths"])
    assert [schema["components"]["securitySchemes"][name]["scheme"] for name in schema["security"][0]] == ["bearer"]
    responses = schema["paths"]["/v1/responses"]["post"]["responses"]
    assert {"400", "404", "413", "503"} <= responses.keys()
    assert responses["404"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorEnvelope")


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_pages_ask_no_other_host(served, path):
    page = httpx.get(served.url + path)
    assert page.headers["content-type"].startswith("text/html")
    assert "/openapi.json" in page.text
    assert not re.findall(r"https?://", page.text)
    addresses = re.findall(r"(?:src|href)=\"([^\"]*)", page.text)
    assert len(addresses) >= 2
    for address in addresses:
        asset = httpx.get(served.url + address)
        assert (asset.status_code, asset.content[:1] not in (b"", b"<")) == (200, True)


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_pages_run_their_own_scripts_only(served, path):
    page = httpx.get(served.url + path)
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    scripts = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts]
    assert policy["script-src"].split() == ["'self'", *hashes]
    assert not any("http:" in sources or "https:" in sources or "*" in sources for sources in policy.values())


@pytest.mark.parametrize("name", ["..%2Fcore.py", "core.py", "__init__.py"])
def test_only_their_assets_are_served(served, name):
    assert httpx.get(f"{served.url}/docs/{name}").status_code in (400, 404)

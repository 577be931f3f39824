"""`/docs` and `/redoc`: FastAPI's pages of the API, with Swagger UI and ReDoc from an installed package.

Nothing on them comes from another host, which the Content-Security-Policy sees to, too.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any, Literal

import fastapi_offline
from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

from rag.api.route_policy import SESSION

router = APIRouter(include_in_schema=False, dependencies=[SESSION])

_ASSETS = Path(fastapi_offline.__file__).with_name("static")
_INLINE_SCRIPT = re.compile(r"<script>((?:[^<]|<(?!/?script>))*+)</script>")
_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; script-src 'self'"
)
Asset = Literal["swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js", "favicon.png"]


@router.get("/openapi.json")
def read_schema(request: Request) -> dict[str, Any]:
    """The API's schema, with the key that most routes want."""
    schema: dict[str, Any] = request.app.openapi()
    schemes = {"API key": {"type": "http", "scheme": "bearer"}}
    return {
        **schema,
        "components": {**schema["components"], "securitySchemes": schemes},
        "security": [{"API key": []}],
    }


@router.get("/docs")
def read_swagger_ui(request: Request) -> HTMLResponse:
    """The routes, to read and to try."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=request.app.title,
        swagger_js_url="/docs/swagger-ui-bundle.js",
        swagger_css_url="/docs/swagger-ui.css",
        swagger_favicon_url="/docs/favicon.png",
    )
    return _with_policy(page)


@router.get("/redoc")
def read_redoc(request: Request) -> HTMLResponse:
    """The routes on one page to read."""
    page = get_redoc_html(
        openapi_url="/openapi.json",
        title=request.app.title,
        redoc_js_url="/docs/redoc.standalone.js",
        redoc_favicon_url="/docs/favicon.png",
        with_google_fonts=False,
    )
    return _with_policy(page)


@router.get("/docs/{name}")
def read_asset(name: Asset) -> FileResponse:
    """A script, style or picture of these pages."""
    return FileResponse(_ASSETS / name)


def _with_policy(page: HTMLResponse) -> HTMLResponse:
    page.headers["Content-Security-Policy"] = f"{_POLICY} {script_hashes(bytes(page.body).decode())}"
    return page


def script_hashes(page: str) -> str:
    """The inline scripts of a page as sources of a Content-Security-Policy."""
    digests = (hashlib.sha256(script.encode()).digest() for script in _INLINE_SCRIPT.findall(page))
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)

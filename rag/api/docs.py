"""`GET /docs`: the API as one page to read, made from its own schema; nothing on it comes from another host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #8884; }
h3 { margin: 1.6rem 0 .2rem; font-size: 1rem; }
code { font: .9em ui-monospace, monospace; }
.verb { display: inline-block; min-width: 4.5em; font-weight: 700; }
table { border-collapse: collapse; width: 100%; margin: .4rem 0; }
td { border-top: 1px solid #8883; padding: .2rem .8rem .2rem 0; vertical-align: top; }
td:first-child { width: 14rem; }
.scroll { overflow-x: auto; }
"""


@router.get("/docs")
def read_reference(request: Request) -> HTMLResponse:
    """The page."""
    return HTMLResponse(reference_page(request.app.openapi()), headers=_HEADERS)


def reference_page(schema: Mapping[str, Any]) -> str:
    """The HTML of an OpenAPI schema: its routes by tag, with parameters and the fields of bodies."""
    groups: dict[str, list[str]] = {}
    for path, operations in schema["paths"].items():
        for verb, operation in operations.items():
            group = operation.get("tags", ["chat, models, health"])[0]
            groups.setdefault(group, []).append("".join(_operation(schema, verb, path, operation)))
    body = "".join(f"<h2>{escape(group.capitalize())}</h2>{''.join(items)}" for group, items in groups.items())
    title = f"{schema['info']['title']} API {schema['info']['version']}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width"><style>'
        f"{_STYLE}</style><h1>{escape(title)}</h1>"
        "<p>OpenAI's protocol; errors come in OpenAI's envelope, with a hint. The schema is at "
        f'<a href="/openapi.json">/openapi.json</a>.</p>{body}</html>'
    )


def _operation(schema: Mapping[str, Any], verb: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f'<h3><code><span class="verb">{verb.upper()}</span> {escape(path)}</code></h3>'
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    rows = [
        (parameter["name"], parameter.get("required", False), parameter["schema"])
        for parameter in operation.get("parameters", [])
    ]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        body = _resolved(schema, content["schema"])
        wanted = body.get("required", [])
        rows += [(name, name in wanted, field) for name, field in body.get("properties", {}).items()]
    if rows:
        cells = (
            f"<tr><td><code>{escape(name)}</code></td><td>{escape(_kind(schema, field))}"
            f"{', required' if required else ''}</td></tr>"
            for name, required, field in rows
        )
        yield f'<div class="scroll"><table>{"".join(cells)}</table></div>'


def _kind(schema: Mapping[str, Any], field: Mapping[str, Any]) -> str:
    """What may stand in a field, in words."""
    field = _resolved(schema, field)
    if choices := field.get("anyOf"):
        return " or ".join(_kind(schema, choice) for choice in choices if choice.get("type") != "null")
    if "enum" in field:
        return ", ".join(map(str, field["enum"]))
    if "const" in field:
        return str(field["const"])
    if field.get("type") == "array":
        return f"list of {_kind(schema, field.get('items', {}))}"
    limits = [f"{words} {field[name]:g}" for name, words in (("minimum", "from"), ("maximum", "to")) if name in field]
    default = f"default {field['default']}" if field.get("default") not in (None, {}, []) else ""
    kind = field.get("title") if "properties" in field else field.get("type", "any")
    return ", ".join(filter(None, [kind, *limits, default]))


def _resolved(schema: Mapping[str, Any], field: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = field.get("$ref")
    if reference is None:
        return field
    found: Mapping[str, Any] = schema["components"]["schemas"][reference.rpartition("/")[2]]
    return found

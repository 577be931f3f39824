"""`python -m tests.rag.ui.route_list`: all routes of the application with its chat, as lines of JSON.

In a process of its own: Chainlit keeps its state in modules, so a process can have one chat.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from starlette.routing import Mount

from ingest.ingestor import Ingestor
from rag.api.app import create_api
from rag.api.route_policy import policy_of_route
from rag.operations.services import Services
from rag.settings import Settings
from rag.ui.mount import mount_chat


def routes_of(app, *, of_chat=False):
    """Method, path, access (Chainlit's own routes: `chat`), and whether a body or a query is wanted."""
    for route in iter_route_contexts(app.routes):
        original = route.original_route
        if isinstance(original, Mount) and not route.path:
            yield from routes_of(route.app, of_chat=True)
            continue
        dependant = original.dependant if isinstance(original, APIRoute) else None
        wanted = (
            [field.alias for field in dependant.query_params if field.field_info.is_required()] if dependant else []
        )
        any_method = {"GET"} if isinstance(original, Mount) else {"GET", "POST"}
        methods = {"WEBSOCKET"} if isinstance(original, APIWebSocketRoute) else route.methods or any_method
        for method in sorted(methods):
            yield {
                "method": method,
                "path": route.path,
                "access": "chat" if of_chat else policy_of_route(route).access,
                "wants": bool(wanted or (dependant and dependant.body_params)),
            }


def main(folder: Path) -> None:
    settings = Settings(
        _env_file=None,
        storage={"dir": folder},
        embedding={"model": "bag-of-words"},
        llm={"provider": "scripted"},
        auth={"required": True},
    )
    with Services(settings, Ingestor) as services:
        services.open_all()
        app = create_api(services, "secret")
        mount_chat(app, services)
        for route in routes_of(app):
            sys.stdout.write(json.dumps(route) + "\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))

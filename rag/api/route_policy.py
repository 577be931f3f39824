"""What a route demands of a request before its own code runs, declared where the route is made.

A route that declares nothing is closed: where Footnote asks for keys (everywhere but on this machine's own address) it
wants one; it takes small bodies only, and does its work under the concurrency limit. `PUBLIC`, `SESSION` and `UPLOAD`
among the `dependencies` of a route, its router or a mounted FastAPI application change that; the innermost declaration
counts. They do nothing themselves: the middleware, which runs before a body is read, looks them up here. What no route
answers is closed, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastapi import Depends
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.routing import Match, Mount
from starlette.types import Scope

Access = Literal["key", "session", "public"]


async def _public() -> None:
    """No key is needed: the answer is for everybody, or the route has a check of its own."""


async def _session() -> None:
    """The chat's log-in serves as well as a key: pages in a browser come here."""


async def _upload() -> None:
    """The body is a file: it may be large, and takes as long as its sender does."""


PUBLIC, SESSION, UPLOAD = Depends(_public), Depends(_session), Depends(_upload)
_ACCESS: dict[object, Access] = {_public: "public", _session: "session"}


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """Who may come in, whether bodies are limited as uploads are, and whether a POST takes a `ConcurrencySlot`."""

    access: Access = "key"
    is_upload: bool = False
    is_limited: bool = False


def policy_of(scope: Scope) -> RoutePolicy:
    """The policy of the route that is going to answer this HTTP or WebSocket request."""
    state = scope.setdefault("state", {})
    if "route_policy" not in state:
        matching = (route for route in iter_route_contexts(scope["app"].routes) if _answers(route, scope))
        state["route_policy"] = next(map(policy_of_route, matching), RoutePolicy())
    policy: RoutePolicy = state["route_policy"]
    return policy


def policy_of_route(route: RouteContext) -> RoutePolicy:
    """What a route declares. Applications that are mounted limit their own work."""
    holder = getattr(route.app, "router", None) if isinstance(route.original_route, Mount) else route
    declared = [depends.dependency for depends in getattr(holder, "dependencies", ())]
    access: Access = next((_ACCESS[name] for name in reversed(declared) if name in _ACCESS), "key")
    is_upload = _upload in declared
    is_limited = isinstance(route.original_route, APIRoute) and access == "key" and not is_upload
    return RoutePolicy(access, is_upload, is_limited)


def _answers(route: RouteContext, scope: Scope) -> bool:
    match, _ = route.matches(scope)
    return bool(match == Match.FULL)

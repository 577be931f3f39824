"""JSON bodies as they can be stored and sent on: whole characters, finite numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, model_validator

from rag.text.unicode import without_half_characters


class NullIsAbsent(BaseModel):
    """A body in which a field that is null is one that is not there: many clients send all fields that they know."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: Any) -> Any:
        return {name: value for name, value in body.items() if value is not None} if isinstance(body, dict) else body


class JsonRoute(APIRoute):
    """A route whose JSON bodies have no half characters (a client may cut an emoji in two), no NaN and no Infinity."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, given a request that reads JSON our way."""
        handle = super().get_route_handler()

        async def handle_clean(request: Request) -> Response:
            return await handle(_Request(request.scope, request.receive))

        return handle_clean


class _Request(Request):
    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            body = await self.body()
            self._json = _encodable(json.loads(body, parse_constant=_refuse_constant, parse_float=_finite_number))
        return self._json


def _refuse_constant(constant: str) -> NoReturn:
    raise json.JSONDecodeError(f"{constant} is no number", constant, 0)


def _finite_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise json.JSONDecodeError("a number is too large", text, 0)
    return number


def _encodable(value: Any) -> Any:
    """The value with a question mark for every half of a character."""
    match value:
        case str():
            return without_half_characters(value)
        case list():
            return [_encodable(item) for item in value]
        case dict():
            return {_encodable(key): _encodable(item) for key, item in value.items()}
    return value

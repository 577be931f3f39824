"""The one way in: a request goes to its mode, and events come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from rag.models_file import ModelsFile
from rag.modes.request import Engines, Request
from rag.types import Event


async def ask(request: Request, engines: Engines, file: ModelsFile) -> AsyncGenerator[Event, None]:
    """Answer in the request's mode. Ends with AnswerCompleted; closing the generator stops all models.

    Raises InvalidRequest, NotFound for an unknown model, BackendError.
    """
    engine = await asyncio.to_thread(engines, request.models[0] if request.models else "")
    engine = replace(engine, examples=request.examples)
    async with aclosing(engine.stream(request.messages, request.scope, request.sampling)) as events:
        async for event in events:
            yield event

"""Chat: a conversation with the model alone. Nothing is searched, nothing is cited."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from rag.engine import ChatEngine
from rag.modes.request import Request, require_model
from rag.types import Event
from rag.writing import write_answer


async def chat(engine: ChatEngine, request: Request) -> AsyncGenerator[Event, None]:
    """Answer under the instructions of model and request. Raises InvalidRequest without a language model."""
    asked = await engine.prepare(request.messages, request.sampling, request.functions, from_documents=False)
    require_model(asked.model, "A chat without documents")
    async with aclosing(write_answer(asked, ())) as events:
        async for event in events:
            yield event

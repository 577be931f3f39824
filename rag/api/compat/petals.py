"""The Petals chat server: `POST /api/v1/generate`, and the WebSocket `/api/v2/generate`, on which a session is opened
and generates several times.

Its clients talk to a model, so they do here; with `retrieval`, or a `footnote/…` as the model, they ask the documents.
Errors come in that server's form, without its tracebacks.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, Literal

from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect

from rag.api.dependencies import AppServices, Caller
from rag.api.errors import unknown_error
from rag.api.json_body import JsonRoute
from rag.api.middleware.authentication import authenticate_again
from rag.api.openai.chat_completions import ChatMessage, ChatRequest, request_of
from rag.api.openai.models import COLLECTION_PREFIX
from rag.api.streaming import while_connected
from rag.auth.access import Access
from rag.errors import RagError, words_for_caller
from rag.operations.services import Services
from rag.types.chat import Sampling
from rag.types.documents import AnswerCompleted, Event, Message, TextDelta

router = APIRouter(prefix="/api", tags=["Petals' clients"], route_class=JsonRoute)

_STEP_TIMEOUT = 300  # seconds a session may be silent
_MAX_MESSAGES = 100  # of a session


class Generate(BaseModel):
    """The server's parameters, and whether to ask the documents. `max_new_tokens` of 1 with a stop sequence means:
    token by token."""

    inputs: str | None = None
    model: str = ""
    retrieval: bool = False
    do_sample: bool = False
    temperature: float = Field(1.0, ge=0, le=2)
    top_k: int | None = Field(None, ge=1)
    top_p: float | None = Field(None, gt=0, le=1)
    repetition_penalty: float | None = Field(None, gt=0, le=2)
    max_length: int | None = Field(None, ge=1)
    max_new_tokens: int | None = Field(None, ge=1)
    stop_sequence: str | None = Field(None, min_length=1)

    @property
    def sampling(self) -> Sampling:
        """As the engine knows it; without `do_sample` the likeliest word is taken."""
        max_tokens = self.max_length if self.stop_sequence else self.max_new_tokens or self.max_length
        return Sampling(
            max_tokens=max_tokens,
            temperature=self.temperature if self.do_sample else 0.0,
            top_k=self.top_k if self.do_sample else None,
            top_p=self.top_p if self.do_sample else None,
            stop=(self.stop_sequence,) if self.stop_sequence else None,
            repetition_penalty=self.repetition_penalty,
        )


class Question(Generate):
    """A request outside of a session."""

    inputs: str = Field(min_length=1)


class Step(Generate):
    """A message of a session that is open."""

    type: Literal["generate"]


class Open(BaseModel):
    """The first message of a session."""

    type: Literal["open_inference_session"]
    max_length: int = Field(ge=1)
    model: str = ""
    retrieval: bool = False


@router.post("/v1/generate")
async def generate(request: Request, services: AppServices, caller: Caller) -> dict[str, Any]:
    """A whole answer to `inputs`; the fields come as a form, in the address or as JSON."""
    try:
        if request.headers.get("content-type", "").startswith("application/json"):
            fields = await request.json()
        else:
            fields = {**request.query_params, **await request.form()}
        question = Question.model_validate(fields)
        events = _answer_events(services, caller, [Message("user", question.inputs)], question)
        return {"ok": True, "outputs": await while_connected(request, _joined(events))}
    except ClientDisconnect:
        raise
    except Exception as error:  # noqa: BLE001  (the edge: no traceback leaves the house)
        return _failure(error)


@router.websocket("/v2/generate")
async def generate_in_session(socket: WebSocket, caller: Caller) -> None:
    """A session: `open_inference_session`, then any number of `generate`, each continuing the conversation."""
    await socket.accept()
    messages: list[Message] = []
    is_cut = False  # the last answer
    try:
        opened = Open.model_validate(await _receive(socket))
        await socket.send_json({"ok": True})
        while True:
            step = Step.model_validate({**opened.model_dump(exclude={"type"}), **await _receive(socket)})
            await authenticate_again(socket)
            if step.inputs:
                messages = [*messages, Message("user", step.inputs)][-_MAX_MESSAGES:]
                messages.append(Message("assistant", ""))
                is_cut = True
            if is_cut:  # else the answer was whole: nothing is left to generate
                begun = messages if messages[-1].content else messages[:-1]
                text, is_cut = await _send_answer(socket, caller, begun, step)
                messages[-1] = Message("assistant", messages[-1].content + text)
            else:
                await socket.send_json({"ok": True, "outputs": "", "stop": True})
    except WebSocketDisconnect:
        return
    except TimeoutError:
        await socket.close(1000, "Nothing was sent for a while.")
    except Exception as error:  # noqa: BLE001  (the edge: no traceback leaves the house)
        with suppress(WebSocketDisconnect, RuntimeError):  # it may be gone by now
            await socket.send_json(_failure(error))
            await socket.close(1003 if isinstance(error, RagError | ValidationError) else 1011)


async def _receive(socket: WebSocket) -> dict[str, Any]:
    async with asyncio.timeout(_STEP_TIMEOUT):
        return TypeAdapter(dict[str, Any]).validate_json(await socket.receive_text())


async def _send_answer(socket: WebSocket, caller: Access, messages: Sequence[Message], step: Step) -> tuple[str, bool]:
    """Send an answer, word by word where a stop sequence is given, else whole; its text, and whether it was cut."""
    sent: list[str] = []
    is_cut = False
    async with aclosing(_answer_events(socket.app.state.services, caller, messages, step)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                sent.append(event.text)
                if step.stop_sequence:
                    await socket.send_json({"ok": True, "outputs": event.text, "stop": False})
            elif isinstance(event, AnswerCompleted):
                is_cut = event.answer.finish_reason == "length"
    answer = "".join(sent)
    # a client waits for the stop sequence in the text, which our models leave out
    await socket.send_json({"ok": True, "outputs": step.stop_sequence or answer, "stop": True})
    return answer, is_cut


async def _joined(events: AsyncGenerator[Event, None]) -> str:
    async with aclosing(events):
        return "".join([event.text async for event in events if isinstance(event, TextDelta)])


async def _answer_events(
    services: Services, caller: Access, messages: Sequence[Message], parameters: Generate
) -> AsyncGenerator[Event, None]:
    is_named = parameters.model.startswith(COLLECTION_PREFIX)
    chat = ChatRequest(
        model=parameters.model or services.model.name,
        messages=[ChatMessage(role=message.role, content=message.content) for message in messages],
        retrieval=True if parameters.retrieval else None if is_named else False,
    )
    request = await asyncio.to_thread(request_of, chat, services, caller)
    async with aclosing(services.ask(replace(request, sampling=parameters.sampling))) as events:
        async for event in events:
            yield event


def _failure(error: Exception) -> dict[str, Any]:
    """In the server's form: clients show `traceback`, so it has the message."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        message = f"{'.'.join(map(str, first['loc'])) or 'The message'}: {first['msg']}."
    elif isinstance(error, json.JSONDecodeError):
        message = "The message is not JSON."
    else:
        known = error if isinstance(error, RagError) else unknown_error(error)
        message = " ".join(words_for_caller(known)).strip()
    return {"ok": False, "error": message, "traceback": message}

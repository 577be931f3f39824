"""The APIs of two older servers, for clients written for them; off unless RAG_SERVER__OLDER_CLIENTS is set.

Geniusrise's text server: `POST /api/v1/chat`, `/chat_vllm`, `/chat_llama_cpp`. The Petals chat server: `POST
/api/v1/generate`, and the WebSocket `/api/v2/generate`, on which a session is opened and generates several times. All
of them answer from the default collection. Errors come in each server's own form, without its tracebacks.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, WebSocket, WebSocketDisconnect
from fastapi import Request as HttpRequest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect, HTTPConnection

from rag.api.dependencies import Caller
from rag.api.errors import unknown_error
from rag.api.json_body import JsonRoute
from rag.api.middleware.authentication import authenticate_again
from rag.api.openai.chat_completions import ChatMessage, ChatRequest, Reply, request_of
from rag.api.streaming import collect, while_connected
from rag.auth.access import Access
from rag.errors import InvalidRequest, RagError
from rag.operations.services import Services
from rag.types.chat import Sampling
from rag.types.documents import Message, TextDelta

_STEP_TIMEOUT = 300  # seconds a session may be silent
_MOST_TURNS = 100  # of a session


async def _require_password(connection: HTTPConnection) -> None:
    """Basic auth with the user and password of the setting, compared in constant time; where users log in, with theirs,
    which were looked at before (see authentication.py)."""
    if connection.app.state.authenticator.is_closed:
        return
    wanted = connection.app.state.services.settings.server.older_clients.get_secret_value()
    scheme, _, told = connection.headers.get("authorization", "").partition(" ")
    try:
        given = base64.b64decode(told, validate=True) if scheme.lower() == "basic" else b""
    except (ValueError, binascii.Error):
        given = b""
    if not secrets.compare_digest(given, wanted.encode()):
        raise HTTPException(401, "Wrong user or password.", {"WWW-Authenticate": 'Basic realm="Footnote"'})


router = APIRouter(
    prefix="/api", tags=["older clients"], dependencies=[Depends(_require_password)], route_class=JsonRoute
)


class OlderChat(BaseModel):
    """A prompt, or a conversation with sampling parameters; unknown ones are ignored."""

    model_config = ConfigDict(extra="ignore")

    prompt: str | None = None
    user_prompt: str | None = None
    system_prompt: str | None = None
    messages: list[ChatMessage] = Field(default_factory=list, max_length=10_000)
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = None  # -1: all
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(None, gt=0, le=2)

    def to_chat(self, model: str) -> ChatRequest:
        """The same in OpenAI's form. Raises InvalidRequest when nothing is asked."""
        prompt = self.prompt or self.user_prompt
        if bool(prompt) == bool(self.messages):
            raise InvalidRequest("Either prompt or messages must be given.", param="messages")
        messages = self.messages
        if prompt:
            told = [ChatMessage(role="system", content=self.system_prompt)] if self.system_prompt else []
            messages = [*told, ChatMessage(role="user", content=prompt)]
        left_out = {"prompt", "user_prompt", "system_prompt", "messages", "top_k"}
        sampling = self.model_dump(exclude=left_out, exclude_none=True)
        if self.top_k is not None and self.top_k > 0:
            sampling["top_k"] = self.top_k
        return ChatRequest(model=model, messages=messages, **sampling)


class Generate(BaseModel):
    """What the Petals server takes. `max_new_tokens` of 1 with a stop sequence means: token by token."""

    model_config = ConfigDict(extra="ignore")

    inputs: str | None = None
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
        longest = self.max_length if self.stop_sequence else self.max_new_tokens or self.max_length
        return Sampling(
            max_tokens=longest,
            temperature=self.temperature if self.do_sample else 0.0,
            top_k=self.top_k if self.do_sample else None,
            top_p=self.top_p if self.do_sample else None,
            stop=(self.stop_sequence,) if self.stop_sequence else None,
            repetition_penalty=self.repetition_penalty,
        )


class Question(Generate):
    """What is asked outside of a session."""

    inputs: str = Field(min_length=1)


class Step(Generate):
    """A message of a session that is open."""

    type: Literal["generate"]


class Open(BaseModel):
    """The first message of a session."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["open_inference_session"]
    max_length: int = Field(ge=1)


# --------------------------------------------------------------------------------------------------------- Geniusrise


@router.post("/v1/chat")
@router.post("/v1/chat_vllm")
@router.post("/v1/chat_llama_cpp")
async def chat(body: OlderChat, request: HttpRequest, caller: Caller) -> dict[str, Any]:
    """An answer in OpenAI's form, with its text as `result`, too."""
    services: Services = request.app.state.services
    asked = body.to_chat(services.model.name)
    events = services.ask(await asyncio.to_thread(request_of, asked, services, caller))
    reply = Reply(asked, str(request.base_url), ())
    completion = reply.completion(await while_connected(request, collect(events)))
    prompts = {"user_prompt": body.prompt or body.user_prompt, "system_prompt": body.system_prompt}
    return {**completion, **prompts, "result": completion["choices"][0]["message"]["content"]}


# ------------------------------------------------------------------------------------------------------------- Petals


@router.post("/v1/generate")
async def generate(request: HttpRequest, caller: Caller) -> dict[str, Any]:
    """A whole answer to `inputs`; the fields come as a form, in the address or as JSON."""
    try:
        if request.headers.get("content-type", "").startswith("application/json"):
            told = await request.json()
        else:
            told = {**request.query_params, **await request.form()}
        wanted = Question.model_validate(told)
        services: Services = request.app.state.services
        work = _whole(_pieces(services, caller, [Message("user", wanted.inputs)], wanted))
        return {"ok": True, "outputs": await while_connected(request, work)}
    except ClientDisconnect:
        raise
    except (RagError, ValidationError, json.JSONDecodeError) as error:
        return _failure(error)
    except Exception as error:  # noqa: BLE001  (the edge: no traceback leaves the house)
        return _failure(unknown_error(error))


@router.websocket("/v2/generate")
async def generate_in_session(socket: WebSocket, caller: Caller) -> None:
    """A session: `open_inference_session`, then any number of `generate`, each continuing the conversation."""
    await socket.accept()
    turns: list[Message] = []
    try:
        opened = Open.model_validate(await _received(socket))
        await socket.send_json({"ok": True})
        while True:
            wanted = Step.model_validate({"max_length": opened.max_length, **await _received(socket)})
            await authenticate_again(socket)
            if wanted.inputs:
                turns = [*turns, Message("user", wanted.inputs)][-_MOST_TURNS:]
                said = await _send_answer(socket, caller, turns, wanted)
                turns.append(Message("assistant", said))
            else:  # the answer was whole: nothing is left to generate
                await socket.send_json({"ok": True, "outputs": "", "stop": True})
    except WebSocketDisconnect:
        return
    except TimeoutError:
        await socket.close(1000, "Nothing was said for a while.")
    except (RagError, ValidationError) as error:
        await socket.send_json(_failure(error))
        await socket.close(1003)
    except Exception as error:  # noqa: BLE001  (the edge: no traceback leaves the house)
        await socket.send_json(_failure(unknown_error(error)))
        await socket.close(1011)


async def _received(socket: WebSocket) -> dict[str, Any]:
    async with asyncio.timeout(_STEP_TIMEOUT):
        return TypeAdapter(dict[str, Any]).validate_json(await socket.receive_text())


async def _send_answer(socket: WebSocket, caller: Access, turns: list[Message], wanted: Generate) -> str:
    """Send an answer, word by word where a stop sequence is given, else whole; its text."""
    services: Services = socket.app.state.services
    said: list[str] = []
    async with aclosing(_pieces(services, caller, turns, wanted)) as pieces:
        async for piece in pieces:
            said.append(piece)
            if wanted.stop_sequence:
                await socket.send_json({"ok": True, "outputs": piece, "stop": False})
    # a client waits for the stop sequence in the text, which our models leave out
    rest = wanted.stop_sequence or "".join(said)
    await socket.send_json({"ok": True, "outputs": rest, "stop": True})
    return "".join(said)


async def _whole(pieces: AsyncGenerator[str, None]) -> str:
    async with aclosing(pieces):
        return "".join([piece async for piece in pieces])


async def _pieces(
    services: Services, caller: Access, turns: list[Message], wanted: Generate
) -> AsyncGenerator[str, None]:
    model = services.model.name
    chat = ChatRequest(model=model, messages=[ChatMessage(role=turn.role, content=turn.content) for turn in turns])
    asked = await asyncio.to_thread(request_of, chat, services, caller)
    async with aclosing(services.ask(replace(asked, sampling=wanted.sampling))) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                yield event.text


def _failure(error: Exception) -> dict[str, Any]:
    """In the server's form: clients show `traceback`, so it has the message."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        said = f"{'.'.join(map(str, first['loc'])) or 'The message'}: {first['msg']}."
    elif isinstance(error, RagError):
        said = f"{error.message} {error.hint}".strip()
    else:
        said = "The message is not JSON."
    return {"ok": False, "error": said, "traceback": said}

"""`/v1/responses`: OpenAI's Responses with file search and functions, kept and gone on from.

Every answer comes from documents: those of the `file_search` tool's vector stores, else those of the model's
collection. The wire form, streamed or not, is in response_stream.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Query
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from rag.answering.modes.request import Request
from rag.api.dependencies import Caller
from rag.api.json_body import JsonRoute, NullIsAbsent
from rag.api.openai.chat_completions import (
    ChatMessage,
    ChatRequest,
    ContentPart,
    ResponseFormat,
    images_of,
    request_of,
    text_of,
)
from rag.api.openai.extensions import Extensions, WithForeignFields
from rag.api.openai.files import listing
from rag.api.openai.models import with_stand_in
from rag.api.openai.response_stream import ResponseStream, input_items
from rag.api.openai.tools import MOST_TOOLS, chat_choice, chat_tools
from rag.api.openai.vector_stores import Metadata, RankingOptions
from rag.api.streaming import STREAMED, collect, streamed, while_connected
from rag.auth.access import Access
from rag.errors import InvalidRequest, NotFound
from rag.operations.services import Services
from rag.storage.response_conversations import ResponseConversations
from rag.storage.responses import ResponseRecord, ResponseRecords
from rag.storage.selection import Selection
from rag.types.chat import ToolCall
from rag.types.documents import ChunksRetrieved, Message, Scope

router = APIRouter(prefix="/v1/responses", tags=["responses"], route_class=JsonRoute)

_RESULTS = "file_search_call.results"


class TextFormat(BaseModel):
    """The form of a reply, as chat has it, but flat."""

    model_config = ConfigDict(extra="allow")

    type: Literal["text", "json_object", "json_schema"] = "text"

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        ResponseFormat.model_validate(self.to_chat())
        return self

    def to_chat(self) -> dict[str, Any]:
        """The form as `response_format` of chat."""
        fields = self.model_dump()
        own = {name: value for name, value in fields.items() if name != "type" and value is not None}
        return {"type": self.type, **({"json_schema": own} if self.type == "json_schema" else {})}


class TextOptions(NullIsAbsent):
    """How the text of a reply is to be; its verbosity is accepted and ignored."""

    format: TextFormat = TextFormat()


class FileSearch(NullIsAbsent):
    """The vector stores to search, or a part of them."""

    type: Literal["file_search"]
    vector_store_ids: list[str] = Field(min_length=1, max_length=16)
    filters: dict[str, Any] | None = None
    max_num_results: int = Field(20, ge=1, le=50)
    ranking_options: RankingOptions = RankingOptions()


class InputItem(BaseModel):
    """A turn of the conversation, or what a client sends back of an earlier output."""

    type: str = "message"
    id: str | None = Field(None, max_length=128)
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: str | list[ContentPart] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str = ""
    output: str | list[ContentPart] | None = None

    @property
    def is_reference(self) -> bool:
        """Whether it is the id of an item, and not an item; then the type may be left out."""
        return self.type == "item_reference" or bool(self.id and self.type == "message" and self.role is None)


class ConversationReference(BaseModel):
    """A conversation, as an object names it."""

    id: str


class Reasoning(NullIsAbsent):
    """How much the model is to think."""

    model_config = ConfigDict(extra="allow")

    effort: str | None = Field(None, max_length=32)


class CreateResponse(WithForeignFields):
    """The fields of OpenAI's request that Footnote uses; others go to the model's server as they are."""

    model: str
    input: str | Annotated[list[InputItem], Field(min_length=1, max_length=10_000)]
    instructions: str | None = None
    tools: list[dict[str, Any]] = Field(default_factory=list, max_length=MOST_TOOLS)
    tool_choice: Any = "auto"
    parallel_tool_calls: bool | None = None
    include: list[str] = Field(default_factory=list, max_length=16)
    previous_response_id: str | None = None
    store: bool = True
    stream: bool = False
    conversation: str | ConversationReference | None = None
    background: bool = False
    reasoning: Reasoning | None = None
    metadata: Metadata | None = None
    max_output_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    text: TextOptions = TextOptions()
    footnote: Extensions = Extensions()

    @property
    def conversation_id(self) -> str:
        """The conversation to go on from and to add to; empty where there is none."""
        named = self.conversation
        return named.id if isinstance(named, ConversationReference) else named or ""


@router.post("", responses=STREAMED)
async def create_response(body: CreateResponse, request: HttpRequest, caller: Caller) -> Response:
    """Answer the input from the documents."""
    services: Services = request.app.state.services
    prepared, form = await asyncio.to_thread(_prepare, body, services, caller)
    events = services.ask(prepared)
    if body.stream:
        return with_stand_in(await streamed(request, events, form, ChunksRetrieved), body.model, services)
    collected = await while_connected(request, collect(events))
    await asyncio.to_thread(lambda: [form.add(event) for event in collected])
    await form.store()
    return with_stand_in(JSONResponse(await asyncio.to_thread(form.body)), body.model, services)


@router.get("/{response_id}")
def get_response(response_id: str, caller: Caller) -> dict[str, Any]:
    """A response that was kept."""
    return caller.response(response_id).body


@router.delete("/{response_id}")
def delete_response(response_id: str, caller: Caller) -> dict[str, Any]:
    """Forget a response."""
    ResponseRecords(caller.catalog.database).delete(caller.response(response_id, "write").id)
    return {"id": response_id, "object": "response", "deleted": True}


@router.post("/{response_id}/cancel")
def cancel_response(response_id: str, caller: Caller) -> dict[str, Any]:
    """Only responses in the background can be cancelled, and there are none: close the connection instead."""
    caller.response(response_id)
    raise InvalidRequest(
        "Only responses in the background can be cancelled.", hint="Close the connection to stop an answer."
    )


@router.get("/{response_id}/input_items")
def list_input_items(
    response_id: str,
    caller: Caller,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> dict[str, Any]:
    """What a response was asked, a page at a time."""
    items = caller.response(response_id).input
    items = items[::-1] if order == "desc" else items
    ids = [item["id"] for item in items]
    if after is not None and after not in ids:
        raise NotFound(f"There is no item {after!r} in the response {response_id!r}.")
    start = 0 if after is None else ids.index(after) + 1
    return listing(items[start : start + limit], has_more=len(items) > start + limit)


def _prepare(body: CreateResponse, services: Services, caller: Access) -> tuple[Request, ResponseStream]:
    """What the engine is asked, and how the answer is written. Raises NotFound, InvalidRequest."""
    if body.background:
        raise InvalidRequest(
            "Nothing is answered in the background.",
            hint="Leave `background` out and wait, or read the answer as a stream (`stream`).",
            param="background",
        )
    turns = _turns(body, caller)
    before, documents = _before(body, caller)
    messages = [*before, *turns]
    instructions = [Message("system", body.instructions)] if body.instructions else []
    tool = _file_search(body.tools) if body.tool_choice != "none" else None
    functions, choice = chat_tools(body.tools), chat_choice(body.tool_choice)
    foreign = {name: value for name, value in body.foreign.items() if name not in ChatRequest.model_fields}
    chat = ChatRequest(
        model=body.model,
        messages=[ChatMessage.of(message) for message in [*instructions, *messages]],
        tools=functions,
        tool_choice="auto" if tool is not None and not functions and choice == "required" else choice,
        parallel_tool_calls=body.parallel_tool_calls,
        footnote=body.footnote,
        max_completion_tokens=body.max_output_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        response_format=body.text.format.to_chat(),
        reasoning_effort=body.reasoning.effort if body.reasoning else None,
        chat_template_kwargs=body.chat_template_kwargs,
        **foreign,
    )
    prepared = request_of(chat, services, caller)
    if tool is not None:
        scope = _scope(tool, body.footnote, caller)
        mode = body.footnote.mode or (
            "documents" if prepared.mode == "chat" else prepared.mode
        )  # the tool says: search
        prepared = replace(prepared, scope=scope, most_chunks=tool.max_num_results, mode=mode, retrieval=True)
    form = ResponseStream(
        services.catalog,
        echoed=body.model_dump(
            include={"model", "instructions", "tools", "tool_choice", "previous_response_id", "metadata", "temperature"}
            | {"top_p", "max_output_tokens", "store", "text", "reasoning"}
        )
        | {"parallel_tool_calls": bool(functions) and body.parallel_tool_calls is not False}
        | ({"conversation": {"id": body.conversation_id}} if body.conversation_id else {}),
        question=next((message.content for message in reversed(messages) if message.role == "user"), ""),
        searches=tool is not None,
        most_results=tool.max_num_results if tool else 0,
        threshold=tool.ranking_options.score_threshold if tool else 0.0,
        with_results=_RESULTS in body.include,
        keep=partial(_keep, body, caller, turns, messages, documents) if body.store or body.conversation_id else None,
    )
    return prepared, form


def _before(body: CreateResponse, caller: Access) -> tuple[list[Message], set[str]]:
    """The conversation that goes on, and the ids of the documents that it rests on. Raises NotFound, InvalidRequest."""
    if body.conversation_id:
        if body.previous_response_id:
            raise InvalidRequest(
                "A response goes on from a conversation or from another response, not from both.",
                hint="Leave `previous_response_id` out.",
                param="previous_response_id",
            )
        conversation = caller.conversation(body.conversation_id, "write")
        conversations = ResponseConversations(caller.catalog.database)
        items = [InputItem.model_validate(item) for item in conversations.items(conversation.id)]
        return turns_of(items, "conversation"), conversations.documents(conversation.id)
    if body.previous_response_id:
        response = caller.response(body.previous_response_id)
        return response.messages, {*response.documents}
    return [], set()


def _keep(
    body: CreateResponse,
    caller: Access,
    turns: list[Message],
    messages: list[Message],
    documents: set[str],
    form: ResponseStream,
) -> None:
    """Store a response, and add it to its conversation: `turns` were its input, `messages` the conversation so far,
    which rests on `documents`."""
    response = form.body()
    record = ResponseRecord(
        id=response["id"],
        body=response,
        input=[item for message in turns for item in input_items(message)],
        messages=[*messages, Message("assistant", form.text, form.calls)],
        documents=sorted({*documents, *form.documents}),
        owned=caller.owned,
    )
    if body.store:
        ResponseRecords(caller.catalog.database).put(record)
    if body.conversation_id:
        items = [*record.input, *response["output"]]
        ResponseConversations(caller.catalog.database).append(body.conversation_id, items, form.documents)


def _scope(tool: FileSearch, footnote: Extensions, caller: Access) -> Scope:
    if (footnote.documents, footnote.filters, footnote.pages, footnote.collection) != (None, None, None, None):
        raise InvalidRequest(
            "The tool file_search says what to search; `footnote` can only add a mode.",
            hint="Use the tool's filters, or leave the tool out.",
            param="footnote",
        )
    scope = caller.scope_of_all(tool.vector_store_ids, Selection(filters=tool.filters))
    caller.touch(scope)
    return scope


def _turns(body: CreateResponse, caller: Access) -> list[Message]:
    if isinstance(body.input, str):
        return [Message("user", text_of(body.input, "input"))]
    items = [_referred(item, caller) if item.is_reference else item for item in body.input]
    turns = turns_of(items, "input")
    if not any(turn.role in ("user", "tool") for turn in turns) or not turns[-1].written.strip():
        raise InvalidRequest(
            "There is no question: one message at least must be the user's, and the last one hold text.", param="input"
        )
    return turns


def turns_of(items: Sequence[InputItem], param: str) -> list[Message]:
    """Items as the turns that they are. Raises InvalidRequest, which names the field `param`, for what is none."""
    turns: list[Message] = []
    for item in items:
        if item.type in ("file_search_call", "reasoning"):  # of an earlier output, sent back
            continue
        if item.type == "function_call":
            if turns and turns[-1].role == "assistant":  # several at once are one turn, as is what was said with them
                turns[-1] = replace(turns[-1], tool_calls=(*turns[-1].tool_calls, _call(item, param)))
            else:
                turns.append(Message("assistant", "", (_call(item, param),)))
        elif item.type == "function_call_output":
            if not item.call_id or item.output is None:
                raise InvalidRequest("A function_call_output needs `call_id` and `output`.", param=param)
            text, images = text_of(item.output, param), images_of(item.output)
            turns.append(Message("tool", text, tool_call_id=item.call_id, images=images))
        elif item.type != "message" or item.role is None:
            raise InvalidRequest(f"Input of type {item.type!r} is not supported.", param=param)
        else:
            role, text = "system" if item.role == "developer" else item.role, text_of(item.content or "", param)
            turns.append(Message(role, text, images=images_of(item.content)))
    return turns


def _referred(reference: InputItem, caller: Access) -> InputItem:
    """The item of a response that was kept to which a reference points by its id, which has that of the response in it
    (rag/api/openai/response_stream.py). Raises NotFound."""
    _, _, place = (reference.id or "").partition("_")
    try:
        items = caller.response(f"resp_{place.partition('_')[0]}").body["output"]
    except NotFound:
        items = []
    found = next((item for item in items if item["id"] == reference.id), None)
    if found is None:
        raise NotFound(
            f"There is no item {reference.id!r}.",
            hint="Send the item itself, or the id of its response as `previous_response_id`; only what responses with "
            "`store` put out is kept.",
        )
    return InputItem.model_validate(found)


def _call(item: InputItem, param: str) -> ToolCall:
    if not item.call_id or not item.name:
        raise InvalidRequest("A function_call needs `call_id` and `name`.", param=param)
    return ToolCall(item.call_id, item.name, item.arguments)


def _file_search(tools: list[dict[str, Any]]) -> FileSearch | None:
    """The tool to search with, None where none is given. Raises InvalidRequest for tools that Footnote has not."""
    found: FileSearch | None = None
    for tool in tools:
        if tool.get("type") == "function":
            continue
        if tool.get("type") != "file_search":
            raise InvalidRequest(
                f"Tools of type {tool.get('type')!r} are not supported.",
                hint="There are `file_search` and `function`.",
                param="tools",
            )
        if found is not None:
            raise InvalidRequest("One file_search is enough: it takes several vector stores.", param="tools")
        try:
            found = FileSearch.model_validate(tool)
        except ValueError as error:
            raise InvalidRequest(f"The tool file_search is not valid: {error}", param="tools") from error
    return found

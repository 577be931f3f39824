"""The wire form of a response: output items, and the stream's events with their sequence numbers.

Footnotes are `file_citation` annotations with OpenAI's fields and four of our own: `document_id`, `page` (from 1),
`page_label` and `quote`. `claims` beside `output` tells which sentences the sources bear out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rag.api.streaming import WireForm, server_sent
from rag.errors import NotFound
from rag.storage.catalog import Catalog
from rag.storage.ids import new_id
from rag.text.markers import find_markers
from rag.types.chat import ToolCall, ToolCallDelta
from rag.types.documents import (
    Answer,
    AnswerCompleted,
    ChunksRetrieved,
    Citation,
    Event,
    Hit,
    Message,
    QueryCondensed,
    TextDelta,
    ThoughtDelta,
)

Fields = dict[str, Any]  # of an object on the wire
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}  # why, by how the answer ends


class ResponseStream(WireForm):
    """One response as it comes to be: `add` its events, then ask for its `body`."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        echoed: Mapping[str, Any],
        question: str,
        searches: bool,
        most_results: int,
        threshold: float,
        with_results: bool,
        keep: Callable[[ResponseStream], None] | None,
    ) -> None:
        """`echoed` are fields of the request that the response repeats; with `searches` the search is an item. `keep`
        stores the response when it is whole; it blocks."""
        self._catalog = catalog
        self._echoed = echoed
        self._queries = [question]
        self._searches = searches
        self._most_results = most_results
        self._threshold = threshold
        self._with_results = with_results
        self._keep = keep
        self._id = new_id("resp")
        # The ids of items have the response's in them: a client may send the id alone to mean the item.
        self._message_id, self._search_id, self._thoughts_id = map(self._item_id, ("msg", "fs", "rs"))
        self._created = time.time()
        self._sequence = -1
        self._hits: Sequence[Hit] = ()
        self._has_searched = False
        self._places = 1 if searches else 0  # in the output, taken so far
        self._message_place: int | None = None
        self._thoughts_place: int | None = None
        self._thoughts = ""
        self._is_thinking = False
        self._calls: list[tuple[str, int]] = []  # of functions: id of the item, and its place
        self._answer: Answer | None = None
        self.text = ""

    # ----------------------------------------------------------------------------------------------- as it comes

    def begin(self) -> str:
        """The first events of a stream."""
        events = [
            self._event("response.created", response=self.body()),
            self._event("response.in_progress", response=self.body()),
        ]
        if self._searches:
            place = {"output_index": 0, "item_id": self._search_id}
            events += [
                self._event("response.output_item.added", output_index=0, item=self._search("in_progress")),
                self._event("response.file_search_call.in_progress", **place),
                self._event("response.file_search_call.searching", **place),
            ]
        return _sent(events)

    def take(self, event: Event) -> str:
        """Add an event; the stream's events that tell it."""
        return _sent(self.add(event))

    async def end(self) -> str:
        """Store it; the last event of a stream that went well."""
        await self.store()
        body = await asyncio.to_thread(self.body)
        return _sent([self._event(f"response.{body['status']}", response=body)])

    def fail(self, error: Mapping[str, Any]) -> str:
        """The last event of one that did not."""
        message = error["error"]["message"]
        body = self.body() | {"status": "failed", "error": {"code": "server_error", "message": message}}
        return _sent([self._event("response.failed", response=body)])

    async def store(self) -> None:
        """Keep the response, if it is to be kept."""
        if self._keep is not None:
            await asyncio.to_thread(self._keep, self)

    def add(self, event: Event) -> list[Fields]:
        """Take in what happened; the stream's events that tell it."""
        match event:
            case ThoughtDelta(text):
                opening = [*self._end_search(), *self._open_thoughts()]
                self._thoughts += text
                return [*opening, self._of_thoughts("response.reasoning_text.delta", delta=text)]
            case TextDelta(text):
                opening = [*self._end_search(), *self._close_thoughts(), *self._open_message()]
                self.text += text
                return [*opening, self._of_text("response.output_text.delta", delta=text, logprobs=[])]
            case QueryCondensed(question):
                self._queries = [question]
            case ChunksRetrieved(hits, _):
                self._hits = [hit for hit in hits if hit.probability >= self._threshold][: self._most_results or None]
            case ToolCallDelta():
                return [*self._end_search(), *self._close_thoughts(), *self._of_call(event)]
            case AnswerCompleted(answer):
                events = [*self._end_search(), *self._close_thoughts()]
                if answer.text or not answer.calls:
                    events += self._open_message()
                self._answer, self.text = answer, answer.text
                if self._message_place is not None:
                    events += self._close_message()
                return events + self._close_calls(answer.calls)
            case _:
                pass
        return []

    def _end_search(self) -> list[Fields]:
        """Something is said: the search is over."""
        if self._has_searched or not self._searches:
            return []
        self._has_searched = True
        return [
            self._event("response.file_search_call.completed", output_index=0, item_id=self._search_id),
            self._event("response.output_item.done", output_index=0, item=self._search("completed")),
        ]

    def _open_thoughts(self) -> list[Fields]:
        if self._thoughts_place is not None:
            return []
        self._thoughts_place, self._is_thinking = self._take_place(), True
        item = {**self._reasoning("in_progress"), "content": []}
        empty = {"type": "reasoning_text", "text": ""}
        return [
            self._event("response.output_item.added", output_index=self._thoughts_place, item=item),
            self._of_thoughts("response.content_part.added", part=empty),
        ]

    def _close_thoughts(self) -> list[Fields]:
        if not self._is_thinking:
            return []
        self._is_thinking = False
        item = self._reasoning("completed")
        return [
            self._of_thoughts("response.reasoning_text.done", text=self._thoughts),
            self._of_thoughts("response.content_part.done", part=item["content"][0]),
            self._event("response.output_item.done", output_index=self._thoughts_place, item=item),
        ]

    def _of_thoughts(self, kind: str, **more: Any) -> Fields:
        place = {"item_id": self._thoughts_id, "output_index": self._thoughts_place, "content_index": 0}
        return self._event(kind, **place, **more)

    def _open_message(self) -> list[Fields]:
        if self._message_place is not None:
            return []
        self._message_place = self._take_place()
        item = {**self._message("in_progress"), "content": []}
        empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        return [
            self._event("response.output_item.added", output_index=self._message_place, item=item),
            self._of_text("response.content_part.added", part=empty),
        ]

    def _close_message(self) -> list[Fields]:
        message = self._message("completed")
        (part,) = message["content"]
        annotations = [
            self._of_text("response.output_text.annotation.added", annotation_index=index, annotation=annotation)
            for index, annotation in enumerate(part["annotations"])
        ]
        return [
            *annotations,
            self._of_text("response.output_text.done", text=self.text, logprobs=[]),
            self._of_text("response.content_part.done", part=part),
            self._event("response.output_item.done", output_index=self._message_place, item=message),
        ]

    def _of_call(self, delta: ToolCallDelta) -> list[Fields]:
        """A piece of a call; with its first one the call becomes an item."""
        events = []
        if delta.index == len(self._calls):
            self._calls.append((f"{self._item_id('fc')}_{delta.index}", self._take_place()))
            call = ToolCall(delta.id, delta.name, "")
            item = _function_call(call, self._calls[-1][0], "in_progress")
            events.append(self._event("response.output_item.added", output_index=self._calls[-1][1], item=item))
        item_id, place = self._calls[delta.index]
        if delta.arguments:
            kind = "response.function_call_arguments.delta"
            events.append(self._event(kind, item_id=item_id, output_index=place, delta=delta.arguments))
        return events

    def _close_calls(self, calls: Sequence[ToolCall]) -> list[Fields]:
        events = []
        kind = "response.function_call_arguments.done"
        for call, (item_id, place), (_, item) in zip(calls, self._calls, self._function_calls(), strict=True):
            what = {"name": call.name, "arguments": call.arguments}
            events.append(self._event(kind, item_id=item_id, output_index=place, **what))
            events.append(self._event("response.output_item.done", output_index=place, item=item))
        return events

    def _item_id(self, kind: str) -> str:
        return f"{kind}_{self._id.removeprefix('resp_')}"

    def _take_place(self) -> int:
        self._places += 1
        return self._places - 1

    def _of_text(self, kind: str, **more: Any) -> Fields:
        place = {"item_id": self._message_id, "output_index": self._message_place, "content_index": 0}
        return self._event(kind, **place, **more)

    def _event(self, kind: str, **more: Any) -> Fields:
        self._sequence += 1
        return {"type": kind, "sequence_number": self._sequence, **more}

    # -------------------------------------------------------------------------------------------------- as it is

    def body(self) -> Fields:
        """The response as far as it is."""
        answer = self._answer
        output = [self._search("completed")] if self._has_searched else []
        if answer is not None:
            items = self._function_calls()
            if self._message_place is not None:
                items.append((self._message_place, self._message("completed")))
            if self._thoughts_place is not None:
                items.append((self._thoughts_place, self._reasoning("completed")))
            output += [item for _, item in sorted(items, key=lambda placed: placed[0])]
        reason = _INCOMPLETE.get(answer.finish_reason) if answer else None
        status = "in_progress" if answer is None else "incomplete" if reason else "completed"
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "output": output,
            "parallel_tool_calls": False,
            "truncation": "auto",
            "usage": None if answer is None else _usage(answer),
            **self._echoed,
            "metadata": self._echoed.get("metadata") or {},
            "kind": answer.kind if answer else None,
            "notices": list(answer.notices) if answer else [],
            "claims": [asdict(claim) for claim in answer.claims] if answer else [],
        }

    @property
    def documents(self) -> set[str]:
        """The ids of the documents whose text is in the response."""
        shown = {hit.chunk.document_id for hit in self._hits} if self._with_results else set[str]()
        return shown | ({passage.document_id for passage in self._answer.passages} if self._answer else set())

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The functions that the model wants called."""
        return self._answer.calls if self._answer else ()

    @property
    def _is_cut(self) -> bool:
        return self._answer is not None and self._answer.finish_reason in _INCOMPLETE

    def _function_calls(self) -> list[tuple[int, Fields]]:
        """The calls as items, each with its place; what was cut is so in the last one."""
        placed = list(zip(self.calls, self._calls, strict=True))
        return [
            (
                place,
                _function_call(call, item_id, "incomplete" if self._is_cut and call is placed[-1][0] else "completed"),
            )
            for call, (item_id, place) in placed
        ]

    def _search(self, status: str) -> Fields:
        results = [self._result(hit) for hit in self._hits] if self._with_results else None
        return {
            "id": self._search_id,
            "type": "file_search_call",
            "status": status,
            "queries": self._queries,
            "results": None if status != "completed" else results,
        }

    def _result(self, hit: Hit) -> Fields:
        return {**found_file(self._catalog, hit), "text": hit.chunk.text}

    def _reasoning(self, status: str) -> Fields:
        content = [{"type": "reasoning_text", "text": self._thoughts}]
        return {"id": self._thoughts_id, "type": "reasoning", "status": status, "summary": [], "content": content}

    def _message(self, status: str) -> Fields:
        part = {"type": "output_text", "text": self.text, "annotations": self._annotations(), "logprobs": []}
        return {"id": self._message_id, "type": "message", "role": "assistant", "status": status, "content": [part]}

    def _annotations(self) -> list[Fields]:
        """One a marker in the text, with the place where the marker ends."""
        citations = {citation.number: citation for citation in self._answer.citations} if self._answer else {}
        return [
            self._citation(citations[marker.number], marker.end)
            for marker in find_markers(self.text)
            if marker.number in citations
        ]

    def _citation(self, citation: Citation, index: int) -> Fields:
        return {
            "type": "file_citation",
            "file_id": _file(self._catalog, citation.document_id)[0],
            "filename": citation.source.rpartition("/")[2],
            "index": index,
            "document_id": citation.document_id,
            "page": None if citation.page_index is None else citation.page_index + 1,
            "page_label": citation.page_label,
            "quote": citation.quote,
        }


def input_items(message: Message) -> list[Fields]:
    """A turn of the input as it is listed."""
    if message.role == "tool":
        output = {"call_id": message.tool_call_id, "output": message.content}
        return [{"id": new_id("fco"), "type": "function_call_output", "status": "completed", **output}]
    calls = [_function_call(call, new_id("fc"), "completed") for call in message.tool_calls]
    if calls and not message.content:
        return calls
    kind = "output_text" if message.role == "assistant" else "input_text"
    images = [{"type": "input_image", "image_url": image, "detail": "auto"} for image in message.images]
    content = [{"type": kind, "text": message.content}, *images]
    item = {"type": "message", "role": message.role, "status": "completed", "content": content}
    return [{"id": new_id("msg"), **item}, *calls]


def found_file(catalog: Catalog, hit: Hit) -> Fields:
    """What a search tells of a hit's file, in OpenAI's shape; the page (counted from 1) is one of its attributes."""
    file_id, attributes = _file(catalog, hit.chunk.document_id)
    page = {} if hit.chunk.page_index is None else {"page": hit.chunk.page_index + 1}
    return {
        "file_id": file_id,
        "filename": hit.source.rpartition("/")[2],
        "score": hit.probability,
        "attributes": {**attributes, **page},
    }


def _file(catalog: Catalog, document_id: str) -> tuple[str, Mapping[str, Any]]:
    """The file's id (the document's own for one of a folder), and its attributes."""
    try:
        document = catalog.document(document_id)
    except NotFound:  # removed since
        return document_id, {}
    return document.file_id or document.id, document.attributes


def _sent(events: Iterable[Fields]) -> str:
    return "".join(server_sent(event, event["type"]) for event in events)


def _function_call(call: ToolCall, item_id: str, status: str) -> Fields:
    function = {"call_id": call.id, "name": call.name, "arguments": call.arguments}
    return {"id": item_id, "type": "function_call", "status": status, **function}


def _usage(answer: Answer) -> Fields:
    usage = answer.usage
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }

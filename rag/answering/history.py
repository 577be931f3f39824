"""A conversation split into what was said before and the question; and what of it is told to the model.

That is its last turns whole, and a running summary of those before. A turn is a question with its answer, and with the
functions called for it. As long as the history fits whole into its share of the window, nothing is summarised. A
summary is made by the model that is about to answer, from the summary before it and the turns that came since, so that
a turn is read once; it is kept in memory only, under a hash of the turns it tells of.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rag.answering.generation import reply
from rag.answering.prompt_budget import beginning, turn_tokens
from rag.answering.prompts import SUMMARY, SUMMARY_QUESTION
from rag.errors import InvalidRequest, RagError
from rag.models.chat_template import template_tokens
from rag.settings import HistorySettings
from rag.types.chat import Functions, Sampling
from rag.types.documents import Message
from rag.types.models import LanguageModel

logger = logging.getLogger(__name__)

_LONGEST, _SHORTEST = 400, 24  # tokens of a summary; a quarter of the history's room in between, and none below

Turn = tuple[Message, ...]


class Summaries:
    """The latest summaries, by a hash of the turns each tells of; safe to use from several threads."""

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._texts: OrderedDict[bytes, str] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> str:
        """The summary of these turns; empty if there is none."""
        with self._lock:
            if key in self._texts:
                self._texts.move_to_end(key)
            return self._texts.get(key, "")

    def put(self, key: bytes, text: str) -> None:
        """Keep a summary; the one that was not asked for the longest makes room."""
        with self._lock:
            self._texts[key] = text
            self._texts.move_to_end(key)
            if len(self._texts) > self._most:
                self._texts.popitem(last=False)


async def fit_history(
    model: LanguageModel, history: Sequence[Message], room: int, settings: HistorySettings, summaries: Summaries
) -> list[Message]:
    """The history in at most `room` tokens: whole; or a summary as question and answer, and the latest turns whole.

    Where the room is too small for a summary, or the model fails to make one, the history comes back as it is: whoever
    makes the prompt leaves out the oldest.
    """
    count = model.count_tokens
    length = min(_LONGEST, room // 4)
    if model.llm is None or not settings.turns or length < _SHORTEST or turn_tokens(history, count) <= room:
        return list(history)
    turns = _turns(history)
    keys = list(_keys(turns, settings.summary_prompt))
    border = len(turns)
    left = room - length - turn_tokens(_summary_turn(""), count)
    while border and len(turns) - border < settings.turns:
        left -= turn_tokens(turns[border - 1], count)
        if left < 0:
            break
        border -= 1
    summary, done = "", 0
    for place in range(len(turns), 0, -1):
        if text := summaries.get(keys[place]):
            fitted = _with_summary(text, turns[place:])
            if turn_tokens(fitted, count) <= room:
                return fitted
            if place <= border:
                summary, done = text, place
                break
    try:
        summary = await _continued(model, settings.summary_prompt or SUMMARY, summary, turns[done:border], length)
    except RagError as error:
        logger.warning("The beginning of a conversation could not be summarised: %s", error)
        return list(history)
    summaries.put(keys[border], summary)
    return _with_summary(summary, turns[border:])


async def _continued(model: LanguageModel, prompt: str, summary: str, turns: Sequence[Turn], length: int) -> str:
    """The summary with these turns in it: one call of the model, or as many as its window makes necessary."""
    texts = ["\n".join(f"{message.role}: {message.written}" for message in turn) for turn in turns]
    room = model.context_window - length - template_tokens(1)
    while texts:
        head = f"{prompt}\n\nSummary so far: {summary or '(none)'}\n\nWhat was said then:\n"
        left = room - model.count_tokens(head)
        taken = 1
        while taken < len(texts) and model.count_tokens("\n".join(texts[: taken + 1])) <= left:
            taken += 1
        excerpt = beginning("\n".join(texts[:taken]), model.count_tokens, left)
        if not excerpt:
            raise InvalidRequest("The model's window is too small for a summary.")
        continued = await reply(model, [Message("user", head + excerpt)], length)
        summary = beginning(continued.text, model.count_tokens, length)
        if not summary:
            raise InvalidRequest("The model wrote no summary.")
        texts = texts[taken:]
    return summary


def _turns(history: Sequence[Message]) -> list[Turn]:
    turns: list[Turn] = []
    for message in history:
        if message.role == "user" or not turns:
            turns.append(())
        turns[-1] += (message,)
    return turns


def _keys(turns: Sequence[Turn], prompt: str) -> Iterator[bytes]:
    """For each number of turns from 0, a hash of so many."""
    digest = hashlib.blake2b(prompt.encode("utf-8", "replace"), digest_size=16)
    yield digest.digest()
    for turn in turns:
        for message in turn:
            content = message.written.encode("utf-8", "replace")
            digest.update(f"\n{message.role} {len(content)}\n".encode() + content)
        yield digest.digest()


def _with_summary(summary: str, turns: Sequence[Turn]) -> list[Message]:
    return [*_summary_turn(summary), *(message for turn in turns for message in turn)]


def _summary_turn(summary: str) -> Turn:
    """The summary as the model's own words, and no instruction: it may repeat what a document says."""
    return Message("user", SUMMARY_QUESTION), Message("assistant", summary)


@dataclass(frozen=True, slots=True)
class SplitConversation:
    """The turns without system messages. `steps` come after the question: the model's calls, and what they gave, or the
    beginning of the answer, which is to be gone on with."""

    history: tuple[Message, ...]
    question: Message
    steps: tuple[Message, ...] = ()

    @property
    def calls_functions(self) -> bool:
        """Whether functions were called for the question."""
        return any(step.role == "tool" for step in self.steps)


def split_conversation(messages: Sequence[Message]) -> SplitConversation:
    """Raises InvalidRequest when there is no question, or when calls of functions and what they gave do not match."""
    turns = [message for message in messages if message.role != "system"]
    while turns and turns[-1].role == "assistant" and not turns[-1].written.strip():
        turns.pop()  # some clients send the place of the answer that they wait for
    _check_calls(turns)
    place = max((place for place, turn in enumerate(turns) if turn.role == "user"), default=-1)
    history, steps = turns[:place], turns[place + 1 :]
    if place < 0 or not turns[place].content.strip():
        raise InvalidRequest(
            "There is no question.",
            hint="The last message must be the user's and hold text, be what a function gave, or the beginning of an "
            "answer to such a message.",
            param="messages",
        )
    return SplitConversation(tuple(history), turns[place], tuple(steps))


def require_functions(model: LanguageModel, messages: Sequence[Message], functions: Functions) -> None:
    """Raises InvalidRequest where functions are given, or were called, and the model knows of none."""
    was_called = any(message.tool_calls or message.role == "tool" for message in messages)
    if model.calls_functions or not (functions or was_called):
        return
    raise InvalidRequest(
        f"{model.name} cannot call functions.",
        hint="Leave them out, or ask a model that can, behind an OpenAI-compatible server (vLLM, Ollama …).",
        param="tools" if functions else "messages",
    )


def require_json(model: LanguageModel, sampling: Sampling) -> None:
    """Raises InvalidRequest where a reply in JSON is asked of what cannot be held to it."""
    if sampling.response_format and not model.writes_json:
        raise InvalidRequest(
            f"{model.name} cannot be held to a response format.",
            hint="Leave it out, or ask a GGUF file, or a model behind an OpenAI-compatible server (vLLM, Ollama …).",
            param="response_format",
        )


def _check_calls(turns: Sequence[Message]) -> None:
    """Whether every call is followed by what it gave, before anybody says anything else."""
    waiting: list[str] = []
    for turn in turns:
        if turn.role == "tool":
            if turn.tool_call_id not in waiting:
                raise InvalidRequest(
                    f"What a function gave answers no call: {turn.tool_call_id!r}.",
                    hint="Send the assistant's message with its calls, then one message a call with its id.",
                    param="messages",
                )
            waiting.remove(turn.tool_call_id)
        elif waiting:
            break
        waiting += [call.id for call in turn.tool_calls]
    if waiting:
        raise InvalidRequest(
            f"It is missing what these calls of functions gave: {', '.join(waiting)}.",
            hint="After the assistant's calls comes one message of the role `tool` for each.",
            param="messages",
        )

"""Asks a model server how many tokens a prompt has, in the words of vLLM, llama-server or llama-cpp-python's server."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rag.models.chat_template import Turn, template_tokens
from rag.models.openai.discovery import Tokenizer, fetch

if TYPE_CHECKING:
    import httpx

COUNT_TIMEOUT = 2  # seconds
_LARGEST_ANSWER = 16 << 20  # bytes; the tokens themselves come along, some ten bytes each
_REFUSED = {400, 422, 500}  # what a server answers when its chat template refuses the order of the turns


class NotCounted(Exception):
    """The server did not tell; `is_about_turns` where other turns might be counted."""

    def __init__(self, status: int, *, is_about_turns: bool = False) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.is_about_turns = is_about_turns


def count_on_server(
    client: httpx.Client, base_url: str, tokenizer: Tokenizer, model: str, turns: Sequence[Turn]
) -> int:
    """Tokens of the whole prompt that `turns` become; blocking. Raises NotCounted and httpx.HTTPError."""
    root = base_url.removesuffix("/v1")
    if tokenizer == "vLLM":
        question = {"model": model, "messages": turns, "add_generation_prompt": True}
        return _count(_ask(client, f"{root}/tokenize", question, is_about_turns=True))
    if tokenizer == "llama-server":
        return _count_on_llama_server(client, root, turns)
    question = {"model": model, "input": _joined(turns)}
    return _count(_ask(client, f"{root}/extras/tokenize/count", question)) + template_tokens(len(turns))


def _count_on_llama_server(client: httpx.Client, root: str, turns: Sequence[Turn]) -> int:
    around = 0
    try:
        written = _ask(client, f"{root}/apply-template", {"messages": turns}, is_about_turns=True).get("prompt")
    except NotCounted as refusal:
        if refusal.status != 404:  # older ones do not know the way
            raise
        written, around = _joined(turns), template_tokens(len(turns))
    question = {"content": written, "add_special": True, "parse_special": True}
    return _count(_ask(client, f"{root}/tokenize", question)) + around


def _ask(client: httpx.Client, url: str, question: object, *, is_about_turns: bool = False) -> Mapping[str, object]:
    deadline = time.monotonic() + 2 * COUNT_TIMEOUT
    status, answer = fetch(client, url, deadline, question=question, largest=_LARGEST_ANSWER)
    if status != 200 or not isinstance(answer, Mapping):
        raise NotCounted(status, is_about_turns=is_about_turns and status in _REFUSED)
    return answer


def _count(answer: Mapping[str, object]) -> int:
    tokens = answer.get("tokens")
    count = answer.get("count", len(tokens) if isinstance(tokens, list) else None)
    if not isinstance(count, int) or count < 1:
        raise NotCounted(200)
    return count


def _joined(turns: Sequence[Turn]) -> str:
    return "\n\n".join(
        turn["content"] + (json.dumps(turn["tool_calls"]) if "tool_calls" in turn else "") for turn in turns
    )

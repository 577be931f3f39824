"""Reads out of a refusal that the prompt was too long, and how much the model reads: every server has words of its own.

The tables name who says so. Numbers are of tokens where nothing else is said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_LONGEST = 4_000  # characters of a refusal that are read

# How much is read at most, in the order in which they are looked for: of several limits the widest one, which is that
# of prompt and reply together.
_LIMITS: Mapping[str, re.Pattern[str]] = {
    "vLLM, SGLang, LM Studio, Together": re.compile(
        r"context length (?:is |of )?(?:only )?\(?(\d{1,9})", re.IGNORECASE
    ),
    "OpenAI, OpenRouter, vLLM, SGLang, xAI": re.compile(
        r"maximum (?:context|model|prompt|input) length (?:is|of) (?:only )?(\d{1,9})", re.IGNORECASE
    ),
    "llama-server": re.compile(r"n_ctx['\"]: (\d{1,9})"),
    "llama-server's message": re.compile(r"context size (?:is )?\(?(\d{1,9})"),
    "llama-cpp-python": re.compile(r"context window of (\d{1,9})"),
    "TGI": re.compile(r"`max_new_tokens` must be <= (\d{1,9})"),
    "TGI, of the prompt": re.compile(r"must have less than (\d{1,9}) tokens"),
    "Anthropic": re.compile(r"> (\d{1,9})(?: maximum|, decrease)"),
    "Gemini": re.compile(r"maximum number of tokens allowed \((\d{1,9})"),
    "Mistral": re.compile(r"too large for model with (\d{1,9}) maximum"),
    "OpenAI, as configured": re.compile(r"configured limit of (\d{1,9})"),
    "Groq": re.compile(r"tokens per minute \(TPM\): Limit (\d{1,9})"),
    "Kimi": re.compile(r"token limit: (\d{1,9})"),
    "DashScope": re.compile(r"input length should be \[1, (\d{1,9})\]"),
    "Cohere": re.compile(r"in the prompt cannot exceed (\d{1,9})"),
}
# How long the prompt was.
_COUNTS: Mapping[str, re.Pattern[str]] = {
    "llama-server": re.compile(r"n_prompt_tokens['\"]: (\d{1,9})"),
    "llama-server's message": re.compile(r"request \((\d{1,9}) tokens"),
    "OpenAI": re.compile(r"messages resulted in (\d{1,9})"),
    "OpenAI, vLLM, llama-cpp-python": re.compile(r"\((\d{1,9}) in the messages"),
    "OpenRouter": re.compile(r"\((\d{1,9}) of text input"),
    "vLLM": re.compile(r"(?<!\d)(\d{1,9}) input tokens"),
    "vLLM, of the prompt": re.compile(r"prompt \((?:total )?length (\d{1,9})"),
    "vLLM, Mistral": re.compile(r"prompt contains (\d{1,9})", re.IGNORECASE),
    "SGLang": re.compile(r"(?<!\d)(\d{1,9}) tokens from the input"),
    "SGLang, Together": re.compile(r"input (?:length )?\((\d{1,9})", re.IGNORECASE),
    "LM Studio": re.compile(r"keep the first (\d{1,9}) tokens"),
    "llama-cpp-python's file": re.compile(r"Requested tokens \((\d{1,9})"),
    "TGI": re.compile(r"Given: (\d{1,9})"),
    "Anthropic": re.compile(r"too long: (\d{1,9})"),
    "Anthropic, with the reply": re.compile(r"exceed context limit: (\d{1,9})"),
    "Gemini": re.compile(r"input token count \((\d{1,9})"),
    "xAI": re.compile(r"request contains (\d{1,9}) tokens"),
    "Groq, Kimi": re.compile(r"requested:? (\d{1,9})(?!\d| tokens)", re.IGNORECASE),
    "Cohere": re.compile(r"received (\d{1,9})"),
    "OpenAI, with the reply": re.compile(r"you requested (?:about )?(\d{1,9}) tokens"),
}
_EXCESS = re.compile(r"exceeded max context length by (\d{1,9}) tokens")  # Ollama
_CHARACTERS = re.compile(r"(?:limit|maximum|max|most)\D{1,40}(\d{1,9}) char", re.IGNORECASE)
_COUNTED_CHARACTERS = re.compile(r"(?<!\d)(\d{1,9}) char", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"context[ _](?:length|window|size|limit)|(?:prompt|input|request)(?: length)?(?: is)? too (?:long|large)"
    r"|too many tokens|token(?:s|_limit| limit)? exceed|reduce the length|`inputs` (?:tokens \+|must have less)"
    r"|input (?:tokens? count|length)"
    r"|maximum (?:model|prompt|input) length|tokens? limit:|too large for model|in the prompt cannot exceed"
    r"|number of tokens to keep",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class PromptOverflow:
    """What a refusal tells: how much is read at most, how much the prompt had, or how much of it was too much; 0 where
    it does not say. `is_of_characters` where it counts these, and not tokens."""

    limit: int = 0
    counted: int = 0
    excess: int = 0
    is_of_characters: bool = False


def read_overflow(refusal: str) -> PromptOverflow | None:
    """What the words of a refusal tell of a prompt that was too long; None where they are about something else."""
    words = refusal[:_LONGEST]
    of_characters = _CHARACTERS.search(words)
    if of_characters and not _first(_LIMITS, words):
        limit = int(of_characters[1])
        counts = [int(match[1]) for match in _COUNTED_CHARACTERS.finditer(words)]
        return PromptOverflow(limit, max([count for count in counts if count > limit], default=0), 0, True)
    if not _TOO_LONG.search(words) and not _EXCESS.search(words):
        return None
    excess = _EXCESS.search(words)
    return PromptOverflow(_first(_LIMITS, words), _first(_COUNTS, words), int(excess[1]) if excess else 0)


def _first(table: Mapping[str, re.Pattern[str]], words: str) -> int:
    return next((int(match[1]) for pattern in table.values() if (match := pattern.search(words))), 0)

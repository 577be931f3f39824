"""What the errors of OpenAI-compatible servers mean: for the user, in words, and for the next request."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any
from urllib.parse import quote

import aiohttp

from rag.errors import (
    BackendError,
    BackendFailed,
    BackendMisconfigured,
    BackendRejected,
    BackendUnavailable,
    FunctionsRefused,
    PromptTooLong,
    UnreadableReply,
)
from rag.models.chat_template import is_about_roles
from rag.models.openai.discovery import LOADING
from rag.models.prompt_overflow import PromptOverflow, read_overflow
from rag.types.chat import Sampling

logger = logging.getLogger(__name__)

SYSTEM_ROLE = "system role"  # what a server may refuse beside the fields of a request

_NOT_TAKEN = re.compile(
    r"un(recognized|known|supported|expected)|(not|n't) support|not (permitted|allowed)|extra_forbidden"
)
_OTHER_VALUE = re.compile(r"supported values|should be|must be one of|invalid value|literal_error")
_ABOUT_FUNCTIONS = re.compile(r"\btools?\b|tool[_ -]?(choice|call)|\bfunction[_ -]?(call|tool)", re.IGNORECASE)
_ABOUT_FORMAT = re.compile(r"response_format|json_schema|json_object", re.IGNORECASE)
_ABOUT_IMAGES = re.compile(
    r"image[ _](?:input|url)|multi-?modal|mmproj|support (?:images?|vision)|0 image", re.IGNORECASE
)
_DISPENSABLE = {*(field.name for field in fields(Sampling)), "repeat_penalty", "parallel_tool_calls"} - {
    "max_tokens",
    "response_format",
    "extra_body",
}
_OWN = {"model", "messages", "stream", "max_tokens", "response_format", "tools", "tool_choice"}  # never left out
_ABOUT_THE_PROMPT = {0, 400, 413, 422, 429, 500}
EFFORTS = ("none", "minimal", "low")  # how little a model may be told to think: not every one knows every word
OF_CONTINUATION = ("continue_final_message", "add_generation_prompt")  # vLLM's
_LONGEST_SHOWN = 2_000  # characters of a reply in the log
_HINTS = {
    "it refuses the API key": "Correct RAG_LLM__API_KEY.",
    "it wants an API key": "Set RAG_LLM__API_KEY.",
    LOADING: "Try again in a moment; RAG_LLM__FIRST_TOKEN_TIMEOUT allows it more time.",
}
_STATUS_HINTS = {
    401: "Set RAG_LLM__API_KEY to the key that the server expects.",
    403: "Set RAG_LLM__API_KEY to a key that may use this model.",
    404: "Set RAG_LLM__MODEL to a model that the server has; `rag doctor` lists them.",
}


class NotReached(Exception):
    """No connection to the server, or it ended before anything was answered; `is_late` where it took too long."""

    def __init__(self, error: aiohttp.ClientError) -> None:
        super().__init__(str(error))
        self.is_late = isinstance(error, aiohttp.ServerTimeoutError)


class NoJson(Exception):
    """What the server said, which is no JSON, with its HTTP status."""

    def __init__(self, text: str, status: int = 200) -> None:
        super().__init__(text)
        self.status = status


class ServerError(Exception):
    """What the server said instead of an answer, with its HTTP status; without one, in the middle of its answer.
    `is_json` is whether it said it as an API does."""

    def __init__(self, text: str, status: int = 0, retry_after: str = "") -> None:
        try:
            body = json.loads(text)
            self.is_json = True
        except (ValueError, RecursionError):
            body = text
            self.is_json = not text.strip()
        super().__init__(f"Error code: {status} - {body}")
        reported = body.get("error", body) if isinstance(body, Mapping) else body
        if isinstance(reported, Mapping):
            reported = reported.get("message") or reported.get("detail")
        self.status = status
        self.retry_after = retry_after
        self.message = str(reported or self)

    @property
    def overflow(self) -> PromptOverflow | None:
        """What it tells of a prompt that was too long; None where it is about something else."""
        if self.status not in _ABOUT_THE_PROMPT:
            return None
        return read_overflow(str(self)) or (PromptOverflow() if self.status == 413 else None)


def refused_fields(error: ServerError, body: Mapping[str, Any]) -> set[str]:
    """The fields of a request (its `body`) that the server does not take, by what it says; SYSTEM_ROLE among them for a
    chat template without one, and of a field of which it does not take this value, `field=value`. An answer can be had
    without any of them."""
    if error.overflow:
        return set()
    text = str(error).lower()
    effort = body.get("reasoning_effort")
    if effort and "reasoning_effort" in text and _OTHER_VALUE.search(text):
        return {f"reasoning_effort={effort}"} if effort in EFFORTS else set()
    refused = {"stream_options"} if "stream_options" in text else set()
    if is_about_roles(text):
        refused.add(SYSTEM_ROLE)
    if "max_completion_tokens" in text:
        refused.add("max_tokens")
    if _NOT_TAKEN.search(text):
        names = _DISPENSABLE | (body.keys() - _OWN)
        refused |= {name for name in names if re.search(rf"(?<!\w){re.escape(name.lower())}(?!\w)", text)}
    if refused & {*OF_CONTINUATION}:
        refused |= {*OF_CONTINUATION}
    return refused


def unusable(address: str, problem: str) -> BackendUnavailable:
    """For a server with a `problem` in the words of rag/models/openai/discovery.py."""
    return BackendUnavailable(
        f"The model server at {address} cannot be used: {problem}.",
        hint=_HINTS.get(problem, "Start it, or correct RAG_LLM__BASE_URL; `rag doctor` shows what answers."),
    )


def cut_short(address: str, *, has_begun: bool) -> BackendError:
    """For a stream that ended without saying why."""
    if has_begun:
        return BackendUnavailable(
            f"The model server at {address} stopped in the middle of the answer.",
            hint="Ask again; the server's log says why it stopped.",
        )
    return BackendRejected(
        f"The model server at {address} answered with nothing at all.",
        hint="llama-cpp-python's server does so when the prompt is longer than it can read: set "
        "RAG_LLM__CONTEXT_WINDOW to its --n_ctx. Otherwise check RAG_LLM__BASE_URL.",
    )


def explain(error: Exception, address: str, key: str, *, with_functions: bool = False) -> BackendError:
    """`error` in the user's words; the server's own ones, where it said any, are logged, but never the key.
    `with_functions` is whether the request gave the model functions to call, or what they gave."""
    kind: type[BackendError] = BackendUnavailable
    if isinstance(error, ServerError | NoJson):
        logger.warning("The model server at %s says (HTTP %s): %s", address, error.status, _shown(error, key))
    if isinstance(error, NoJson) or (isinstance(error, ServerError) and error.status >= 500 and not error.is_json):
        kind, what = UnreadableReply, f"gave a reply that was no JSON of OpenAI's form (HTTP {error.status})."
        hint = "Check RAG_LLM__BASE_URL, and what stands between Footnote and the server; the log has the reply."
    elif isinstance(error, ServerError) and (overflow := error.overflow):
        return PromptTooLong(
            f"The model server at {address} refused the prompt, which is too long for it (HTTP {error.status or 200}).",
            hint="Set RAG_LLM__CONTEXT_WINDOW to what the server reads, or lower RAG_RETRIEVAL__MAX_PASSAGES or "
            "RAG_LLM__MAX_TOKENS.",
            limit=overflow.limit,
            counted=overflow.counted,
            excess=overflow.excess,
        )
    elif isinstance(error, ServerError) and error.status:
        kind, what, hint = _of_status(error, with_functions=with_functions)
        what = f"{what} (HTTP {error.status})."
    elif isinstance(error, ServerError):
        what, hint = "gave up.", "Ask again; the server's log says more."
    elif isinstance(error, NotReached):
        what = "does not answer."
        hint = "Start it, or correct RAG_LLM__BASE_URL; `rag doctor` shows what answers."
    else:
        what = f"broke off the answer ({type(error).__name__})."
        hint = "Ask again; the server's log says why it stopped."
    return kind(f"The model server at {address} {what}", hint=hint)


def _of_status(error: ServerError, *, with_functions: bool) -> tuple[type[BackendError], str, str]:
    """The kind of error, what the server did, and what to do about it."""
    status, text = error.status, str(error)
    about_functions = with_functions and (is_about_roles(text) or _ABOUT_FUNCTIONS.search(text))
    if about_functions and status in {400, 404, 422, 500, 501}:
        hint = (
            "Ask a model that can call functions, and start its server with that: vLLM with "
            "--enable-auto-tool-choice and --tool-call-parser, llama-server with --jinja."
        )
        return FunctionsRefused, "does not take these functions", hint
    if _ABOUT_FORMAT.search(text) and status in {400, 404, 422, 500, 501}:
        hint = "Leave `response_format` out, or ask a server that can keep it: vLLM, llama-server, Ollama."
        return BackendRejected, "does not take this response format", hint
    if _ABOUT_IMAGES.search(text) and status in {400, 404, 422, 500, 501}:
        hint = "Set RAG_LLM__VISION=false, so that images are left out."
        return BackendRejected, "does not take images", hint
    if status in {408, 409, 429, 503}:
        hint = "It is busy or still loading: ask again in a moment." if status in {429, 503} else "See its log."
        return BackendUnavailable, "cannot answer now", hint
    if status >= 500:
        return BackendFailed, "failed", "Ask again; the server's log says more."
    if status in {400, 422}:
        hint = (
            "If the prompt is too long, set RAG_LLM__CONTEXT_WINDOW to what the server reads, or lower "
            "RAG_RETRIEVAL__MAX_PASSAGES or RAG_LLM__MAX_TOKENS."
        )
        return BackendRejected, "refused the request", hint
    hint = _STATUS_HINTS.get(status, "Check RAG_LLM__MODEL and RAG_LLM__BASE_URL.")
    return BackendMisconfigured if status in _STATUS_HINTS else BackendRejected, "refused the request", hint


def _shown(error: ServerError | NoJson, key: str) -> str:
    words = " ".join((error.message if isinstance(error, ServerError) else str(error)).split())
    for secret in {key, quote(key), quote(key, safe="")} - {""}:
        words = words.replace(secret, "…")
    return words if len(words) <= _LONGEST_SHOWN else words[: _LONGEST_SHOWN - 1] + "…"

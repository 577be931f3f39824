"""What the errors of OpenAI-compatible servers mean: for the user, in words, and for the next request."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import fields
from urllib.parse import quote

import aiohttp

from rag.errors import BackendError, BackendRejected, BackendUnavailable, PromptTooLong
from rag.models.chat_template import is_about_roles
from rag.models.openai.discovery import LOADING
from rag.types.chat import Sampling

logger = logging.getLogger(__name__)

SYSTEM_ROLE = "system role"  # what a server may refuse beside the fields of a request

_TOO_LONG = re.compile(r"context[ _](length|window|size)|prompt is too long|too many tokens", re.IGNORECASE)
_NOT_TAKEN = re.compile(
    r"un(recognized|known|supported|expected)|(not|n't) support|not (permitted|allowed)|extra_forbidden"
)
_ABOUT_FUNCTIONS = re.compile(r"\btools?\b|tool[_ -]?(choice|call)|\bfunction[_ -]?(call|tool)", re.IGNORECASE)
_ABOUT_FORMAT = re.compile(r"response_format|json_schema|json_object", re.IGNORECASE)
_ABOUT_IMAGES = re.compile(
    r"image[ _](?:input|url)|multi-?modal|mmproj|support (?:images?|vision)|0 image", re.IGNORECASE
)
_DISPENSABLE = {*(field.name for field in fields(Sampling)), "repeat_penalty", "parallel_tool_calls"} - {
    "max_tokens",
    "response_format",
}
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


class ServerError(Exception):
    """What the server said instead of an answer, with its HTTP status; without one, in the middle of its answer."""

    def __init__(self, text: str, status: int = 0, retry_after: str = "") -> None:
        try:
            body = json.loads(text)
        except ValueError:
            body = text
        super().__init__(f"Error code: {status} - {body}")
        reported = body.get("error", body) if isinstance(body, Mapping) else body
        if isinstance(reported, Mapping):
            reported = reported.get("message") or reported.get("detail")
        self.status = status
        self.retry_after = retry_after
        self.message = str(reported or self)


def refused_fields(error: ServerError) -> set[str]:
    """The fields of a request that the server does not take, by what it says; SYSTEM_ROLE among them for a chat
    template without one. An answer can be had without any of them."""
    text = str(error).lower()
    refused = {"stream_options"} if "stream_options" in text else set()
    if is_about_roles(text):
        refused.add(SYSTEM_ROLE)
    if "max_completion_tokens" in text:
        refused.add("max_tokens")
    if _NOT_TAKEN.search(text):
        refused |= {name for name in _DISPENSABLE if re.search(rf"\b{name}\b", text)}
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
    if isinstance(error, ServerError):
        logger.warning("The model server at %s says: %s", address, _shown(error, key))
    if isinstance(error, ServerError) and error.status:
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
        return BackendRejected, "does not take these functions", hint
    if _ABOUT_FORMAT.search(text) and status in {400, 404, 422, 500, 501}:
        hint = "Leave `response_format` out, or ask a server that can keep it: vLLM, llama-server, Ollama."
        return BackendRejected, "does not take this response format", hint
    if _ABOUT_IMAGES.search(text) and status in {400, 404, 422, 500, 501}:
        hint = "Set RAG_LLM__VISION=false, so that images are left out."
        return BackendRejected, "does not take images", hint
    if status in {408, 409, 429} or status >= 500:
        hint = "It is busy or still loading: ask again in a moment." if status in {429, 503} else "See its log."
        return BackendUnavailable, "cannot answer now", hint
    if status in {400, 413, 422}:
        hint = (
            "If the prompt is too long, set RAG_LLM__CONTEXT_WINDOW to what the server reads, or lower "
            "RAG_RETRIEVAL__MAX_PASSAGES or RAG_LLM__MAX_TOKENS."
        )
        return PromptTooLong if _TOO_LONG.search(text) else BackendRejected, "refused the request", hint
    hint = _STATUS_HINTS.get(status, "Check RAG_LLM__MODEL and RAG_LLM__BASE_URL.")
    return BackendRejected, "refused the request", hint


def _shown(error: ServerError, key: str) -> str:
    words = " ".join(error.message.split())
    for secret in {key, quote(key), quote(key, safe="")} - {""}:
        words = words.replace(secret, "…")
    return words if len(words) <= 300 else words[:299] + "…"

"""The `openai` provider: any OpenAI-compatible server (vLLM, llama-server, Ollama, LM Studio, a hosted one).

Every question has a connection of its own, so leaving a stream closes it and the server stops generating; and nothing
is tied to one event loop. Servers differ in what they accept: see `_Quirk`.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from contextlib import asynccontextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any

import httpx
import openai
from llama_index.core.llms import ChatMessage, ChatResponse, MessageRole
from llama_index.llms.openai_like import OpenAILike  # type: ignore[import-untyped]
from pydantic import Field, PrivateAttr, SecretStr

from rag.backends.server_tokens import COUNT_TIMEOUT, NotCounted, count_on_server
from rag.backends.servers import (
    DEFAULT_CONTEXT_WINDOW,
    NO_LIST,
    ServerProbe,
    Tokenizer,
    checked_base_url,
    listed_name,
    probe_server,
    shown_address,
    trusts_environment,
)
from rag.backends.turns import Turn, fold_system, to_turns
from rag.errors import BackendError, BackendRejected, BackendUnavailable, PromptTooLong
from rag.types import LanguageModel, Message

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from rag.settings import LanguageModelSettings

logger = logging.getLogger(__name__)

PROVIDER = "openai"
CONNECT_TIMEOUT = 3  # seconds
_BEYOND_OPENAI = ("top_k", "repetition_penalty")  # sampling parameters
_REFUSALS = 2  # of a system message, until a model is held to take none
NO_KEY = "none"  # the client insists on a key, and would otherwise take OPENAI_API_KEY to a server it is not meant for


def open_openai(settings: LanguageModelSettings) -> LanguageModel:
    """The model at `settings.base_url`; blocking. A server that does not answer now is asked again at each question.

    Raises ConfigurationError when the address is none.
    """
    llm = OpenAICompatible.from_settings(settings)
    llm.learn(llm.probe())
    return language_model(llm)


def language_model(llm: OpenAICompatible) -> LanguageModel:
    """`llm` with what is known of it by now."""
    description = f"{llm.model or 'a model'} at {llm.address}"
    if llm.problem:
        description += f": {llm.problem} (asked again with every question)"
    elif not llm.is_listed:
        description += ": the server does not list this model (asked for it all the same)"
    return LanguageModel(
        provider=PROVIDER,
        name=llm.label or llm.model,
        description=description,
        llm=llm,
        context_window=llm.context_window,
        count_tokens=estimate_tokens,
        count_prompt=llm.count_prompt,
    )


def estimate_tokens(text: str) -> int:
    """Tokens of `text`, rather too many than too few: some models spend one on each digit and sign, and one on three
    bytes of anything else."""
    single = sum(character.isascii() and not character.isalpha() and not character.isspace() for character in text)
    return (len(text.encode(errors="replace")) - single) // 3 + single + 1


_TOO_LONG = re.compile(r"context[ _](length|window|size)|prompt is too long|too many tokens", re.IGNORECASE)


class _Quirk(Enum):
    """What some servers do not take, learnt from their refusal, and the words by which it is known."""

    NO_SYSTEM_ROLE = ("roles must alternate", "only user and assistant roles", "system role not supported")
    NO_MAX_TOKENS = ("max_completion_tokens",)
    NO_TEMPERATURE = ("'temperature'",)
    NO_STREAM_OPTIONS = ("stream_options",)


class OpenAICompatible(OpenAILike):  # type: ignore[misc]
    """A chat model behind an OpenAI-compatible API, streamed."""

    api_key: str | None = Field(default=None, repr=False)
    wanted_window: int = 0
    wanted_model: str = ""
    label: str = ""  # the user's name for it
    token_timeout: float = 0
    problem: str = "it was not asked yet"
    is_listed: bool = True  # or the server tells no names
    tokenizer: Tokenizer = ""
    _key: SecretStr = PrivateAttr()
    _tls: ssl.SSLContext = PrivateAttr(default_factory=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    _quirks: set[_Quirk] = PrivateAttr(default_factory=set)

    @classmethod
    def from_settings(cls, settings: LanguageModelSettings) -> OpenAICompatible:
        """The model that the settings describe, not asked yet. Raises ConfigurationError when the address is none."""
        base_url = checked_base_url(settings.base_url)
        llm = cls(
            model=settings.model,
            api_base=base_url,
            api_key=NO_KEY,
            is_chat_model=True,
            context_window=settings.context_window or DEFAULT_CONTEXT_WINDOW,
            timeout=settings.timeout,
            max_retries=0,
            wanted_model=settings.model,
            label=settings.name,
            token_timeout=settings.token_timeout,
            wanted_window=settings.context_window,
        )
        llm._key = settings.key()
        if base_url.startswith("https://"):
            llm._tls = httpx.create_ssl_context(trust_env=trusts_environment(base_url))  # slow: once, not per question
        return llm

    @property
    def address(self) -> str:
        """Where the server is, as it may be shown."""
        return shown_address(self.api_base or "")

    def probe(self) -> ServerProbe:
        """What the server says of itself now; blocking, seconds at most."""
        return probe_server(self.api_base or "", model=self.wanted_model, api_key=self._key.get_secret_value())

    def learn(self, probe: ServerProbe) -> None:
        """Take over what the server said: its models' names and window, and the `/v1` that the address lacked."""
        self.problem = "" if probe.problem == NO_LIST and self.wanted_model else probe.problem
        if not probe.models:
            return
        self.api_base = probe.base_url
        self.tokenizer = probe.tokenizer
        self.model = self.wanted_model or probe.models[0]
        self.is_listed = bool(listed_name(self.model, probe.models))
        windows = [window for window in (self.wanted_window, probe.context_window) if window]
        self.context_window = min(windows, default=DEFAULT_CONTEXT_WINDOW)

    async def check(self) -> None:
        """Ask the server whether it answers now. Raises BackendUnavailable."""
        self.learn(await asyncio.to_thread(self.probe))
        if self.problem:
            raise self._unusable()

    def count_prompt(self, messages: Sequence[Message]) -> int | None:
        """Tokens of the whole prompt as the server counts them; None where it does not tell. Blocking, seconds at most.

        A server that fails at it is not asked again until its models are listed anew."""
        if not self.tokenizer:
            return None
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return self._count(turns)
        except (NotCounted, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            logger.warning(
                "The model server at %s does not count tokens (%s): prompts are measured by an estimate.",
                self.address,
                str(error) or type(error).__name__,
            )
            self.tokenizer = ""
            return None

    def _count(self, turns: list[Turn]) -> int:
        key = self._key.get_secret_value()
        with httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            trust_env=trusts_environment(self.api_base or ""),
            verify=self._tls,
            follow_redirects=False,
            timeout=COUNT_TIMEOUT,
        ) as client:
            for _ in range(_REFUSALS if _Quirk.NO_SYSTEM_ROLE not in self._quirks else 0):  # one may be an accident
                try:
                    return count_on_server(client, self.api_base or "", self.tokenizer, self.model, turns)
                except NotCounted as refusal:
                    if not refusal.is_about_turns:
                        raise
            count = count_on_server(client, self.api_base or "", self.tokenizer, self.model, fold_system(turns))
            self._quirks.add(_Quirk.NO_SYSTEM_ROLE)
            return count

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> AsyncGenerator[ChatResponse, None]:
        """The reply, piece by piece; closing the generator closes the connection. Raises BackendError."""
        return self._stream(to_turns(messages), kwargs)

    async def _stream(self, turns: list[dict[str, str]], options: dict[str, Any]) -> AsyncGenerator[ChatResponse, None]:
        if self.problem:  # it could not be used when last asked
            self.learn(await asyncio.to_thread(self.probe))
            if not self.model:
                raise self._unusable()
        text, finished = "", False
        while not finished:
            async with self._connection() as client:
                try:
                    stream, tried = await self._ask(client, turns, options)
                    async with stream as chunks:
                        while (chunk := await self._next(chunks)) is not None:
                            choice = chunk.choices[0] if chunk.choices else None
                            delta = (choice.delta.content if choice and choice.delta else None) or ""
                            text += delta
                            finished = finished or bool(choice and choice.finish_reason)
                            message = ChatMessage(role=MessageRole.ASSISTANT, content=text)
                            yield ChatResponse(message=message, delta=delta, raw=chunk)
                except (openai.OpenAIError, httpx.HTTPError, TimeoutError, ValueError) as error:
                    raise self._explain(error) from error
            if not finished and (text or not self._learns_from_silence(turns, tried)):
                raise self._cut_short(text)

    def _learns_from_silence(self, turns: list[dict[str, str]], tried: frozenset[_Quirk]) -> bool:
        """Whether to ask once more what was asked with the quirks `tried`: llama-cpp-python's server streams nothing
        when its template refuses the system role, and says why in its log only."""
        is_new = _Quirk.NO_SYSTEM_ROLE not in tried and any(turn["role"] == "system" for turn in turns)
        if is_new:
            self._quirks.add(_Quirk.NO_SYSTEM_ROLE)
        return is_new

    async def _ask(
        self, client: openai.AsyncOpenAI, turns: list[dict[str, str]], options: dict[str, Any]
    ) -> tuple[Any, frozenset[_Quirk]]:
        """The open stream, and the quirks it was asked with. What the server does not take is left out, and remembered
        for the next question."""
        while True:
            tried = frozenset(self._quirks)  # another question may learn the same before this one is answered
            try:
                async with asyncio.timeout(self.timeout):
                    return await client.chat.completions.create(**self._request(turns, options)), tried
            except openai.APIStatusError as error:
                said = str(error).lower()
                known = {quirk for quirk in _Quirk if any(words in said for words in quirk.value)}
                if known <= tried:
                    raise
                self._quirks |= known

    async def _next(self, chunks: Any) -> Any | None:
        async with asyncio.timeout(self.timeout):
            return await anext(chunks, None)

    def _request(self, turns: list[dict[str, str]], options: dict[str, Any]) -> dict[str, Any]:
        request = {"model": self.model, "messages": turns, "stream": True, **options}
        if _Quirk.NO_STREAM_OPTIONS not in self._quirks:
            request["stream_options"] = {"include_usage": True}
        if _Quirk.NO_SYSTEM_ROLE in self._quirks:
            request["messages"] = fold_system(turns)
        if _Quirk.NO_MAX_TOKENS in self._quirks and "max_tokens" in request:
            request["max_completion_tokens"] = request.pop("max_tokens")
        if _Quirk.NO_TEMPERATURE in self._quirks:
            request.pop("temperature", None)
        extra = {name: request.pop(name) for name in _BEYOND_OPENAI if name in request}
        if extra:
            penalty = extra.get("repetition_penalty")  # vLLM's name; llama.cpp's and Ollama's is the other
            request["extra_body"] = extra if penalty is None else {**extra, "repeat_penalty": penalty}
        return request

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[openai.AsyncOpenAI]:
        http = httpx.AsyncClient(
            trust_env=trusts_environment(self.api_base or ""),
            verify=self._tls,
            follow_redirects=False,  # documents go where the user said, and nowhere else
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT),  # the rest is timed token by token
        )
        async with http:
            key = self._key.get_secret_value() or NO_KEY
            yield openai.AsyncOpenAI(api_key=key, base_url=self.api_base, max_retries=0, http_client=http)

    def _unusable(self) -> BackendUnavailable:
        return BackendUnavailable(
            f"The model server at {self.address} cannot be used: {self.problem}.",
            hint=_HINTS.get(self.problem, "Start it, or correct RAG_LLM__BASE_URL; `rag doctor` shows what answers."),
            provider=PROVIDER,
        )

    def _cut_short(self, text: str) -> BackendError:
        if text:
            return BackendUnavailable(
                f"The model server at {self.address} stopped in the middle of the answer.",
                hint="Ask again; the server's log says why it stopped.",
                provider=PROVIDER,
            )
        return BackendRejected(
            f"The model server at {self.address} answered with nothing at all.",
            hint="llama-cpp-python's server does so when the prompt is longer than it can read: set "
            "RAG_LLM__CONTEXT_WINDOW to its --n_ctx. Otherwise check RAG_LLM__BASE_URL.",
            provider=PROVIDER,
        )

    def _explain(self, error: Exception) -> BackendError:
        """`error` in the user's words, with the server's own ones where it said any."""
        server = f"The model server at {self.address}"
        if isinstance(error, TimeoutError):
            return BackendUnavailable(
                f"{server} sent no token for {self.timeout:g} seconds.",
                hint="It may still be loading the model, or be busy; RAG_LLM__TIMEOUT allows it more time.",
                provider=PROVIDER,
            )
        if isinstance(error, openai.APIStatusError):
            return self._explain_status(server, error)
        if isinstance(error, openai.APIError) and error.body is not None:  # an error event in the stream
            message = f"{server} gave up: {self._said(error)}"
            return BackendUnavailable(message, hint="Ask again; the server's log says more.", provider=PROVIDER)
        if isinstance(error, openai.APIConnectionError | httpx.ConnectError):
            return BackendUnavailable(
                f"{server} does not answer.",
                hint="Start it, or correct RAG_LLM__BASE_URL; `rag doctor` shows what answers.",
                provider=PROVIDER,
            )
        return BackendUnavailable(
            f"{server} broke off the answer ({type(error).__name__}).",
            hint="Ask again; the server's log says why it stopped.",
            provider=PROVIDER,
        )

    def _explain_status(self, server: str, error: openai.APIStatusError) -> BackendError:
        status = error.status_code
        if status in {408, 409, 429} or status >= 500:
            hint = "It is busy or still loading: ask again in a moment." if status in {429, 503} else "See its log."
            return BackendUnavailable(
                f"{server} cannot answer now (HTTP {status}): {self._said(error)}", hint=hint, provider=PROVIDER
            )
        hint = _STATUS_HINTS.get(status, "Check RAG_LLM__MODEL and RAG_LLM__BASE_URL.")
        kind: type[BackendRejected] = BackendRejected
        if status in {400, 413, 422}:
            hint = (
                "If the prompt is too long, set RAG_LLM__CONTEXT_WINDOW to what the server reads, or lower "
                "RAG_RETRIEVAL__PASSAGES or RAG_LLM__MAX_TOKENS."
            )
            if _TOO_LONG.search(str(error)):
                kind = PromptTooLong
        return kind(f"{server} refused the request (HTTP {status}): {self._said(error)}", hint=hint, provider=PROVIDER)

    def _said(self, error: openai.APIError) -> str:
        body = error.body
        said = body.get("message") or body.get("detail") if isinstance(body, dict) else body
        words = " ".join(str(said or error.message).split())
        key = self._key.get_secret_value()
        words = words.replace(key, "…") if key else words
        return words if len(words) <= 300 else words[:299] + "…"


_HINTS = {
    "it refuses the API key": "Correct RAG_LLM__API_KEY.",
    "it wants an API key": "Set RAG_LLM__API_KEY.",
    "it is still loading its model": "Try again in a moment.",
}
_STATUS_HINTS = {
    401: "Set RAG_LLM__API_KEY to the key that the server expects.",
    403: "Set RAG_LLM__API_KEY to a key that may use this model.",
    404: "Set RAG_LLM__MODEL to a model that the server has; `rag doctor` lists them.",
}

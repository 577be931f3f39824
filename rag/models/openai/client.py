"""The `openai` provider: any OpenAI-compatible server (vLLM, llama-server, Ollama, LM Studio, a hosted one).

Every question has a connection of its own, so leaving a stream closes it and the server stops generating; and nothing
is tied to one event loop. Servers differ in what they accept: what one refuses is left out from then on.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import openai
import openai.resources.chat  # the client would do so in the middle of the first question, a second long
from llama_index.core.llms import ChatMessage, ChatResponse, MessageRole
from llama_index.llms.openai_like import OpenAILike  # type: ignore[import-untyped]
from pydantic import Field, PrivateAttr, SecretStr

from rag.models.chat_template import Turn, estimate_tokens, fold_system, to_chat, to_turns
from rag.models.openai.discovery import (
    DEFAULT_CONTEXT_WINDOW,
    LOADING,
    NO_LIST,
    ServerProbe,
    Tokenizer,
    checked_base_url,
    listed_name,
    probe_server,
    shown_address,
    trusts_environment,
)
from rag.models.openai.errors import PROVIDER, SYSTEM_ROLE, cut_short, explain, refused_fields, unusable
from rag.models.openai.retries import BUSY, LOADING_PAUSE, RetryPolicy
from rag.models.openai.token_counting import COUNT_TIMEOUT, NotCounted, count_on_server
from rag.models.timeouts import TimeLimits, TokenTimeout, waiting
from rag.types.documents import LanguageModel, Message

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from rag.settings import LanguageModelSettings

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10  # seconds: a refusal comes at once, and a busy loop must not look like a dead server
_BEYOND_OPENAI = ("top_k", "repetition_penalty", "repeat_penalty")
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
        calls_functions=True,  # or its server says that it does not
    )


class OpenAICompatible(OpenAILike):  # type: ignore[misc]
    """A chat model behind an OpenAI-compatible API, streamed."""

    api_key: str | None = Field(default=None, repr=False)
    wanted_window: int = 0
    wanted_model: str = ""
    label: str = ""  # the user's name for it
    inter_token_timeout: float = 0
    problem: str = "it was not asked yet"
    is_listed: bool = True  # or the server tells no names
    tokenizer: Tokenizer = ""
    _key: SecretStr = PrivateAttr()
    _tls: ssl.SSLContext = PrivateAttr(default_factory=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    _refused: set[str] = PrivateAttr(default_factory=set)  # fields that this server does not take

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
            timeout=settings.first_token_timeout,
            max_retries=0,
            wanted_model=settings.model,
            label=settings.name,
            inter_token_timeout=settings.inter_token_timeout,
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
            raise unusable(self.address, self.problem)

    def count_prompt(self, messages: Sequence[Message]) -> int | None:
        """Tokens of the whole prompt as the server counts them; None where it does not tell. Blocking, seconds at most.

        A server that fails at it is not asked again until its models are listed anew; one that is busy is."""
        if not self.tokenizer:
            return None
        try:
            return self._count(to_turns(to_chat(messages)))
        except (NotCounted, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            if isinstance(error, NotCounted) and (error.status in BUSY or _has_calls(messages)):
                return None  # a template without functions refuses them, and counts everything else
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
            for _ in range(_REFUSALS if SYSTEM_ROLE not in self._refused else 0):  # one may be an accident
                try:
                    return count_on_server(client, self.api_base or "", self.tokenizer, self.model, turns)
                except NotCounted as refusal:
                    if not refusal.is_about_turns:
                        raise
            count = count_on_server(client, self.api_base or "", self.tokenizer, self.model, fold_system(turns))
            self._refused.add(SYSTEM_ROLE)
            return count

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> AsyncGenerator[ChatResponse, None]:
        """The reply, piece by piece; closing the generator closes the connection. Raises BackendError."""
        return self._stream(to_turns(messages), kwargs)

    async def wait_until_loaded(self, seconds: float) -> AsyncGenerator[str, None]:
        """Says what is waited for, as long as the server says that it loads its model, and no longer than `seconds`."""
        deadline = time.monotonic() + seconds
        while self.problem == LOADING and time.monotonic() + LOADING_PAUSE < deadline:
            yield "the model server is loading its model"
            await asyncio.sleep(LOADING_PAUSE)
            self.learn(await asyncio.to_thread(self.probe))

    async def _stream(self, turns: list[Turn], options: dict[str, Any]) -> AsyncGenerator[ChatResponse, None]:
        limits = TimeLimits(self.timeout, self.inter_token_timeout)
        clock = TokenTimeout(limits, f"The model server at {self.address}", PROVIDER)
        if self.problem:  # it could not be used when last asked
            self.learn(await asyncio.to_thread(self.probe))
            async for what_for in self.wait_until_loaded(clock.left):
                yield waiting(what_for)
            if not self.model:
                raise unusable(self.address, self.problem)
        patience = RetryPolicy()
        text, finished = "", False
        while not finished:
            try:
                async with self._connection() as client:
                    stream, tried = await self._ask(client, turns, options, clock)
                    async with stream as chunks:
                        while (chunk := await _next(chunks, clock)) is not None:
                            choice = (chunk.get("choices") or [{}])[0]
                            delta = (choice.get("delta") or {}).get("content") or ""
                            text += delta
                            finished = finished or bool(choice.get("finish_reason"))
                            message = ChatMessage(role=MessageRole.ASSISTANT, content=text)
                            yield ChatResponse(message=message, delta=delta, raw=chunk)
            except (openai.OpenAIError, httpx.HTTPError, ValueError) as error:
                pause = None if clock.has_begun else patience.pause_after(error)
                if pause is None or pause.seconds > clock.left:
                    key = self._key.get_secret_value()
                    with_functions = "tools" in options or any("tool_call_id" in turn for turn in turns)
                    raise explain(error, self.address, key, with_functions=with_functions) from error
                if pause.what_for:
                    yield waiting(pause.what_for)
                await asyncio.sleep(pause.seconds)
                continue
            if not finished and (clock.has_begun or not self._learns_from_silence(turns, tried)):
                raise cut_short(self.address, has_begun=clock.has_begun)

    def _learns_from_silence(self, turns: list[Turn], tried: frozenset[str]) -> bool:
        """Whether to ask once more what was asked without the fields `tried`: llama-cpp-python's server streams nothing
        when its template refuses the system role, and says why in its log only."""
        is_new = SYSTEM_ROLE not in tried and any(turn["role"] == "system" for turn in turns)
        if is_new:
            self._refused.add(SYSTEM_ROLE)
        return is_new

    async def _ask(
        self, client: openai.AsyncOpenAI, turns: list[Turn], options: dict[str, Any], clock: TokenTimeout
    ) -> tuple[Any, frozenset[str]]:
        """The open stream, and the fields it was asked without. What the server does not take is left out, and
        remembered for the next question."""
        while True:
            tried = frozenset(self._refused)  # another question may learn the same before this one is answered
            try:
                async with clock.limit():
                    return await client.post(
                        "/chat/completions",
                        body=self._request(turns, options),
                        cast_to=object,  # plain dicts: the library's objects cost more than all else done to a token
                        stream=True,
                        stream_cls=openai.AsyncStream[object],
                    ), tried
            except openai.APIStatusError as error:
                refused = refused_fields(error)
                if refused <= tried:
                    raise
                logger.info("The model server at %s does not take %s.", self.address, ", ".join(refused - tried))
                self._refused |= refused

    def _request(self, turns: list[Turn], options: dict[str, Any]) -> dict[str, Any]:
        told = dict(options)
        if "repetition_penalty" in told:  # vLLM's name; llama.cpp's and Ollama's is the other
            told["repeat_penalty"] = told["repetition_penalty"]
        if "max_tokens" in self._refused and "max_tokens" in told:
            told["max_completion_tokens"] = told["max_tokens"]
        told["stream_options"] = {"include_usage": True}
        told = {name: value for name, value in told.items() if name not in self._refused}
        extra = {name: told.pop(name) for name in _BEYOND_OPENAI if name in told}
        messages = fold_system(turns) if SYSTEM_ROLE in self._refused else turns
        return {"model": self.model, "messages": messages, "stream": True, **extra, **told}

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


def _has_calls(messages: Sequence[Message]) -> bool:
    return any(message.tool_calls or message.tool_call_id for message in messages)


async def _next(chunks: Any, clock: TokenTimeout) -> Any | None:
    async with clock.limit():
        chunk = await anext(chunks, None)
    if chunk is not None:
        clock.tick(is_token=any(map(_has_token, chunk.get("choices") or ())))
    return chunk


def _has_token(choice: Any) -> bool:
    """Whether it brings text or thoughts (which servers put into fields of their own), and not just the role."""
    return any(value for name, value in (choice.get("delta") or {}).items() if name != "role")

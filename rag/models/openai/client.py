"""The `openai` provider: any OpenAI-compatible server (vLLM, llama-server, Ollama, LM Studio, a hosted one).

Every question has a connection of its own, so leaving a stream closes it and the server stops generating; and nothing
is tied to one event loop. Servers differ in what they accept: what one refuses is left out from then on.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from contextlib import aclosing
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx

from rag.errors import BackendError, ConfigurationError, PromptTooLong
from rag.models.chat_template import Turn, estimate_tokens, fold_system, to_turns
from rag.models.openai.chunks import ToolCallReader, model_delta, plain_text
from rag.models.openai.discovery import (
    DEFAULT_CONTEXT_WINDOW,
    LOADING,
    NO_LIST,
    ServerProbe,
    Tokenizer,
    checked_base_url,
    environment_proxy,
    listed_name,
    parameters_named,
    shown_address,
    trusts_environment,
)
from rag.models.openai.endpoints import ChatCompletions, Completions, ReadEvent
from rag.models.openai.errors import (
    EFFORTS,
    OF_CONTINUATION,
    SYSTEM_ROLE,
    NoJson,
    NotReached,
    ServerError,
    cut_short,
    explain,
    refused_fields,
    unusable,
)
from rag.models.openai.event_reader import EventReader
from rag.models.openai.retries import BUSY, LOADING_PAUSE, RetryPolicy
from rag.models.openai.token_counting import COUNT_TIMEOUT, NotCounted, count_on_server
from rag.models.prompt_type import load_prompt_type
from rag.models.thoughts import NO_THINKING
from rag.models.timeouts import TimeLimits, TokenTimeout
from rag.types.documents import Message
from rag.types.models import LanguageModel, ModelDelta

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

    from rag.settings import LanguageModelSettings

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10  # seconds: a refusal comes at once, and a busy loop must not look like a dead server
_BEYOND_OPENAI = ("top_k", "repetition_penalty", "repeat_penalty")
_REFUSALS = 2  # of a system message, until a model is held to take none
_SMALLEST_WINDOW = 256  # tokens: a server that says it reads less is not believed
_REFUSED = {400, 422}  # HTTP: what servers answer to fields that they do not take
_NO_CHOICES: list[dict[str, Any]] = [{}]
_DONE = ModelDelta("")  # the server says so


def open_openai(settings: LanguageModelSettings) -> LanguageModel:
    """The model at `settings.base_url`; blocking. A server that does not answer now is asked again at each question.

    Raises ConfigurationError when there is no address, or one that is none, or no such prompt type.
    """
    if not settings.prompt_type:
        return open_at(settings, ChatCompletions())
    return open_at(settings, Completions(load_prompt_type(settings.prompt_type)))


def open_at(settings: LanguageModelSettings, endpoint: ChatCompletions) -> LanguageModel:
    """The model at `settings.base_url`, asked at that endpoint; as `open_openai`."""
    if not settings.base_url:
        raise ConfigurationError(
            f"The {settings.provider} provider needs the address of a server.",
            hint="Set RAG_LLM__BASE_URL, e.g. to http://127.0.0.1:11434/v1.",
        )
    llm = OpenAICompatible(settings, endpoint)
    llm.learn(llm.probe())
    return llm.language_model()


class OpenAICompatible:
    """A chat model behind an OpenAI-compatible API, streamed; or behind another one, if `endpoint` speaks it."""

    def __init__(self, settings: LanguageModelSettings, endpoint: ChatCompletions) -> None:
        """The model that the settings describe, not asked yet. Raises ConfigurationError when the address is none."""
        self._endpoint = endpoint
        self._provider = settings.provider if settings.provider != "auto" else "openai"
        self.base_url = checked_base_url(settings.base_url)
        self.model = settings.model
        self._label = settings.name  # the user's name for it
        self.context_window = settings.context_window or DEFAULT_CONTEXT_WINDOW
        self.limits = TimeLimits.from_settings(settings)
        self.problem = "it was not asked yet"
        self.is_listed = True  # or the server tells no names
        self.tokenizer: Tokenizer = ""
        self._is_vllm = False
        self._wanted_model = settings.model
        self._wanted_window = settings.context_window
        self._window_by_refusal = 0  # by a refusal
        self._key = settings.key()
        self._refused: set[str] = set()  # fields that this server does not take
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.base_url.startswith("https://"):  # slow: once, not per question
            self._tls = httpx.create_ssl_context(trust_env=trusts_environment(self.base_url))

    def language_model(self) -> LanguageModel:
        """The model with what is known of it by now."""
        description = f"{self.model or 'a model'} at {self.address}"
        if self.problem:
            description += f": {self.problem} (asked again with every question)"
        elif not self.is_listed:
            description += ": the server does not list this model (asked for it all the same)"
        return LanguageModel(
            provider=self._provider,
            name=self._label or self.model,
            description=description,
            llm=self,
            context_window=self.context_window,
            count_tokens=estimate_tokens,
            count_prompt=self.count_prompt,
            calls_functions=self._endpoint.calls_functions,
            writes_json=self._endpoint.writes_json,
            takes_images=self._endpoint.takes_images,
            parameters=parameters_named(self.model),
        )

    @property
    def address(self) -> str:
        """Where the server is, as it may be shown."""
        return shown_address(self.base_url)

    def probe(self) -> ServerProbe:
        """What the server says of itself now; blocking, seconds at most."""
        return self._endpoint.probe(self.base_url, self._wanted_model, self._key.get_secret_value())

    def learn(self, probe: ServerProbe) -> None:
        """Take over what the server said: its models' names and window, and the `/v1` that the address lacked."""
        self.problem = "" if probe.problem == NO_LIST and self._wanted_model else probe.problem
        if not probe.models:
            return
        self.base_url = probe.base_url
        self.tokenizer = probe.tokenizer if self._endpoint.counts_prompts else ""
        self._is_vllm = probe.tokenizer == "vLLM"
        self.model = self._wanted_model or probe.models[0]
        self.is_listed = bool(listed_name(self.model, probe.models))
        windows = [
            window for window in (self._wanted_window, probe.context_window or self._window_by_refusal) if window
        ]
        self.context_window = min(windows, default=DEFAULT_CONTEXT_WINDOW)

    async def check(self) -> None:
        """Ask the server whether it answers now. Raises BackendUnavailable."""
        self.learn(await asyncio.to_thread(self.probe))
        if self.problem:
            raise unusable(self.address, self.problem)

    def count_prompt(self, messages: Sequence[Message]) -> int | None:
        """Tokens of the whole prompt, without images, as the server counts them; None where it does not tell. Blocking,
        seconds at most.

        A server that fails at it is not asked again until its models are listed anew; one that is busy or away is."""
        if not self.tokenizer:
            return None
        try:
            return self._count(to_turns([replace(message, images=()) for message in messages]))
        except (NotCounted, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            if isinstance(error, NotCounted) and (error.status in BUSY or _has_calls(messages)):
                return None  # a template without functions refuses them, and counts everything else
            if isinstance(error, httpx.TransportError) and not isinstance(error, httpx.TimeoutException):
                return None  # it may be starting anew
            logger.warning(
                "The model server at %s does not count tokens (%s): prompts are measured by an estimate.",
                self.address,
                str(error) or type(error).__name__,
            )
            self.tokenizer = ""
            return None

    @cached_property
    def _counting_client(self) -> httpx.Client:
        """What asks for counts, from several threads; making one takes longer than asking. It keeps no connection: the
        server may be started anew."""
        key = self._key.get_secret_value()
        return httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            trust_env=trusts_environment(self.base_url),
            verify=self._tls,
            follow_redirects=False,
            timeout=COUNT_TIMEOUT,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def _count(self, turns: list[Turn]) -> int:
        client = self._counting_client
        for _ in range(_REFUSALS if SYSTEM_ROLE not in self._refused else 0):  # one may be an accident
            try:
                return count_on_server(client, self.base_url, self.tokenizer, self.model, turns)
            except NotCounted as refusal:
                if not refusal.is_about_turns:
                    raise
        count = count_on_server(client, self.base_url, self.tokenizer, self.model, fold_system(turns))
        self._refused.add(SYSTEM_ROLE)
        return count

    async def wait_until_loaded(self, seconds: float) -> AsyncGenerator[str, None]:
        """Says what is waited for, as long as the server says that it loads its model, and no longer than `seconds`."""
        deadline = time.monotonic() + seconds
        while self.problem == LOADING and time.monotonic() + LOADING_PAUSE < deadline:
            yield "the model server is loading its model"
            await asyncio.sleep(LOADING_PAUSE)
            self.learn(await asyncio.to_thread(self.probe))

    async def _try_again(self, seconds: float) -> AsyncGenerator[str, None]:
        """Ask a server that could not be used when last asked; says what is waited for. Raises BackendUnavailable."""
        self.learn(await asyncio.to_thread(self.probe))
        async for reason in self.wait_until_loaded(seconds):
            yield reason
        if not self.model:
            raise unusable(self.address, self.problem)

    async def stream(self, messages: Sequence[Message], options: Mapping[str, Any]) -> AsyncGenerator[ModelDelta, None]:
        """The reply, piece by piece; closing the generator closes the connection. Raises BackendError."""
        turns = to_turns(messages)
        clock = TokenTimeout(self.limits, f"The model server at {self.address}")
        if self.problem:
            async for reason in self._try_again(clock.left):
                yield ModelDelta("", waiting=reason)
        retries = RetryPolicy()
        finished = False
        while not finished:
            try:
                async with self._session() as session:
                    response, read, tried = await self._ask(session, turns, options, clock)
                    calls = ToolCallReader() if "tools" in options else None
                    async with response, aclosing(_deltas(response, clock, read, calls)) as deltas:
                        async for delta in deltas:
                            # A server that says that it is done, though not why, has not broken off.
                            finished = finished or bool(delta.finish_reason) or (delta is _DONE and clock.has_begun)
                            yield delta
            except (NotReached, ServerError, NoJson, aiohttp.ClientError, ValueError) as error:
                pause = None if clock.has_begun else retries.pause_after(error)
                if pause is None or pause.seconds > clock.left:
                    raise self._explained(error, turns, options) from error
                if pause.what_for:
                    yield ModelDelta("", waiting=pause.what_for)
                await asyncio.sleep(pause.seconds)
                continue
            if not finished and (clock.has_begun or not self._learns_from_silence(turns, tried)):
                raise cut_short(self.address, has_begun=clock.has_begun)

    def _explained(self, error: Exception, turns: list[Turn], options: Mapping[str, Any]) -> BackendError:
        with_functions = "tools" in options or any("tool_call_id" in turn for turn in turns)
        explained = explain(error, self.address, self._key.get_secret_value(), with_functions=with_functions)
        if isinstance(explained, PromptTooLong) and isinstance(error, ServerError) and (overflow := error.overflow):
            if overflow.is_of_characters:
                explained.counted = overflow.counted or sum(len(str(turn["content"])) for turn in turns)
            elif overflow.limit >= _SMALLEST_WINDOW:  # the next prompt is made for it
                self._window_by_refusal = overflow.limit
                self.context_window = min(self.context_window, overflow.limit)
        return explained

    def _learns_from_silence(self, turns: list[Turn], tried: frozenset[str]) -> bool:
        """Whether to ask once more what was asked without the fields `tried`: llama-cpp-python's server streams nothing
        when its template refuses the system role, and says why in its log only."""
        is_new = SYSTEM_ROLE not in tried and any(turn["role"] == "system" for turn in turns)
        if is_new:
            self._refused.add(SYSTEM_ROLE)
        return is_new

    async def _ask(
        self, session: aiohttp.ClientSession, turns: list[Turn], options: Mapping[str, Any], clock: TokenTimeout
    ) -> tuple[aiohttp.ClientResponse, ReadEvent, frozenset[str]]:
        """The open stream, what reads its events, and the fields it was asked without. What the server does
        not take is left out, and remembered for the next question, save for what only this one asked for."""
        extra_body = options.get("extra_body") or {}
        left_out = set(self._refused)
        while True:
            body = self._request(turns, options, left_out)
            try:
                response = await clock.within(self._post(session, body))
            except ServerError as error:
                refused = refused_fields(error, body) - left_out
                is_quiet = extra_body.get("reasoning_effort") == EFFORTS[0]
                if not refused and is_quiet and error.status in _REFUSED and not error.overflow:
                    refused = NO_THINKING.keys() & body.keys()  # it may be for these, in words that name none
                if not refused:
                    raise
                logger.info("The model server at %s does not take %s.", self.address, ", ".join(sorted(refused)))
                left_out |= refused
            else:
                self._refused |= left_out - (extra_body.keys() - NO_THINKING.keys())
                return response, self._endpoint.reader(body), frozenset(left_out)

    async def _post(self, session: aiohttp.ClientSession, body: dict[str, Any]) -> aiohttp.ClientResponse:
        """The answer, of which nothing was read yet. Raises ServerError, NotReached."""
        try:
            response = await self._endpoint.open(session, self.base_url, body)
            if response.status == 200:
                return response
            text = (await response.read()).decode(errors="replace")
        except aiohttp.ClientError as error:
            raise NotReached(error) from error
        raise ServerError(text, response.status, response.headers.get("retry-after", ""))

    def _request(self, turns: list[Turn], options: Mapping[str, Any], left_out: set[str]) -> dict[str, Any]:
        fields = dict(options)
        extra_body = fields.pop("extra_body", {})
        if turns[-1]["role"] == "assistant" and self._is_vllm:  # the others go on with it by themselves
            fields |= dict(zip(OF_CONTINUATION, (True, False), strict=True))
        fields |= extra_body
        if fields.get("reasoning_effort") == EFFORTS[0]:
            known = [effort for effort in EFFORTS if f"reasoning_effort={effort}" not in left_out]
            fields |= {"reasoning_effort": known[0]} if known else {}
            left_out = left_out if known else {*left_out, "reasoning_effort"}
        if "repetition_penalty" in fields:  # vLLM's name; llama.cpp's and Ollama's is the other
            fields["repeat_penalty"] = fields["repetition_penalty"]
        if "max_tokens" in left_out and "max_tokens" in fields:
            fields["max_completion_tokens"] = fields["max_tokens"]
        fields["stream_options"] = {"include_usage": True}
        fields = {name: value for name, value in fields.items() if name not in left_out}
        extra = {name: fields.pop(name) for name in _BEYOND_OPENAI if name in fields}
        turns = fold_system(turns) if SYSTEM_ROLE in left_out else turns
        return self._endpoint.body(self.model, turns, extra | fields)

    def _session(self) -> aiohttp.ClientSession:
        key = self._key.get_secret_value()
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls, force_close=True),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            trust_env=False,  # it would read logins from ~/.netrc, too
            proxy=environment_proxy(self.base_url),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),  # the rest is timed by the token
        )


async def _deltas(
    response: aiohttp.ClientResponse, clock: TokenTimeout, read: ReadEvent, calls: ToolCallReader | None
) -> AsyncGenerator[ModelDelta, None]:
    """What comes of a reply, and `_DONE` where the server says that it is; one that is not streamed is one chunk.
    Raises ServerError, NoJson."""
    received = await clock.within(response.content.readany())
    if received.lstrip().startswith(b"{"):
        chunk = read(received + await clock.within(response.content.read()), "")
        clock.tick(is_token=_has_token(chunk))
        yield model_delta(chunk, None, calls)
        yield _DONE
        return
    reader = EventReader(read)
    while received and not reader.is_done:
        for delta in _joined(reader.feed(received), clock, calls):
            yield delta
        received = b"" if reader.is_done else await clock.within(response.content.readany())
    reader.end()
    if reader.is_done:
        yield _DONE


def _joined(
    chunks: Iterator[dict[str, Any]], clock: TokenTimeout, calls: ToolCallReader | None
) -> Iterator[ModelDelta]:
    """The deltas of chunks that came together; texts are one then: it is when everybody is busy that tokens wait."""
    text = ""
    try:
        for chunk in chunks:
            clock.tick(is_token=_has_token(chunk))
            if plain := plain_text(chunk):
                text += plain
                continue
            if text:
                yield ModelDelta(text)
                text = ""
            yield model_delta(chunk, None, calls)
    except (ServerError, NoJson):
        if text:
            yield ModelDelta(text)
        raise
    if text:
        yield ModelDelta(text)


def _has_calls(messages: Sequence[Message]) -> bool:
    return any(message.tool_calls or message.tool_call_id for message in messages)


def _has_token(chunk: dict[str, Any]) -> bool:
    """Whether it brings text or thoughts (which servers put into fields of their own), and not just the role."""
    choice = (chunk.get("choices") or _NO_CHOICES)[0]
    delta = choice.get("delta") or choice.get("message") or {}
    return any(value for name, value in delta.items() if name != "role")

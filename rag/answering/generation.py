"""Writing: a prompt goes to a model, and its reply comes back as text, footnotes and checked claims."""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from rag.answering.attribution import Attribution
from rag.answering.citations import citations_of_values, collect_citations
from rag.answering.mention_order import MentionOrder
from rag.answering.notices import INCOMPLETE, Quote, with_notices, without_words
from rag.answering.prompt_budget import Prompt, fit_prompt
from rag.answering.repetition import RepetitionGuard
from rag.answering.replies import says_not_found
from rag.answering.verification.claims import check_claims
from rag.errors import InvalidRequest, PromptTooLong
from rag.models.llm import after_thoughts, stream_text
from rag.telemetry.spans import span
from rag.text.markers import MarkerFilter
from rag.types.chat import DEFAULT_MAX_TOKENS, NO_FUNCTIONS, Functions, Sampling, ToolCallDelta, joined
from rag.types.documents import (
    Answer,
    ChunksRetrieved,
    Emit,
    FinishReason,
    Hit,
    Message,
    Passage,
    Progress,
    TextDelta,
    ThoughtDelta,
    Usage,
)
from rag.types.models import LanguageModel, ModelDelta

logger = logging.getLogger(__name__)

_LONGEST_PIECE = 500  # characters that are looked at while everybody waits: a server may send a whole answer at once
_MOST_REFUSALS = 8  # of one question's prompts as too long
_SMALLER = 0.6  # part of the window that the next prompt is made for, where a server does not say what it reads
_SPARE = 0.98  # of what a server says it reads: it counts by its own rules


@dataclass(frozen=True, slots=True)
class PreparedQuestion:
    """A question made ready for a model: the `instructions` of model and caller, the `rules` that hold (these and
    Footnote's own), the history as far as it is told, and the question, which ends the conversation. `examples` are
    turns that show how to answer, `functions` what the model may call, and `steps` what it called for this question so
    far, with what came of it, or the beginning of its answer, which it is to go on with. Without `thinks` the model is
    asked not to think."""

    model: LanguageModel
    instructions: str
    rules: str
    conversation: Sequence[Message]
    sampling: Sampling
    examples: tuple[Message, ...] = ()
    functions: Functions = NO_FUNCTIONS
    steps: tuple[Message, ...] = ()
    thinks: bool = True

    @property
    def question(self) -> str:
        """What the user asked, word for word."""
        return self.conversation[-1].content

    @property
    def must_be_asked(self) -> bool:
        """Whether the model is asked whatever was found: a function can still answer, or has; or a program reads the
        reply, who cannot be answered in words of Footnote's own."""
        return self.functions.may_be_called or bool(self.steps) or bool(self.sampling.response_format)

    def prompt(self, passages: Sequence[Passage]) -> Prompt:
        """What is sent to the model, with as many of the passages as fit; blocking. Raises InvalidRequest."""
        return fit_prompt(
            self.model,
            self.rules,
            self.conversation,
            passages,
            longest_reply(self.model, self.sampling),
            examples=self.examples,
            steps=self.steps,
            functions=self.functions,
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said that nobody reads word by word, and what it cost."""

    text: str
    usage: Usage


def longest_reply(model: LanguageModel, sampling: Sampling) -> int:
    """How long the reply may become, in tokens, where the window is wide enough."""
    return sampling.over(model.sampling).max_tokens or DEFAULT_MAX_TOKENS


def total(usages: Iterable[Usage]) -> Usage:
    """The tokens of several calls."""
    counts = [(usage.prompt_tokens, usage.completion_tokens) for usage in usages]
    return Usage(sum(prompt for prompt, _ in counts), sum(completion for _, completion in counts))


async def reply(model: LanguageModel, messages: Sequence[Message], max_tokens: int) -> Reply:
    """The likeliest reply, whole, and without thoughts: a model that spends its tokens on them is asked once more in
    another way, until one is known in which it has words left. Empty where none is, and where the server withheld the
    rest. Raises BackendError."""
    usages: list[Usage] = []
    text, has_another_way = "", True
    while not text and has_another_way:
        parts: list[str] = []
        usage: Usage | None = None
        is_withheld = False
        failed_ways = model.thoughts.failed_ways
        deltas = stream_text(model, messages, Sampling(max_tokens=max_tokens, temperature=0.0), thinks=False)
        async with aclosing(deltas):
            async for delta in deltas:
                parts = [delta.text] if delta.retracts else [*parts, delta.text]
                is_withheld = is_withheld or delta.finish_reason == "content_filter"
                usage = delta.usage or usage
        text = "" if is_withheld else after_thoughts("".join(parts)).strip()
        usages.append(usage or _counted(model, messages, text))
        has_another_way = model.thoughts.failed_ways > failed_ways
    return Reply(text, total(usages))


async def write_answer(
    prepared: PreparedQuestion,
    emit: Emit,
    passages: Sequence[Passage] = (),
    hits: tuple[Hit, ...] = (),
    quote: Quote | None = None,
) -> Answer:
    """Answer from the passages, or without any. Where a server refuses the prompt as too long, it is made shorter, for
    what the server says that it reads, down to the beginning of one passage.

    With `quote`, an answer of which nothing is borne out is followed by a word on that and by what the passages say.
    Where there are passages, ChunksRetrieved says which of them the model reads; it comes again when fewer are left,
    and when their numbers change (see `write_prompt`).
    """
    window = prepared.model.context_window
    refusal: PromptTooLong | None = None
    refused: Prompt | None = None
    for _ in range(_MOST_REFUSALS):
        smaller = replace(prepared, model=replace(prepared.model, context_window=window))
        try:
            with span("prompt"):
                prompt = await asyncio.to_thread(smaller.prompt, passages)
        except InvalidRequest as error:  # not even the rules fit
            raise refusal or error from None
        if refused and refusal:
            is_same = prompt.messages == refused.messages
            if is_same and not (refusal.limit and prompt.max_tokens < refused.max_tokens):
                raise refusal
            if not is_same:
                emit(Progress(f"the prompt was too long for the model: {_left_out(refused, prompt)}"))
        if passages:
            emit(ChunksRetrieved(hits, prompt.passages))
        try:
            return await write_prompt(
                prepared.model,
                prompt,
                prepared.sampling,
                emit,
                question=prepared.question,
                hits=hits,
                quote=quote,
                thinks=prepared.thinks,
            )
        except PromptTooLong as error:
            refusal, refused = error, prompt
            window = smaller_window(window, error, prompt.tokens, prompt.max_tokens)
            logger.warning("The prompt did not fit, trying a shorter one: %s", error)
    assert refusal is not None
    raise refusal


def smaller_window(window: int, refusal: PromptTooLong, tokens: int = 0, reply_tokens: int = 0) -> int:
    """The window, as the model's tokens are counted here, for which to make the next prompt after one was refused: what
    the server says that it reads, else a part of what was sent.

    `tokens` are those of the refused prompt, as they are counted here (0: nobody knows), `reply_tokens` those that its
    reply might have had."""
    share = refusal.counted / tokens if refusal.counted and tokens else 1.0  # of the server's tokens to ours
    limit = refusal.limit / max(share, 1.0) if refusal.limit else tokens + reply_tokens - refusal.excess
    if share < 1.0 and refusal.limit > 2 * reply_tokens:  # the reply's tokens are counted by the server alone
        limit = (refusal.limit - reply_tokens) / share + reply_tokens
    if (refusal.limit or refusal.excess) and 0 < limit < window:
        return int(limit * _SPARE)
    sent = min(tokens + reply_tokens, window) if tokens else window
    return int(sent * _SMALLER)


def _left_out(refused: Prompt, prompt: Prompt) -> str:
    """What of the refused prompt is not in the shorter one."""
    passages, turns = len(refused.passages), len(refused.messages) - len(prompt.messages)
    fewer = passages - len(prompt.passages)
    parts = [f"{fewer} of {passages} passages"] if fewer else []
    if turns > 0:
        parts.append(f"{turns} earlier message{'s' if turns > 1 else ''}")
    return f"{' and '.join(parts)} left out" if parts else "a passage is shortened"


async def write_prompt(
    model: LanguageModel,
    prompt: Prompt,
    sampling: Sampling,
    emit: Emit,
    *,
    question: str = "",
    hits: tuple[Hit, ...] = (),
    quote: Quote | None = None,
    thinks: bool = True,
) -> Answer:
    """The reply to a prompt; what it says of the prompt's passages is cited and checked. Passages are numbered in the
    order in which they are mentioned first; ChunksRetrieved, with the `hits`, tells each change before the text does.

    Sentences without a source are not held against an answer that rests on what a function gave. Without passages the
    reply is passed on as it is: what looks like a footnote there is none; so is JSON that was asked for, which rests on
    the passages that have its values. Thoughts are emitted as such, and are no part of it. A model that repeats itself
    is stopped; that is told in the language of `question` (empty: of the prompt's last user message). `quote` is as in
    `write_answer`, `thinks` as in `PreparedQuestion`.
    """
    question = question or next(message.content for message in reversed(prompt.messages) if message.role == "user")
    is_json = bool(sampling.response_format)
    generated = _Generated(() if is_json else prompt.passages, hits, emit)
    sampling = replace(sampling, max_tokens=prompt.max_tokens)
    deltas = stream_text(model, prompt.messages, sampling, prompt.functions, thinks=thinks)
    with span("generate"):
        async with aclosing(deltas):
            async for delta in deltas:
                await generated.take(delta)
                if generated.shown.is_loop:
                    break
    finish_reason, shown = generated.finish_reason, generated.shown
    await shown.end(is_cut_off=finish_reason in INCOMPLETE)
    text, thoughts = shown.text, "".join(generated.thoughts)
    calls = joined(generated.calls)
    if calls and finish_reason == "stop":
        finish_reason = "tool_calls"
    written = thoughts + Message("assistant", text, calls).written
    answer = Answer(
        text,
        citations=(),
        passages=prompt.passages if is_json else shown.passages,
        model=model.name,
        found=True,
        finish_reason=finish_reason,
        usage=generated.usage or _counted(model, prompt.messages, written),
        calls=calls,
        thoughts=thoughts.strip(),
    )
    if not text.strip() and not calls:
        return await without_words(answer, question, emit, prompt.max_tokens, is_json=is_json)
    if is_json:
        citations = await asyncio.to_thread(citations_of_values, text, prompt.passages)
        return replace(answer, citations=citations, found=bool(citations))
    if prompt.passages:
        with span("cite"):
            answer = await asyncio.to_thread(with_footnotes, answer, shown.attributed, question)
    calls_functions = bool(calls) or any(message.role == "tool" for message in prompt.messages)
    if prompt.messages[-1].role == "tool":
        answer = replace(answer, claims=tuple(claim for claim in answer.claims if claim.numbers))
    return await with_notices(answer, question, emit, is_loop=shown.is_loop, quote=None if calls_functions else quote)


class _Generated:
    """What comes of a reply: its text, which is emitted as it is shown, its thoughts and its calls of functions."""

    def __init__(self, passages: Sequence[Passage], hits: tuple[Hit, ...], emit: Emit) -> None:
        self.shown = _ShownText(passages, hits, emit)
        self.thoughts: list[str] = []
        self.calls: list[ToolCallDelta] = []
        self.finish_reason: FinishReason = "stop"
        self.usage: Usage | None = None
        self._passages, self._hits = tuple(passages), hits
        self._emit = emit

    async def take(self, delta: ModelDelta) -> None:
        """Take in the next piece."""
        self.finish_reason = delta.finish_reason or self.finish_reason
        self.usage = delta.usage or self.usage
        if delta.waiting:
            self._emit(Progress(delta.waiting))
        if delta.retracts:
            await self.shown.end(is_cut_off=False)
            self.thoughts.append(self.shown.text)
            if self.shown.passages != self._passages:
                self._emit(ChunksRetrieved(self._hits, self._passages))
            self.shown = _ShownText(self._passages, self._hits, self._emit)
        if delta.thoughts:
            self.thoughts.append(delta.thoughts)
            self._emit(ThoughtDelta(delta.thoughts))
        await self.shown.feed(delta.text)
        for call_delta in delta.calls:
            self.calls.append(call_delta)
            self._emit(call_delta)


class _ShownText:
    """Emits a reply's text as it is shown: markers of sources that there are (where there are passages), footnotes put
    where they lack, numbered as they are mentioned, and no loops."""

    def __init__(self, passages: Sequence[Passage], hits: tuple[Hit, ...], emit: Emit) -> None:
        self._markers = MarkerFilter([passage.number for passage in passages]) if passages else None
        self._order = MentionOrder(passages, lambda renumbered: emit(ChunksRetrieved(hits, renumbered)))
        self._repetition = RepetitionGuard()
        self._attribution = Attribution(passages)
        self._emit = emit
        self._parts: list[str] = []

    @property
    def text(self) -> str:
        """What was emitted."""
        return "".join(self._parts)

    @property
    def is_loop(self) -> bool:
        """Whether the model repeats itself: nothing more is shown."""
        return self._repetition.is_loop

    @property
    def attributed(self) -> Sequence[int]:
        """The offsets in `text` of the markers that the model did not write."""
        return [self._order.shown_offset(offset) for offset in self._attribution.found]

    @property
    def passages(self) -> tuple[Passage, ...]:
        """The passages, numbered as they are mentioned."""
        return self._order.passages

    async def feed(self, text: str) -> None:
        """Show what can be shown after this piece."""
        for start in range(0, len(text), _LONGEST_PIECE):
            if start:
                await asyncio.sleep(0)  # others get their turn
            piece = text[start : start + _LONGEST_PIECE]
            await self._show(self._repetition.feed(self._markers.feed(piece) if self._markers else piece))

    async def end(self, *, is_cut_off: bool) -> None:
        """Show what is still held at the end of the reply."""
        if self._markers:
            await self._show(self._repetition.feed(self._markers.flush()))
        await self._show(self._repetition.flush())
        if self._markers:
            last = await self._attribution.flush(is_cut_off=is_cut_off)
            self._pass(self._order.feed(last) + self._order.flush())

    async def _show(self, text: str) -> None:
        self._pass(self._order.feed(await self._attribution.feed(text)) if self._markers else text)

    def _pass(self, text: str) -> None:
        if text:
            self._parts.append(text)
            self._emit(TextDelta(text))


def with_footnotes(answer: Answer, attributed: Collection[int] = (), question: str = "") -> Answer:
    """The answer with the citations and the checked claims that its text and its passages give; `attributed` are the
    offsets of the markers that the model did not write."""
    citations = collect_citations(answer.text, answer.passages)
    found = bool(citations) or not says_not_found(answer.text)
    claims = check_claims(answer.text, answer.passages, question)
    starts = [claim.start for claim in claims]
    places = {bisect_left(starts, offset) - 1 for offset in attributed}
    claims = tuple(replace(claim, attributed=place in places) for place, claim in enumerate(claims))
    return replace(answer, citations=citations, found=found, claims=claims)


def _counted(model: LanguageModel, messages: Sequence[Message], text: str) -> Usage:
    count = model.count_tokens
    return Usage(sum(count(message.written) for message in messages), count(text))
